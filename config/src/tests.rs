//! The door: defaults, and paths within the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Config, ControlSocket, parse};

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(parse("", Path::new("empty.toml")), Ok(Config::default()));
    assert_eq!(parse("\u{feff}# nothing\n[limits]\n[http]\n", Path::new("empty.toml")), Ok(Config::default()));
}

#[test]
fn the_default_serves_this_machine_only() {
    let config = Config::default();
    let listeners: Vec<_> =
        config.listeners.iter().map(|listener| format!("{} {}", listener.name, listener.address)).collect();
    assert_eq!(listeners, ["loopback4 127.0.0.1:3128", "loopback6 [::1]:3128"]);
    for listener in &config.listeners {
        assert!(listener.clients.iter().all(|prefix| prefix.is_loopback()), "{listener:?}");
    }
    assert!(config.origin.allow.is_empty());
    assert!([80, 443, 1024, 65535].iter().all(|port| config.http.ports.contains(*port)));
    assert!([0, 22, 25, 465, 1023].iter().all(|port| !config.http.ports.contains(*port)));
    assert_eq!(config.timeouts.tunnel_idle, Some(Duration::from_secs(3600)));
    assert_eq!(config.timeouts.tunnel_lifetime, None);
    assert_eq!(config.warnings(), []);
}

#[test]
fn paths_are_meant_from_the_directory_of_the_file() {
    let text = "control = { socket = 'c.sock' }\n[[listener]]\naddress = '127.0.0.1:1'\ncredentials = '/abs/users'\n\
                tls = { certificate = 'tls/c.pem', key = '../k.pem' }\n";
    let config = parse(text, Path::new("/etc/anabranch/edge.toml")).unwrap();
    assert_eq!(config.control.socket, ControlSocket::At("/etc/anabranch/c.sock".into()));
    let listener = &config.listeners[0];
    assert_eq!(listener.credentials, Some(PathBuf::from("/abs/users")));
    let tls = listener.tls.as_ref().unwrap();
    assert_eq!(
        (tls.certificate.as_path(), tls.key.as_path()),
        (Path::new("/etc/anabranch/tls/c.pem"), Path::new("/etc/anabranch/../k.pem"))
    );
    assert_eq!(listener.name.as_str(), "127.0.0.1:1", "an unnamed listener goes by its address");
}

#[test]
fn a_lowered_total_lowers_the_bound_of_each_client() {
    let config = parse("[limits]\nconnections = 100\n", Path::new("f.toml")).unwrap();
    assert_eq!(config.limits.connections_per_client, 100);
}

#[test]
fn a_name_server_without_a_port_has_the_port_of_dns() {
    let text = "resolver.servers = ['192.0.2.53', '2001:db8::53', '192.0.2.54:5353', '[2001:db8::54]:5353']";
    let servers = parse(text, Path::new("f.toml")).unwrap().resolver.servers;
    let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.54:5353", "[2001:db8::54]:5353"]);
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    for open in ["[", "{ a = "] {
        let text = format!("x = {}", open.repeat(100_000));
        let error = parse(&text, Path::new("deep.toml")).unwrap_err();
        assert!(error.problems().iter().all(|problem| problem.line == 1), "{open}");
    }
    assert!(parse(&format!("{}x = 1", "a.".repeat(10_000)), Path::new("deep.toml")).is_err());
}
