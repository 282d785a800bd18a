use super::*;
use crate::mptcp_pm::listeners;
use crate::testing::{ip_in, namespace, said};

#[test]
fn this_kernel_passes_every_trial_and_keeps_nothing_of_it() {
    let ns = namespace(&[]);
    let before = said(&ns, "ip link show");
    let trials = ns.run(steering).unwrap().unwrap();
    let well = Ok(());
    let all = Trials {
        userspace: well.clone(),
        priority: well.clone(),
        destroy: well.clone(),
        ifb: well.clone(),
        egress: well,
    };
    assert_eq!(trials, all);
    assert_eq!(said(&ns, "ip link show"), before);
    assert_eq!(ns.run(crate::sysctl::path_manager).unwrap().unwrap(), PathManagerKind::Kernel);
}

#[test]
fn no_mptcp_socket_where_it_is_switched_off() {
    let ns = namespace(&[]);
    ns.run(mptcp_socket).unwrap().unwrap();
    ns.run(|| std::fs::write("/proc/sys/net/mptcp/enabled", "0")).unwrap().unwrap();
    assert!(ns.run(mptcp_socket).unwrap().is_err());
}

#[test]
fn an_error_is_told_to_its_end() {
    let inner = io::Error::other("inside");
    assert_eq!(words(&NetNsError::Open(inner)), "cannot open /proc/thread-self/ns/net: inside");
}

#[test]
fn who_listens_to_events_is_counted_in_its_own_namespace() {
    let (one, other) = (namespace(&[]), namespace(&[]));
    let count = |ns: &NetNs| ns.run(listeners).unwrap().unwrap();
    assert_eq!((count(&one), count(&other)), (0, 0));
    let events = one.run(Events::open).unwrap().unwrap();
    assert_eq!((count(&one), count(&other)), (1, 0));
    let more = one.run(Events::open).unwrap().unwrap();
    assert_eq!(count(&one), 2);
    drop((events, more));
    // The kernel takes a closed netlink socket out of its groups a moment later.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(2);
    while count(&one) > 0 && std::time::Instant::now() < end {
        std::thread::yield_now();
    }
    assert_eq!(count(&one), 0);
}

#[test]
fn a_device_says_what_it_does_with_segments() {
    let ns = namespace(&["link add a0 type veth peer name b0"]);
    let ask = |name: &str| ns.run(|| crate::link::device(name)).unwrap().unwrap();
    let veth = ask("a0");
    assert_eq!((veth.megabits, veth.segmentation), (Some(10_000), Some(true)));
    assert!(ns.command("ethtool").args(["-K", "a0", "tso", "off", "gro", "on"]).status().unwrap().success());
    assert_eq!((ask("a0").segmentation, ask("a0").receive), (Some(false), Some(true)));
    assert_eq!(ask("nobody0"), crate::link::Device::default());
    assert_eq!(ask("a_name_that_is_too_long"), crate::link::Device::default());
    ip_in(&ns, "link delete a0");
}

#[test]
fn a_function_of_the_kernels_is_found_by_its_name() {
    assert!(crate::bpf::has_function("bpf_iter_tcp").unwrap());
    assert!(!crate::bpf::has_function("anabranch_has_no_such_function").unwrap());
}
