use super::*;
use crate::testing::hex;

#[test]
fn a_request_is_what_ip_sends() {
    // `ip mptcp limits show` asks for its family first, without an acknowledgement.
    let request = Request::generic(16, 0, 3, 0).text(2, "mptcp_pm");
    let sent = hex("24000000 10000100 0f21086b 00000000 03000000 0d000200 6d7074637 05f706d 00000000");
    assert_eq!(request.finish(0x6b08_210f).unwrap(), sent);
}

#[test]
fn flags_are_added_to_what_is_there() {
    let bytes = Request::new(20, 0x400).with_flags(0x300).finish(7).unwrap();
    assert_eq!(bytes, hex("10000000 1400 0107 07000000 00000000"));
}

#[test]
fn a_nest_counts_what_is_in_it_and_is_marked() {
    let bytes = Request::new(20, 0).nest(1, |inner| inner.u8(2, 0xaa).u16(3, 0xbbcc)).u8(4, 1).finish(0).unwrap();
    assert_eq!(bytes[16..], hex("1400 0180 0500 0200 aa000000 0600 0300 ccbb0000 0500 0400 01000000"));
}

#[test]
fn what_grew_too_long_is_not_sent() {
    assert!(Request::new(20, 0).attribute(1, &[0; 65_531]).finish(0).is_some());
    assert!(Request::new(20, 0).attribute(1, &[0; 65_532]).finish(0).is_none());
    let nest = Request::new(20, 0).nest(1, |inner| inner.attribute(1, &[0; 40_000]).attribute(2, &[0; 40_000]));
    assert!(nest.finish(0).is_none());
}
