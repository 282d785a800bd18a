//! After a crash the next start works at once; a second instance never takes anything from the first.

use std::net::SocketAddr;

use nix::sys::signal::Signal;

use crate::support::{Origin, Proxy, Start, Tunnel, fetch, own_address};

fn at(address: SocketAddr) -> String {
    format!("[[listener]]\nname = \"edge\"\naddress = \"{address}\"\n")
}

fn own() -> SocketAddr {
    SocketAddr::new(own_address().into(), 3128)
}

#[test]
fn a_killed_process_leaves_nothing_in_the_way() {
    let (echo, web) = (Origin::echo(), Origin::text("hello"));
    let address = own();
    let mut proxy = Proxy::start(&at(address));
    for _ in 0..3 {
        // Connections that our side ended wait on the address for a minute; those that live are torn down in the middle.
        assert_eq!(fetch(address, &web.url("/")).status, 200);
        let mut tunnel = Tunnel::open(address, echo.address);
        tunnel.echo("before");
        let dir = proxy.dir.clone();
        proxy.signal(Signal::SIGKILL);
        assert_eq!(proxy.wait().code(), None);
        assert!(dir.path("control.sock").exists(), "a killed process cleans nothing up");
        proxy = Start::within(dir, &at(address)).run();
        assert_eq!(fetch(address, &web.url("/")).text(), "hello");
    }
    let dir = proxy.dir.clone();
    assert_eq!(proxy.stop().code(), Some(0));
    assert!(!dir.path("control.sock").exists(), "a stopped one does");
}

#[test]
fn a_second_instance_refuses_and_takes_no_connection() {
    let web = Origin::text("hello");
    let address = own();
    let first = Proxy::start(&at(address));
    let second = Start::within(first.dir.clone(), &at(address)).fail();
    assert_eq!(second.code(), Some(71));
    assert!(second.log.contains("another anabranch answers there; stop it, or set control.socket"), "{}", second.log);
    assert!(!second.log.contains("listening"), "it had opened its listeners: {}", second.log);
    // With a control socket of its own it meets the first on the address.
    let third = Start::new(&at(address)).fail();
    assert_eq!(third.code(), Some(71));
    assert!(third.log.contains(&format!("listener edge on {address}: bind failed")), "{}", third.log);
    for _ in 0..20 {
        assert_eq!(fetch(address, &web.url("/")).status, 200);
    }
    assert_eq!(first.counter("anabranch_connections_accepted_total{reason=\"no-mptcp-on-syn\"}"), 20);
}

#[test]
fn a_file_in_place_of_the_control_socket_is_left_alone() {
    let start = Start::new(&at(own()));
    let dir = start.dir.clone();
    dir.write("control.sock", "precious");
    let exit = start.fail();
    assert_eq!(exit.code(), Some(71));
    assert!(exit.log.contains("there is a file of another kind; remove it, or set control.socket"), "{}", exit.log);
    assert_eq!(std::fs::read_to_string(dir.path("control.sock")).unwrap(), "precious");
}

#[test]
fn a_wrong_file_is_78_and_names_the_line() {
    let exit = Start::new("[limits]\nconections = 1\n").fail();
    assert_eq!(exit.code(), Some(78));
    assert!(exit.log.contains("anabranch.toml:8: limits.conections: unknown key"), "{}", exit.log);
}
