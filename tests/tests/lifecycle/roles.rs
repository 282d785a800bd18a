//! Two processes do what one does: one carries bytes without any capability, the other watches and knows every subflow.

use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Origin, Proxy, Scratch, Start, Tunnel, ask, eventually, mptcp_connect};

const EDGE: &str = "[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\n";

/// Starts a program without a single capability, whoever we are.
const POWERLESS: [&str; 3] = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];

fn steer() -> Proxy {
    Proxy::start(&format!("[process]\nrole = \"steer\"\nlink = \"link.sock\"\n{EDGE}"))
}

fn carrier(link: &Path) -> Start {
    let sections = format!("[process]\nworkers = 2\nrole = \"proxy\"\nlink = \"{}\"\n{EDGE}", link.display());
    Start::behind(&sections, "setpriv", &POWERLESS)
}

/// What a process tells of the connection with a token; null while it tells nothing.
fn told(by: &Proxy, token: &str) -> Value {
    let (_, body) = ask(&by.control(), "GET", "/connections");
    let lines: Value = serde_json::from_str(&body).unwrap();
    lines.as_array().unwrap().iter().find(|line| line["token"] == token).cloned().unwrap_or_default()
}

/// The token of the only session, by the proxy's own word.
fn token(proxy: &Proxy) -> String {
    let (_, body) = ask(&proxy.control(), "GET", "/connections");
    let lines: Value = serde_json::from_str(&body).unwrap();
    lines[0]["token"].as_str().unwrap_or_else(|| panic!("a session over MPTCP: {body}")).to_owned()
}

#[test]
fn who_steers_knows_the_sessions_of_who_carries_and_their_subflows() {
    let echo = Origin::echo();
    let steer = steer();
    assert_eq!(steer.status()["listeners"], Value::Array(vec![]), "who steers opens no listener");
    let proxy = carrier(&steer.dir.path("link.sock")).run();
    proxy.says("linked to who steers");
    let mut tunnel = Tunnel::over(mptcp_connect(proxy.address("edge")), echo.address);
    tunnel.echo("hello");
    let token = token(&proxy);
    let client = tunnel.0.local_addr().unwrap().to_string();
    eventually("the session and its subflow are known to who steers", || {
        let line = told(&steer, &token);
        line["session"] == 1
            && line["listener"] == "edge"
            && line["client"] == *client
            && line["origin"] == echo.address.to_string()
            && line["kernel"]["subflows"][0]["flow"]["destination"] == *client
            && line["kernel"]["subflows"][0]["bytes_received"].as_u64() > Some(0)
    });
    assert!(steer.status()["witnesses"]["kernel"].is_null(), "{}", steer.status());
    assert!(proxy.status()["witnesses"].is_null(), "who carries watches nothing");
    tunnel.finish();
    eventually("what ended is forgotten", || told(&steer, &token).is_null());
    assert!(proxy.stop().status.success());
    assert!(steer.stop().status.success());
}

#[test]
fn who_carries_names_who_is_to_be_asked_of_steering() {
    let proxy = carrier(Path::new("/nowhere/link.sock")).run();
    for (method, what) in [("GET", "/policies/explain?of=10.1.0.2"), ("GET", "/policies"), ("DELETE", "/policies")] {
        let (status, text) = ask(&proxy.control(), method, what);
        assert!(status == 404 && text.contains("anabranch-steer.service"), "{status} {text}");
        assert!(text.contains("--socket /") && text.contains("/anabranch/steer.sock"), "{text}");
    }
}

