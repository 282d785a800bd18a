use proptest::prelude::*;

use super::*;
use crate::netlink::Request;

fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Request::new(kind, 0).fixed(payload).finish(9).unwrap();
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

fn says(bytes: &[u8]) -> Says<'_> {
    Messages::new(bytes).next().unwrap().says()
}

/// The attribute with the kernel's words, as it follows an error.
fn words() -> Vec<u8> {
    Request::new(0, 0).text(abi::NLMSGERR_ATTR_MSG, "missing required attribute").finish(0).unwrap().split_off(16)
}

#[test]
fn several_messages_of_a_datagram_are_read_in_order() {
    let datagram = [message(20, 2, b"abc"), message(21, 2 | 16, b""), message(3, 2, &[0; 4])].concat();
    let read: Vec<_> = Messages::new(&datagram).collect();
    assert_eq!(read.len(), 3);
    assert_eq!((read[0].kind, read[0].sequence, read[0].payload), (20, 9, &b"abc\0"[..]));
    assert_eq!(read.iter().map(Message::is_interrupted).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(read.iter().map(Message::says).collect::<Vec<_>>(), [Says::Data, Says::Data, Says::Done]);
}

#[test]
fn an_acknowledgement_is_the_end() {
    assert_eq!(says(&message(2, 0, &[0; 20])), Says::Done);
}

#[test]
fn an_error_is_told_with_the_kernels_words() {
    let number = (-libc::EINVAL).to_ne_bytes();
    let original = Request::new(30, 0).fixed(&[0xff; 8]).finish(9).unwrap();
    let capped = [&number[..], &original[..16], &words()].concat();
    let flags = abi::NLM_F_CAPPED | abi::NLM_F_ACK_TLVS;
    assert_eq!(says(&message(2, flags, &capped)), Says::Failed(libc::EINVAL, Some("missing required attribute")));
    let whole = [&number[..], &original, &words()].concat();
    let text = Some("missing required attribute");
    assert_eq!(says(&message(2, abi::NLM_F_ACK_TLVS, &whole)), Says::Failed(libc::EINVAL, text));
    assert_eq!(says(&message(2, 0, &capped)), Says::Failed(libc::EINVAL, None));
}

#[test]
fn a_dump_may_fail_at_its_end() {
    let payload = [&(-libc::ENOENT).to_ne_bytes()[..], &words()].concat();
    let text = Some("missing required attribute");
    assert_eq!(says(&message(3, abi::NLM_F_ACK_TLVS, &payload)), Says::Failed(libc::ENOENT, text));
}

#[test]
fn short_messages_make_no_sense_but_no_harm() {
    assert_eq!(says(&message(2, 0, &[])), Says::Failed(libc::EBADMSG, None));
    assert_eq!(says(&message(3, 0, &[])), Says::Done);
    assert_eq!(says(&message(1, 0, &[])), Says::Nothing);
    assert_eq!(says(&message(2, 0, &i32::MIN.to_ne_bytes())), Says::Failed(libc::EBADMSG, None));
    assert!(Messages::new(&message(20, 0, b"abcd")[..19]).next().is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(
        kind in prop_oneof![Just(2_u16), Just(3), any::<u16>()],
        flags in any::<u16>(),
        payload in proptest::collection::vec(any::<u8>(), 0..80),
        tail in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let datagram = [message(kind, flags, &payload), tail].concat();
        let mut read = 0;
        for message in Messages::new(&datagram) {
            let _ = (message.says(), message.generic());
            read += 1;
        }
        prop_assert!(read >= 1);
    }
}
