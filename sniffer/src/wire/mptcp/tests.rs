//! What parses is written back as it was; what is none of an option's forms is said to be none; and nothing panics.

use proptest::prelude::*;

use super::*;
use crate::id::FourTuple;
use crate::wire::tcp::{Flags, Segment};

fn segment(flags: Flags, options: &[u8]) -> Segment<'_> {
    Segment {
        flow: FourTuple::new("10.1.0.2:4".parse().unwrap(), "10.1.0.1:5".parse().unwrap()).unwrap(),
        seq: 0,
        ack: 0,
        flags,
        window: 0,
        options,
        options_len: u8::try_from(options.len()).unwrap(),
        payload: &[],
        payload_len: 0,
    }
}

fn only(flags: Flags, option: &[u8]) -> Result<MptcpOption<'_>, Malformed> {
    let mut options = segment(flags, option).mptcp();
    let first = options.next().expect("one option");
    assert!(options.next().is_none());
    first
}

const SYN: Flags = Flags::SYN;
const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);
const ACK: Flags = Flags::ACK;

/// Every subtype with every length and every combination of flags: which of them are options.
#[test]
fn lengths_are_legal_where_the_rfc_says_so_and_nowhere_else() {
    // Subtype, low nibble, flags byte (where it matters), segment, legal lengths.
    let table: &[(u8, u8, u8, Flags, &[usize])] = &[
        (0, 1, 0x81, SYN, &[4]),
        (0, 1, 0x81, SYN_ACK, &[12]),
        (0, 1, 0x81, ACK, &[20, 22, 24]),
        (0, 0, 0x81, SYN, &[12]),
        (0, 0, 0x81, SYN_ACK, &[12]),
        (0, 0, 0x81, ACK, &[20]),
        (0, 2, 0x81, SYN, &[]),
        (1, 0, 0, SYN, &[12]),
        (1, 0, 0, SYN_ACK, &[16]),
        (1, 0, 0, ACK, &[24]),
        (2, 0, 0x00, ACK, &[]),
        (2, 0, 0x10, ACK, &[]),
        (2, 0, 0x01, ACK, &[8]),
        (2, 0, 0x03, ACK, &[12]),
        (2, 0, 0x04, ACK, &[14, 16]),
        (2, 0, 0x05, ACK, &[18, 20]),
        (2, 0, 0x0c, ACK, &[18, 20]),
        (2, 0, 0x0d, ACK, &[22, 24]),
        (2, 0, 0x0f, ACK, &[26, 28]),
        (2, 0, 0x1f, ACK, &[26, 28]),
        (3, 0, 0, ACK, &[16, 18, 28, 30]),
        (3, 1, 0, ACK, &[8, 10, 20, 22]),
        (3, 4, 0, ACK, &[8, 10, 16, 18, 28, 30]),
        (3, 6, 0, ACK, &[16, 18, 20, 22, 28, 30]),
        (5, 0, 0, ACK, &[3, 4]),
        (6, 0, 0, ACK, &[12]),
        (7, 0, 0, ACK, &[12]),
        (8, 1, 0, ACK, &[4]),
    ];
    for &(subtype, nibble, third, flags, legal) in table {
        for len in 3..=40_usize {
            let mut option = vec![0x5a; len];
            option[..3].copy_from_slice(&[KIND, u8::try_from(len).unwrap(), subtype << 4 | nibble]);
            if let Some(byte) = option.get_mut(3)
                && matches!(subtype, 0 | 2)
            {
                *byte = third;
            }
            let parsed = only(flags, &option);
            let words = format!("{} nibble {nibble} byte {third:#x} {flags:?} of {len}", Subtype::from_number(subtype));
            assert_eq!(parsed.is_ok(), legal.contains(&len), "{words}: {parsed:?}");
            if let Err(malformed) = parsed {
                assert_eq!(malformed.subtype, Some(Subtype::from_number(subtype)), "{words}");
                assert_eq!(usize::from(malformed.length), len, "{words}");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let table: &[(&[u8], &str)] = &[
        (&[30, 3, 0x40], "malformed REMOVE_ADDR of 3 bytes: no form of it has this length here"),
        (&[30, 4, 0x20, 0x00], "malformed DSS of 4 bytes: neither acknowledgement nor mapping"),
        (&[30, 20, 0x02, 0x81], "malformed MP_CAPABLE of 20 bytes: longer than the options it stands in"),
        (&[30, 2], "malformed MPTCP option of 2 bytes: no form of it has this length here"),
        (&[30, 1, 0x10], "malformed MP_JOIN of 1 bytes: no form of it has this length here"),
        (&[30], "malformed MPTCP option of 0 bytes: no form of it has this length here"),
    ];
    for (bytes, words) in table {
        assert_eq!(only(ACK, bytes).unwrap_err().to_string(), *words);
    }
    let version = [30, 20, 0x02, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(only(ACK, &version).unwrap_err().to_string(), "malformed MP_CAPABLE of 20 bytes: no such version");
}

#[test]
fn what_the_capture_cut_off_is_not_called_wrong() {
    let dss = [30, 8, 0x20, 0x01, 0, 0, 0, 9];
    for kept in 1..dss.len() {
        let cut = Segment { options_len: 8, ..segment(ACK, &dss[..kept]) };
        let found: Vec<_> = cut.mptcp().collect();
        assert_eq!(found.len(), 1, "{kept}");
        assert_eq!(found[0].unwrap_err().reason, Reason::NotCaptured, "{kept}");
    }
}

#[test]
fn options_of_other_kinds_are_stepped_over() {
    // NOP NOP timestamps, two MPTCP options, end of options, and what must not be read.
    let mut bytes = vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    bytes.extend([30, 3, 0x51, 30, 4, 0x81, 0x06, 0, 30, 3, 0x50]);
    let found: Vec<_> = segment(ACK, &bytes).mptcp().map(Result::unwrap).collect();
    let reset = TcpRst { transient: true, flags: 1, reason: ResetReason(6) };
    let prio = Prio { backup: true, addr_id: None };
    assert_eq!(found, [MptcpOption::Prio(prio), MptcpOption::TcpRst(reset)]);
}

/// Any option that there can be, and flags of a segment it can be on.
fn any_option() -> impl Strategy<Value = (MptcpOption<'static>, Flags)> {
    let data_seq = || prop_oneof![any::<u32>().prop_map(DataSeq::Short), any::<u64>().prop_map(DataSeq::Long)];
    let key = || any::<[u8; 8]>().prop_map(Key);
    let map = (data_seq(), any::<u32>(), any::<u16>(), any::<Option<u16>>())
        .prop_map(|(dsn, ssn, len, checksum)| DssMap { dsn, ssn, len, checksum });
    let dss = (any::<bool>(), prop::option::of(data_seq()), prop::option::of(map))
        .prop_filter("empty", |(_, ack, map)| ack.is_some() || map.is_some())
        .prop_map(|(data_fin, data_ack, map)| MptcpOption::Dss(Dss { data_fin, data_ack, map }));
    let address = prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    let add_addr = (any::<u8>(), address, any::<Option<u16>>(), prop::option::of(any::<[u8; 8]>()), any::<bool>());
    let add_addr = add_addr.prop_map(|(id, address, port, hmac, old)| {
        let (version, echo) = if old && hmac.is_none() { (0, false) } else { (1, hmac.is_none()) };
        MptcpOption::AddAddr(AddAddr { version, echo, addr_id: AddrId(id), address, port, hmac: hmac.map(Hmac) })
    });
    let capable = |version, flags, sender_key, receiver_key, data_len, checksum| {
        MptcpOption::Capable(Capable { version, flags, sender_key, receiver_key, data_len, checksum })
    };
    prop_oneof![
        any::<u8>().prop_map(move |flags| (capable(1, flags, None, None, None, None), SYN)),
        (any::<u8>(), key()).prop_map(move |(flags, key)| (capable(1, flags, Some(key), None, None, None), SYN_ACK)),
        (any::<u8>(), key(), key(), any::<Option<(u16, Option<u16>)>>()).prop_map(move |(flags, a, b, data)| {
            let (len, checksum) = data.map_or((None, None), |(len, checksum)| (Some(len), checksum));
            (capable(1, flags, Some(a), Some(b), len, checksum), ACK)
        }),
        (any::<bool>(), any::<u8>(), any::<u32>(), any::<u32>()).prop_map(|(backup, id, token, nonce)| {
            (MptcpOption::Join(Join::Syn { backup, addr_id: AddrId(id), token: Token(token), nonce }), SYN)
        }),
        (any::<bool>(), any::<u8>(), any::<[u8; 8]>(), any::<u32>()).prop_map(|(backup, id, hmac, nonce)| {
            (MptcpOption::Join(Join::SynAck { backup, addr_id: AddrId(id), hmac: Hmac(hmac), nonce }), SYN_ACK)
        }),
        any::<[u8; 20]>().prop_map(|hmac| (MptcpOption::Join(Join::Ack { hmac: Hmac(hmac) }), ACK)),
        dss.prop_map(|option| (option, ACK)),
        add_addr.prop_map(|option| (option, ACK)),
        prop_oneof![Just(&[1][..]), Just(&[1, 2][..]), Just(&[9; 8][..])]
            .prop_map(|ids: &'static [u8]| { (MptcpOption::RemoveAddr(RemoveAddr { ids }), ACK) }),
        (any::<bool>(), any::<Option<u8>>())
            .prop_map(|(backup, id)| { (MptcpOption::Prio(Prio { backup, addr_id: id.map(AddrId) }), ACK) }),
        any::<u64>().prop_map(|dsn| (MptcpOption::Fail(Fail { dsn }), ACK)),
        key().prop_map(|receiver_key| (MptcpOption::FastClose(FastClose { receiver_key }), ACK)),
        (0_u8..16, any::<u8>()).prop_map(|(flags, reason)| {
            let transient = flags & 1 == 1;
            (MptcpOption::TcpRst(TcpRst { transient, flags, reason: ResetReason(reason) }), ACK)
        }),
        (9_u8..16).prop_map(|subtype| {
            let bytes: &[u8] = if subtype == 15 { &[0xf3, 1, 2] } else { &[0x90] };
            (MptcpOption::Unknown(Unknown { subtype: bytes[0] >> 4, bytes }), ACK)
        }),
    ]
}

proptest! {
    #[test]
    fn an_option_written_is_read_as_it_was((option, flags) in any_option()) {
        let mut out = OptionBuf::default();
        option.encode(&mut out).unwrap();
        prop_assert_eq!(only(flags, out.as_bytes()), Ok(option));
    }

    #[test]
    fn an_option_that_does_not_fit_leaves_no_trace((option, _) in any_option(), taken in 20_usize..=40) {
        let mut out = OptionBuf::default();
        out.push(&vec![1; taken]).unwrap();
        let before = out;
        if option.encode(&mut out).is_err() {
            prop_assert_eq!(out, before);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..=40), flags: u8, more in 0_u8..20) {
        let cut = Segment {
            options_len: u8::try_from(bytes.len()).unwrap() + more,
            ..segment(Flags(flags), &bytes)
        };
        for option in cut.mptcp().take(50).flatten() {
            // What parses can be shown and, reserved bits aside, written again.
            let shown = crate::show::Shown::hidden(&option).to_string();
            prop_assert!(!shown.is_empty());
            let mut out = OptionBuf::default();
            prop_assert!(option.encode(&mut out).is_ok());
            prop_assert_eq!(only(Flags(flags), out.as_bytes()), Ok(option));
        }
    }
}
