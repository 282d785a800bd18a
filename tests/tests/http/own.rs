//! Promise: what the proxy answers by itself (the doctor, the proxy auto-configuration) goes to its clients and to nobody else, and is
//! bounded.

use anabranch_tests::{Client, message::Kind};
use argon2::password_hash::{PasswordHasher as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use serde_json::Value;

use crate::{proxy, proxy_with};

const DOCTOR: &str = "/.well-known/anabranch/doctor";

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: edge.example:3128\r\n{fields}\r\n")
}

#[test]
fn the_doctor_says_how_the_connection_looks_and_fills_up_to_the_length_asked_for() {
    let proxy = proxy("");
    let mut client = Client::connect(proxy.address);
    for bytes in [0, 1, 100_000] {
        let answer = client.ask(get(&format!("{DOCTOR}?bytes={bytes}"), ""));
        assert_eq!(answer.status(), 200, "{answer}");
        assert_eq!(answer.field("content-type").as_deref(), Some("application/json"));
        assert_eq!(answer.field("cache-control").as_deref(), Some("no-store"));
        let line = answer.body.split(|&byte| byte == b'\n').next().unwrap();
        assert_eq!(answer.body.len(), line.len() + 1 + bytes);
        let view: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(view["edge"], proxy.address.to_string());
        assert_eq!((&view["mptcp"], &view["fallback"]), (&false.into(), &"no-mptcp-on-syn".into()));
        assert_eq!(view["subflows"], serde_json::json!([]));
    }
}

#[test]
fn the_doctor_is_bounded_in_length_and_in_how_often() {
    let proxy = proxy("");
    let mut client = Client::connect(proxy.address);
    for wrong in ["?bytes=8000001", "?bytes=-1", "?bytes=x"] {
        let answer = client.ask(get(&format!("{DOCTOR}{wrong}"), ""));
        assert_eq!((answer.status(), answer.error().as_deref()), (400, Some("http_request_error")), "{wrong}");
    }
    // Nothing else is there, and nothing is done to it.
    for line in [
        format!("POST {DOCTOR}"),
        format!("HEAD {DOCTOR}"),
        "GET /.well-known/anabranch/".to_owned(),
        "POST /proxy.pac".to_owned(),
    ] {
        let kind = if line.starts_with("HEAD") { Kind::Bodiless } else { Kind::Answer };
        client.send(format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(client.try_answer(kind).unwrap().status(), 400, "{line}");
    }
    let mut served = 0;
    let refused = loop {
        let answer = client.ask(get(DOCTOR, ""));
        match answer.status() {
            200 => served += 1,
            status => break (status, answer.error()),
        }
        assert!(served < 1000, "without end");
    };
    assert_eq!(refused, (429, Some("http_request_denied".to_owned())));
    assert!(served >= 100, "a run of the doctor over several links must pass: {served}");
}

#[test]
fn the_doctor_wants_credentials_where_the_listener_does_and_the_pac_does_not() {
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
    let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
    let users = format!("alice:{}\n", cheap.hash_password(b"secret", &salt).unwrap());
    let config = "[[listener]]\naddress = \"127.0.0.1:0\"\ncredentials = \"users\"\n[control]\nsocket = \"off\"\n";
    let program = env!("CARGO_BIN_EXE_anabranch-under-test");
    let proxy = anabranch_tests::Proxy::start(program, config, &[("users", &users)]);
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.ask(get(DOCTOR, "")).status(), 407);
    // alice:secret
    assert_eq!(client.ask(get(DOCTOR, "Proxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n")).status(), 200);
    assert_eq!(client.ask(get("/proxy.pac", "")).status(), 200);
}

