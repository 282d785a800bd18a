use super::*;

#[test]
fn a_fresh_namespace_has_loopback_up_and_counts_it() {
    let ns = Namespace::new("test").expect("makes");
    let before = ns.interface_counters().expect("reads")["lo"];
    ns.run(|| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
        socket.send_to(b"four", "127.0.0.1:9").expect("sends");
    })
    .expect("enters");
    let after = ns.interface_counters().expect("reads")["lo"];
    assert_eq!(after.sent_packets - before.sent_packets, 2, "the datagram and the port's refusal");
    assert!(after.sent_bytes > before.sent_bytes);
}

#[test]
fn a_failing_tool_speaks_for_itself() {
    let ns = Namespace::new("test").expect("makes");
    let error = format!("{:#}", ns.ip("link set nothing up").expect_err("no such device"));
    assert!(error.contains("test: ip link set nothing up") && error.contains("nothing"), "{error}");
    assert!(ns.nft("table inet t { chain c { nonsense } }").is_err());
    assert!(ns.ip_batch(&["link set lo up".into(), "link set nothing up".into()]).is_err());
}

#[test]
fn mib_counters_carry_their_group() {
    let text = "TcpExt: A B\nTcpExt: 1 2\nMPTcpExt: MPTCPRetrans X\nMPTcpExt: 3 18446744073709551615\n";
    let counters = parse_mib(text);
    assert_eq!(counters["TcpExtB"], 2);
    assert_eq!(counters["MPTcpExtMPTCPRetrans"], 3);
    assert_eq!(counters["MPTcpExtX"], u64::MAX);
    let ns = Namespace::new("test").expect("makes");
    assert_eq!(ns.mib_counters().expect("reads")["MPTcpExtMPTCPRetrans"], 0);
}

#[test]
fn dev_lines_parse_and_headings_do_not() {
    let text = "Inter-| Receive | Transmit\n face |bytes packets\n  lo: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n";
    let parsed = parse_dev(text);
    assert_eq!(parsed.len(), 1);
    let lo = InterfaceCounters { received_bytes: 10, received_packets: 1, sent_bytes: 20, sent_packets: 2 };
    assert_eq!(parsed["lo"], lo);
}
