use super::*;
use crate::netlink::Protocol;
use crate::testing::namespace;

/// A step that wants link `index` to have an alias.
fn step(index: u32) -> Step {
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    Step::new("RTM_NEWLINK", format_args!("link {index}"), Request::new(16, 0).fixed(&fixed).attribute(20, b"x"))
}

#[test]
fn every_failure_is_told_with_its_step() {
    namespace(&[])
        .run(|| {
            let mut socket = NetlinkSocket::open(Protocol::Route).unwrap();
            for round in 0..3 {
                let mut failed = Vec::new();
                let steps = [1, 98, 1, 99, 1].map(step).to_vec();
                socket.batch(None, steps, None, |at, error| failed.push((at, error))).unwrap();
                let told: Vec<_> =
                    failed.iter().map(|(at, error)| (*at, error.object.as_str(), error.errno())).collect();
                let nodev = Some(libc::ENODEV);
                assert_eq!(told, [(1, "link 98", nodev), (3, "link 99", nodev)], "round {round}");
                // The last one's failure is its acknowledgement.
                let mut failed = Vec::new();
                socket.batch(None, vec![step(1), step(99)], None, |at, _| failed.push(at)).unwrap();
                assert_eq!(failed, [1]);
            }
            socket.batch(None, vec![], None, |_, _| panic!()).unwrap();
            // A question after it gets its own answer.
            socket.request("RTM_NEWLINK", &"link 1", step(1).request, |_| {}).unwrap();
        })
        .unwrap();
}

#[test]
fn what_is_too_long_is_not_sent() {
    namespace(&[])
        .run(|| {
            let mut socket = NetlinkSocket::open(Protocol::Route).unwrap();
            let long = Step::new("RTM_NEWLINK", "link 1", Request::new(16, 0).attribute(20, &[0; 70_000]));
            let error = socket.batch(None, vec![step(1), long, step(1)], None, |_, _| panic!()).unwrap_err();
            assert_eq!(error.errno(), Some(libc::EMSGSIZE));
            // Longer than what may wait to be sent.
            let many = vec![step(1); 50_000];
            let error = socket.batch(None, many.clone(), None, |_, _| panic!()).unwrap_err();
            assert!(matches!(error.errno(), Some(libc::EMSGSIZE | libc::ENOBUFS)), "{error}");
            socket.set_send_buffer(16 * 1024 * 1024).unwrap();
            socket.batch(None, many, None, |_, error| panic!("{error}")).unwrap();
        })
        .unwrap();
}