#[test]
fn browsers_are_told_the_configured_rules_in_both_places_and_the_way_here_without_any() {
    let rules = "[pac]\ndirect_domains = [\"intranet.example\"]\nchain = [\"PROXY a.example:1\", \"DIRECT\"]\n";
    let with = proxy_with("", rules, &[]);
    let mut client = Client::connect(with.address);
    for place in ["/proxy.pac", "/wpad.dat"] {
        let answer = client.ask(get(place, ""));
        assert_eq!(
            (answer.status(), answer.field("content-type").as_deref()),
            (200, Some("application/x-ns-proxy-autoconfig"))
        );
        let text = answer.text();
        assert!(text.contains("\"PROXY a.example:1; DIRECT\"") && text.contains(".intranet.example"), "{text}");
    }
    client.send("HEAD /proxy.pac HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.try_answer(Kind::Bodiless).unwrap().status(), 200);

    let without = proxy("");
    let mut client = Client::connect(without.address);
    assert!(client.ask(get("/proxy.pac", "")).text().contains("\"PROXY edge.example:3128; DIRECT\""));
    // What a client calls wpad means nothing to others, and what would end the text of a script is not taken for a name.
    for host in ["wpad.home.example", "wpad"] {
        client.send(format!("GET /wpad.dat HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let answer = client.try_answer(Kind::Answer).unwrap();
        assert!(answer.text().contains(&format!("\"PROXY {}; DIRECT\"", without.address)), "{answer}");
    }
}

/// What the served file answers for a URL and its host, evaluated by pacparser.
fn evaluated(file: &std::path::Path, url: &str, host: &str) -> String {
    let mut command = std::process::Command::new("pactester");
    let output = command.arg("-p").arg(file).args(["-u", url, "-h", host]).output();
    let output = output.expect("pactester (Debian: libpacparser1; deploy/bootstrap.sh test installs it)");
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn an_engine_of_javascript_takes_the_file_as_it_is_meant() {
    const CHAIN: &str = "PROXY a.example:1; DIRECT";
    let rules = "[pac]\ndirect_domains = [\"intranet.example\"]\ndirect_networks = [\"10.0.0.0/8\", \"fd00::/8\", \"2001:db8:4::/47\"]\n\
                 chain = [\"PROXY a.example:1\", \"DIRECT\"]\n";
    let proxy = proxy_with("", rules, &[]);
    let text = Client::connect(proxy.address).ask(get("/proxy.pac", "")).text();
    let file = std::env::temp_dir().join(format!("anabranch-{}.pac", std::process::id()));
    std::fs::write(&file, text).unwrap();
    for (url, host, expected) in [
        ("http://www.example.org/", "www.example.org", CHAIN),
        ("https://www.example.org/", "WWW.example.org", CHAIN),
        ("wss://www.example.org/", "www.example.org", CHAIN),
        ("ftp://www.example.org/", "www.example.org", "DIRECT"),
        ("http://intranet.example/", "intranet.example", "DIRECT"),
        ("http://www.intranet.example/", "www.Intranet.example", "DIRECT"),
        ("http://notintranet.example/", "notintranet.example", CHAIN),
        ("http://intranet.example.org/", "intranet.example.org", CHAIN),
        ("http://printer/", "printer", "DIRECT"),
        ("http://tv.local/", "tv.local", "DIRECT"),
        ("http://10.1.2.3/", "10.1.2.3", "DIRECT"),
        ("http://11.1.2.3/", "11.1.2.3", CHAIN),
        ("http://127.0.0.1/", "127.0.0.1", "DIRECT"),
        ("http://169.254.1.1/", "169.254.1.1", "DIRECT"),
        // A name that only looks like one of those.
        ("http://127.0.0.1.example.org/", "127.0.0.1.example.org", CHAIN),
        ("http://[fd00::1]/", "fd00::1", "DIRECT"),
        ("http://[fd00::1]/", "[fd00::1]", "DIRECT"),
        ("http://[fe80::1]/", "fe80::1", "DIRECT"),
        ("http://[::1]/", "::1", "DIRECT"),
        ("http://[2001:db8:4::1]/", "2001:db8:4::1", "DIRECT"),
        ("http://[2001:db8:6::1]/", "2001:db8:6::1", CHAIN),
        ("http://[2001:db9::1]/", "2001:db9::1", CHAIN),
    ] {
        assert_eq!(evaluated(&file, url, host), expected, "{url} {host}");
    }
    std::fs::remove_file(&file).unwrap();
}
