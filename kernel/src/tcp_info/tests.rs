use super::*;

/// A structure whose every byte is its own offset, as far as a byte goes.
fn counted(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 256).unwrap()).collect()
}

#[test]
fn what_an_old_kernel_does_not_reach_is_unknown() {
    // Linux 4.2 ended here.
    let old = TcpInfo::parse(&counted(144)).unwrap();
    assert!(old.segs_in.is_some() && old.bytes_received.is_some());
    assert_eq!((old.notsent_bytes, old.min_rtt, old.delivery_rate, old.bytes_sent), (None, None, None, None));
    let fields = TcpInfo::parse(&counted(280)).unwrap();
    assert_eq!(fields.backoff, 4);
    assert_eq!(
        fields.max_pacing_rate,
        Some(u64::from_ne_bytes(std::array::from_fn(|at| 112 + u8::try_from(at).unwrap())))
    );
    // In the middle of a field is not in the field.
    assert_eq!(TcpInfo::parse(&counted(143)).unwrap().segs_in, None);
    assert!(TcpInfo::parse(&counted(104)).is_some_and(|info| info.pacing_rate.is_none()));
    assert_eq!(TcpInfo::parse(&counted(103)), None);
    assert_eq!(TcpInfo::parse(&[]), None);
}

#[test]
fn a_newer_kernels_tail_is_left_alone() {
    assert_eq!(TcpInfo::parse(&counted(280)), TcpInfo::parse(&counted(400)));
}

#[test]
fn states_are_the_kernels() {
    let known: Vec<_> = (1..=13).map(|number| TcpState::from_number(number).unwrap() as u8).collect();
    assert_eq!(known, (1..=13).collect::<Vec<_>>());
    assert_eq!((TcpState::from_number(0), TcpState::from_number(14)), (None, None));
}
