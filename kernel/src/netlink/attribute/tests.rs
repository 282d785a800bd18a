use proptest::prelude::*;

use super::*;
use crate::netlink::Request;

/// The attributes of a request, behind its header.
fn written(request: Request) -> Vec<u8> {
    request.finish(1).unwrap().split_off(16)
}

#[test]
fn what_was_written_is_read() {
    let bytes = written(
        Request::new(16, 0)
            .u8(1, 7)
            .u16(2, 0x0102)
            .u32(3, 0x0102_0304)
            .text(4, "name")
            .ip(5, 6, "10.1.2.3".parse().unwrap())
            .ip(5, 6, "fd00::1".parse().unwrap())
            .nest(7, |inner| inner.u8(1, 9).u32(2, 5)),
    );
    let read: Vec<_> = Attributes::new(&bytes).collect();
    assert_eq!(read.iter().map(|a| a.kind).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7], "flags are not part of a type");
    assert_eq!(read[0].u8(), Some(7));
    assert_eq!((read[1].u16(), read[1].be16()), (Some(0x0102), Some(0x0201)));
    assert_eq!(read[2].u32(), Some(0x0102_0304));
    assert_eq!((read[3].text(), read[3].payload), (Some("name"), &b"name\0"[..]));
    assert_eq!(read[4].ip(), Some("10.1.2.3".parse().unwrap()));
    assert_eq!(read[5].ip(), Some("fd00::1".parse().unwrap()));
    assert_eq!(read[6].nested().find(2).unwrap().u32(), Some(5));
}

#[test]
fn another_width_is_none() {
    let bytes = written(Request::new(16, 0).u32(1, 1));
    let one = Attributes::new(&bytes).find(1).unwrap();
    assert_eq!((one.u8(), one.u16(), one.u64()), (None, None, None));
    assert_eq!(one.ip(), Some("1.0.0.0".parse().unwrap()));
}

#[test]
fn reading_ends_where_an_attribute_claims_too_much() {
    let mut bytes = written(Request::new(16, 0).u8(1, 1).u8(2, 2).u8(3, 3));
    bytes[8] = 200;
    assert_eq!(Attributes::new(&bytes).map(|a| a.kind).collect::<Vec<_>>(), [1]);
    // A length that does not even cover its own header would never end.
    bytes[8] = 3;
    assert_eq!(Attributes::new(&bytes).count(), 1);
}

#[test]
fn the_last_padding_may_be_missing() {
    let bytes = written(Request::new(16, 0).u8(1, 1).u8(2, 2));
    assert_eq!(Attributes::new(&bytes[..13]).count(), 2);
    assert_eq!(Attributes::new(&bytes[..12]).count(), 1);
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for attribute in Attributes::new(&bytes) {
            let _ = (attribute.u8(), attribute.u16(), attribute.u64(), attribute.ip(), attribute.text());
            prop_assert!(attribute.nested().count() <= bytes.len() / 4);
        }
    }
}
