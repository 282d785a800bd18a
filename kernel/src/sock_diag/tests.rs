use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::*;
use crate::netlink::message::Messages;
use crate::tcp_info::TcpState;
use crate::testing::{hex, lines, namespace};

const ESTABLISHED: States = States::of(TcpState::Established);

/// One connection with two subflows, both ends on one host, as Linux 6.18 dumped it after 1000 bytes and one in answer.
/// What `ss` said of it is in the test.
fn captured_tcp() -> Vec<Vec<u8>> {
    payloads(include_str!("../../tests/data/sock_diag_tcp.hex"))
}

fn payloads(text: &str) -> Vec<Vec<u8>> {
    lines(text).iter().map(|message| Messages::new(message).next().unwrap().payload.to_vec()).collect()
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

#[test]
fn subflows_are_what_ss_says() {
    let dump = captured_tcp();
    let sockets: Vec<_> = dump.iter().map(|payload| TcpSocket::parse(payload).unwrap()).collect();
    assert_eq!(sockets.len(), 5);
    assert_eq!(sockets[0].head.state, TcpState::Listen);
    assert_eq!(sockets[0].subflow(), None);
    // ESTAB 10.1.0.1:5001 10.1.0.1:42396 … flags:Mec token:0000(id:0)/a9565556(id:0) seq:7c008cf83e4794b5 sfseq:1
    // ssnoff:a61608c maplen:3e8, rtt:0.117/0.068 mss:32768 cwnd:11 bytes_sent:1 bytes_acked:1 bytes_received:1000
    let server = sockets[1];
    assert_eq!((server.head.local, server.head.remote), (at("10.1.0.1:5001"), at("10.1.0.1:42396")));
    assert_eq!((server.head.uid, server.head.inode, server.head.interface), (0, 0x7763, None));
    assert_eq!(server.congestion, Some("bbr"));
    let subflow = server.subflow().unwrap();
    assert_eq!((subflow.local_token, subflow.remote_token), (0xa956_5556, 0));
    assert_eq!((subflow.local_id, subflow.remote_id), (Some(0), Some(0)));
    assert_eq!((subflow.map_seq, subflow.map_subflow_seq), (Some(0x7c00_8cf8_3e47_94b5), Some(1)));
    assert_eq!((subflow.ssn_offset, subflow.map_data_len), (Some(0x0a61_608c), Some(1000)));
    assert_eq!((subflow.flags.kind(), subflow.flags.opened_here()), (Some(SubflowKind::Initial), false));
    assert!(subflow.flags.fully_established() && subflow.flags.connected() && !subflow.flags.map_valid());
    let info = server.info().unwrap();
    assert_eq!((info.state, info.snd_mss, info.snd_cwnd, info.pmtu), (Some(TcpState::Established), 32768, 11, 65535));
    assert_eq!((info.rtt, info.rttvar), (Duration::from_micros(117), Duration::from_micros(68)));
    assert_eq!((info.bytes_sent, info.bytes_acked, info.bytes_received), (Some(1), Some(1), Some(1000)));
    assert_eq!((info.rto, info.segs_out, info.segs_in), (Duration::from_millis(204), Some(2), Some(4)));
    assert_eq!((info.min_rtt, info.snd_wnd), (Some(Duration::from_micros(4)), Some(65536)));
    assert_eq!((info.bytes_retrans, info.notsent_bytes, info.total_retrans), (Some(0), Some(0), 0));
}

#[test]
fn joined_and_backup_subflows_are_what_ss_says() {
    let dump = captured_tcp();
    let sockets: Vec<_> = dump.iter().map(|payload| TcpSocket::parse(payload).unwrap()).collect();
    // ESTAB 10.2.0.1%lo:50541 10.1.0.1:5001 … flags:Jjbec token:a9565556(id:0)/4461ce08(id:1)
    let joined = sockets[2].subflow().unwrap();
    assert_eq!((joined.local_token, joined.remote_token), (0x4461_ce08, 0xa956_5556));
    assert_eq!((joined.local_id, joined.remote_id), (Some(1), Some(0)));
    assert_eq!((joined.flags.kind(), joined.flags.opened_here()), (Some(SubflowKind::Joined), true));
    assert!(joined.flags.backup_by_us() && !joined.flags.backup_by_peer());
    assert_eq!(sockets[2].head.interface, Some(1));
    // ESTAB 10.1.0.1:5001 10.2.0.1:50541 … flags:JBec
    let other_end = sockets[4].subflow().unwrap();
    assert!(other_end.flags.backup_by_peer() && !other_end.flags.backup_by_us() && !other_end.flags.opened_here());
    assert_eq!(SubflowFlags(0).kind(), None);
}

#[test]
fn connections_are_what_ss_says() {
    let dump = payloads(include_str!("../../tests/data/sock_diag_mptcp.hex"));
    let sockets: Vec<_> = dump.iter().map(|payload| MptcpSocket::parse(payload).unwrap()).collect();
    assert_eq!(sockets.len(), 3);
    // ESTAB 10.1.0.1:5001 10.1.0.1:42396 subflows:1 … token:a9565556 write_seq:5f85665904f8a67
    // snd_una:5f85665904f8a67 rcv_nxt:7c008cf83e47989d
    let info = sockets[1].info().unwrap();
    assert_eq!((info.token, info.fallback, info.extra_subflows), (0xa956_5556, false, 1));
    assert_eq!((info.write_seq, info.snd_una), (Some(0x05f8_5665_904f_8a67), Some(0x05f8_5665_904f_8a67)));
    assert_eq!(info.rcv_nxt, Some(0x7c00_8cf8_3e47_989d));
    assert_eq!((info.bytes_sent, info.bytes_received, info.bytes_acked), (Some(1), Some(1000), Some(1)));
    assert_eq!((info.subflows(), info.bytes_retrans), (2, Some(0)));
    assert_eq!(sockets[1].head.state, TcpState::Established);
    assert_eq!(sockets[2].head.state, TcpState::Listen);
}

#[test]
fn a_query_is_what_the_kernel_reads() {
    let query =
        Query { family: AddressFamily::V6, states: ESTABLISHED.and(TcpState::Listen), local_port: Some(0x1389) };
    let fixed = format!("0a060a00 02040000 1389 {}", "0".repeat(92));
    let bytes = [hex("48000000 1400 0103 01000000 00000000"), hex(&fixed)].concat();
    assert_eq!(query.tcp().with_flags(0x300).finish(1).unwrap(), bytes);
    let bytes = [hex("50000000 1400 0103 01000000 00000000"), hex(&fixed), hex("08000300 06010000")].concat();
    assert_eq!(query.mptcp().with_flags(0x300).finish(1).unwrap(), bytes);
}

#[test]
fn a_question_about_one_socket_is_what_the_kernel_reads() {
    let flow = |local: &str, remote: &str| Flow { local: at(local), remote: at(remote) };
    let ends = format!("1389 d903 0a010001{0} 0a010002{0}", "0".repeat(24));
    let fixed = format!("02060a00 00000000 {ends} 00000000 ffffffffffffffff");
    let bytes = [hex("48000000 1400 0100 01000000 00000000"), hex(&fixed)].concat();
    for flow in [flow("10.1.0.1:5001", "10.1.0.2:55555"), flow("[::ffff:10.1.0.1]:5001", "[::ffff:10.1.0.2]:55555")] {
        assert_eq!(query::exact(flow).finish(1).unwrap(), bytes);
    }
    let zeroes = "0".repeat(20);
    let ends = format!("1389 d903 fd01{zeroes}00000001 fe80{zeroes}00000002");
    let fixed = format!("0a060a00 00000000 {ends} 07000000 ffffffffffffffff");
    let bytes = [hex("48000000 1400 0100 01000000 00000000"), hex(&fixed)].concat();
    assert_eq!(query::exact(flow("[fd01::1]:5001", "[fe80::2%7]:55555")).finish(1).unwrap(), bytes);
    let fixed = format!("02060a00 {} 78563412 00000000", "0".repeat(88));
    let bytes = [hex("50000000 1400 0100 01000000 00000000"), hex(&fixed), hex("08000300 06010000")].concat();
    assert_eq!(query::of_token(0x1234_5678).finish(1).unwrap(), bytes);
}

#[test]
fn one_socket_is_found_among_others_and_nothing_in_its_place() {
    namespace(&[])
        .run(|| {
            let mut diag = SockDiag::open().unwrap();
            for (listen, dial) in
                [("127.0.0.1:7200", "127.0.0.1:7200"), ("[::1]:7201", "[::1]:7201"), ("[::]:7202", "127.0.0.1:7202")]
            {
                let listener = std::net::TcpListener::bind(at(listen)).unwrap();
                let clients: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(at(dial)).unwrap()).collect();
                for client in &clients {
                    let (server, _) = listener.accept().unwrap();
                    let dialled = client.local_addr().unwrap();
                    for flow in [
                        Flow { local: at(dial), remote: dialled },
                        Flow { local: server.local_addr().unwrap(), remote: server.peer_addr().unwrap() },
                    ] {
                        let seen = diag.tcp_exact(flow, |socket| (socket.head.remote.port(), socket.info().is_some()));
                        assert_eq!(seen.unwrap(), Some((server.peer_addr().unwrap().port(), true)), "{flow}");
                    }
                }
                // The listener would take it, but it is not there.
                let absent = Flow { local: at(dial), remote: SocketAddr::new(at(dial).ip(), 9) };
                assert_eq!(diag.tcp_exact(absent, |_| ()).unwrap(), None);
                drop(listener);
                assert_eq!(diag.tcp_exact(absent, |_| ()).unwrap(), None);
            }
        })
        .unwrap();
}

