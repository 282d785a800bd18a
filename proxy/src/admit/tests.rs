use std::net::Ipv4Addr;

use super::*;

fn limits(connections: u32, per_client: u32, rate: u32) -> Limits {
    Limits { connections, connections_per_client: per_client, connection_rate: rate, ..Limits::default() }
}

fn peer(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 40_000))
}

fn clients() -> Vec<Prefix> {
    vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]
}

#[test]
fn an_address_on_no_list_is_not_a_client_even_when_mapped() {
    let limits = limits(10, 10, 100);
    let admission = Admission::new(&limits);
    let outside: SocketAddr = "192.0.2.1:1".parse().unwrap();
    assert_eq!(admission.admit(outside, &clients(), &limits).unwrap_err(), Refused::NotAClient);
    let mapped: SocketAddr = "[::ffff:10.0.0.1]:1".parse().unwrap();
    admission.admit(mapped, &clients(), &limits).unwrap();
}

#[test]
fn a_dropped_permit_makes_room_in_both_counts() {
    let limits = limits(2, 1, 100);
    let admission = Admission::new(&limits);
    let first = admission.admit(peer(1), &clients(), &limits).unwrap();
    assert_eq!(admission.admit(peer(1), &clients(), &limits).unwrap_err(), Refused::TooManyOfThisClient);
    let second = admission.admit(peer(2), &clients(), &limits).unwrap();
    assert_eq!(admission.admit(peer(3), &clients(), &limits).unwrap_err(), Refused::TooMany);
    assert_eq!(admission.open(), 2);
    drop(first);
    drop(second);
    assert_eq!((admission.open(), admission.per_client.lock().len()), (0, 0));
    admission.admit(peer(1), &clients(), &limits).unwrap();
}

#[test]
fn a_client_in_a_hurry_is_paced_and_others_are_not() {
    let limits = limits(1000, 1000, 3);
    let admission = Admission::new(&limits);
    let permits: Vec<_> = (0..3).map(|_| admission.admit(peer(1), &clients(), &limits).unwrap()).collect();
    assert_eq!(admission.admit(peer(1), &clients(), &limits).unwrap_err(), Refused::TooFast);
    admission.admit(peer(2), &clients(), &limits).unwrap();
    drop(permits);
    assert_eq!(admission.open(), 0);
}

#[test]
fn a_household_is_one_client() {
    let key = |text: &str| ClientKey::of(text.parse().unwrap());
    assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
    assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
}