#[test]
fn each_of_the_two_outlives_the_other() {
    let echo = Origin::echo();
    let place = Scratch::new();
    let link = place.path("link.sock");
    let proxy = carrier(&link).run();
    proxy.says("carrying bytes without");
    let mut tunnel = Tunnel::over(mptcp_connect(proxy.address("edge")), echo.address);
    tunnel.echo("nobody steers");
    let token = token(&proxy);
    let begin = || Proxy::start(&format!("[process]\nrole = \"steer\"\nlink = \"{}\"\n{EDGE}", link.display()));
    let steer = begin();
    eventually("a session older than who steers is told", || told(&steer, &token)["session"] == 1);
    // Killed, it leaves its socket's file behind; the next one takes its place.
    steer.signal(Signal::SIGKILL);
    steer.wait();
    tunnel.echo("and nobody noticed");
    let steer = begin();
    eventually("the session is told again", || told(&steer, &token)["session"] == 1);
    proxy.signal(Signal::SIGKILL);
    proxy.wait();
    steer.says("its sessions are forgotten");
    eventually("no session is left", || told(&steer, &token)["session"].is_null());
}

#[test]
fn one_process_without_capabilities_carries_bytes_and_says_what_it_lacks() {
    let echo = Origin::echo();
    let proxy = Start::behind(EDGE, "setpriv", &POWERLESS).run();
    proxy.says("the kernel is no witness");
    proxy.says("CAP_NET_ADMIN is missing");
    Tunnel::over(mptcp_connect(proxy.address("edge")), echo.address).echo("carried all the same");
    assert!(proxy.status()["witnesses"]["kernel"].as_str().unwrap().contains("CAP_NET_ADMIN"));
}

#[test]
fn a_named_role_wins_over_the_files() {
    let mut start = Start::new(&format!("[process]\nrole = \"proxy\"\n{EDGE}"));
    start.command().args(["--role", "steer"]);
    let steer = start.run();
    assert_eq!(steer.status()["listeners"], Value::Array(vec![]));
    steer.rewrite(&format!("[process]\nrole = \"proxy\"\n[limits]\nheaders = 50\n{EDGE}"));
    steer.hang_up("applied");
    assert_eq!(steer.status()["listeners"], Value::Array(vec![]), "also after a reload");
}

#[test]
fn told_to_observe_it_decides_and_touches_nothing() {
    const POLICY: &str = "[[path]]\nname = \"lte\"\nclient = [\"10.2.0.0/16\"]\n[[policy]]\nname = \"away\"\npath = \"lte\"\naction = \"backup\"\n";
    let mut start = Start::new(&format!("{EDGE}{POLICY}"));
    start.command().arg("--observe");
    let proxy = start.run();
    let said = || {
        let (status, text) = ask(&proxy.control(), "GET", "/policies");
        assert_eq!(status, 200, "{text}");
        text
    };
    assert!(said().contains("nothing is done"), "{}", said());
    proxy.rewrite(&format!("[limits]\nheaders = 50\n{EDGE}{POLICY}"));
    proxy.hang_up("applied");
    assert!(said().contains("nothing is done"), "also after a reload: {}", said());
}

#[test]
fn what_policies_do_is_counted() {
    const POLICY: &str =
        "[[policy]]\nname = \"in all\"\naction = \"limit\"\nrate = \"5 Mbit/s\"\nenforce = \"always\"\n";
    let echo = Origin::echo();
    let mut start = Start::new(&format!("{EDGE}{POLICY}"));
    start.command().arg("--observe");
    let proxy = start.run();
    let counted = |name: &str| {
        let (_, text) = ask(&proxy.control(), "GET", "/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("anabranch_steering_{name} ")));
        line.unwrap_or_else(|| panic!("{name} in {text}")).parse::<f64>().unwrap()
    };
    let holds = |event| counted(&format!("holds_total{{policy=\"in all\",event=\"{event}\"}}"));
    assert_eq!((holds("begun"), holds("ended")), (0.0, 0.0));
    let began = counted("last_turn_timestamp_seconds");
    let mut tunnel = Tunnel::over(mptcp_connect(proxy.address("edge")), echo.address);
    tunnel.echo("hello");
    eventually("the hold is counted, and the loop turns", || {
        holds("begun") > 0.0 && counted("last_turn_timestamp_seconds") > began
    });
    // It is told to observe: of all this nothing is done.
    assert_eq!((counted("connections"), counted("held{action=\"total\"}")), (0.0, 0.0));
    tunnel.finish();
    eventually("and its end", || holds("ended") + holds("released") == holds("begun"));
}
