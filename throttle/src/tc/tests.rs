use super::*;

#[test]
fn a_handle_is_printed_and_read_as_tc_does() {
    for (text, number) in [
        ("none", 0),
        ("root", 0xffff_ffff),
        ("1:", 0x0001_0000),
        ("1:10", 0x0001_0010),
        (":a", 0x0000_000a),
        ("ffff:fff1", 0xffff_fff1),
        ("ffff:", 0xffff_0000),
        ("8001:fffe", 0x8001_fffe),
    ] {
        let handle = TcHandle::from_u32(number);
        assert_eq!(handle.to_string(), text);
        assert_eq!(text.parse(), Ok(handle), "{text}");
        assert_eq!(handle.to_u32(), number, "{text}");
    }
    assert_eq!(TcHandle::INGRESS.to_string(), "ffff:fff1");
    assert_eq!("01:0A".parse(), Ok(TcHandle { major: 1, minor: 10 }));
}

#[test]
fn what_is_no_handle_is_refused() {
    for text in ["", ":", "1", "1:2:3", "10000:1", "1:10000", "g:1", "+1:2", "1:-2", " 1:2", "1 :2", "Root"] {
        assert_eq!(text.parse::<TcHandle>(), Err(NotATcHandle), "{text:?}");
    }
}
