//! A capture file: read whole, written again, and watched.

use std::time::Duration;

use super::tracker::World;
use super::{codec, is_one_line};
use crate::pcap::{Capture, Writer};
use crate::wire::{LinkType, parse};

/// Frames looked at; more say nothing new and take time.
const FRAMES: u64 = 256;

/// Reads a capture, and lets a tracker see what is in it.
///
/// Panics:  where frames are not counted, grow, or do not survive their being written
pub fn pcap(data: &[u8]) {
    let mut capture = match Capture::open(data) {
        Ok(capture) => capture,
        Err(error) => return assert!(is_one_line(&error.to_string()), "{error:?}"),
    };
    let mut world = World::new(0x33, 0x33);
    let mut number = 0;
    while number < FRAMES {
        let frame = match capture.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(error) => {
                assert!(is_one_line(&error.to_string()), "{error:?}");
                break;
            }
        };
        number += 1;
        assert_eq!(frame.number, number);
        assert!(frame.captured.len() <= frame.wire_len && frame.captured.len() <= data.len());
        let Some(link) = frame.link else { continue };
        write_and_read(link, frame.at, frame.captured, frame.wire_len);
        if let Ok(segment) = parse(link, frame.captured, frame.wire_len) {
            codec::check(&segment, frame.wire_len);
            world.see(&segment, frame.at);
        }
    }
    assert!(capture.bytes_read() <= data.len() as u64);
    world.finish();
}

fn write_and_read(link: LinkType, at: Duration, captured: &[u8], wire_len: usize) {
    let mut bytes = Vec::new();
    let written = Writer::new(&mut bytes, link).and_then(|mut writer| writer.write(at, captured, wire_len));
    assert!(written.is_ok(), "{written:?}");
    let read = Capture::open(&bytes[..]).and_then(|mut capture| {
        let frame = capture.next_frame()?;
        Ok(frame.map(|frame| (frame.link, frame.captured.to_vec(), frame.wire_len)))
    });
    match read {
        Ok(Some(found)) => assert_eq!(found, (Some(link), captured.to_vec(), wire_len)),
        other => panic!("{other:?}"),
    }
}
