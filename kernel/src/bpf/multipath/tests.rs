use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Protocol, Socket, Type};

use super::*;
use crate::sockopt::netns_cookie;
use crate::testing::{namespace, said};

/// Attached; `None` where no program at all may be attached to a function (a user namespace of our own, a policy of the machine), or the
/// kernel is older than the hook. An empty one has to be refused then for the same reason.
fn attached(namespace: u64, except: &[&str]) -> Option<Multipath> {
    let refused = match Multipath::attach(namespace, except) {
        Ok(attached) => return Some(attached),
        Err(error) => error,
    };
    let bytes = type_information().unwrap();
    let btf = Btf::parse(&bytes).unwrap();
    let Ok(function) = btf.function(FUNCTION) else {
        assert!(matches!(refused, BpfError::NoHook(_)), "{refused:?}");
        return None;
    };
    let mut empty = Assembler::default();
    empty.constant(code::MOVE_CONSTANT, Reg::R0, 0);
    empty.exit();
    let empty = call::load(call::MULTIPATH, &empty.finish().unwrap(), function);
    assert!(matches!(empty, Err(BpfError::NotPermitted { .. })), "{refused:?}, but {empty:?}");
    assert!(matches!(refused, BpfError::NotPermitted { .. }), "{refused:?}");
    None
}

fn here() -> u64 {
    netns_cookie(UdpSocket::bind("127.0.0.1:0").unwrap().as_fd()).unwrap()
}

/// What sockets asked for so are: family, type, protocol.
fn protocol(domain: Domain, kind: Type, asked: Option<Protocol>) -> Option<Protocol> {
    Socket::new(domain, kind, asked).unwrap().protocol().unwrap()
}

fn tcp() -> Option<Protocol> {
    protocol(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))
}

/// The name of this process, as the kernel has it.
fn own_name() -> String {
    fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned()
}

const MPTCP: Option<Protocol> = Some(Protocol::MPTCP);

#[test]
fn tcp_sockets_of_the_namespace_get_mptcp_and_no_others() {
    let (one, other) = (namespace(&[]), namespace(&[]));
    one.run(|| {
        let Some(program) = attached(here(), &[]) else { return };
        for domain in [Domain::IPV4, Domain::IPV6] {
            for asked in [None, Some(Protocol::TCP)] {
                assert_eq!(protocol(domain, Type::STREAM, asked), MPTCP);
                assert_eq!(protocol(domain, Type::STREAM.nonblocking().cloexec(), asked), MPTCP);
            }
            assert_eq!(protocol(domain, Type::DGRAM, None), Some(Protocol::UDP));
            assert_eq!(protocol(domain, Type::STREAM, Some(Protocol::MPTCP)), MPTCP);
        }
        assert_eq!(protocol(Domain::UNIX, Type::STREAM, None), None);
        assert_eq!(other.run(tcp).unwrap(), Some(Protocol::TCP));
        // A whole connection, both ends of which knew nothing of it.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let mptcp = |end: &TcpStream| crate::sockopt::mptcp_info(end.as_fd()).unwrap().is_some();
        assert!(mptcp(&client) && mptcp(&server));
        let port = client.local_addr().unwrap().port();
        assert!(said(&one, "ss -HMn").contains(&format!("127.0.0.1:{port}")));
        drop(program);
        assert_eq!(tcp(), Some(Protocol::TCP));
        // What has it keeps it.
        assert!(mptcp(&client));
    })
    .unwrap();
}

#[test]
fn excepted_programs_get_what_they_ask_for_and_the_next_in_line_is_asked() {
    namespace(&[])
        .run(|| {
            let own = own_name();
            let more = format!("{own} and more of it");
            for (except, expected) in [
                (vec![own.as_str()], Some(Protocol::TCP)),
                (vec!["curl", own.as_str(), "wget"], Some(Protocol::TCP)),
                (vec!["curl", &own[..own.len() - 1]], MPTCP),
                // Only a name of full length is one that was cut off.
                (vec![more.as_str()], if own.len() == 15 { Some(Protocol::TCP) } else { MPTCP }),
            ] {
                let Some(_program) = attached(here(), &except) else { return };
                assert_eq!(tcp(), expected, "{own}: {except:?}");
            }
            // The first leaves us alone, which does not keep the second from it.
            let (Some(_one), Some(_two)) = (attached(here(), &[&own]), attached(here(), &[])) else { return };
            assert_eq!(tcp(), MPTCP);
        })
        .unwrap();
}

/// A link that lost its pin ends a moment later: the kernel leaves it to a worker.
fn become_of_tcp(expected: Option<Protocol>) {
    let end = Instant::now() + Duration::from_secs(5);
    while tcp() != expected {
        assert!(Instant::now() < end, "{:?} after five seconds", tcp());
        std::thread::yield_now();
    }
}

#[test]
fn a_pin_keeps_it_and_its_end_is_the_end() {
    namespace(&[])
        .run(|| {
            let Some(program) = attached(here(), &[]) else { return };
            // A mount that ends with this thread, whatever becomes of the test.
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            let elsewhere = std::env::temp_dir().join(format!("anabranch-pin-{}", here()));
            fs::create_dir(&elsewhere).unwrap();
            assert!(!fs_mounted(&elsewhere) && !unmount_fs(&elsewhere).unwrap());
            assert!(program.pin(&elsewhere.join("mptcp")).is_err());
            mount_fs(&elsewhere).unwrap();
            assert!(fs_mounted(&elsewhere));
            let pin = elsewhere.join("mptcp");
            program.pin(&pin).unwrap();
            drop(program);
            assert_eq!(tcp(), MPTCP);
            assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
            // Another in its place, of which this program is excepted.
            attached(here(), &[&own_name()]).unwrap().pin(&pin).unwrap();
            become_of_tcp(Some(Protocol::TCP));
            attached(here(), &[]).unwrap().pin(&pin).unwrap();
            become_of_tcp(MPTCP);
            assert!(!unmount_fs(&elsewhere).unwrap(), "unmounted with a pin in it");
            fs::remove_file(&pin).unwrap();
            become_of_tcp(Some(Protocol::TCP));
            assert!(unmount_fs(&elsewhere).unwrap() && !fs_mounted(&elsewhere));
            fs::remove_dir(&elsewhere).unwrap();
        })
        .unwrap();
}

#[test]
fn names_are_cut_off_as_the_kernel_does() {
    let of = |text: &str| name(text).map(u64::to_ne_bytes).concat();
    assert_eq!(of("curl"), b"curl\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(of("anabranch-of-a-long-name"), b"anabranch-of-a-\0");
}
