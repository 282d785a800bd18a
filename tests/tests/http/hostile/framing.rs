//! Where does the request end? (RFC 9112 §6 and §7)

use super::{Expect, Row, bare, canonical, canonical_then_closed, refused, row};

/// A request that must never be answered by anybody: it is hidden in another one's body.
const HIDDEN: &str = "GET http://{o}/smuggled HTTP/1.1\r\nHost: {o}\r\n\r\n";

fn post(fields: &str, body: &str) -> String {
    format!("POST http://{{o}}/ HTTP/1.1\r\nHost: {{o}}\r\n{fields}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// The head of a chunked request as the origin gets it.
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: {o}\r\nvia: 1.1 {me}\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A chunked body that turns out to be broken once its head has gone on.
fn cut(name: &'static str, body: &str) -> Row {
    row(name, chunked(body), Expect::Cut { arrives: CHUNKED.to_owned(), status: Some(400) })
}

pub(super) fn rows() -> Vec<Row> {
    let te_then_cl = format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", HIDDEN.len() + 5);
    let five = "POST / HTTP/1.1\r\nHost: {o}\r\nContent-Length: 5\r\nvia: 1.1 {me}\r\n\r\nhello";
    let hello = format!("{CHUNKED}5\r\nhello\r\n0\r\n\r\n");
    vec![
        // Both framings (§6.1, §6.3).
        canonical_then_closed("TE then CL", post(&te_then_cl, &format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}")), &hello),
        canonical_then_closed(
            "CL then TE",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", &format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
            &hello,
        ),
        canonical_then_closed(
            "CL 0 then TE",
            post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", &format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
            &hello,
        ),
        canonical_then_closed(
            "CL, TE, CL",
            post(
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n",
                &format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
            ),
            &hello,
        ),
        canonical_then_closed(
            "TE then a CL that is no number",
            post("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", &format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
            &hello,
        ),
        // Content-Length.
        canonical("CL twice, equal", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), five),
        bare("CL twice, different", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), 400),
        bare("CL list, equal", post("Content-Length: 5, 5\r\n", "hello"), 400),
        bare("CL list, different", post("Content-Length: 5, 6\r\n", "hello!"), 400),
        bare("CL with plus", post("Content-Length: +5\r\n", "hello"), 400),
        bare("CL with minus", post("Content-Length: -5\r\n", "hello"), 400),
        bare("CL in hexadecimal", post("Content-Length: 0x5\r\n", "hello"), 400),
        bare("CL with a space inside", post("Content-Length: 1 5\r\n", "hello"), 400),
        bare("CL empty", post("Content-Length:\r\n", "hello"), 400),
        bare("CL in words", post("Content-Length: five\r\n", "hello"), 400),
        bare("CL beyond 64 bits", post("Content-Length: 18446744073709551616\r\n", "hello"), 400),
        bare("CL at the edge of 64 bits", post("Content-Length: 18446744073709551615\r\n", "hello"), 431),
        canonical(
            "CL with leading zeros",
            post("Content-Length: 0005\r\n", "hello"),
            "POST / HTTP/1.1\r\nHost: {o}\r\nContent-Length: 5\r\nvia: 1.1 {me}\r\n\r\nhello",
        ),
        canonical("CL with spaces around", post("Content-Length:   5 \t \r\n", "hello"), five),
        canonical(
            "CL on GET",
            "GET http://{o}/ HTTP/1.1\r\nHost: {o}\r\nContent-Length: 5\r\n\r\nhello",
            "GET / HTTP/1.1\r\nHost: {o}\r\nContent-Length: 5\r\nvia: 1.1 {me}\r\n\r\nhello",
        ),
        // Transfer-Encoding.
        refused(
            "chunked twice",
            post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
            400,
            "http_request_error",
        ),
        refused(
            "chunked on two lines",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            400,
            "http_request_error",
        ),
        refused("gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501, "http_request_error"),
        refused(
            "identity and chunked on two lines",
            post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            501,
            "http_request_error",
        ),
        bare(
            "chunked and identity on two lines",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
            400,
        ),
        bare("chunked, gzip", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 400),
        bare("xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400),
        bare("chunked;x", post("Transfer-Encoding: chunked;x\r\n", "0\r\n\r\n"), 400),
        bare("chunked in quotes", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 400),
        bare("vertical tab before chunked", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), 400),
        bare("TE: identity", post("Transfer-Encoding: identity\r\n", "hello"), 400),
        bare("TE empty", post("Transfer-Encoding:\r\n", "hello"), 400),
        bare("TE folded", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400),
        bare("TE with a space before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400),
        bare(
            "TE in HTTP/1.0",
            "POST http://{o}/ HTTP/1.0\r\nHost: {o}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        canonical(
            "CHUNKED in capitals",
            post("TRANSFER-ENCODING: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            &hello.replace("Transfer-Encoding", "TRANSFER-ENCODING"),
        ),
        canonical_then_closed(
            "TE-like names are fields like others",
            "POST http://{o}/ HTTP/1.1\r\nHost: {o}\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n\
             Connection: close\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: {o}\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\nvia: 1.1 {me}\r\n\r\nhello",
        ),
        // Chunks (§7.1).
        canonical("chunk size in capitals with zeros", chunked("0005\r\nhello\r\n000\r\n\r\n"), &hello),
        canonical("chunk size with spaces behind", chunked("5  \t\r\nhello\r\n0\r\n\r\n"), &hello),
        canonical("chunk extension is dropped", chunked("5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n"), &hello),
        canonical(
            "undeclared trailers are dropped",
            chunked("5\r\nhello\r\n0\r\nContent-Length: 9\r\nX: y\r\n\r\n"),
            &hello,
        ),
        cut("chunk size 0x5", &format!("0x5\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
        cut("chunk size +5", &format!("+5\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
        cut("chunk size -5", &format!("-5\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
        cut("chunk size with a space before", &format!(" 5\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
        cut("chunk size 5 5", &format!("5 5\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
        cut("chunk size empty", &format!("\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
        cut("chunk size with an underscore", &format!("1_0\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
        cut("chunk size beyond 64 bits", &format!("10000000000000005\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
        cut("chunk size line ended by LF", &format!("5\nhello\r\n0\r\n\r\n{HIDDEN}")),
        cut("chunk size line ended by CR", &format!("5\rhello\r\n0\r\n\r\n{HIDDEN}")),
        cut("chunk extension ended by LF", &format!("5;a\nhello\r\n0\r\n\r\n{HIDDEN}")),
        cut("chunk extension without end", &format!("5;{}\r\nhello\r\n0\r\n\r\n{HIDDEN}", "a".repeat(20_000))),
        row(
            "no CRLF behind the chunk",
            chunked(&format!("5\r\nhelloXX\r\n0\r\n\r\n{HIDDEN}")),
            Expect::Cut { arrives: format!("{CHUNKED}5\r\nhello\r\n"), status: Some(400) },
        ),
        row(
            "LF behind the chunk",
            chunked(&format!("5\r\nhello\n0\r\n\r\n{HIDDEN}")),
            Expect::Cut { arrives: format!("{CHUNKED}5\r\nhello\r\n"), status: Some(400) },
        ),
        canonical(
            "trailer section ended by LF: what follows is a trailer, and dropped",
            chunked(&format!("5\r\nhello\r\n0\r\n\n{HIDDEN}")),
            &hello,
        ),
        row(
            "trailers without end",
            chunked(&format!("5\r\nhello\r\n0\r\n{}", "X: y\r\n".repeat(10_000))),
            Expect::Cut { arrives: format!("{CHUNKED}5\r\nhello\r\n"), status: Some(400) },
        ),
    ]
}
