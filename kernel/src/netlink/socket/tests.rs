use std::io::Read as _;
use std::io::Write as _;

use socket2::SockAddr;

use super::*;
use crate::testing::namespace;

/// A socket whose kernel is the test: each request read is answered with the next of `answers`, under its sequence number
/// when an answer's own is zero.
fn against(answers: Vec<Vec<u8>>) -> (NetlinkSocket, std::thread::JoinHandle<usize>) {
    let (ours, mut theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let kernel = std::thread::spawn(move || {
        let mut request = [0; 4096];
        let mut asked = 0;
        for mut answer in answers {
            if theirs.read(&mut request).unwrap() == 0 {
                break;
            }
            asked += 1;
            let mut at = 0;
            while let Some(&[a, b, c, d]) = answer.get(at..at + 4).and_then(|l| l.first_chunk()) {
                if answer[at + 8..at + 12] == [0; 4] {
                    answer[at + 8..at + 12].copy_from_slice(&request[8..12]);
                }
                at += usize::try_from(u32::from_ne_bytes([a, b, c, d])).unwrap().next_multiple_of(4);
            }
            theirs.write_all(&answer).unwrap();
        }
        asked
    });
    (NetlinkSocket::over(ours), kernel)
}

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Request::new(kind, 0).fixed(payload).finish(sequence).unwrap();
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

fn dump(socket: &mut NetlinkSocket) -> (Result<(), NetlinkError>, Vec<u8>, usize) {
    let (mut seen, mut starts) = (Vec::new(), 0);
    let done = socket.dump("DUMP", &"things", &Request::new(20, 0), |step| match step {
        Dump::Start => {
            seen.clear();
            starts += 1;
        }
        Dump::Entry(message) => seen.push(message.payload[0]),
    });
    (done, seen, starts)
}

const INTERRUPTED: u16 = abi::NLM_F_MULTI | abi::NLM_F_DUMP_INTR;

#[test]
fn a_dump_that_changed_meanwhile_is_begun_again() {
    let torn = [message(20, abi::NLM_F_MULTI, 0, b"a"), message(20, INTERRUPTED, 0, b"b"), message(3, 2, 0, &[0; 4])];
    let whole = [message(20, abi::NLM_F_MULTI, 0, b"c"), message(3, abi::NLM_F_MULTI, 0, &[0; 4])];
    let (mut socket, kernel) = against(vec![torn.concat(), whole.concat()]);
    let (done, seen, starts) = dump(&mut socket);
    done.unwrap();
    assert_eq!((seen, starts), (b"c".to_vec(), 2));
    assert_eq!(kernel.join().unwrap(), 2);
}

#[test]
fn the_end_of_a_dump_may_say_that_it_changed() {
    let torn = message(3, INTERRUPTED, 0, &[0; 4]);
    let (mut socket, _kernel) = against(vec![torn, message(3, abi::NLM_F_MULTI, 0, &[0; 4])]);
    let (done, _, starts) = dump(&mut socket);
    done.unwrap();
    assert_eq!(starts, 2);
}

#[test]
fn a_dump_that_never_holds_still_is_given_up() {
    let (mut socket, kernel) = against(vec![message(3, INTERRUPTED, 0, &[0; 4]); DUMP_ATTEMPTS]);
    let error = dump(&mut socket).0.unwrap_err();
    assert_eq!(error.errno(), Some(libc::EINTR));
    assert_eq!(kernel.join().unwrap(), DUMP_ATTEMPTS);
}

#[test]
fn answers_to_others_are_passed_over() {
    let answer =
        [message(20, 0, 77, b"x"), message(20, 0, 0, b"y"), message(2, 0, 78, &[255; 20]), message(2, 0, 0, &[0; 20])];
    let (mut socket, _kernel) = against(vec![answer.concat()]);
    let mut seen = Vec::new();
    socket.request("ASK", &"thing", Request::new(20, 0), |message| seen.push(message.payload[0])).unwrap();
    assert_eq!(seen, b"y");
}

#[test]
fn a_refusal_names_call_object_number_and_words() {
    let words = Request::new(0, 0).text(abi::NLMSGERR_ATTR_MSG, "no such thing").finish(0).unwrap().split_off(16);
    let payload = [&(-libc::ENODEV).to_ne_bytes()[..], &[0; 16], &words].concat();
    let (mut socket, _kernel) = against(vec![message(2, abi::NLM_F_CAPPED | abi::NLM_F_ACK_TLVS, 0, &payload)]);
    let error = socket.request("RTM_NEWTFILTER", &"eth7", Request::new(20, 0), |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "RTM_NEWTFILTER of eth7 failed: no such thing");
    assert_eq!(error.errno(), Some(libc::ENODEV));
}

#[test]
fn a_request_that_grew_too_long_is_refused_here() {
    let mut socket = NetlinkSocket::open(Protocol::Generic).unwrap();
    let error = socket.request("SEND", &"much", Request::new(16, 0).attribute(1, &[0; 70_000]), |_| {}).unwrap_err();
    assert_eq!(error.errno(), Some(libc::EMSGSIZE));
}

#[test]
fn notices_that_came_too_fast_are_lost_and_the_next_are_not() {
    namespace(&[])
        .run(|| {
            let mut socket = NetlinkSocket::open(Protocol::Route).unwrap();
            socket.set_receive_buffer(4096).unwrap();
            // RTNLGRP_IPV4_IFADDR.
            socket.join(5).unwrap();
            assert!(matches!(socket.receive().unwrap(), Received::Nothing));
            let change = |verb: &str, n: usize| {
                let address = format!("10.9.{}.{}/32", n / 200, n % 200 + 1);
                let ip = std::process::Command::new("ip").args(["address", verb, &address, "dev", "lo"]).status();
                assert!(ip.unwrap().success());
            };
            (0..40).for_each(|n| change("add", n));
            let mut lost = 0;
            loop {
                match socket.receive().unwrap() {
                    Received::Messages(_) => {}
                    Received::Lost => lost += 1,
                    Received::Nothing => break,
                }
            }
            assert!(lost > 0);
            change("del", 0);
            assert!(matches!(socket.receive().unwrap(), Received::Messages(_)));
        })
        .unwrap();
}

#[test]
fn a_process_that_writes_to_our_address_is_not_the_kernel() {
    // A datagram from a socket with a netlink number of its own: no process may send one without the capability, so it is
    // sent to a socket of ours under CAP_NET_ADMIN, which these tests have.
    namespace(&[])
        .run(|| {
            let mut socket = NetlinkSocket::open(Protocol::Route).unwrap();
            let own: SockAddr = socket.socket.local_addr().unwrap();
            let other =
                Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(socket2::Protocol::from(0))).unwrap();
            other.send_to(&message(20, 0, 0, b"forged"), &own).unwrap();
            assert!(matches!(socket.receive().unwrap(), Received::Nothing));
        })
        .unwrap();
}
