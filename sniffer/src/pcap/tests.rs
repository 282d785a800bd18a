use proptest::prelude::*;

use super::*;

/// A reader that gives one byte at a time, as a slow pipe may.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let (Some(to), [first, rest @ ..]) = (out.first_mut(), self.0) else { return Ok(0) };
        *to = *first;
        self.0 = rest;
        Ok(1)
    }
}

type Kept = (u64, Duration, Option<LinkType>, Vec<u8>, usize);

fn read_all(reader: impl Read) -> (Vec<Kept>, Option<CaptureError>) {
    let mut capture = match Capture::open(reader) {
        Ok(capture) => capture,
        Err(error) => return (vec![], Some(error)),
    };
    let mut frames = Vec::new();
    loop {
        match capture.next_frame() {
            Ok(Some(f)) => frames.push((f.number, f.at, f.link, f.captured.to_vec(), f.wire_len)),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

fn written(frames: &[(Duration, Vec<u8>, usize)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, LinkType::RawIp).unwrap();
    for (at, captured, wire_len) in frames {
        writer.write(*at, captured, *wire_len).unwrap();
    }
    writer.flush().unwrap();
    bytes
}

fn some_frames() -> Vec<(Duration, Vec<u8>, usize)> {
    vec![
        (Duration::new(1_700_000_000, 123_456_789), vec![1, 2, 3], 3),
        (Duration::new(1_700_000_001, 0), vec![9; 300_000], 400_000),
        (Duration::new(1_700_000_002, 5), vec![], 60),
    ]
}

fn expected() -> Vec<Kept> {
    let frames = some_frames().into_iter().enumerate();
    frames.map(|(n, (at, captured, len))| (n as u64 + 1, at, Some(LinkType::RawIp), captured, len)).collect()
}

#[test]
fn what_was_written_is_read_also_byte_by_byte() {
    let bytes = written(&some_frames());
    let (frames, error) = read_all(&bytes[..]);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(frames, expected());
    let (frames, error) = read_all(Trickle(&bytes));
    assert!(error.is_none());
    assert_eq!(frames, expected());
}

#[test]
fn a_file_that_breaks_off_gives_what_is_whole_and_says_where() {
    let bytes = written(&some_frames());
    let ends = [24, 24 + 16 + 3, 24 + 16 + 3 + 16 + 300_000, bytes.len()];
    for cut in [24, 25, 42, 43, 44, 60, 300_000, bytes.len() - 1] {
        let (frames, error) = read_all(&bytes[..cut]);
        let whole = ends[1..].iter().filter(|&&end| end <= cut).count();
        assert_eq!(frames.len(), whole, "{cut}");
        match error {
            None => assert!(ends.contains(&cut), "{cut}"),
            Some(CaptureError::CutOff { packet, at }) => {
                assert_eq!((packet, at), (whole as u64 + 1, ends[whole] as u64), "{cut}");
            }
            Some(other) => panic!("{cut}: {other}"),
        }
    }
}

#[test]
fn microseconds_and_both_byte_orders() {
    for big in [true, false] {
        for (magic, fraction, nanos) in [(0xa1b2_c3d4_u32, 7_u32, 7_000), (0xa1b2_3c4d, 7, 7)] {
            let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
            let half = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
            let mut bytes = [&word(magic)[..], &half(2), &half(4), &[0; 8], &word(65535), &word(1)].concat();
            bytes.extend([&word(5)[..], &word(fraction), &word(2), &word(90), b"ab"].concat());
            let (frames, error) = read_all(&bytes[..]);
            assert!(error.is_none(), "{error:?}");
            assert_eq!(frames, [(1, Duration::new(5, nanos), Some(LinkType::Ethernet), b"ab".to_vec(), 90)]);
        }
    }
}

fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let len = word(u32::try_from(12 + body.len()).unwrap());
    [&word(kind)[..], &len, body, &len].concat()
}

fn section(big: bool) -> Vec<u8> {
    let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    block(big, ng::SECTION, &[&word(0x1a2b_3c4d)[..], &[0; 4], &[0xff; 8]].concat())
}

/// Two sections, interfaces of several link types and time resolutions, every kind of packet block, an unknown block.
pub(crate) fn next_generation(big: bool) -> Vec<u8> {
    let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let half = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let long = |number: u64| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let interface = |link: u16, snap: u32, options: &[u8]| {
        block(big, 1, &[&half(link)[..], &half(0), &word(snap), options].concat())
    };
    let enhanced = |interface: u32, stamp: u64, body: &[u8], wire: u32| {
        let high = u32::try_from(stamp >> 32).unwrap();
        let low = u32::try_from(stamp & 0xffff_ffff).unwrap();
        let len = word(u32::try_from(body.len()).unwrap());
        let mut padded = body.to_vec();
        padded.resize(body.len().next_multiple_of(4), 0);
        block(big, 6, &[&word(interface)[..], &word(high), &word(low), &len, &word(wire), &padded].concat())
    };
    let nanoseconds = [&half(9)[..], &half(1), &[9, 0, 0, 0], &half(0), &half(0)].concat();
    let halves =
        [&half(9)[..], &half(1), &[0x81, 0, 0, 0], &half(14), &half(8), &long(100), &half(0), &half(0)].concat();
    let old = [&half(0)[..], &half(0), &word(0), &word(9), &word(2), &word(2), b"pp\0\0"].concat();
    [
        section(big),
        interface(1, 3, &[]),
        interface(101, 0, &nanoseconds),
        interface(999, 0, &halves),
        block(big, 0x0bad_cafe, &[1, 2, 3, 4]),
        enhanced(0, 5_000_001, b"abc", 90),
        enhanced(1, 5_000_000_001, b"defg", 4),
        enhanced(2, 7, b"h", 1),
        block(big, 3, &[&word(70)[..], b"sim\0"].concat()),
        block(big, 2, &old),
        section(!big),
    ]
    .concat()
}

#[test]
fn every_block_of_pcapng_is_read_in_both_byte_orders() {
    for big in [true, false] {
        let bytes = next_generation(big);
        for reader in [Box::new(&bytes[..]) as Box<dyn Read>, Box::new(Trickle(&bytes))] {
            let (frames, error) = read_all(reader);
            assert!(error.is_none(), "{error:?}");
            let halves = Duration::from_millis(103_500);
            assert_eq!(
                frames,
                [
                    (1, Duration::from_micros(5_000_001), Some(LinkType::Ethernet), b"abc".to_vec(), 90),
                    (2, Duration::from_nanos(5_000_000_001), Some(LinkType::RawIp), b"defg".to_vec(), 4),
                    (3, halves, None, b"h".to_vec(), 1),
                    (4, halves, Some(LinkType::Ethernet), b"sim".to_vec(), 70),
                    (5, Duration::from_micros(9), Some(LinkType::Ethernet), b"pp".to_vec(), 2),
                ]
            );
        }
    }
}

#[test]
fn what_is_no_capture_is_refused_with_the_reason() {
    let ethernet = &written(&[])[..];
    let mut odd = ethernet.to_vec();
    odd[20] = 105;
    let mut long = ethernet.to_vec();
    long.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0]);
    let table: &[(&[u8], &str)] = &[
        (b"GET / HTTP/1.1", "not a capture: it begins with 47455420, which is neither pcap nor pcapng"),
        (b"", "not a capture: it begins with 00000000, which is neither pcap nor pcapng"),
        (&ethernet[..20], "the capture ends within packet 0, at byte 0"),
        (&odd, "link type 105 is not known; expected Ethernet (1), raw IP (101), Linux cooked (113, 276) or null (0)"),
        (&long, "packet 1, at byte 24: a length of more than 16 MiB"),
    ];
    for (bytes, words) in table {
        assert_eq!(read_all(*bytes).1.unwrap().to_string(), *words);
    }
    let mut no_interface = section(true);
    no_interface.extend(block(true, 6, &[0; 20]));
    assert_eq!(
        read_all(&no_interface[..]).1.unwrap().to_string(),
        "packet 1, at byte 28: an interface that was not said"
    );
}

proptest! {
    #[test]
    fn any_bytes_and_any_damage_end_in_frames_or_an_error(at in 0_usize..400, byte: u8, cut in 0_usize..500) {
        for mut bytes in [next_generation(true), next_generation(false), written(&some_frames()[..1])] {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(cut.max(4));
            let (frames, _) = read_all(&bytes[..]);
            prop_assert!(frames.len() <= 20);
        }
    }
}
