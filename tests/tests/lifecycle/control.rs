//! The control socket: who may ask, what is answered, and what is not.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Origin, PATIENCE, Proxy, Tunnel, ask, binary, connect, eventually, mptcp_connect, read_reply};

const EDGE: &str = "[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\n";

/// Nobody's user and group.
const NOBODY: &str = "65534";

fn ask_as(group: &str, proxy: &Proxy) -> Output {
    let mut curl = Command::new("setpriv");
    curl.args([&format!("--reuid={NOBODY}"), &format!("--regid={group}"), "--clear-groups", "curl", "-sS", "-m", "5"]);
    curl.arg("--unix-socket").arg(proxy.control()).arg("http://anabranch/status").output().unwrap()
}

#[test]
fn only_root_and_its_own_user_may_ask() {
    let proxy = Proxy::start(EDGE);
    let mode = std::fs::metadata(proxy.control()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let refused = ask_as(NOBODY, &proxy);
    assert!(refused.stdout.is_empty() && refused.status.code() == Some(7), "{refused:?}");
    // Even where somebody opened the file to everybody, the kernel's word on the peer counts.
    std::fs::set_permissions(proxy.control(), std::fs::Permissions::from_mode(0o666)).unwrap();
    let refused = ask_as(NOBODY, &proxy);
    assert!(refused.stdout.is_empty() && !refused.status.success(), "{refused:?}");
    proxy.says("control socket: refused");
    assert_eq!(ask(&proxy.control(), "GET", "/status").0, 200);
}

#[test]
fn a_group_by_name_or_number_may_ask_too() {
    let name = nix::unistd::Group::from_gid(65534.into()).unwrap().expect("a group of nobody").name;
    for group in [NOBODY, name.as_str()] {
        let start = crate::support::Start::new(EDGE);
        let text = std::fs::read_to_string(start.dir.path("anabranch.toml")).unwrap();
        let text = text.replace("[control]\n", &format!("[control]\ngroup = \"{group}\"\n"));
        start.dir.write("anabranch.toml", &text);
        let proxy = start.run();
        assert_eq!(std::fs::metadata(proxy.control()).unwrap().gid(), 65534);
        let answered = ask_as(NOBODY, &proxy);
        assert!(answered.status.success() && answered.stdout.starts_with(b"{"), "{answered:?}");
        let refused = ask_as("65533", &proxy);
        assert!(refused.stdout.is_empty() && refused.status.code() == Some(7), "{refused:?}");
    }
}

#[test]
fn answers_have_the_documented_shape() {
    let echo = Origin::echo();
    let proxy = Proxy::start(EDGE);
    let address = proxy.address("edge");
    let mut plain = Tunnel::open(address, echo.address);
    plain.echo("12345");
    let mut multipath = Tunnel::over(mptcp_connect(address), echo.address);
    multipath.echo("123");

    let status = proxy.status();
    assert_eq!(status["pid"], proxy.pid());
    assert_eq!(status["sessions"], 2);
    assert_eq!(status["draining"], false);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["listeners"][0]["name"], "edge");
    assert!(status["counters"].as_object().unwrap().values().all(Value::is_u64), "{status}");

    let (code, body) = ask(&proxy.control(), "GET", "/connections");
    let lines: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(code, 200);
    // Connections that are no sessions of ours, the other end's among them, come behind.
    let sessions: Vec<_> = lines.as_array().unwrap().iter().filter(|line| line["session"].is_u64()).collect();
    let [first, second] = sessions.as_slice() else { panic!("{body}") };
    assert_eq!((&first["bytes_to_origin"], &first["bytes_to_client"]), (&5.into(), &5.into()), "{body}");
    assert_eq!((&first["mptcp"], &first["fallback"]), (&false.into(), &"no-mptcp-on-syn".into()));
    assert_eq!((&second["mptcp"], &second["fallback"]), (&true.into(), &Value::Null));
    assert_eq!(second["token"].as_str().map(str::len), Some(8), "{body}");
    assert_eq!(second["origin"], echo.address.to_string());
    assert_eq!(first["client"], plain.0.local_addr().unwrap().to_string());

    let (code, metrics) = ask(&proxy.control(), "GET", "/metrics");
    assert!(code == 200 && metrics.ends_with("# EOF\n"), "{metrics}");
    for (command, expected) in [("status", "2 sessions"), ("connections", "no-mptcp-on-syn")] {
        let said = Command::new(binary()).arg(command).arg("--socket").arg(proxy.control()).output().unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        assert!(said.status.success() && text.contains(expected), "{text}");
        let json = Command::new(binary()).args([command, "--json", "--socket"]).arg(proxy.control()).output().unwrap();
        serde_json::from_slice::<Value>(&json.stdout).unwrap();
    }
    let nobody = Command::new(binary()).args(["status", "--socket", "/nonexistent/x.sock"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(69));
    drop((plain, multipath));
}

#[test]
fn hostile_questions_are_answered_or_dropped_and_nothing_breaks() {
    let proxy = Proxy::start(EDGE);
    let cases = [
        ("GET", "/", 404),
        ("GET", "/../status", 404),
        ("GET", "/status/", 404),
        ("GET", "//status", 404),
        ("GET", "/%73tatus", 404),
        ("POST", "/status", 405),
        ("DELETE", "/connections", 405),
        ("GET", "*", 404),
    ];
    for (method, path, expected) in cases {
        assert_eq!(ask(&proxy.control(), method, path).0, expected, "{method} {path}");
    }
    let long = format!("/{}", "a".repeat(70_000));
    assert!([404, 414].contains(&ask(&proxy.control(), "GET", &long).0));
    for garbage in [&b"\0\xff\r\n\r\n"[..], b"GET /status HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00"] {
        let mut stream = UnixStream::connect(proxy.control()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    }
    // Somebody who connects and says nothing holds up nobody.
    let _mute: Vec<_> = (0..50).map(|_| UnixStream::connect(proxy.control()).unwrap()).collect();
    assert_eq!(proxy.status()["sessions"], 0);
}

/// A POST, half of its answer, and a tunnel, all over one connection.
#[test]
fn requests_are_counted_while_they_run_and_each_for_itself() {
    let (go, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let web = Origin::new(move |mut stream| {
        let mut read = Vec::new();
        while !read.ends_with(b"up-load") {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&piece[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").unwrap();
        waits.lock().unwrap().recv().unwrap();
        stream.write_all(b"world").unwrap();
    });
    let echo = Origin::echo();
    let proxy = Proxy::start(EDGE);
    let counts = || {
        let (_, body) = ask(&proxy.control(), "GET", "/connections");
        let lines: Value = serde_json::from_str(&body).unwrap();
        // Before it is accepted there is no line of it.
        let of = |key: &str| lines[0][key].as_u64().unwrap_or_default();
        (of("bytes_to_origin"), of("bytes_to_client"))
    };
    let mut stream = connect(proxy.address("edge"));
    write!(stream, "POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 7\r\n\r\nup-", web.url("/")).unwrap();
    eventually("what has been sent up is counted", || counts() == (3, 0));
    stream.write_all(b"load").unwrap();
    eventually("what has come down is counted", || counts() == (7, 5));
    go.send(()).unwrap();
    assert_eq!(read_reply(&mut stream).text(), "helloworld");
    let mut tunnel = Tunnel::over(stream, echo.address);
    tunnel.echo("123");
    eventually("what the tunnel carries comes on top", || counts() == (10, 13));
    assert!(tunnel.finish().is_empty());
    let out = proxy.stop().out;
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].contains(" method=POST ") && lines[0].contains(" to_origin=7 to_client=10 "), "{out}");
    assert!(lines[1].contains(" method=CONNECT ") && lines[1].contains(" to_origin=3 to_client=3 "), "{out}");
}
