//! One MPTCP connection over two links, seen through every door of this room at once: events, socket dumps, socket options,
//! a ring on the wire, and `ss`.

mod pair;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::Duration;

use anabranch_kernel::mptcp_pm::{Announcement, Event, Events, MptcpPmError, Notice, PathManager, SubflowAddresses};
use anabranch_kernel::netns::NetNs;
use anabranch_kernel::packet::filter::{Framing, mptcp};
use anabranch_kernel::packet::ring::{PacketRing, RingOptions};
use anabranch_kernel::packet::{Instruction, wait_readable};
use anabranch_kernel::sock_diag::{AddressFamily, Query, SockDiag, States, SubflowKind};
use anabranch_kernel::sockopt::{mptcp_full_info, mptcp_info};
use anabranch_kernel::tcp_info::TcpState;
use pair::{Pair, address, exchange, ip, sysctl, wait_for};
use socket2::{Protocol, Socket};

const PORT: u16 = 5001;

/// The next event; panics if there is none for a while, or if events were lost.
fn next(events: &mut Events) -> Event {
    wait_for("event", || {
        wait_readable(&[&*events], Duration::from_millis(100)).unwrap();
        events.recv().unwrap().map(|notice| match notice {
            Notice::Event(event) => event,
            Notice::Lost => panic!("events were lost"),
        })
    })
}

/// The next event of a kind; others are passed over.
fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = next(events);
        if wanted(&event) {
            return event;
        }
    }
}

/// Everything the server's doors say of one connection, held against each other.
fn one_connection(family: AddressFamily, listen_at: &str, endpoint: &str) {
    let pair = Pair::new();
    ip(&pair.client, &format!("mptcp endpoint add {endpoint} dev c2 subflow"));
    let mut events = pair.server.run(Events::open).unwrap().unwrap();
    let listener = pair.listen(listen_at, Protocol::MPTCP);
    assert_eq!(next(&mut events), Event::ListenerCreated(listen_at.parse().unwrap()));

    let (mut client, mut server) = pair.connect(&listener, Protocol::MPTCP);
    let token = mptcp_info(server.as_fd()).unwrap().unwrap().token;
    let Event::Created(created) = next(&mut events) else { panic!("not created") };
    assert_eq!((created.token, created.server_side), (token, Some(true)));
    assert_eq!(
        (created.local, created.remote),
        (address(&server, Socket::local_addr), address(&server, Socket::peer_addr))
    );
    let Event::Established(established) = next(&mut events) else { panic!("not established") };
    assert_eq!(established, created);

    exchange(&mut client, &mut server, 10_000);
    let Event::SubflowEstablished(joined) = next(&mut events) else { panic!("not joined") };
    assert_eq!((joined.token, joined.local, joined.backup), (token, created.local, Some(false)));
    assert_eq!(joined.remote.ip(), endpoint.parse::<IpAddr>().unwrap());
    exchange(&mut server, &mut client, 300_000);

    let info = wait_for("acknowledgement of everything", || {
        let info = mptcp_full_info(server.as_fd()).unwrap().unwrap();
        (info.connection.bytes_acked == Some(300_000)).then_some(info)
    });
    assert_eq!((info.connection.token, info.subflows.len(), info.total), (token, 2, 2));
    assert_eq!(info.connection.bytes_received, Some(10_000));
    dumps_agree(&pair, family, token, &[(SubflowKind::Initial, created.remote), (SubflowKind::Joined, joined.remote)]);
    ss_agrees(&pair, token);

    drop((client, server));
    assert_eq!(next(&mut events), Event::Closed { token });
    drop(listener);
    assert_eq!(next(&mut events), Event::ListenerClosed(listen_at.parse().unwrap()));
}

/// The dumps show the connection once, and these subflows with all of its bytes.
fn dumps_agree(pair: &Pair, family: AddressFamily, token: u32, expected: &[(SubflowKind, SocketAddr)]) {
    let query = Query { family, states: States::of(TcpState::Established), local_port: Some(PORT) };
    let mut diag = pair.server.run(SockDiag::open).unwrap().unwrap();
    let mut connections = Vec::new();
    diag.mptcp(query, |socket| {
        let info = socket.info().unwrap();
        connections.push((info.token, info.bytes_received, info.bytes_acked, info.subflows()));
    })
    .unwrap();
    assert_eq!(connections, [(token, Some(10_000), Some(300_000), 2)]);
    let (mut subflows, mut sent, mut received) = (Vec::new(), 0, 0);
    diag.tcp(query, |socket| {
        let subflow = socket.subflow().unwrap();
        assert_eq!(subflow.local_token, token);
        assert!(subflow.flags.fully_established() && !subflow.flags.opened_here());
        subflows.push((subflow.flags.kind().unwrap(), socket.head.remote));
        let info = socket.info().unwrap();
        sent += info.bytes_acked.unwrap();
        received += info.bytes_received.unwrap();
    })
    .unwrap();
    subflows.sort_by_key(|&(kind, _)| kind == SubflowKind::Joined);
    assert_eq!(subflows, expected);
    // The same bytes may have gone out on both.
    assert!((300_000..600_000).contains(&sent) && (10_000..20_000).contains(&received), "{sent} {received}");
}

