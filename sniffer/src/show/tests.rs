use serde_json::json;

use super::*;
use crate::id::{AddrId, Token};
use crate::wire::mptcp::{DssMap, Fail, RemoveAddr, ResetReason, Unknown};

/// Every kind of option, its line, and its object without secrets.
fn table() -> Vec<(MptcpOption<'static>, &'static str, serde_json::Value)> {
    let sender_key = Some(Key([0xfb; 8]));
    vec![
        (
            MptcpOption::Capable(Capable {
                version: 1,
                flags: 0x81,
                sender_key,
                receiver_key: Some(Key([1; 8])),
                data_len: Some(3000),
                checksum: Some(0xab),
            }),
            "MP_CAPABLE version 1 flags 81 sender_key … receiver_key … len 3000 checksum 00ab",
            json!({"subtype": "MP_CAPABLE", "version": 1, "flags": "81", "sender_key": "…", "receiver_key": "…",
                "data_level_length": 3000, "checksum": "00ab"}),
        ),
        (
            MptcpOption::Join(Join::Syn { backup: true, addr_id: AddrId(7), token: Token(0x9d), nonce: 0x102c_2022 }),
            "MP_JOIN syn backup id 7 token 0000009d nonce 102c2022",
            json!({"subtype": "MP_JOIN", "form": "syn", "backup": true, "addr_id": 7, "token": "0000009d", "nonce":
                "102c2022"}),
        ),
        (
            MptcpOption::Join(Join::SynAck { backup: false, addr_id: AddrId(0), hmac: Hmac([2; 8]), nonce: 5 }),
            "MP_JOIN syn-ack id 0 hmac … nonce 00000005",
            json!({"subtype": "MP_JOIN", "form": "syn-ack", "backup": false, "addr_id": 0, "hmac": "…", "nonce":
                "00000005"}),
        ),
        (
            MptcpOption::Join(Join::Ack { hmac: Hmac([2; 20]) }),
            "MP_JOIN ack hmac …",
            json!({"subtype": "MP_JOIN", "form": "ack", "hmac": "…"}),
        ),
        (
            MptcpOption::Dss(Dss {
                data_fin: true,
                data_ack: Some(DataSeq::Short(9)),
                map: Some(DssMap { dsn: DataSeq::Long(u64::MAX), ssn: 3, len: 1, checksum: None }),
            }),
            "DSS data_fin data_ack 9 dsn 18446744073709551615 ssn 3 len 1",
            json!({"subtype": "DSS", "data_fin": true, "data_ack": 9, "data_ack_bits": 32, "dsn": u64::MAX, "dsn_bits":
                64, "ssn": 3, "data_level_length": 1}),
        ),
        (
            MptcpOption::AddAddr(AddAddr {
                version: 1,
                echo: false,
                addr_id: AddrId(5),
                address: "fd00::1".parse().unwrap(),
                port: Some(9999),
                hmac: Some(Hmac([3; 8])),
            }),
            "ADD_ADDR version 1 id 5 fd00::1 port 9999 hmac …",
            json!({"subtype": "ADD_ADDR", "version": 1, "echo": false, "addr_id": 5, "address": "fd00::1", "port": 9999,
                "hmac": "…"}),
        ),
        (
            MptcpOption::RemoveAddr(RemoveAddr { ids: &[5, 6] }),
            "REMOVE_ADDR ids 5,6",
            json!({"subtype": "REMOVE_ADDR", "addr_ids": [5, 6]}),
        ),
        (
            MptcpOption::Prio(Prio { backup: true, addr_id: Some(AddrId(4)) }),
            "MP_PRIO backup id 4",
            json!({"subtype": "MP_PRIO", "backup": true, "addr_id": 4}),
        ),
        (MptcpOption::Fail(Fail { dsn: 7 }), "MP_FAIL dsn 7", json!({"subtype": "MP_FAIL", "dsn": 7})),
        (
            MptcpOption::FastClose(FastClose { receiver_key: Key([4; 8]) }),
            "MP_FASTCLOSE receiver_key …",
            json!({"subtype": "MP_FASTCLOSE", "receiver_key": "…"}),
        ),
        (
            MptcpOption::TcpRst(TcpRst { transient: true, flags: 1, reason: ResetReason(3) }),
            "MP_TCPRST transient flags 1 administratively prohibited",
            json!({"subtype": "MP_TCPRST", "transient": true, "flags": "1", "reason": 3, "reason_text":
                "administratively prohibited"}),
        ),
        (
            MptcpOption::Unknown(Unknown { subtype: 12, bytes: &[0xc0, 1] }),
            "subtype 12 bytes c001",
            json!({"subtype": "unassigned", "number": 12, "bytes": "c001"}),
        ),
    ]
}

#[test]
fn every_option_has_a_line_and_an_object() {
    for (option, line, object) in table() {
        assert_eq!(Shown::hidden(&option).to_string(), line);
        assert_eq!(serde_json::to_value(Shown::hidden(&option)).unwrap(), object, "{line}");
    }
}

#[test]
fn secrets_are_told_only_to_who_asks() {
    for (option, line, object) in table() {
        let shown = Shown { option: &option, secrets: Secrets::Shown };
        let text = serde_json::to_string(&shown).unwrap();
        assert!(!shown.to_string().contains('…') && !text.contains('…'), "{line}");
        if object.to_string().contains('…') {
            assert_ne!(shown.to_string(), line);
        }
        assert!(!format!("{option:?}").contains("fbfb"), "the Debug form of {line} shows a key");
    }
    let capable = &table()[0].0;
    let shown = Shown { option: capable, secrets: Secrets::Shown };
    assert!(shown.to_string().contains("sender_key fbfbfbfbfbfbfbfb receiver_key 0101010101010101"), "{shown}");
}
