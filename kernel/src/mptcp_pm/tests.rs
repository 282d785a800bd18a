use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use socket2::{Domain, Protocol, Socket, Type};

use super::*;
use crate::packet::wait_readable;
use crate::testing::namespace;

fn listen_at(address: SocketAddr) -> Socket {
    let listener = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::MPTCP)).unwrap();
    listener.bind(&address.into()).unwrap();
    listener.listen(1).unwrap();
    listener
}

/// The next notice; panics if none comes for a while.
fn next(events: &mut Events) -> Notice {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        wait_readable(&[&*events], Duration::from_millis(100)).unwrap();
        if let Some(notice) = events.recv().unwrap() {
            return notice;
        }
        assert!(Instant::now() < end, "no event");
    }
}

#[test]
fn listeners_come_and_go() {
    namespace(&[])
        .run(|| {
            let mut events = Events::open().unwrap();
            assert_eq!(events.recv().unwrap(), None);
            let listener = listen_at("127.0.0.1:7001".parse().unwrap());
            let address = listener.local_addr().unwrap().as_socket().unwrap();
            drop(listener);
            assert_eq!(next(&mut events), Notice::Event(Event::ListenerCreated(address)));
            assert_eq!(next(&mut events), Notice::Event(Event::ListenerClosed(address)));
            assert_eq!(events.recv().unwrap(), None);
        })
        .unwrap();
}

#[test]
fn events_that_came_too_fast_are_told_as_lost() {
    namespace(&[])
        .run(|| {
            let mut events = Events::open().unwrap();
            events.set_receive_buffer(4096).unwrap();
            for _ in 0..50 {
                // Each on a port of its own: the kernel lets go of a closed listener's a little later.
                drop(listen_at("127.0.0.1:0".parse().unwrap()));
            }
            let address = "127.0.0.1:7002".parse().unwrap();
            let (mut seen, mut lost) = (0, 0);
            while let Some(notice) = events.recv().unwrap() {
                seen += 1;
                lost += usize::from(notice == Notice::Lost);
            }
            assert!(lost > 0 && seen < 100, "{lost} {seen}");
            // The stream goes on.
            let _listener = listen_at(address);
            while next(&mut events) != Notice::Event(Event::ListenerCreated(address)) {}
        })
        .unwrap();
}

#[test]
fn listening_takes_a_capability_and_says_so() {
    namespace(&[])
        .run(|| {
            // The thread ends with the closure, and its capabilities with it.
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::NET_ADMIN);
            set_capabilities(None, sets).unwrap();
            assert!(matches!(Events::open(), Err(MptcpPmError::NotPermitted(_))));
            let mut manager = PathManager::open().unwrap();
            assert!(matches!(manager.remove(1, 1), Err(MptcpPmError::NotPermitted(_))));
        })
        .unwrap();
}

#[test]
fn endpoints_and_limits_are_what_ip_set() {
    namespace(&[
        "address add 10.9.0.1 dev lo",
        "address add fd09::1 dev lo nodad",
        "mptcp limits set subflows 3 add_addr_accepted 2",
        "mptcp endpoint add 10.9.0.1 port 6001 id 5 dev lo signal",
        "mptcp endpoint add fd09::1 id 6 subflow backup",
    ])
    .run(|| {
        let mut manager = PathManager::open().unwrap();
        assert_eq!(manager.limits().unwrap(), Limits { subflows: 3, add_addr_accepted: 2 });
        let v4 = Endpoint {
            id: 5,
            address: "10.9.0.1".parse().unwrap(),
            port: Some(6001),
            flags: EndpointFlags::SIGNAL,
            interface: Some(1),
        };
        let flags = EndpointFlags(EndpointFlags::SUBFLOW.0 | EndpointFlags::BACKUP.0);
        let v6 = Endpoint { id: 6, address: "fd09::1".parse().unwrap(), port: None, flags, interface: None };
        let mut found = manager.endpoints().unwrap();
        found.sort_by_key(|endpoint| endpoint.id);
        assert_eq!(found, [v4, v6]);
        assert!(found[1].flags.contains(EndpointFlags::BACKUP) && !found[0].flags.contains(EndpointFlags::BACKUP));
    })
    .unwrap();
}

#[test]
fn endpoints_and_limits_that_are_made_are_what_ip_shows_and_go_again() {
    let ns = namespace(&["address add 10.9.0.1 dev lo", "address add fd09::1 dev lo nodad"]);
    let show = |what: &str| crate::testing::said(&ns, what);
    let before = (show("ip mptcp endpoint show"), show("ip mptcp limits show"));
    let of = |address: &str| Endpoint {
        id: 0,
        address: address.parse().unwrap(),
        port: None,
        flags: EndpointFlags::SUBFLOW,
        interface: Some(1),
    };
    let limits = ns
        .run(|| {
            let mut manager = PathManager::open().unwrap();
            let limits = manager.limits().unwrap();
            manager.add_endpoint(&of("10.9.0.1")).unwrap();
            manager.add_endpoint(&of("fd09::1")).unwrap();
            assert!(manager.add_endpoint(&of("fd09::1")).is_err(), "there already");
            manager.set_limits(Limits { subflows: 5, add_addr_accepted: 3 }).unwrap();
            assert!(manager.set_limits(Limits { subflows: 9, add_addr_accepted: 3 }).is_err(), "eight at most");
            limits
        })
        .unwrap();
    let shown = show("ip mptcp endpoint show");
    assert!(shown.contains("10.9.0.1 id 1 subflow dev lo") && shown.contains("fd09::1 id 2 subflow dev lo"), "{shown}");
    assert!(show("ip mptcp limits show").contains("add_addr_accepted 3 subflows 5"));
    ns.run(|| {
        let mut manager = PathManager::open().unwrap();
        for endpoint in manager.endpoints().unwrap() {
            manager.delete_endpoint(&endpoint).unwrap();
        }
        manager.set_limits(limits).unwrap();
    })
    .unwrap();
    assert_eq!((show("ip mptcp endpoint show"), show("ip mptcp limits show")), before);
}

#[test]
fn an_unknown_connection_is_refused_with_the_kernels_words() {
    namespace(&[])
        .run(|| {
            let mut manager = PathManager::open().unwrap();
            let Err(MptcpPmError::Netlink(error)) = manager.remove(0x1234, 1) else { panic!("refused") };
            assert_eq!(error.object, "connection 00001234");
            assert_eq!((error.errno(), error.message.as_deref()), (Some(libc::EINVAL), Some("invalid token")));
        })
        .unwrap();
}