#[test]
fn one_connection_is_found_by_its_token() {
    use socket2::{Domain, Protocol, Socket, Type};
    use std::io::Write as _;
    namespace(&[])
        .run(|| {
            let socket = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP)).unwrap();
            let listener = socket();
            listener.bind(&at("127.0.0.1:7300").into()).unwrap();
            listener.listen(8).unwrap();
            let mut ends = Vec::new();
            let mut diag = SockDiag::open().unwrap();
            for bytes in [0, 1000, 40_000_u64] {
                let client = socket();
                // What the peer does not take waits: it reads nothing, and has room for little.
                client.set_recv_buffer_size(4096).unwrap();
                client.connect(&at("127.0.0.1:7300").into()).unwrap();
                let (mut server, _) = listener.accept().unwrap();
                server.write_all(&vec![7; usize::try_from(bytes).unwrap()]).unwrap();
                let token =
                    |of: &Socket| crate::sockopt::mptcp_info(std::os::fd::AsFd::as_fd(of)).unwrap().unwrap().token;
                let (here, there) = (token(&server), token(&client));
                ends.push((client, server, here, there, bytes));
            }
            for &(_, _, here, there, bytes) in &ends {
                let waiting = |diag: &mut SockDiag, token| {
                    let seen = diag.mptcp_exact(token, |socket| {
                        let info = socket.info().unwrap();
                        assert_eq!(info.token, token);
                        (socket.head.local.port(), info.waiting().unwrap())
                    });
                    seen.unwrap().unwrap()
                };
                assert_eq!(waiting(&mut diag, there).1, 0);
                if bytes > 10_000 {
                    let (port, waits) = waiting(&mut diag, here);
                    assert_eq!(port, 7300);
                    assert!(0 < waits && waits < bytes, "{waits} of {bytes}");
                } else {
                    let end = Instant::now() + Duration::from_secs(5);
                    while waiting(&mut diag, here).1 > 0 {
                        assert!(Instant::now() < end, "nothing is acknowledged");
                    }
                }
            }
            let (.., gone, _, _) = ends.swap_remove(0);
            assert_eq!(diag.mptcp_exact(gone ^ 1, |_| ()).unwrap(), None);
        })
        .unwrap();
}

