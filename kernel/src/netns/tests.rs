use super::*;
use std::net::{TcpListener, TcpStream};

fn identity(ns: &NetNs) -> PathBuf {
    ns.run(|| std::fs::read_link("/proc/thread-self/ns/net")).expect("enters").expect("reads")
}

#[test]
fn two_namespaces_differ_and_the_caller_stays() {
    let before = std::fs::read_link("/proc/thread-self/ns/net").expect("reads");
    let (one, two) = (NetNs::new().expect("makes"), NetNs::new().expect("makes"));
    assert_ne!(identity(&one), identity(&two));
    assert_ne!(identity(&one), before);
    assert_eq!(std::fs::read_link("/proc/thread-self/ns/net").expect("reads"), before);
}

#[test]
fn a_child_starts_in_the_namespace() {
    let ns = NetNs::new().expect("makes");
    let output = ns.command("readlink").arg("/proc/self/ns/net").output().expect("runs");
    let seen = String::from_utf8(output.stdout).expect("text");
    assert_eq!(PathBuf::from(seen.trim()), identity(&ns));
}

#[test]
fn a_socket_made_inside_works_outside() {
    let ns = NetNs::new().expect("makes");
    assert!(ns.command("ip").args(["link", "set", "lo", "up"]).status().expect("runs").success());
    let listener = ns.run(|| TcpListener::bind("127.0.0.1:0")).expect("enters").expect("binds");
    let address = listener.local_addr().expect("address");
    assert!(ns.run(|| TcpStream::connect(address)).expect("enters").is_ok());
    assert!(TcpStream::connect(address).is_err(), "the listener must not be reachable from outside");
}

#[test]
fn the_path_names_the_namespace_to_tools() {
    let (one, two) = (NetNs::new().expect("makes"), NetNs::new().expect("makes"));
    let made = one
        .command("ip")
        .args(["link", "add", "left", "type", "veth", "peer", "name", "right", "netns"])
        .arg(two.path())
        .status()
        .expect("runs");
    assert!(made.success());
    assert!(two.command("ip").args(["link", "show", "right"]).output().expect("runs").status.success());
}

#[test]
fn a_panic_inside_reaches_the_caller() {
    let ns = NetNs::new().expect("makes");
    let caught = std::panic::catch_unwind(|| ns.run(|| panic!("inside")));
    assert_eq!(*caught.expect_err("panics").downcast_ref::<&str>().expect("text"), "inside");
}

#[test]
fn a_bound_child_dies_with_the_thread_that_started_it() {
    use std::os::unix::process::ExitStatusExt;
    let ns = NetNs::new().expect("makes");
    let start = |mut command: Command| {
        std::thread::spawn(move || command.arg("60").spawn().expect("starts")).join().expect("the thread ends")
    };
    let mut bound = start(ns.bound_command("sleep"));
    assert_eq!(bound.wait().expect("waits").signal(), Some(9));
    let mut free = start(ns.command("sleep"));
    assert!(free.try_wait().expect("asks").is_none(), "only a bound child dies");
    free.kill().expect("kills");
    free.wait().expect("waits");
}
