//! Every key, changed alone, against what its change has to mean.

use std::path::Path;

use super::*;
use crate::parse;

const BASE: &str = "
[[listener]]
name = 'a'
address = '127.0.0.1:1'
[[listener]]
name = 'b'
address = '[::1]:2'
[[path]]
name = 'dsl'
client = ['10.1.0.0/16']
";

fn config(text: &str) -> Config {
    parse(text, Path::new("f.toml")).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn names(names: &[Name]) -> Vec<&str> {
    names.iter().map(Name::as_str).collect()
}

fn sockets(change: &Change) -> (Vec<&str>, Vec<&str>, Vec<&str>, bool) {
    let Change::Apply(Apply { swap, listeners: Listeners { add, remove, replace } }) = change else {
        panic!("{change:?}")
    };
    (names(add), names(remove), names(replace), *swap)
}

#[test]
fn equal_is_nothing() {
    assert_eq!(config(BASE).diff(&config(BASE)), Change::Nothing);
    assert_eq!(config(BASE).diff(&config(&format!("{BASE}cost = 1 # said aloud\n"))), Change::Nothing);
}

#[test]
fn every_key_outside_the_listeners_swaps_or_restarts() {
    let swaps = [
        "limits.connections = 20000",
        "limits.connections_per_client = 5",
        "limits.connection_rate = 5",
        "limits.request_rate = 5",
        "limits.header_bytes = '8 KiB'",
        "limits.headers = 50",
        "http.pseudonym = 'x'",
        "http.ports = [443]",
        "pac.direct_domains = ['a.example']",
        "pac.direct_networks = ['10.0.0.0/8']",
        "pac.chain = ['DIRECT']",
        "origin.allow = ['10.0.0.1']",
        "resolver.servers = ['192.0.2.53']",
        "resolver.cache = 0",
        "timeouts.handshake = '1 s'",
        "timeouts.request_head = '1 s'",
        "timeouts.keep_alive = '1 s'",
        "timeouts.dns = '1 s'",
        "timeouts.connect = '1 s'",
        "timeouts.response_head = '1 s'",
        "timeouts.body_idle = '1 s'",
        "timeouts.tunnel_idle = '1 s'",
        "timeouts.tunnel_lifetime = '1 s'",
        "timeouts.half_closed = '1 s'",
        "timeouts.drain = '1 s'",
        "timeouts.handover = '1 s'",
        "log.access = 'off'",
        "subscriber = [{ name = 's' }]",
        "policy = [{ name = 'p', path = 'dsl', action = 'limit', rate = '1 Mbit/s' }]",
        "steering.mode = 'observe'",
        "steering.interval = '50 ms'",
        "steering.on_stop = 'keep'",
    ];
    for line in swaps {
        let change = config(BASE).diff(&config(&format!("{line}\n{BASE}")));
        assert_eq!(change, Change::Apply(Apply { swap: true, listeners: Listeners::default() }), "{line}");
    }
    for line in [
        "cost = 2",
        "capacity = '1 Mbit/s'",
        "line = '1 Mbit/s'",
        "interface = 'eth0'",
        "[[path]]\nname = 'x'\ninterface = 'x'",
    ] {
        let change = config(BASE).diff(&config(&format!("{BASE}{line}\n")));
        assert_eq!(change, Change::Apply(Apply { swap: true, listeners: Listeners::default() }), "{line}");
    }
    let restarts = [
        ("process.workers = 3", "process.workers"),
        ("process.role = 'proxy'", "process.role"),
        ("process.link = 'l.sock'", "process.link"),
        ("sniffer.kernel = false", "sniffer.kernel"),
        ("sniffer.interfaces = ['eth0']", "sniffer.interfaces"),
        ("sniffer.interval = '2 s'", "sniffer.interval"),
        ("steering.path_manager = 'kernel'", "steering.path_manager"),
        ("steering.interfaces = ['eth0']", "steering.interfaces"),
        ("steering.table = 'x'", "steering.table"),
        ("steering.device = 'x'", "steering.device"),
        ("steering.subflows = 5", "steering.subflows"),
        ("steering.lease = '5 s'", "steering.lease"),
        ("steering.adopt = true", "steering.adopt"),
        ("steering.usage = 'u.redb'", "steering.usage"),
        ("origin.keep_alive = 'off'", "origin.keep_alive"),
        ("origin.idle_per_key = 1", "origin.idle_per_key"),
        ("log.format = 'json'", "log.format"),
        ("log.level = 'debug'", "log.level"),
        ("control.socket = 'off'", "control.socket"),
        ("control.group = 'adm'", "control.group"),
    ];
    for (line, key) in restarts {
        let change = config(BASE).diff(&config(&format!("{line}\n{BASE}")));
        assert_eq!(change, Change::Restart(vec![key]), "{line}");
    }
}

#[test]
fn a_restart_names_every_key_and_hides_what_else_has_changed() {
    let new = config(&format!("log.level = 'debug'\nprocess.workers = 2\nlimits.headers = 50\n{BASE}"));
    assert_eq!(config(BASE).diff(&new), Change::Restart(vec!["process.workers", "log.level"]));
}

#[test]
fn a_listener_gets_a_new_socket_only_for_what_a_socket_has() {
    let with = |line: &str| BASE.replace("address = '[::1]:2'", &format!("address = '[::1]:2'\n{line}"));
    for line in ["ipv6_only = true", "transport = 'tcp'", "congestion = 'bbr'", "backlog = 5", "fast_open = 5"] {
        let change = config(BASE).diff(&config(&with(line)));
        assert_eq!(sockets(&change), (vec![], vec![], vec!["b"], false), "{line}");
    }
    let moved = config(BASE).diff(&config(&BASE.replace(":2'", ":3'")));
    assert_eq!(sockets(&moved), (vec![], vec![], vec!["b"], false));
    for line in [
        "clients = ['10.0.0.0/8']",
        "source = '192.0.2.1'",
        "tls = { certificate = 'c', key = 'k' }",
        "credentials = 'users'",
    ] {
        let change = config(BASE).diff(&config(&with(line)));
        assert_eq!(sockets(&change), (vec![], vec![], vec![], true), "{line}");
    }
    let both = config(BASE).diff(&config(&with("backlog = 5\nsource = '192.0.2.1'")));
    assert_eq!(sockets(&both), (vec![], vec![], vec!["b"], true));
}

#[test]
fn listeners_come_and_go_by_name() {
    let more = format!("{BASE}[[listener]]\nname = 'c'\naddress = '127.0.0.1:3'\n");
    assert_eq!(sockets(&config(BASE).diff(&config(&more))), (vec!["c"], vec![], vec![], false));
    assert_eq!(sockets(&config(&more).diff(&config(BASE))), (vec![], vec!["c"], vec![], false));
    let renamed = BASE.replace("'b'", "'z'");
    assert_eq!(sockets(&config(BASE).diff(&config(&renamed))), (vec!["z"], vec!["b"], vec![], false));
    let mut turned = config(BASE);
    turned.listeners.reverse();
    assert_eq!(
        sockets(&config(BASE).diff(&turned)),
        (vec![], vec![], vec![], true),
        "another order is printed otherwise"
    );
}
