use super::*;

/// An IPv4 SYN from 10.1.0.2:1000 to 10.1.0.1:3128 with payload "abc" and its right checksum, padded by one byte.
fn frame() -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00]);
    frame.extend([0x45, 0, 0, 43, 0, 0, 0, 0, 64, 6, 0, 0, 10, 1, 0, 2, 10, 1, 0, 1]);
    frame.extend([0x03, 0xe8, 0x0c, 0x38, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(b"abc\0");
    frame
}

#[test]
fn a_syn_is_found_with_its_payload() {
    let frame = frame();
    let segment = segment(&frame).expect("a segment");
    assert_eq!(segment.from, "10.1.0.2:1000".parse().expect("address"));
    assert_eq!(segment.to, "10.1.0.1:3128".parse().expect("address"));
    assert!(segment.opening);
    assert_eq!(&frame[segment.payload], b"abc");
}

#[test]
fn no_cut_makes_it_panic_and_none_reads_past_the_end() {
    let whole = frame();
    for len in 0..whole.len() {
        if let Some(segment) = segment(&whole[..len]) {
            assert!(whole[..len].get(segment.payload.clone()).is_some() || segment.payload.is_empty(), "{len}");
        }
    }
}

#[test]
fn the_checksum_makes_the_sum_all_ones() {
    let mut frame = frame();
    let segment = segment(&frame).expect("a segment");
    fix_checksum(&mut frame, &segment);
    let mut total: u32 = 6 + 23;
    for pair in frame[26..34].chunks(2).chain(frame[34..57].chunks(2)) {
        total += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    }
    assert_eq!((total & 0xffff) + (total >> 16), 0xffff);
    assert_ne!(frame[50..52], [0, 0]);
}

#[test]
fn other_frames_are_none() {
    let mut udp = frame();
    udp[23] = 17;
    let mut fragment = frame();
    fragment[21] = 1;
    assert_eq!((segment(&udp), segment(&fragment), segment(&[])), (None, None, None));
}
