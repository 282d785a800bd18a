use super::*;
use crate::netns::Namespace;

#[test]
fn a_capture_sees_both_directions_in_time_and_writes_pcap() {
    let ns = Namespace::new("test").expect("makes");
    let capture = Capture::start(&ns, "lo", 128).expect("starts");
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("clock");
    let before = now();
    ns.run(|| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
        socket.send_to(b"marked datagram", "127.0.0.1:9").expect("sends");
    })
    .expect("enters");
    let after = now();
    let recording = capture.stop().expect("stops");
    let marked: Vec<_> = recording.frames.iter().filter(|f| f.bytes.windows(6).any(|w| w == b"marked")).collect();
    assert!(marked.iter().any(|f| f.outgoing) && marked.iter().any(|f| !f.outgoing), "{marked:?}");
    assert!(marked.iter().all(|f| (before..=after).contains(&f.at)), "{before:?} {marked:?} {after:?}");
    assert!(marked.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let path = std::env::temp_dir().join(format!("anabranch-capture-{}.pcap", std::process::id()));
    recording.write_pcap(&path).expect("writes");
    let file = path.display().to_string();
    let read = ns.tool("tcpdump", ["-r", file.as_str(), "-nn"]).expect("tcpdump reads it");
    std::fs::remove_file(&path).expect("removes");
    assert_eq!(read.lines().count(), recording.frames.len(), "{read}");
}
