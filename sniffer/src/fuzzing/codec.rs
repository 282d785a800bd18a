//! One frame: whatever parses says the same once it is written and parsed again.

use super::input::Input;
use super::{is_one_line, to_json};
use crate::show::{Secrets, Shown};
use crate::wire::mptcp::{MptcpOption, OptionBuf};
use crate::wire::{LinkType, Segment, parse};

const LINKS: [LinkType; 5] =
    [LinkType::RawIp, LinkType::Null, LinkType::Ethernet, LinkType::LinuxSll, LinkType::LinuxSll2];

/// Reads a frame and the options in it.
///
/// Shape:   the first byte says the link type in its lower three bits, and in the upper five how many times 64 bytes of the frame
///          were not captured
/// Panics:  where a segment claims more than there is, or an option does not survive its encoding
pub fn codec(data: &[u8]) {
    let mut input = Input(data);
    let Some(first) = input.byte() else { return };
    let link = LINKS[usize::from(first & 7) % LINKS.len()];
    let wire_len = input.0.len() + usize::from(first >> 3) * 64;
    if let Ok(segment) = parse(link, input.0, wire_len) {
        check(&segment, wire_len);
    }
}

/// What holds for every segment that was found in a frame of so many bytes.
pub(super) fn check(segment: &Segment<'_>, wire_len: usize) {
    assert!(segment.options.len() <= usize::from(segment.options_len) && segment.options_len <= 40);
    assert!(segment.payload.len() <= segment.payload_len as usize);
    // An IP header may claim more than the frame had, and no more than its length field can say.
    assert!(segment.payload_len as usize <= wire_len.max(usize::from(u16::MAX)), "{segment:?}");
    assert_eq!(segment.flow.reversed().reversed(), segment.flow);
    let mut found = 0;
    for option in segment.mptcp() {
        found += 1;
        match option {
            Ok(option) => check_option(segment, &option),
            Err(malformed) => assert!(is_one_line(&malformed.to_string()), "{malformed:?}"),
        }
    }
    // An option is two bytes at least.
    assert!(found <= 20, "{found} options");
}

fn check_option(segment: &Segment<'_>, option: &MptcpOption<'_>) {
    let mut buffer = OptionBuf::default();
    assert_eq!(option.encode(&mut buffer), Ok(()), "{option:?}");
    let options_len = u8::try_from(buffer.as_bytes().len()).unwrap_or(u8::MAX);
    assert!(options_len <= segment.options_len, "{option:?} grew");
    let again = Segment { options: buffer.as_bytes(), options_len, ..*segment };
    let read: Vec<_> = again.mptcp().collect();
    assert_eq!(read, [Ok(*option)]);
    for secrets in [Secrets::Hidden, Secrets::Shown] {
        let shown = Shown { option, secrets };
        let line = shown.to_string();
        assert!(line.starts_with(&option.subtype().to_string()) && is_one_line(&line), "{line:?}");
        let json: Result<serde_json::Value, _> = serde_json::from_str(&to_json(&shown));
        let subtype = json.ok().and_then(|json| json.get("subtype")?.as_str().map(str::to_owned));
        assert_eq!(subtype.as_deref(), Some(option.subtype().as_str()), "{line}");
    }
}
