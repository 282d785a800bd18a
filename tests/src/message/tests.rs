use super::*;

fn request(bytes: &str) -> Result<Option<(Message, usize)>, String> {
    parse(bytes.as_bytes(), Kind::Request, false)
}

#[test]
fn a_whole_message_is_read_and_what_follows_is_left() {
    let (message, end) = request("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET").unwrap().unwrap();
    assert_eq!((message.start.as_str(), message.field("host").as_deref(), end), ("GET / HTTP/1.1", Some("a"), 27));
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n";
    let (message, end) = request(chunked).unwrap().unwrap();
    assert_eq!((message.text().as_str(), message.trailers.len(), end), ("abc", 1, chunked.len()));
}

#[test]
fn every_cut_of_a_message_is_partial_and_never_wrong() {
    let whole = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for cut in 0..whole.len() {
        assert_eq!(request(&whole[..cut]), Ok(None), "cut at {cut}");
    }
}

#[test]
fn what_another_reader_could_read_differently_is_refused() {
    for bad in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    ] {
        assert!(request(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn an_answer_without_framing_ends_with_the_connection() {
    let answer = b"HTTP/1.0 200 OK\r\n\r\nall of it";
    assert_eq!(parse(answer, Kind::Answer, false), Ok(None));
    assert_eq!(parse(answer, Kind::Answer, true).unwrap().unwrap().0.text(), "all of it");
    assert_eq!(parse(answer, Kind::Bodiless, false).unwrap().unwrap().1, 19);
}
