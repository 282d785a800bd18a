//! Two namespaces with two links between them, and connections over those.

#![allow(dead_code, reason = "each test takes of it what it needs")]

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anabranch_kernel::netns::NetNs;
use socket2::{Domain, Protocol, Socket, Type};

pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A server and a client with two links between them, c1-s1 and c2-s2.
pub(crate) struct Pair {
    pub(crate) server: NetNs,
    pub(crate) client: NetNs,
}

pub(crate) fn ip(ns: &NetNs, line: &str) {
    assert!(ns.command("ip").args(line.split(' ')).status().unwrap().success(), "ip {line}");
}

pub(crate) fn sysctl(ns: &NetNs, key: &str, value: &str) {
    ns.run(|| std::fs::write(format!("/proc/sys/net/{key}"), value)).unwrap().unwrap();
}

impl Pair {
    pub(crate) fn new() -> Self {
        let (server, client) = (NetNs::new().unwrap(), NetNs::new().unwrap());
        for ns in [&server, &client] {
            ip(ns, "link set lo up");
            sysctl(ns, "ipv6/conf/default/accept_dad", "0");
            sysctl(ns, "mptcp/blackhole_timeout", "0");
            ip(ns, "mptcp limits set subflows 4 add_addr_accepted 4");
        }
        for link in 1..=2 {
            let veth = format!("link add s{link} type veth peer name c{link} netns {}", client.path().display());
            ip(&server, &veth);
            for (ns, side, host) in [(&server, 's', 1), (&client, 'c', 2)] {
                ip(ns, &format!("address add 10.{link}.0.{host}/24 dev {side}{link}"));
                ip(ns, &format!("address add fd0{link}::{host}/64 dev {side}{link} nodad"));
                ip(ns, &format!("link set {side}{link} up"));
            }
        }
        // The second link's address reaches the server's first address over the second link.
        ip(&client, "route add default via 10.2.0.1 dev c2 metric 9");
        ip(&client, "route add default via fd02::1 dev c2 metric 9");
        Self { server, client }
    }

    pub(crate) fn listen(&self, address: &str, protocol: Protocol) -> Socket {
        let address: SocketAddr = address.parse().unwrap();
        let listen = || {
            let listener = Socket::new(Domain::for_address(address), Type::STREAM, Some(protocol)).unwrap();
            listener.set_reuse_address(true).unwrap();
            listener.bind(&address.into()).unwrap();
            listener.listen(8).unwrap();
            listener
        };
        self.server.run(listen).unwrap()
    }

    /// Both ends of a connection to `listener`, dialled at its own address.
    pub(crate) fn connect(&self, listener: &Socket, protocol: Protocol) -> (Socket, Socket) {
        self.connect_at(listener, address(listener, Socket::local_addr), protocol)
    }

    /// Both ends of a connection to `listener`, dialled at `to`.
    pub(crate) fn connect_at(&self, listener: &Socket, to: SocketAddr, protocol: Protocol) -> (Socket, Socket) {
        let dial = || {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(protocol)).unwrap();
            socket.connect(&to.into()).unwrap();
            socket
        };
        let client = self.client.run(dial).unwrap();
        (client, listener.accept().unwrap().0)
    }
}

/// Asks until the answer is there.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "no {what} within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

pub(crate) fn exchange(one: &mut Socket, other: &mut Socket, bytes: usize) {
    one.write_all(&vec![7; bytes]).unwrap();
    other.read_exact(&mut vec![0; bytes]).unwrap();
}

pub(crate) fn address(of: &Socket, end: fn(&Socket) -> std::io::Result<socket2::SockAddr>) -> SocketAddr {
    end(of).unwrap().as_socket().unwrap()
}
