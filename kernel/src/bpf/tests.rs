use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::asm::{Assembler, Reg};
use super::*;
use crate::abi::bpf::code;
use crate::sock_diag::SockDiag;
use crate::testing::namespace;

const SLOW: Pace = Pace { bytes_per_s: 235_000, unsent: 4096, probe: false };
const FREE: (u64, i32) = (u64::MAX, 0);
const HELD: (u64, i32) = (SLOW.bytes_per_s, 4096);

/// A pacer; `None` where this run is not of the initial user namespace, which then has to be what the error says.
fn pacer() -> Option<Pacer> {
    match Pacer::open() {
        Err(BpfError::NotPermitted { .. }) if !initial_user_namespace() => None,
        opened => Some(opened.unwrap()),
    }
}

fn initial_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().eq(["0", "0", "4294967295"])
}

/// Both ends of a connection over loopback to where the listener is dialled.
struct Ends {
    client: TcpStream,
    server: TcpStream,
}

impl Ends {
    fn new(listener: &TcpListener, dial: SocketAddr) -> Self {
        let client = TcpStream::connect(dial).unwrap();
        Self { client, server: listener.accept().unwrap().0 }
    }

    /// From the server's end.
    fn flow(&self) -> Flow {
        flow(&self.server)
    }
}

fn flow(of: &TcpStream) -> Flow {
    Flow { local: of.local_addr().unwrap(), remote: of.peer_addr().unwrap() }
}

/// The greatest pacing rate and the unsent limit of a socket.
fn pace(of: &TcpStream) -> (u64, i32) {
    let (mut unsent, mut length): (libc::c_int, libc::socklen_t) = (-1, 4);
    // SAFETY: the option is one int, which `unsent` is; both pointers are valid for the call.
    let answer = unsafe {
        let to = (&raw mut unsent).cast();
        libc::getsockopt(of.as_fd().as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, to, &raw mut length)
    };
    assert_eq!(answer, 0);
    let rate = SockDiag::open().unwrap().tcp_exact(flow(of), |socket| socket.info().unwrap().max_pacing_rate);
    (rate.unwrap().unwrap().unwrap(), unsent)
}

fn listener(at: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(at).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn exactly_the_named_sockets_are_paced_and_released() {
    let Some(mut pacer) = pacer() else { return };
    namespace(&[])
        .run(|| {
            for (listen, dial) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
                let (listener, at) = listener(listen);
                let at = SocketAddr::new(dial.parse().unwrap(), at.port());
                let ends: Vec<_> = (0..3).map(|_| Ends::new(&listener, at)).collect();
                let all = || ends.iter().flat_map(|ends| [pace(&ends.server), pace(&ends.client)]).collect::<Vec<_>>();
                assert_eq!(pacer.apply(&[(ends[1].flow(), Some(SLOW))]).unwrap(), 1);
                assert_eq!(all(), [FREE, FREE, HELD, FREE, FREE, FREE], "{listen}");
                // IPv4 on an IPv6 socket may be named either way.
                assert_eq!(pacer.apply(&[(ends[1].flow().canonical(), None)]).unwrap(), 1);
                assert_eq!(all(), [FREE; 6], "{listen}");
            }
        })
        .unwrap();
}

/// No byte of data is sent, and the peer's answer is an acknowledgement.
#[test]
#[allow(clippy::disallowed_methods, reason = "what is tested is that time goes by without a word")]
fn who_heard_nothing_for_a_second_asks_at_once() {
    let Some(mut pacer) = pacer() else { return };
    namespace(&[])
        .run(|| {
            let (listener, at) = listener("127.0.0.1:0");
            let ends = Ends::new(&listener, at);
            let heard = || {
                let mut diag = SockDiag::open().unwrap();
                diag.tcp_exact(ends.flow(), |socket| socket.info().unwrap().last_ack_recv).unwrap().unwrap()
            };
            std::thread::sleep(Duration::from_millis(1_200));
            assert!(heard() >= Duration::from_secs(1));
            pacer.apply(&[(ends.flow(), Some(SLOW))]).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            assert!(heard() >= Duration::from_secs(1), "nobody asked");
            pacer.apply(&[(ends.flow(), Some(Pace { probe: true, ..SLOW }))]).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            assert!(heard() < Duration::from_millis(500), "{:?}", heard());
            pacer.apply(&[(ends.flow(), None)]).unwrap();
            std::thread::sleep(Duration::from_millis(2_000));
            assert!(heard() >= Duration::from_secs(1), "it goes on asking");
        })
        .unwrap();
}

