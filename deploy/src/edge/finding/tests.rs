use super::*;

#[test]
fn the_json_is_what_programs_were_promised() {
    let good = Finding::ok("clock", "the year 2026", "all goes by it");
    let bad = Finding::ok("dns", "no answer", "names").fail(Mend::sysctl("net/mptcp/enabled", 1));
    let json = serde_json::to_value(Report::new(vec![good, bad])).unwrap();
    let expected = serde_json::json!({
        "checks": [
            {"name": "clock", "verdict": "ok", "evidence": "the year 2026", "why": "all goes by it", "mend": null},
            {"name": "dns", "verdict": "failure", "evidence": "no answer", "why": "names", "mend": "sysctl -w net.mptcp.enabled=1"},
        ],
        "failures": 1,
    });
    assert_eq!(json, expected);
}

#[test]
fn a_reader_sees_the_cure_below_what_is_wrong() {
    let good = Finding::ok("clock", "the year 2026", "all goes by it");
    let bad = Finding::ok("dns", "no answer", "names").advise(Mend::Command("dig".to_owned()));
    let text = Report::new(vec![good, bad]).text();
    let expected = "ok       clock  the year 2026\nadvice   dns    no answer\n                names\n                $ dig\n1 ok, 1 advice, 0 failures\n";
    assert_eq!(text, expected);
    // Why it matters is said also where nothing here mends it.
    let text = Report::new(vec![Finding::ok("dns", "no answer", "names").regret()]).text();
    assert_eq!(text, "advice   dns  no answer\n              names\n0 ok, 1 advice, 0 failures\n");
    let bad = || Finding::ok("dns", "no answer", "names").fail(Mend::Command("dig".to_owned()));
    let last = |checks| Report::new(checks).text().lines().last().unwrap().to_owned();
    assert_eq!(last(vec![bad()]), "0 ok, 0 advice, 1 failure");
    assert_eq!(last(vec![bad(), bad()]), "0 ok, 0 advice, 2 failures");
}

#[test]
fn assignments_are_quoted_as_a_shell_needs_them() {
    let of = |path: &str, value: &str| assignment(&Key::new(path), value);
    assert_eq!(of("net/mptcp/enabled", "1"), "net.mptcp.enabled=1");
    assert_eq!(of("net/ipv4/tcp_rmem", "1 2 3"), "'net.ipv4.tcp_rmem=1 2 3'");
    // An interface's name may have a dot: then all of it is written with slashes, which sysctl(8) takes as well.
    assert_eq!(of("net/ipv4/conf/eth0.7/rp_filter", "2"), "net/ipv4/conf/eth0.7/rp_filter=2");
    assert_eq!(of("net/ipv4/conf/a'b/rp_filter", "2"), r"'net.ipv4.conf.a'\''b.rp_filter=2'");
}