#[test]
fn only_what_was_asked_for_comes() {
    namespace(&[])
        .run(|| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let other = std::net::TcpListener::bind("[::1]:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            let mut diag = SockDiag::open().unwrap();
            let mut ports = |family, states, local_port| {
                let mut found = Vec::new();
                diag.tcp(Query { family, states, local_port }, |socket| {
                    assert_eq!(socket.subflow(), None);
                    found.push((socket.head.state, socket.head.local.port()));
                })
                .unwrap();
                found.sort_unstable();
                found
            };
            let (v4, v6, ours) = (AddressFamily::V4, AddressFamily::V6, client.local_addr().unwrap().port());
            assert_eq!(ports(v4, States::of(TcpState::Listen), None), [(TcpState::Listen, port)]);
            assert_eq!(ports(v4, ESTABLISHED, Some(ours)), [(TcpState::Established, ours)]);
            assert_eq!(ports(v4, States::ALL, None).len(), 3);
            assert_eq!(ports(v6, States::ALL, None), [(TcpState::Listen, other.local_addr().unwrap().port())]);
        })
        .unwrap();
}

#[test]
fn a_dump_of_many_datagrams_is_whole() {
    namespace(&[])
        .run(|| {
            // Some 300 bytes a listener: far more than one datagram holds.
            let all: Vec<_> = (0..400).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
            let mut expected: Vec<_> = all.iter().map(|one| one.local_addr().unwrap()).collect();
            let mut found = Vec::new();
            let query = Query { family: AddressFamily::V4, states: States::ALL, local_port: None };
            SockDiag::open().unwrap().tcp(query, |socket| found.push(socket.head.local)).unwrap();
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected);
        })
        .unwrap();
}

