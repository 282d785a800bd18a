use http::header::HeaderName;

use super::*;

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn status(method: Method, version: Version, pairs: &[(&'static str, &'static str)]) -> u16 {
    judge(&method, version, &fields(pairs)).err().map_or(200, |refusal| refusal.status.as_u16())
}

#[test]
fn one_framing_only() {
    let post = |pairs: &[_]| status(Method::POST, Version::HTTP_11, pairs);
    assert_eq!(post(&[("host", "a.example"), ("content-length", "5")]), 200);
    assert_eq!(post(&[("host", "a.example"), ("transfer-encoding", "chunked")]), 200);
    assert_eq!(post(&[("host", "a.example"), ("transfer-encoding", "Chunked")]), 200);
    assert_eq!(post(&[("host", "a.example"), ("content-length", "5"), ("transfer-encoding", "chunked")]), 400);
    assert_eq!(post(&[("host", "a.example"), ("content-length", "5"), ("content-length", "5")]), 400);
    assert_eq!(post(&[("host", "a.example"), ("content-length", "+5")]), 400);
    assert_eq!(post(&[("host", "a.example"), ("transfer-encoding", "chunked, chunked")]), 400);
    assert_eq!(post(&[("host", "a.example"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]), 400);
    assert_eq!(post(&[("host", "a.example"), ("transfer-encoding", "gzip, chunked")]), 501);
    assert_eq!(post(&[("host", "a.example"), ("transfer-encoding", "xchunked")]), 501);
    assert_eq!(post(&[("host", "a.example"), ("transfer-encoding", "")]), 400);
    assert_eq!(status(Method::POST, Version::HTTP_10, &[("transfer-encoding", "chunked")]), 400);
}

#[test]
fn connect_and_trace_have_no_body() {
    let host = ("host", "a.example");
    assert_eq!(status(Method::CONNECT, Version::HTTP_11, &[host, ("content-length", "3")]), 400);
    assert_eq!(status(Method::TRACE, Version::HTTP_11, &[host, ("transfer-encoding", "chunked")]), 400);
    assert_eq!(status(Method::CONNECT, Version::HTTP_11, &[host, ("content-length", "0")]), 200);
}

#[test]
fn one_host_that_is_a_host() {
    let get = |pairs: &[_]| status(Method::GET, Version::HTTP_11, pairs);
    for host in ["a.example", "a.example:80", "[2001:db8::1]:80", "[2001:db8::1]", "192.0.2.1", "", "a.example:"] {
        assert!(is_host(&HeaderValue::from_static(host)), "{host}");
    }
    for host in ["a b", "a.example/x", "a@b", "a:b", "a:80:80", "::1", "[::1", "a\"b", "a\\b", "a#b", "a?b"] {
        assert!(!is_host(&HeaderValue::from_static(host)), "{host}");
    }
    assert_eq!(get(&[]), 400);
    assert_eq!(get(&[("host", "a.example"), ("host", "b.example")]), 400);
    assert_eq!(get(&[("host", "a b")]), 400);
    assert_eq!(status(Method::GET, Version::HTTP_10, &[]), 200);
}

#[test]
fn a_length_is_spelt_once_and_plainly() {
    let spelt = |lines: &[&'static str]| {
        let mut map = fields(&lines.iter().map(|line| ("content-length", *line)).collect::<Vec<_>>());
        spell_length(&mut map);
        map.get_all(header::CONTENT_LENGTH).iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for lines in [&["5"][..], &["0005"], &["5, 5"], &["5", "5"], &[" 5"]] {
        assert_eq!(spelt(lines), ["5"], "{lines:?}");
    }
    assert_eq!(spelt(&["0"]), ["0"]);
    assert_eq!(spelt(&["00"]), ["0"]);
    assert_eq!(spelt(&["18446744073709551615"]), ["18446744073709551615"]);
    assert_eq!(spelt(&[]), [""; 0]);
}
