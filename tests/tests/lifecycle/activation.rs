//! Sockets the service manager opened, and what it is told.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, Socket, Type};

use crate::support::{Origin, PATIENCE, Start, eventually, fetch, get, mptcp_connect, own_address};

/// The service manager's part of sd_listen_fds(3): the socket comes in as standard input and becomes descriptor 3.
const PASS_ON: &str = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\" 3<&0 </dev/null";

pub(crate) fn passed(protocol: Protocol, bound: SocketAddr, sections: &str) -> Start {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(protocol)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&bound.into()).unwrap();
    socket.listen(128).unwrap();
    let mut start = Start::behind(sections, "sh", &["-c", PASS_ON]);
    start.command().stdin(Stdio::from(OwnedFd::from(socket)));
    start
}

fn listener(address: SocketAddr, transport: &str) -> String {
    format!(
        "[process]\nworkers = 4\n[[listener]]\nname = \"edge\"\naddress = \"{address}\"\ntransport = \"{transport}\"\n"
    )
}

fn own() -> SocketAddr {
    SocketAddr::new(own_address().into(), 3128)
}

#[test]
fn an_inherited_mptcp_socket_serves_all_workers() {
    let web = Origin::text("hello");
    let address = own();
    let proxy = passed(Protocol::MPTCP, address, &listener(address, "mptcp")).run();
    assert_eq!(proxy.status()["listeners"][0]["transport"], "mptcp");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let reply = get(&mut mptcp_connect(address), &web.url("/"), "connection: close\r\n");
                    assert_eq!(reply.text(), "hello");
                }
            });
        }
    });
    assert_eq!(proxy.counter("anabranch_connections_accepted_total{reason=\"mptcp\"}"), 80);
    // A reload leaves it open; a stop ends it in good order.
    proxy.reload(&(listener(address, "mptcp") + "clients = [\"10.0.0.0/8\"]\n"), "applied");
    assert_eq!(fetch(address, &web.url("/")).status, 403);
    assert_eq!(proxy.stop().code(), Some(0));
}

#[test]
fn an_inherited_tcp_socket_is_no_mptcp_socket() {
    let web = Origin::text("hello");
    let address = own();
    let exit = passed(Protocol::TCP, address, &listener(address, "mptcp")).fail();
    assert_eq!(exit.code(), Some(71));
    assert!(exit.log.contains("inherited from the service manager is plain TCP"), "{}", exit.log);
    let proxy = passed(Protocol::TCP, address, &listener(address, "auto")).run();
    proxy.says("WARN");
    proxy.says("get no Multipath TCP");
    assert_eq!(proxy.status()["listeners"][0]["transport"], "tcp");
    assert_eq!(fetch(address, &web.url("/")).status, 200);
}

#[test]
fn an_inherited_socket_that_belongs_to_no_listener_is_refused() {
    let (passed_on, address) = (own(), own());
    let exit = passed(Protocol::MPTCP, passed_on, &listener(address, "auto")).fail();
    assert_eq!(exit.code(), Some(78));
    let said = format!("inherited socket on {passed_on} belongs to no [[listener]]");
    assert!(exit.log.contains(&said), "{}", exit.log);
}

#[test]
fn the_service_manager_is_told() {
    let address = own();
    let mut start = Start::new(&listener(address, "auto"));
    let path = start.dir.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    start.command().env("NOTIFY_SOCKET", &path);
    let proxy = start.run();
    let mut buffer = [0; 256];
    let mut told = || {
        let length = manager.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(told().trim_end(), "READY=1");
    // Ready means ready: no waiting in between.
    drop(std::net::TcpStream::connect(address).unwrap());
    proxy.signal(Signal::SIGTERM);
    assert_eq!(told().trim_end(), "STOPPING=1");
    eventually("it stops", || std::net::TcpStream::connect(address).is_err());
}