/// `ss` prints the token with each subflow.
fn ss_agrees(pair: &Pair, token: u32) {
    let output = pair.server.command("ss").args(["-tniHO", "state", "established"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains(&format!("/{token:x}("))).count(), 2, "{text}");
}

#[test]
fn a_connection_over_two_ipv4_links_is_seen_alike_through_every_door() {
    one_connection(AddressFamily::V4, "10.1.0.1:5001", "10.2.0.2");
}

#[test]
fn a_connection_over_two_ipv6_links_is_seen_alike_through_every_door() {
    one_connection(AddressFamily::V6, "[fd01::1]:5001", "fd02::2");
}

#[test]
fn the_userspace_path_manager_obeys_every_command() {
    let pair = Pair::new();
    sysctl(&pair.server, "mptcp/path_manager", "userspace");
    let mut events = pair.server.run(Events::open).unwrap().unwrap();
    let mut heard = pair.client.run(Events::open).unwrap().unwrap();
    let mut manager = pair.server.run(PathManager::open).unwrap().unwrap();
    let listener = pair.listen("0.0.0.0:5001", Protocol::MPTCP);
    let (mut client, mut server) = pair.connect_at(&listener, "10.1.0.1:5001".parse().unwrap(), Protocol::MPTCP);
    exchange(&mut client, &mut server, 1000);
    exchange(&mut server, &mut client, 1000);
    let token = mptcp_info(server.as_fd()).unwrap().unwrap().token;
    let address: IpAddr = "10.2.0.1".parse().unwrap();
    manager.announce(token, Announcement { id: 3, address, port: None }).unwrap();
    let announced = until(&mut heard, |event| matches!(event, Event::Announced { .. }));
    assert!(matches!(announced, Event::Announced { remote_id: 3, address: at, .. } if at == address));
    let joined = until(&mut events, |event| matches!(event, Event::SubflowEstablished(_)));
    let Event::SubflowEstablished(joined) = joined else { panic!("not joined") };
    assert_eq!(joined.local, SocketAddr::new(address, PORT));
    let ends = SubflowAddresses { local: joined.local, remote: joined.remote };

    // The peer hears of a changed priority.
    for backup in [true, false] {
        manager.set_flags(token, ends, backup).unwrap();
        let changed = until(&mut heard, |event| matches!(event, Event::SubflowPriority(_)));
        let Event::SubflowPriority(subflow) = changed else { panic!("no priority") };
        assert_eq!((subflow.local, subflow.backup), (ends.remote, Some(backup)));
    }

    // The peer closes what an address that is withdrawn was used for.
    manager.remove(token, 3).unwrap();
    let removed = until(&mut heard, |event| matches!(event, Event::Removed { .. }));
    assert!(matches!(removed, Event::Removed { remote_id: 3, .. }));
    let closed = until(&mut events, |event| matches!(event, Event::SubflowClosed(_)));
    assert!(matches!(closed, Event::SubflowClosed(subflow) if subflow.remote == ends.remote));

    manager.announce(token, Announcement { id: 5, address, port: None }).unwrap();
    let joined = until(&mut events, |event| matches!(event, Event::SubflowEstablished(_)));
    let Event::SubflowEstablished(joined) = joined else { panic!("not joined") };
    manager.subflow_destroy(token, SubflowAddresses { local: joined.local, remote: joined.remote }).unwrap();
    let closed = until(&mut heard, |event| matches!(event, Event::SubflowClosed(of) if of.local == joined.remote));
    assert_eq!(closed.token(), mptcp_info(client.as_fd()).unwrap().map(|info| info.token));

    // Nothing listens at the client, so the subflow we begin ourselves is refused; but it was begun.
    let outward = SubflowAddresses { local: "10.2.0.1:0".parse().unwrap(), remote: "10.2.0.2:7777".parse().unwrap() };
    manager.subflow_create(token, 4, outward).unwrap();
    let refused = until(&mut events, |event| matches!(event, Event::SubflowClosed(of) if of.error.is_some()));
    let Event::SubflowClosed(refused) = refused else { panic!("not refused") };
    assert_eq!((refused.remote, refused.error), (outward.remote, Some(111)));
}

