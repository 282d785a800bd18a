//! A proxy of the simplest kind is started, told apart by its listener, and ended with all it started.

use std::net::SocketAddr;

use super::super::{PEERS, Serves};
use super::*;

fn peer(arguments: &'static str, mptcp: Mptcp) -> Peer {
    let recipe = Recipe {
        program: "nginx",
        arguments,
        files: FILES,
        words: &[("more", "{port}")],
        user: None,
        mptcp,
        version: "-v",
    };
    let serves = Serves { tunnels: false, requests: true, keep_alive: true };
    Peer { name: "stand-in", kind: Kind::Rival(recipe), serves, note: "", alone: false }
}

const FILES: &[(&str, &str)] = &[(
    "nginx.conf",
    "daemon off; user root; worker_processes 2; pid {dir}/pid; error_log {dir}/e; events {} \
     http { access_log off; client_body_temp_path {dir}/1; proxy_temp_path {dir}/2; fastcgi_temp_path {dir}/3; \
     uwsgi_temp_path {dir}/4; scgi_temp_path {dir}/5; server { listen {more}; } }",
)];

fn start(peer: &Peer, port: u16) -> Result<Running, Unusable> {
    let (edge, built) = (Namespace::new("edge").unwrap(), Built::new().unwrap());
    let origin = SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), 80);
    Running::start(peer, &built, Place { edge: &edge, port, origin, threads: None })
}

#[test]
fn a_lent_listener_is_told_from_a_plain_one_and_nothing_stays() {
    let line = "-e {dir}/e -c {dir}/nginx.conf";
    for (mptcp, expected) in [(Mptcp::Lent, true), (Mptcp::Own, false)] {
        let running = start(&peer(line, mptcp), 3128).unwrap();
        assert_eq!(running.mptcp, expected, "{mptcp:?}");
        assert_eq!(running.port, 3128);
        let (members, directory) = (running.tree.members().unwrap(), running.directory.clone());
        // unshare, the first process, nginx's master and its two workers.
        assert!(members.len() >= 4, "{members:?}");
        drop(running);
        assert!(members.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()), "{members:?}");
        assert!(!directory.exists());
    }
}

#[test]
fn one_that_does_not_start_is_told_with_its_own_words() {
    let error = start(&peer("-c /nowhere/nginx.conf", Mptcp::Own), 3128).unwrap_err();
    let Unusable::Broken(error) = error else { panic!("{error:?}") };
    assert!(format!("{error:#}").contains("/nowhere/nginx.conf"), "{error:#}");
}

#[test]
fn one_that_is_not_there_is_missing() {
    assert!(find("no-such-proxy").unwrap_err().to_string().contains("no-such-proxy is not installed"));
}

#[test]
fn a_user_is_one_of_a_namespace_or_is_not() {
    let everybody = "         0          0 4294967295\n";
    let root_alone = "         0       1000          1\n";
    assert!(is_mapped(everybody, 0) && is_mapped(everybody, 13));
    assert!(is_mapped(root_alone, 0) && !is_mapped(root_alone, 13) && !is_mapped("", 0));
    assert!(is_mapped("0 1000 1\n10 100010 5\n", 14) && !is_mapped("0 1000 1\n10 100010 5\n", 15));
}

#[test]
fn every_template_is_filled() {
    let edge = Namespace::new("edge").unwrap();
    let origin = "10.200.0.2:8100".parse().unwrap();
    let mut seen = 0;
    for peer in PEERS {
        for (name, template) in recipe(peer).iter().flat_map(|recipe| recipe.files) {
            let place = Place { edge: &edge, port: 3999, origin, threads: Some(1) };
            let text = fill(template, peer, Path::new("/somewhere"), place).unwrap();
            for word in
                ["{port}", "{origin}", "{oport}", "{dir}", "{threads}", "{files}", "{user}", "{more}", "{witness}"]
            {
                assert!(!text.contains(word), "{} of {}: {word}", name, peer.name);
            }
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen} templates");
}
