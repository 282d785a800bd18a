use super::*;

/// A frame at `us` microseconds with TCP payload, or a SYN without.
fn frame(us: u64, outgoing: bool, payload: &[u8]) -> Frame {
    let mut bytes = vec![0; 12];
    bytes.extend([0x08, 0x00]);
    let len = u8::try_from(40 + payload.len()).expect("small");
    bytes.extend([0x45, 0, 0, len, 0, 0, 0, 0, 64, 6, 0, 0, 10, 1, 0, 2, 10, 1, 0, 1]);
    let flags = if payload.is_empty() { 0x02 } else { 0x18 };
    bytes.extend([1, 1, 2, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 255, 255, 0, 0, 0, 0]);
    bytes.extend(payload);
    Frame { at: Duration::from_micros(us), outgoing, wire_len: bytes.len(), bytes }
}

#[test]
fn segments_are_paired_across_the_edge() {
    let echo = &[b'!'; 16][..];
    let near = Recording {
        frames: vec![
            frame(100, false, b"CONNECT a HTTP/1.1"),
            frame(150, true, b"HTTP/1.1 200"),
            frame(200, false, echo),
            frame(247, true, echo),
            frame(300, false, b"GET http://a/ HTTP/1.1"),
            frame(390, true, b"HTTP/1.1 200 OK"),
        ],
        dropped: 0,
    };
    let far = Recording {
        frames: vec![
            frame(120, false, b""),
            frame(139, true, b""),
            frame(210, true, echo),
            frame(232, false, echo),
            frame(341, true, b"GET / HTTP/1.1"),
            frame(370, false, b"HTTP/1.1 200 OK"),
        ],
        dropped: 0,
    };
    let mut times = Times::default();
    correlate(&mut times, &near, &far);
    let rounded = |sample: &[f64]| sample.iter().map(|v| v.round()).collect::<Vec<_>>();
    assert_eq!(rounded(&times.connect), [39.0]);
    assert_eq!(rounded(&times.request), [41.0]);
    assert_eq!(rounded(&times.to_origin), [10.0]);
    assert_eq!(rounded(&times.to_client), [15.0, 20.0]);
}
