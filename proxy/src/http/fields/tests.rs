use super::*;

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn names(fields: &HeaderMap) -> Vec<&str> {
    fields.keys().map(HeaderName::as_str).collect()
}

#[test]
fn one_hop_fields_stay_here_named_or_not() {
    let mut map = fields(&[
        ("connection", "X-One, close"),
        ("connection", "x-two"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-three", "3"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("proxy-authorization", "Basic x"),
        ("proxy-authenticate", "Basic"),
    ]);
    strip_hop_by_hop(&mut map);
    assert_eq!(names(&map), ["x-three"]);
}

#[test]
fn connection_cannot_take_away_what_routing_and_meaning_hang_on() {
    let mut map = fields(&[
        ("connection", "host, content-length, authorization, cookie, cache-control"),
        ("host", "a.example"),
        ("content-length", "3"),
        ("authorization", "Basic x"),
        ("cookie", "a=b"),
        ("cache-control", "no-store"),
    ]);
    strip_hop_by_hop(&mut map);
    assert_eq!(map.len(), 5);
}

#[test]
fn an_upgrade_needs_both_fields_and_http_1_1() {
    let both = fields(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
    assert_eq!(wanted_upgrade(Version::HTTP_11, &both).unwrap(), "websocket");
    assert_eq!(wanted_upgrade(Version::HTTP_10, &both), None);
    assert_eq!(wanted_upgrade(Version::HTTP_11, &fields(&[("upgrade", "websocket")])), None);
    assert_eq!(wanted_upgrade(Version::HTTP_11, &fields(&[("connection", "upgrade")])), None);
}

#[test]
fn max_forwards_counts_for_trace_and_options_only() {
    let mut two = fields(&[("max-forwards", "2")]);
    assert_eq!(count_forwards(&Method::GET, &mut two), Forwards::Unlimited);
    assert_eq!(count_forwards(&Method::TRACE, &mut two), Forwards::Counted);
    assert_eq!(two["max-forwards"], "1");
    assert_eq!(count_forwards(&Method::OPTIONS, &mut fields(&[("max-forwards", "0")])), Forwards::Exhausted);
    assert_eq!(count_forwards(&Method::OPTIONS, &mut fields(&[("max-forwards", "-1")])), Forwards::Malformed);
    assert_eq!(count_forwards(&Method::OPTIONS, &mut fields(&[])), Forwards::Unlimited);
}

#[test]
fn lists_are_read_over_all_lines_without_empty_members() {
    let map = fields(&[("connection", ", a ,,b"), ("connection", "\tc")]);
    assert_eq!(tokens(&map, &header::CONNECTION).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn identities_that_stick_to_a_connection_are_seen() {
    let bound = |value| authenticates_connection(&fields(&[("authorization", value)]), &header::AUTHORIZATION);
    assert!(bound("NTLM TlRMTVNTUAAB"));
    assert!(bound("negotiate YII"));
    assert!(!bound("Basic bnRsbTp4"));
    assert!(!bound("Bearer ntlm"));
    assert!(authenticates_connection(
        &fields(&[("www-authenticate", "Basic realm=\"x\", NTLM")]),
        &header::WWW_AUTHENTICATE
    ));
}