#[test]
fn the_in_kernel_path_manager_refuses_commands_about_one_subflow() {
    let pair = Pair::new();
    let listener = pair.listen("10.1.0.1:5001", Protocol::MPTCP);
    let (mut client, mut server) = pair.connect(&listener, Protocol::MPTCP);
    exchange(&mut client, &mut server, 1000);
    let token = mptcp_info(server.as_fd()).unwrap().unwrap().token;
    let mut manager = pair.server.run(PathManager::open).unwrap().unwrap();
    let ends =
        SubflowAddresses { local: address(&server, Socket::local_addr), remote: address(&server, Socket::peer_addr) };
    let Err(MptcpPmError::Netlink(error)) = manager.set_flags(token, ends, true) else { panic!("obeyed") };
    assert!(error.message.is_some(), "{error:?}");
    assert_eq!(error.errno(), Some(22));
}

/// What a captured TCP frame over IPv4 is: port of the server, bytes of payload on the wire, whether it carries MPTCP.
fn look(captured: &[u8], wire_len: usize) -> Option<(u16, usize, bool)> {
    if captured.get(12..14)? != [8, 0] || *captured.get(14 + 9)? != 6 {
        return None;
    }
    let segment = captured.get(14 + 20..)?;
    let length = usize::from(segment.get(12)? >> 4) * 4;
    let ports = [[segment[0], segment[1]], [segment[2], segment[3]]].map(u16::from_be_bytes);
    let mut options = segment.get(20..length)?;
    let mut carries = false;
    while let Some(&kind) = options.first() {
        carries |= kind == 30;
        let step = if kind <= 1 { 1 } else { usize::from(*options.get(1)?).max(2) };
        options = options.get(step..)?;
    }
    Some((*ports.iter().min()?, wire_len - 14 - 20 - length, carries))
}

/// Every TCP frame in the ring of an interface that is down: nothing more comes.
fn drain(ring: &mut PacketRing) -> Vec<(u16, usize, bool)> {
    let mut seen = Vec::new();
    let packets = ring.take_statistics().unwrap();
    assert_eq!(packets.drops, 0);
    let mut taken = 0;
    wait_for("last block", || {
        while let Some(block) = ring.next_block() {
            taken += u32::try_from(block.frames().count()).unwrap();
            seen.extend(block.frames().filter_map(|frame| look(frame.captured, frame.wire_len)));
        }
        (taken == packets.packets).then_some(())
    });
    seen
}

/// Waits until every TCP connection in the namespace is over, late segments aside.
fn wait_for_the_end(ns: &NetNs) {
    use TcpState::{CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, SynReceived, SynSent};
    let open = [CloseWait, Closing, FinWait1, FinWait2, LastAck, SynReceived, SynSent];
    let states = open.into_iter().fold(States::of(Established), States::and);
    let mut diag = ns.run(SockDiag::open).unwrap().unwrap();
    wait_for("end of all connections", || {
        let mut count = 0;
        diag.tcp(Query { family: AddressFamily::V4, states, local_port: None }, |_| count += 1).unwrap();
        (count == 0).then_some(())
    });
}

#[test]
fn all_of_mptcp_and_no_plain_data_reaches_a_filtered_ring() {
    const PLAIN: u16 = 5002;
    let pair = Pair::new();
    let everything = [Instruction { code: 0x06, jt: 0, jf: 0, k: 256 }];
    let open = |program: &[Instruction]| {
        pair.server.run(|| PacketRing::open("s1", program, RingOptions::default())).unwrap().unwrap()
    };
    let (mut all, mut filtered) = (open(&everything), open(&mptcp(Framing::Ethernet, 0)));
    for (port, protocol) in [(PORT, Protocol::MPTCP), (PLAIN, Protocol::TCP)] {
        let listener = pair.listen(&format!("10.1.0.1:{port}"), protocol);
        let (mut client, mut server) = pair.connect(&listener, protocol);
        exchange(&mut client, &mut server, 400_000);
        exchange(&mut server, &mut client, 400_000);
    }
    wait_for_the_end(&pair.client);
    wait_for_the_end(&pair.server);
    ip(&pair.server, "link set s1 down");
    let (all, filtered) = (drain(&mut all), drain(&mut filtered));
    let of = |frames: &[(u16, usize, bool)], port, data: bool| {
        frames.iter().filter(|frame| frame.0 == port && (frame.1 > 0) == data).count()
    };
    let carrying = |frames: &[(u16, usize, bool)]| frames.iter().filter(|frame| frame.2).count();
    assert!(carrying(&all) > 20 && of(&all, PORT, true) > 10, "{}", all.len());
    assert_eq!(carrying(&filtered), carrying(&all), "all of MPTCP");
    assert_eq!(of(&filtered, PORT, true), of(&all, PORT, true));
    assert!(of(&all, PLAIN, true) > 10);
    assert_eq!(of(&filtered, PLAIN, true), 0, "no plain data");
    // Of plain TCP only beginning and end are left: two SYNs, two FINs.
    assert_eq!(of(&filtered, PLAIN, false), 4);
    // A frame may be longer than any packet of the wire.
    assert!(filtered.iter().any(|frame| frame.1 > 1500));
}