#[test]
fn without_the_capability_subflows_come_but_not_their_sequence_numbers() {
    use socket2::{Domain, Protocol, Socket, Type};
    namespace(&[])
        .run(|| {
            let socket = |protocol| Socket::new(Domain::IPV4, Type::STREAM, Some(protocol)).unwrap();
            let listener = socket(Protocol::MPTCP);
            listener.bind(&at("127.0.0.1:7100").into()).unwrap();
            listener.listen(1).unwrap();
            let client = socket(Protocol::MPTCP);
            client.connect(&at("127.0.0.1:7100").into()).unwrap();
            let query = Query { family: AddressFamily::V4, states: ESTABLISHED, local_port: Some(7100) };
            let subflows = || {
                let mut found = Vec::new();
                SockDiag::open().unwrap().tcp(query, |socket| found.push(socket.subflow().unwrap())).unwrap();
                found
            };
            let [all] = subflows()[..] else { panic!("one subflow") };
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::NET_ADMIN);
            set_capabilities(None, sets).unwrap();
            let [some] = subflows()[..] else { panic!("one subflow") };
            assert_eq!((some.local_token, some.flags, some.local_id), (all.local_token, all.flags, all.local_id));
            assert!(all.map_seq.is_some() && all.ssn_offset.is_some());
            assert_eq!((some.map_seq, some.ssn_offset), (None, None));
        })
        .unwrap();
}

proptest! {
    #[test]
    fn any_bytes_are_a_socket_or_nothing(
        mut payload in proptest::collection::vec(any::<u8>(), 0..300),
        which in 0..5_usize,
        cut in 0..600_usize,
        broken in 72..500_usize,
    ) {
        let mut real = captured_tcp()[which].clone();
        if let Some(byte) = real.get_mut(broken) {
            *byte = byte.wrapping_add(payload.len().try_into().unwrap_or(1));
        }
        real.truncate(cut);
        if let Some(family) = payload.first_mut() {
            *family = 2;
        }
        for bytes in [&payload, &real] {
            if let Some(socket) = TcpSocket::parse(bytes) {
                let _ = (socket.info(), socket.subflow());
            }
            let _ = MptcpSocket::parse(bytes).map(|socket| socket.info());
        }
    }
}
