//! The registry of dialled connections, and the list of interfaces.

use super::*;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn a_connection_is_known_until_its_registration_is_dropped() {
    let outgoing = Outgoing::new();
    let (local, remote) = (at("10.0.0.1:40000"), at("10.0.0.2:80"));
    assert!(outgoing.is_empty() && !outgoing.is_loop(local, remote));
    let registration = outgoing.register(local, remote);
    assert!(outgoing.is_loop(local, remote));
    assert!(!outgoing.is_loop(at("10.0.0.1:40001"), remote) && !outgoing.is_loop(at("10.0.0.9:40000"), remote));
    assert!(!outgoing.is_loop(local, at("10.0.0.2:81")), "another remote is another connection");
    assert_eq!((registration.local(), outgoing.len()), (local, 1));
    drop(registration);
    assert!(outgoing.is_empty() && !outgoing.is_loop(local, remote));
}

#[test]
fn a_shared_local_port_is_known_until_its_last_connection_ends() {
    let outgoing = Outgoing::new();
    let (local, one, other) = (at("10.0.0.1:40000"), at("10.0.0.2:80"), at("10.0.0.3:80"));
    let first = outgoing.register(local, one);
    let second = outgoing.register(local, other);
    drop(first);
    assert!(!outgoing.is_loop(local, one) && outgoing.is_loop(local, other));
    drop(second);
    assert!(outgoing.is_empty());
}

#[test]
fn a_port_used_again_outlives_the_registration_before() {
    let outgoing = Outgoing::new();
    let (local, remote) = (at("10.0.0.1:40000"), at("10.0.0.2:80"));
    let former = outgoing.register(local, remote);
    let _now = outgoing.register(local, remote);
    drop(former);
    assert!(outgoing.is_loop(local, remote));
    assert_eq!(outgoing.len(), 1);
}

#[test]
fn mapped_addresses_and_scopes_do_not_matter() {
    let outgoing = Outgoing::new();
    let _v4 = outgoing.register(at("10.0.0.1:40000"), at("10.0.0.2:80"));
    assert!(outgoing.is_loop(at("[::ffff:10.0.0.1]:40000"), at("[::ffff:10.0.0.2]:80")));
    let _v6 = outgoing.register(at("[fe80::1%3]:40000"), at("[fe80::2%3]:80"));
    assert!(outgoing.is_loop(at("[fe80::1]:40000"), at("[fe80::2]:80")));
}

#[test]
fn registrations_from_many_threads_all_go_away() {
    let outgoing = Outgoing::new();
    std::thread::scope(|scope| {
        for thread in 0..4_u16 {
            let outgoing = &outgoing;
            scope.spawn(move || {
                for port in 1..500 {
                    let local = SocketAddr::new([10, 0, 0, 1].into(), port);
                    let remote = SocketAddr::new([10, 0, 1, 1].into(), thread + 1);
                    let registration = outgoing.register(local, remote);
                    assert!(outgoing.is_loop(local, remote));
                    drop(registration);
                    assert!(!outgoing.is_loop(local, remote));
                }
            });
        }
    });
    assert!(outgoing.is_empty());
}

#[test]
fn the_interfaces_include_loopback_once() {
    let addresses = addresses().unwrap();
    let loopback = addresses.iter().filter(|ip| **ip == IpAddr::from([127, 0, 0, 1])).count();
    assert_eq!(loopback, 1, "{addresses:?}");
    assert!(addresses.is_sorted());
}
