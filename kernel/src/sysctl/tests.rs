use super::*;
use crate::testing::namespace;

#[test]
fn the_path_manager_is_read_and_changed_in_this_namespace_only() {
    let (one, other) = (namespace(&[]), namespace(&[]));
    let read = |ns: &crate::netns::NetNs| ns.run(path_manager).unwrap().unwrap();
    assert_eq!(read(&one), PathManagerKind::Kernel);
    for kind in [PathManagerKind::Userspace, PathManagerKind::Kernel, PathManagerKind::Userspace] {
        one.run(|| set_path_manager(&kind)).unwrap().unwrap();
        assert_eq!(read(&one), kind);
        assert_eq!(read(&other), PathManagerKind::Kernel);
    }
}

#[test]
fn a_path_manager_nobody_knows_is_refused_by_name() {
    let ns = namespace(&[]);
    let wanted = PathManagerKind::Other("nobody".to_owned());
    let refused = ns.run(|| set_path_manager(&wanted)).unwrap().unwrap_err();
    assert!(matches!(&refused, SysctlError::Unknown { value } if value == "nobody"), "{refused:?}");
    assert_eq!(ns.run(path_manager).unwrap().unwrap(), PathManagerKind::Kernel);
}

#[test]
fn names_and_numbers_are_read_and_names_are_written() {
    let read = |text: &str| text.parse::<PathManagerKind>().unwrap();
    assert_eq!((read("kernel\n"), read("0\n")), (PathManagerKind::Kernel, PathManagerKind::Kernel));
    assert_eq!((read("userspace"), read("1")), (PathManagerKind::Userspace, PathManagerKind::Userspace));
    for kind in [PathManagerKind::Kernel, PathManagerKind::Userspace, PathManagerKind::Other("bpf_fullmesh".to_owned())]
    {
        assert_eq!(read(&kind.to_string()), kind);
    }
}

#[test]
fn a_daemon_counts_in_its_own_namespace_only() {
    let (one, other) = (namespace(&[]), namespace(&[]));
    let name = "anabranch-pmd";
    let find = |ns: &crate::netns::NetNs| ns.run(|| process_named(name)).unwrap();
    assert_eq!(find(&one), None);
    // A shell that takes the daemon's name, says so, and waits for its input's end.
    let script = format!("printf {name} >/proc/$$/comm; echo named; read end");
    let mut command = one.bound_command("sh");
    command.args(["-c", &script]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut daemon = command.spawn().unwrap();
    let mut said = [0; 6];
    io::Read::read_exact(&mut daemon.stdout.take().unwrap(), &mut said).unwrap();
    assert_eq!((find(&one), find(&other)), (Some(daemon.id()), None));
    drop(daemon.stdin.take());
    daemon.wait().unwrap();
    assert_eq!(find(&one), None);
}
