//! Promise: no malformed or hostile request gets anything out of the proxy but an answer, and none of its bytes reach
//! an origin unless they were first understood and written anew.
//!
//! Each row of the table runs on a connection of its own, against an origin of its own that records every byte.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;

use anabranch_tests::message::Kind;
use anabranch_tests::{Client, End, Message, NameServer, Origin, PATIENCE, Proxy};

use crate::proxy;

mod framing;
mod lines;
mod method;
mod target;

/// Rows that run at the same time.
const AT_ONCE: usize = 8;

/// The fewest rows the table may have; it must not shrink unseen.
const FEWEST: usize = 240;

/// One hostile request and what must come of it.
pub(crate) struct Row {
    name: &'static str,
    /// The exact bytes; `{o}` stands for the origin's host and port.
    request: Vec<u8>,
    expect: Expect,
    /// Sent byte by byte, this long apart.
    pace: Option<Duration>,
}

/// What must come of it.
pub(crate) enum Expect {
    /// Our own answer; the origin sees nothing.
    Ours { status: u16, error: Option<&'static str>, after: After },
    /// The parser's answer without a body, or none at all; the connection ends, the origin sees nothing.
    Bare { status: Option<u16> },
    /// The origin sees exactly these bytes and its answer comes back.
    Canonical { arrives: String, after: After },
    /// The origin sees no more than these bytes, which are no whole request; the client gets this answer or none.
    Cut { arrives: String, status: Option<u16> },
}

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum After {
    /// It serves the next request, so both ends agree where this one ended.
    Open,
    /// It ends, and whatever was hidden behind the request with it.
    Closed,
}

pub(crate) fn row(name: &'static str, request: impl AsRef<[u8]>, expect: Expect) -> Row {
    Row { name, request: request.as_ref().to_vec(), expect, pace: None }
}

/// Refused by us, and the connection with it.
pub(crate) fn refused(name: &'static str, request: impl AsRef<[u8]>, status: u16, error: &'static str) -> Row {
    row(name, request, Expect::Ours { status, error: Some(error), after: After::Closed })
}

/// Refused by us; the next request is served.
pub(crate) fn denied(name: &'static str, request: impl AsRef<[u8]>, status: u16, error: &'static str) -> Row {
    row(name, request, Expect::Ours { status, error: Some(error), after: After::Open })
}

/// Not even parsed.
pub(crate) fn bare(name: &'static str, request: impl AsRef<[u8]>, status: u16) -> Row {
    row(name, request, Expect::Bare { status: Some(status) })
}

/// Closed without a word.
pub(crate) fn dropped(name: &'static str, request: impl AsRef<[u8]>) -> Row {
    row(name, request, Expect::Bare { status: None })
}

/// Understood and written anew.
pub(crate) fn canonical(name: &'static str, request: impl AsRef<[u8]>, arrives: &str) -> Row {
    row(name, request, Expect::Canonical { arrives: arrives.to_owned(), after: After::Open })
}

/// Understood and written anew; then the connection ends.
pub(crate) fn canonical_then_closed(name: &'static str, request: impl AsRef<[u8]>, arrives: &str) -> Row {
    row(name, request, Expect::Canonical { arrives: arrives.to_owned(), after: After::Closed })
}

#[test]
fn every_hostile_request_is_refused_or_written_anew() {
    let names = NameServer::start(&[
        ("rebind.example.com", Ipv4Addr::LOCALHOST),
        ("inside.example.com", Ipv4Addr::new(10, 1, 2, 3)),
        ("origin.example.com", Ipv4Addr::new(127, 9, 0, 1)),
    ]);
    let mut proxy = proxy(&format!(
        "[timeouts]\nrequest_head = \"1 s\"\nkeep_alive = \"10 s\"\n[limits]\nheader_bytes = \"16 KiB\"\n\
         [resolver]\nservers = [\"{}\"]\n",
        names.address
    ));
    let pseudonym = pseudonym(&proxy);
    let table = [framing::rows(), lines::rows(), target::rows(), method::rows()].into_iter().flatten();
    let table: Vec<Row> = table.chain(looped(&pseudonym)).collect();
    assert!(table.len() >= FEWEST, "{} rows", table.len());

    let failures = Mutex::new(Vec::new());
    let queue = Mutex::new(table.iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some(row) = next else { return };
                    if let Err(failure) = check(&proxy, &pseudonym, row) {
                        failures.lock().unwrap().push(format!("{}: {failure}", row.name));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} rows fail:\n{}", failures.len(), failures.join("\n"));

    let origin = Origin::friendly();
    let normal = Client::connect(proxy.address).ask(get(&origin));
    assert_eq!((normal.status(), normal.text().as_str()), (200, "ok"));
    proxy.assert_healthy();
}

/// A request that has been through this very proxy.
fn looped(pseudonym: &str) -> [Row; 2] {
    let request = |via: &str| format!("GET http://{{o}}/ HTTP/1.1\r\nHost: {{o}}\r\nVia: {via}\r\n\r\n");
    [
        denied("loop by Via", request(&format!("1.1 {pseudonym}")), 502, "proxy_loop_detected"),
        denied(
            "loop by Via among others",
            request(&format!("1.0 a, 1.1 {pseudonym} (x), 1.1 b")),
            502,
            "proxy_loop_detected",
        ),
    ]
}

fn get(origin: &Origin) -> String {
    format!("GET http://{0}/probe HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address)
}

/// Our name in `Via`, which is another in every process.
fn pseudonym(proxy: &Proxy) -> String {
    let origin = Origin::friendly();
    let answer = Client::connect(proxy.address).ask(get(&origin));
    answer.field("via").and_then(|via| Some(via.split_once(' ')?.1.to_owned())).expect("a Via with our name")
}

fn check(proxy: &Proxy, pseudonym: &str, row: &Row) -> Result<(), String> {
    let origin = Origin::friendly();
    let address = origin.address.to_string();
    let mut client = Client::connect(proxy.address);
    let request = replace(&row.request, b"{o}", address.as_bytes());
    match row.pace {
        None => client.send(&request),
        Some(pace) => request.chunks(1).for_each(|byte| {
            client.send(byte);
            std::thread::sleep(pace);
        }),
    }
    let (expected, after) = match &row.expect {
        Expect::Ours { status, error, after } => {
            let answer = client.try_answer(Kind::Answer)?;
            let got = (answer.status(), answer.error());
            if got != (*status, error.map(str::to_owned)) {
                return Err(format!("expected {status} {error:?}, got {answer}"));
            }
            (String::new(), *after)
        }
        Expect::Bare { status } => {
            let answer = status.map(|_| client.try_answer(Kind::Answer)).transpose()?;
            if answer.as_ref().map(Message::status) != *status || answer.as_ref().and_then(Message::error).is_some() {
                return Err(format!("expected a bare {status:?}, got {answer:?}"));
            }
            (String::new(), After::Closed)
        }
        Expect::Canonical { arrives, after } => {
            let answer = client.try_answer(Kind::Answer)?;
            if answer.status() != 200 || answer.text() != "ok" {
                return Err(format!("expected the origin's answer, got {answer}"));
            }
            (arrives.clone(), *after)
        }
        Expect::Cut { arrives, status } => {
            let answer = status.map(|_| client.try_answer(Kind::Answer)).transpose()?;
            if answer.as_ref().map(Message::status) != *status {
                return Err(format!("expected {status:?}, got {answer:?}"));
            }
            (arrives.clone(), After::Closed)
        }
    };
    let mut expected = expected.replace("{o}", &address).replace("{me}", pseudonym);
    match after {
        After::Closed => {
            let (rest, end) = client.rest(PATIENCE);
            if !rest.is_empty() || end == End::Open {
                return Err(format!("expected the end, got {end:?} and {:?}", rest.escape_ascii().to_string()));
            }
        }
        After::Open => {
            client.send(get(&origin));
            let probe = client.try_answer(Kind::Answer).map_err(|error| format!("next request: {error}"))?;
            if probe.status() != 200 {
                return Err(format!("the next request on the connection gets {probe}"));
            }
            expected.push_str(&format!("GET /probe HTTP/1.1\r\nHost: {address}\r\nvia: 1.1 {pseudonym}\r\n\r\n"));
        }
    }
    let received = origin.received();
    let cut = matches!(row.expect, Expect::Cut { .. });
    // How much of a request that breaks off goes out before it does is a matter of packets.
    let right = if cut { expected.as_bytes().starts_with(&received) } else { received == expected.as_bytes() };
    if !right {
        return Err(format!("the origin expected {expected:?}, got \"{}\"", received.escape_ascii()));
    }
    if !cut && !origin.faults().is_empty() {
        return Err(format!("the origin got what is no request: {:?}", origin.faults()));
    }
    Ok(())
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(from) {
            out.extend_from_slice(to);
            at += from.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}