/// Each question is a probe, and after so many without an answer a socket ends by itself: not for being asked.
#[test]
#[allow(clippy::disallowed_methods, reason = "what is tested is that time goes by without a word")]
fn who_is_asked_in_vain_does_not_end_for_it() {
    let Some(mut pacer) = pacer() else { return };
    namespace(&[])
        .run(|| {
            let (listener, at) = listener("127.0.0.1:0");
            let ends = Ends::new(&listener, at);
            let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)).with_retries(2);
            socket2::SockRef::from(&ends.server).set_tcp_keepalive(&keepalive).unwrap();
            let down = std::process::Command::new("ip").args(["link", "set", "lo", "down"]).status().unwrap();
            assert!(down.success());
            std::thread::sleep(Duration::from_millis(1_200));
            for _ in 0..6 {
                pacer.apply(&[(ends.flow(), Some(Pace { probe: true, ..SLOW }))]).unwrap();
                std::thread::sleep(Duration::from_millis(50));
            }
            let mut diag = SockDiag::open().unwrap();
            let state = diag.tcp_exact(ends.flow(), |socket| socket.head.state).unwrap();
            assert_eq!(state, Some(crate::tcp_info::TcpState::Established));
        })
        .unwrap();
}

#[test]
fn what_is_not_there_or_not_whole_is_passed_over() {
    let Some(mut pacer) = pacer() else { return };
    let (one, other) = (namespace(&[]), namespace(&[]));
    one.run(|| {
        let (listener, at) = listener("127.0.0.1:0");
        let (kept, closed) = (Ends::new(&listener, at), Ends::new(&listener, at));
        let waiting = flow(&closed.client);
        // The end that closes first waits for late segments.
        drop(closed.client);
        drop(closed.server);
        let mut diag = SockDiag::open().unwrap();
        let state = diag.tcp_exact(waiting, |socket| socket.head.state).unwrap();
        assert_eq!(state, Some(crate::tcp_info::TcpState::TimeWait));
        let absent = Flow { local: at, remote: "127.0.0.1:9".parse().unwrap() };
        let listening = Flow { local: at, remote: "0.0.0.0:0".parse().unwrap() };
        let all = [waiting, absent, listening, kept.flow()].map(|flow| (flow, Some(SLOW)));
        assert_eq!(pacer.apply(&all).unwrap(), 1);
        assert_eq!((pace(&kept.server), pace(&kept.client)), (HELD, FREE));
        assert_eq!(pacer.apply(&[]).unwrap(), 0);
        // Another namespace has other sockets, of whatever addresses.
        assert_eq!(other.run(|| pacer.apply(&[(kept.flow(), None)])).unwrap().unwrap(), 0);
        assert_eq!(pace(&kept.server), HELD);
    })
    .unwrap();
}

#[test]
fn a_batch_changes_what_it_names_and_the_next_one_starts_anew() {
    let Some(mut pacer) = pacer() else { return };
    namespace(&[])
        .run(|| {
            let (listener, at) = listener("127.0.0.1:0");
            let ends: Vec<_> = (0..4).map(|_| Ends::new(&listener, at)).collect();
            let fast = Pace { bytes_per_s: u64::MAX, unsent: 0, probe: false };
            let batch = [
                (ends[0].flow(), None),
                (ends[0].flow(), Some(SLOW)),
                (ends[1].flow(), Some(SLOW)),
                (ends[2].flow(), Some(Pace { bytes_per_s: 1, unsent: u32::MAX, probe: false })),
                (ends[3].flow(), Some(fast)),
            ];
            // Of two entries for one socket the later counts.
            assert_eq!(pacer.apply(&batch).unwrap(), 4);
            let all = || ends.iter().map(|ends| pace(&ends.server)).collect::<Vec<_>>();
            assert_eq!(all(), [HELD, HELD, (1, -1), (u64::from(u32::MAX) - 1, 0)]);
            assert_eq!(pacer.apply(&[(ends[1].flow(), None)]).unwrap(), 1);
            assert_eq!(all(), [HELD, FREE, (1, -1), (u64::from(u32::MAX) - 1, 0)]);
            drop(pacer);
            assert_eq!(pace(&ends[0].server), HELD);
        })
        .unwrap();
}

