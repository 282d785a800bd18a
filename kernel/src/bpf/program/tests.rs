use super::*;

fn flow(local: &str, remote: &str) -> Flow {
    Flow { local: local.parse().unwrap(), remote: remote.parse().unwrap() }
}

#[test]
fn a_key_is_both_ends_as_an_ipv6_socket_writes_them() {
    let mut expected = [0; KEY];
    expected[10..16].copy_from_slice(&[0xff, 0xff, 10, 1, 0, 1]);
    expected[26..32].copy_from_slice(&[0xff, 0xff, 10, 2, 0, 2]);
    expected[32..34].copy_from_slice(&5001_u16.to_ne_bytes());
    expected[34..].copy_from_slice(&50_000_u16.to_be_bytes());
    assert_eq!(key(flow("10.1.0.1:5001", "10.2.0.2:50000")), expected);
    assert_eq!(key(flow("[::ffff:10.1.0.1]:5001", "[::ffff:10.2.0.2]:50000")), expected);
    let wide = key(flow("[fd01::1]:5001", "[fd02::2]:50000"));
    assert_eq!((wide[0], wide[15], wide[16], wide[31]), (0xfd, 1, 0xfd, 2));
}

#[test]
fn sockets_that_are_not_whole_are_left_alone() {
    let among = |state: TcpState| states() >> state as u8 & 1 == 1;
    assert!(among(TcpState::Established) && among(TcpState::CloseWait) && among(TcpState::SynSent));
    for state in [TcpState::TimeWait, TcpState::NewSynReceived, TcpState::Listen, TcpState::Closed] {
        assert!(!among(state), "{state:?}");
    }
}
