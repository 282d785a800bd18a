//! Promise: whatever an origin answers, its client sees a whole answer that follows the grammar, an error of ours that
//! says why not, or a body that visibly broke off; and never a byte of it in the answer to another request.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anabranch_tests::message::Kind;
use anabranch_tests::{Client, Conversation, Origin, Proxy};

use crate::proxy;

/// Rows that run at the same time.
const AT_ONCE: usize = 8;

/// The fewest rows the table may have; it must not shrink unseen.
const FEWEST: usize = 90;

struct Row {
    name: &'static str,
    request: &'static str,
    /// What the origin says to the first request; every later one is answered `probe`.
    answer: Vec<u8>,
    then: Then,
    view: View,
}

/// What the origin does when it has answered.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// Waits for the next request.
    Stay,
    /// Ends the connection in order.
    Close,
    /// Goes on with these bytes, a little later, while nobody asks.
    Babble(&'static str),
    /// Sends the answer over and over.
    Repeat,
}

/// What the client sees.
enum View {
    /// 502 or 504 with this error token.
    Refused(u16, &'static str),
    /// A whole answer with this status and body.
    Whole(u16, &'static str),
    /// No whole answer, and the end of the connection.
    Cut,
    /// A whole answer with this body; whatever follows it on the origin's connection is lost with the connection.
    Alone(&'static str),
}

const GET: &str = "GET http://{o}/ HTTP/1.1\r\nHost: {o}\r\n\r\n";
const HEAD: &str = "HEAD http://{o}/ HTTP/1.1\r\nHost: {o}\r\n\r\n";
const UPGRADE: &str = "GET http://{o}/ HTTP/1.1\r\nHost: {o}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

fn row(name: &'static str, answer: impl AsRef<[u8]>, then: Then, view: View) -> Row {
    Row { name, request: GET, answer: answer.as_ref().to_vec(), then, view }
}

fn asking(request: &'static str, row: Row) -> Row {
    Row { request, ..row }
}

/// An answer of status 200 with these fields and this body.
fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")
}

fn chunked(body: &str) -> String {
    ok("Transfer-Encoding: chunked\r\n", body)
}

fn framing() -> Vec<Row> {
    use Then::{Close, Stay};
    use View::{Cut, Refused, Whole};
    let protocol =
        |name, fields: &str, body: &str| row(name, ok(fields, body), Stay, Refused(502, "http_protocol_error"));
    let coding = |name, fields: &str, body: &str| {
        row(name, ok(fields, body), Stay, Refused(502, "http_response_transfer_coding"))
    };
    let cut = |name, answer: String, then| row(name, answer, then, Cut);
    vec![
        protocol("TE then CL", "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "2\r\nok\r\n0\r\n\r\n"),
        protocol("CL then TE", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
        protocol("CL twice, different", "Content-Length: 2\r\nContent-Length: 3\r\n", "ok"),
        protocol("CL list, different", "Content-Length: 2, 3\r\n", "ok"),
        protocol("CL with plus", "Content-Length: +2\r\n", "ok"),
        protocol("CL with minus", "Content-Length: -2\r\n", "ok"),
        protocol("CL in hexadecimal", "Content-Length: 0x2\r\n", "ok"),
        protocol("CL empty", "Content-Length:\r\n", "ok"),
        protocol("CL beyond 64 bits", "Content-Length: 18446744073709551616\r\n", "ok"),
        row("CL twice, equal", ok("Content-Length: 2\r\nContent-Length: 2\r\n", "ok"), Stay, Whole(200, "ok")),
        row("CL list, equal", ok("Content-Length: 2, 2\r\n", "ok"), Stay, Whole(200, "ok")),
        row("CL with leading zeros", ok("Content-Length: 002\r\n", "ok"), Stay, Whole(200, "ok")),
        coding("gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
        coding("chunked, chunked", "Transfer-Encoding: chunked, chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
        coding("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        row("gzip", ok("Transfer-Encoding: gzip\r\n", "ok"), Close, Refused(502, "http_response_transfer_coding")),
        row(
            "xchunked",
            ok("Transfer-Encoding: xchunked\r\n", "ok"),
            Close,
            Refused(502, "http_response_transfer_coding"),
        ),
        row(
            "identity",
            ok("Transfer-Encoding: identity\r\n", "ok"),
            Close,
            Refused(502, "http_response_transfer_coding"),
        ),
        row(
            "TE in HTTP/1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            Close,
            Refused(502, "http_protocol_error"),
        ),
        row("chunked", chunked("2\r\nok\r\n0\r\n\r\n"), Stay, Whole(200, "ok")),
        row("chunk extension", chunked("2;a=b\r\nok\r\n0;c\r\n\r\n"), Stay, Whole(200, "ok")),
        row("until close", ok("", "ok"), Close, Whole(200, "ok")),
        row("HTTP/1.0 until close", "HTTP/1.0 200 OK\r\n\r\nok", Close, Whole(200, "ok")),
        row("HTTP/1.0 with CL", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Close, Whole(200, "ok")),
        cut("chunk size 0x2", chunked("0x2\r\nok\r\n0\r\n\r\n"), Stay),
        cut("chunk size -2", chunked("-2\r\nok\r\n0\r\n\r\n"), Stay),
        cut("chunk size beyond 64 bits", chunked("10000000000000002\r\nok\r\n0\r\n\r\n"), Stay),
        cut("chunk size line ended by LF", chunked("2\nok\r\n0\r\n\r\n"), Stay),
        cut("no CRLF behind the chunk", chunked("2\r\nokXX\r\n0\r\n\r\n"), Stay),
        cut("chunk extension without end", chunked(&format!("2;{}\r\nok\r\n0\r\n\r\n", "a".repeat(20_000))), Stay),
        cut("trailers without end", chunked(&format!("2\r\nok\r\n0\r\n{}", "X: y\r\n".repeat(10_000))), Stay),
        cut("close inside a CL body", ok("Content-Length: 3\r\n", "ok"), Close),
        cut("close behind a CL head", ok("Content-Length: 3\r\n", ""), Close),
        cut("close between chunks", chunked("2\r\nok\r\n"), Close),
        cut("close inside a chunk", chunked("5\r\nok"), Close),
        cut("close inside a chunk size", chunked("2\r\nok\r\n1"), Close),
        cut("close before the last line end", chunked("2\r\nok\r\n0\r\n"), Close),
        cut("silence inside a body", ok("Content-Length: 3\r\n", "ok"), Stay),
        cut("silence between chunks", chunked("2\r\nok\r\n"), Stay),
    ]
}

fn heads() -> Vec<Row> {
    use Then::{Close, Repeat, Stay};
    use View::{Refused, Whole};
    let body = "Content-Length: 2\r\n";
    let bad = |name, answer: &str| row(name, answer, Stay, Refused(502, "http_protocol_error"));
    let field = |name, field: &str| {
        row(name, ok(&format!("{field}\r\n{body}"), "ok"), Stay, Refused(502, "http_protocol_error"))
    };
    let large = |name, fields: &str| {
        row(name, ok(&format!("{fields}{body}"), "ok"), Stay, Refused(502, "http_response_header_section_size"))
    };
    vec![
        field("space before the colon", "X : y"),
        field("space inside a name", "X Y: z"),
        field("empty name", ": y"),
        field("name that is no token", "X(Y): z"),
        field("line without a colon", "nothing"),
        field("obs-fold", "X: y\r\n z"),
        field("obs-fold that hides a field", "X: y\r\n\tContent-Length: 9"),
        field("NUL in a value", "X: y\0z"),
        field("CR in a value", "X: y\rz"),
        field("DEL in a value", "X: y\x7fz"),
        row(
            "whitespace before the first field",
            "HTTP/1.1 200 OK\r\n X: y\r\n\r\n",
            Stay,
            Refused(502, "http_protocol_error"),
        ),
        row("lines ended by LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", Stay, Whole(200, "ok")),
        bad("status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("status 099", "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("status in letters", "HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("HTTP/2 in the clear", "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        bad("ICY", "ICY 200 OK\r\n\r\nok"),
        bad("HTTP/0.9", "<html>ok</html>\r\n\r\n"),
        bad("another protocol", "SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        bad("a request for an answer", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        row("reason missing", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", Stay, Whole(200, "ok")),
        row("status 999", "HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok", Stay, Whole(999, "ok")),
        large("one huge field", &format!("X: {}\r\n", "y".repeat(17_000))),
        large("fields without end", &"X: y\r\n".repeat(100_000)),
        large("101 fields", &"X: y\r\n".repeat(100)),
        row("nothing at all", "", Close, Refused(502, "http_response_incomplete")),
        row("half a head", "HTTP/1.1 200 OK\r\nX: ", Close, Refused(502, "http_response_incomplete")),
        row("silence", "", Stay, Refused(504, "http_response_timeout")),
        row("half a head, then silence", "HTTP/1.1 200 OK\r\nX: ", Stay, Refused(504, "http_response_timeout")),
        // Interim answers.
        row(
            "a thousand interim answers",
            "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000) + &ok(body, "ok"),
            Stay,
            Whole(200, "ok"),
        ),
        row(
            "interim answers without end",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
            Repeat,
            Refused(504, "http_response_timeout"),
        ),
        row(
            "interim answer with a length",
            "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n".to_owned() + &ok(body, "ok"),
            Stay,
            Whole(200, "ok"),
        ),
        row(
            "101 nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            Stay,
            Refused(502, "http_upgrade_failed"),
        ),
        asking(
            UPGRADE,
            row(
                "101 to another protocol than asked",
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
                Stay,
                Refused(502, "http_upgrade_failed"),
            ),
        ),
        asking(
            UPGRADE,
            row(
                "101 that does not say to what",
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
                Stay,
                Refused(502, "http_upgrade_failed"),
            ),
        ),
        asking(UPGRADE, row("Upgrade ignored", ok(body, "ok"), Stay, Whole(200, "ok"))),
    ]
}

fn leftovers() -> Vec<Row> {
    use Then::{Babble, Close, Stay};
    use View::{Alone, Whole};
    let body = "Content-Length: 2\r\n";
    vec![
        row("a second answer behind a CL body", ok(body, "ok") + POISON, Stay, Alone("ok")),
        row("a second answer behind a chunked body", chunked("2\r\nok\r\n0\r\n\r\n") + POISON, Stay, Alone("ok")),
        row("a line end behind the answer", ok(body, "ok") + "\r\n", Stay, Alone("ok")),
        row("more than Content-Length says", ok(body, "okay"), Stay, Alone("ok")),
        row("an answer while nobody asks", ok(body, "ok"), Babble(POISON), Alone("ok")),
        row("half an answer while nobody asks", ok(body, "ok"), Babble("HTTP/1.1 200 OK\r\nX: "), Alone("ok")),
        asking(HEAD, row("HEAD with a body", ok("Content-Length: 99\r\n", POISON), Stay, Alone(""))),
        asking(HEAD, row("HEAD without", ok("Content-Length: 99\r\n", ""), Stay, Whole(200, ""))),
        asking(HEAD, row("HEAD of chunked", chunked(""), Stay, Whole(200, ""))),
        row("204 with a body", "HTTP/1.1 204 No Content\r\n\r\n".to_owned() + POISON, Stay, Alone("")),
        row("204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", Stay, Whole(204, "")),
        row("304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", Stay, Whole(304, "")),
        row(
            "304 with a body",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n".to_owned() + POISON,
            Stay,
            Alone(""),
        ),
        row("Connection: close and no close", ok(&format!("Connection: close\r\n{body}"), "ok"), Stay, Alone("ok")),
        row("close without saying so", ok(body, "ok"), Close, Alone("ok")),
    ]
}

#[test]
fn every_odd_answer_is_whole_refused_or_visibly_cut() {
    let mut proxy =
        proxy("[timeouts]\nresponse_head = \"1 s\"\nbody_idle = \"1 s\"\n[limits]\nheader_bytes = \"16 KiB\"\n");
    let table: Vec<Row> = [framing(), heads(), leftovers()].into_iter().flatten().collect();
    assert!(table.len() >= FEWEST, "{} rows", table.len());
    let failures = Mutex::new(Vec::new());
    let queue = Mutex::new(table.iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some(row) = next else { return };
                    if let Err(failure) = check(&proxy, row) {
                        failures.lock().unwrap().push(format!("{}: {failure}", row.name));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {} rows fail:\n{}", failures.len(), table.len(), failures.join("\n"));
    proxy.assert_healthy();
}

fn check(proxy: &Proxy, row: &Row) -> Result<(), String> {
    let (answer, then, connections) = (row.answer.clone(), row.then, AtomicUsize::new(0));
    let origin = Origin::start(move |conversation| {
        if connections.fetch_add(1, Ordering::Relaxed) == 0 && !first(conversation, &answer, then) {
            return;
        }
        while conversation.request().is_some() {
            conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nprobe");
        }
    });
    let address = origin.address.to_string();
    let mut client = Client::connect(proxy.address);
    client.send(row.request.replace("{o}", &address));
    let kind = if row.request.starts_with("HEAD") { Kind::Bodiless } else { Kind::Answer };
    let got = client.try_answer(kind);
    match (&row.view, &got) {
        (View::Refused(status, error), Ok(answer)) => {
            if (answer.status(), answer.error().as_deref()) != (*status, Some(error)) {
                return Err(format!("expected {status} {error}, got {answer}"));
            }
        }
        (View::Whole(..) | View::Alone(_), Ok(answer)) => {
            let status = if let View::Whole(status, _) = row.view { status } else { answer.status() };
            let (View::Whole(_, body) | View::Alone(body)) = row.view else { unreachable!("matched above") };
            if answer.error().is_some() || answer.status() != status || answer.text() != body {
                return Err(format!("expected {status} {body:?}, got {answer}"));
            }
        }
        (View::Cut, Err(error)) if error.starts_with("cut off") => {
            // A head that nothing follows may be missing too.
            return probe(proxy, &address, None);
        }
        (_, got) => return Err(format!("got {got:?}")),
    }
    if let Then::Babble(_) = row.then {
        std::thread::sleep(Duration::from_millis(300));
    }
    probe(proxy, &address, Some(client))?;
    let fresh = !matches!(row.view, View::Whole(..));
    if fresh && origin.connections() != 2 {
        return Err(format!(
            "{} connections to the origin; expected a new one for the next request",
            origin.connections()
        ));
    }
    Ok(())
}

/// The first connection: one answer as the row has it. Whether more requests may come on it.
fn first(conversation: &mut Conversation, answer: &[u8], then: Then) -> bool {
    if conversation.request().is_none() {
        return false;
    }
    conversation.say(answer);
    match then {
        Then::Stay => true,
        Then::Close => false,
        Then::Babble(more) => {
            std::thread::sleep(Duration::from_millis(100));
            conversation.say(more);
            true
        }
        Then::Repeat => {
            while conversation.push(answer, 100 * answer.len(), Duration::from_secs(1)) > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            false
        }
    }
}

/// The next request gets its own answer, on the same connection where there still is one.
fn probe(proxy: &Proxy, address: &str, client: Option<Client>) -> Result<(), String> {
    let mut client = client.unwrap_or_else(|| Client::connect(proxy.address));
    client.send(GET.replace("{o}", address));
    let answer = client.try_answer(Kind::Answer).map_err(|error| format!("next request: {error}"))?;
    if answer.text() == "probe" { Ok(()) } else { Err(format!("the next request gets {answer}")) }
}