#[test]
fn thousands_of_sockets_are_changed_in_one_pass() {
    const MANY: usize = 5000;
    let Some(mut pacer) = pacer() else { return };
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    namespace(&[])
        .run(|| {
            let (listener, at) = listener("127.0.0.1:0");
            let ends: Vec<_> = (0..MANY / 2).map(|_| Ends::new(&listener, at)).collect();
            let mut timed = |paces: &[(Flow, Option<Pace>)]| {
                let began = Instant::now();
                assert_eq!(pacer.apply(paces).unwrap(), paces.len());
                began.elapsed()
            };
            let one = timed(&[(ends[0].flow(), Some(SLOW))]);
            let all: Vec<_> =
                ends.iter().flat_map(|ends| [&ends.server, &ends.client]).map(|end| (flow(end), Some(SLOW))).collect();
            let every = timed(&all);
            assert!(ends.iter().all(|ends| pace(&ends.server).0 == SLOW.bytes_per_s));
            // One pass each; thousands of passes would take half a minute.
            assert!(one < Duration::from_secs(1) && every < Duration::from_secs(2), "{one:?} {every:?}");
        })
        .unwrap();
}

#[test]
fn a_program_the_verifier_refuses_comes_back_with_its_reason() {
    if pacer().is_none() {
        return;
    }
    let bytes = type_information().unwrap();
    let function = Btf::parse(&bytes).unwrap().function("bpf_iter_tcp").unwrap();
    let mut asm = Assembler::default();
    // Reads through a number.
    asm.constant(code::MOVE_CONSTANT, Reg::R1, 1);
    asm.load(code::LOAD_8, Reg::R0, Reg::R1, 0);
    asm.exit();
    let refused = call::load(call::PACING, &asm.finish().unwrap(), function).unwrap_err();
    let BpfError::Verifier { log, source } = &refused else { panic!("{refused:?}") };
    assert!(log.contains("R1 invalid mem access") && log.len() <= 2000, "{log}");
    assert!(matches!(source.raw_os_error(), Some(libc::EACCES | libc::EINVAL)), "{source}");
    // A function that nothing iterates over.
    assert!(matches!(call::load(call::PACING, &[], function), Err(BpfError::Call { op: "BPF_PROG_LOAD", .. })));
}

#[test]
fn what_it_takes_is_two_capabilities() {
    let with = |kept: CapabilitySet| {
        std::thread::scope(|scope| {
            let opened = scope.spawn(move || {
                let mut sets = capabilities(None).unwrap();
                sets.effective &= kept;
                set_capabilities(None, sets).unwrap();
                Pacer::open()
            });
            opened.join().unwrap()
        })
    };
    let both = CapabilitySet::BPF | CapabilitySet::PERFMON;
    if initial_user_namespace() {
        with(both).unwrap();
    }
    for kept in [CapabilitySet::BPF, CapabilitySet::PERFMON, CapabilitySet::empty()] {
        let refused = with(kept).unwrap_err();
        assert!(matches!(refused, BpfError::NotPermitted { .. }), "{kept:?}: {refused:?}");
    }
}

#[test]
fn refusals_are_counted_by_option() {
    let of = |rate_result, unsent_result| Value { seen: 1, rate_result, unsent_result, ..Value::default() };
    assert!(refusal(&[]).is_none() && refusal(&[of(0, 0)]).is_none());
    let told = |values: &[Value]| match refusal(values) {
        Some(BpfError::Refused { option, sockets, source }) => (option, sockets, source.raw_os_error()),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&[of(0, 0), of(-22, -92), of(-1, 0)]), ("SO_MAX_PACING_RATE", 2, Some(22)));
    assert_eq!(told(&[of(0, -92), of(0, 0)]), ("TCP_NOTSENT_LOWAT", 1, Some(92)));
}
