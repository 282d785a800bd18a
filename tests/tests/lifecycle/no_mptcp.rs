//! A kernel without MPTCP: `auto` serves TCP and says so, `mptcp` refuses to start.

use std::process::Command;

use crate::support::Start;

/// A namespace of its own, where MPTCP is off.
const WITHOUT: &str = "ip link set lo up && sysctl -qw net.mptcp.enabled=0 && exec \"$0\" \"$@\"";

fn start(transport: &str) -> Start {
    let sections =
        format!("[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:3128\"\ntransport = \"{transport}\"\n");
    Start::behind(&sections, "unshare", &["--net", "sh", "-c", WITHOUT])
}

#[test]
fn auto_warns_and_serves_tcp() {
    let proxy = start("auto").run();
    let log = proxy.log();
    assert!(log.contains("WARN") && log.contains("this kernel makes no MPTCP socket"), "{log}");
    assert_eq!(log.matches("makes no MPTCP socket").count(), 1, "once a listener, not once a worker");
    assert_eq!(proxy.status()["listeners"][0]["transport"], "tcp");
    let mut curl = Command::new("nsenter");
    curl.arg(format!("--net=/proc/{}/ns/net", proxy.pid()));
    curl.args(["curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "-x", "http://127.0.0.1:3128"]);
    let said = curl.arg("http://127.0.0.1:4009/").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "502", "{said:?}");
    let exit = proxy.stop();
    assert!(exit.out.contains(" mptcp=not-offered "), "{}", exit.out);
}

#[test]
fn mptcp_refuses_to_start() {
    let exit = start("mptcp").fail();
    assert_eq!(exit.code(), Some(71));
    assert!(exit.log.contains("transport = \"mptcp\" is required"), "{}", exit.log);
    assert!(exit.log.contains("net.mptcp.enabled=1"), "the fix is named: {}", exit.log);
}
