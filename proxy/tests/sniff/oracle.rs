//! Every option of every packet, field by field, beside tshark's reading of the same packet.
//!
//! Both are brought into one form: the field's name and its value as it would be written down by hand. They disagree in one
//! field: tshark 4.0 passes over the checksum of a DSS (RFC 8684 §3.3.1), so that is read from the bytes it shows.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anabranch_sniffer::crypto::idsn;
use anabranch_sniffer::wire::mptcp::Key;
use serde_json::Value;

use crate::{captures, sniff};

/// An option in the common form.
type Fields = BTreeMap<&'static str, String>;

/// All options of a capture, by the number of their packet.
type Options = BTreeMap<u64, Vec<Fields>>;

#[test]
fn every_field_of_every_option_is_what_tshark_reads() {
    let (mut options, mut fields) = (0, 0);
    for pcap in captures() {
        let (ours, theirs) = (ours(&pcap), theirs(&pcap));
        for frame in ours.keys().chain(theirs.keys()) {
            assert_eq!(ours.get(frame), theirs.get(frame), "{} packet {frame}", pcap.display());
        }
        options += theirs.values().map(Vec::len).sum::<usize>();
        fields += theirs.values().flatten().map(BTreeMap::len).sum::<usize>();
    }
    assert!(options >= 500 && fields >= 3000, "only {options} options with {fields} fields were compared");
}

#[test]
fn tokens_are_what_tshark_expects() {
    let mut compared = 0;
    for pcap in captures() {
        let expected = tshark(&pcap, &["-Y", "mptcp.expected_token", "-T", "fields", "-e", "mptcp.expected_token"]);
        // One number an MP_CAPABLE with a key: of the server on the SYN/ACK, of the client on the ACK.
        let expected: Vec<u32> = expected.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        for line in sniff(&[], &pcap).iter().filter(|line| line["event"] == "connection-established") {
            for end in ["client", "server"] {
                let Some(token) = line["tokens"][end].as_str() else { continue };
                let token = u32::from_str_radix(token, 16).expect("eight hexadecimal digits");
                assert!(expected.contains(&token), "{}: {line}", pcap.display());
                compared += 1;
            }
        }
    }
    assert!(compared >= 20, "only {compared} tokens were compared");
}

#[test]
fn initial_data_sequence_numbers_are_what_tshark_expects() {
    let mut compared = 0;
    for pcap in captures() {
        let arguments =
            ["-Y", "mptcp.expected_idsn", "-T", "fields", "-e", "frame.number", "-e", "mptcp.expected_idsn"];
        let text = tshark(&pcap, &arguments);
        let expected: BTreeMap<u64, u64> = text
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(frame, idsn)| (frame.parse().expect("a number"), idsn.parse().expect("a number")))
            .collect();
        for line in sniff(&["--show-keys", "--filter", "subtype MP_CAPABLE"], &pcap) {
            // tshark tells that of the segment's sender.
            let (Some(frame), Some(key)) = (line["frame"].as_u64(), line["sender_key"].as_str()) else { continue };
            let version = u8::try_from(line["version"].as_u64().expect("0 or 1")).unwrap();
            let key = Key(u64::from_str_radix(key, 16).expect("sixteen digits").to_be_bytes());
            assert_eq!(expected.get(&frame), Some(&idsn(key, version)), "{}: {line}", pcap.display());
            compared += 1;
        }
    }
    assert!(compared >= 40, "only {compared} numbers were compared");
}

fn ours(pcap: &Path) -> Options {
    let mut options = Options::new();
    for line in sniff(&["--show-keys"], pcap) {
        let Some(frame) = line["frame"].as_u64() else { continue };
        assert!(line["malformed"].is_null(), "{}: {line}", pcap.display());
        options.entry(frame).or_default().push(our_fields(&line));
    }
    options
}

/// The names are ours; what is left out in one form of an option is left out here.
fn our_fields(line: &Value) -> Fields {
    let mut fields = Fields::new();
    let mut put = |name: &'static str, value: Option<String>| {
        if let Some(value) = value {
            fields.insert(name, value);
        }
    };
    let number = |key: &str| line[key].as_u64().map(|number| number.to_string());
    let text = |key: &str| line[key].as_str().map(ToOwned::to_owned);
    let hex = |key: &str| line[key].as_str().map(|digits| u64::from_str_radix(digits, 16).unwrap().to_string());
    let flag = |key: &str| line[key].as_bool().map(|flag| u8::from(flag).to_string());
    put("subtype", text("subtype"));
    put("version", if line["subtype"] == "MP_CAPABLE" { number("version") } else { None });
    put("flags", if line["subtype"] == "MP_CAPABLE" { hex("flags") } else { None });
    put("sender_key", hex("sender_key"));
    put("receiver_key", hex("receiver_key"));
    put("token", hex("token"));
    put("nonce", hex("nonce"));
    put("hmac", text("hmac"));
    put("addr_id", number("addr_id").or_else(|| line["addr_ids"].as_array().map(|ids| list(ids))));
    put("backup", flag("backup"));
    put("data_fin", flag("data_fin"));
    put("data_ack", number("data_ack"));
    put("data_ack_long", number("data_ack_bits").map(|bits| u8::from(bits == "64").to_string()));
    put("dsn", number("dsn"));
    put("dsn_long", number("dsn_bits").map(|bits| u8::from(bits == "64").to_string()));
    put("ssn", number("ssn"));
    put("length", number("data_level_length"));
    put("checksum", hex("checksum"));
    // There is no echo in version 0 (RFC 6824 §3.4.1).
    put("echo", if line["version"] == 0 { None } else { flag("echo") });
    put("address", text("address"));
    put("port", number("port"));
    put("reason", number("reason"));
    put("transient", flag("transient"));
    fields
}

fn list(ids: &[Value]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn tshark(pcap: &Path, arguments: &[&str]) -> String {
    // Absolute numbers.
    let output = Command::new("tshark")
        .args(["-o", "tcp.relative_sequence_numbers:FALSE", "-o", "mptcp.relative_sequence_numbers:FALSE", "-r"])
        .arg(pcap)
        .args(arguments)
        .output()
        .expect("tshark is installed (deploy/bootstrap.sh test)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("tshark writes UTF-8")
}

fn theirs(pcap: &Path) -> Options {
    let packets: Value = serde_json::from_str(&tshark(pcap, &["-T", "json", "--no-duplicate-keys"])).expect("JSON");
    let mut options = Options::new();
    for packet in packets.as_array().expect("a list of packets") {
        let layers = &packet["_source"]["layers"];
        let frame: u64 = layers["frame"]["frame.number"].as_str().unwrap().parse().unwrap();
        // Several options of a kind come as a list, one alone does not.
        let found = match &layers["tcp"]["tcp.options_tree"]["mptcp"] {
            Value::Null => continue,
            Value::Array(several) => several.clone(),
            one => vec![one.clone()],
        };
        let mut found: Vec<_> = found.iter().map(their_fields).collect();
        let checksums = dss_checksums(layers["tcp"]["tcp.options"].as_str().unwrap());
        for (dss, checksum) in found.iter_mut().filter(|option| option["subtype"] == "DSS").zip(checksums) {
            dss.extend(checksum.map(|checksum| ("checksum", checksum.to_string())));
        }
        options.insert(frame, found);
    }
    options
}

/// The checksum, if there is one, of each DSS among the options of a header, shown as bytes with colons.
fn dss_checksums(shown: &str) -> Vec<Option<u16>> {
    let bytes: Vec<u8> = shown.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let (mut checksums, mut rest) = (Vec::new(), &bytes[..]);
    while let [kind, after @ ..] = rest {
        let len = if *kind <= 1 { 1 } else { usize::from(after[0]) };
        let option = &rest[..len];
        if *kind == 30 && option[2] >> 4 == 2 {
            let width = |present: u8, long: u8| match (option[3] & present, option[3] & long) {
                (0, _) => 0,
                (_, 0) => 4,
                _ => 8,
            };
            let mapping = if option[3] & 4 == 0 { 0 } else { width(4, 8) + 6 };
            let whole = 4 + width(1, 2) + mapping;
            checksums.push((len == whole + 2).then(|| u16::from_be_bytes([option[len - 2], option[len - 1]])));
        }
        rest = &rest[len..];
    }
    checksums
}

fn their_fields(option: &Value) -> Fields {
    const SUBTYPES: [&str; 9] =
        ["MP_CAPABLE", "MP_JOIN", "DSS", "ADD_ADDR", "REMOVE_ADDR", "MP_PRIO", "MP_FAIL", "MP_FASTCLOSE", "MP_TCPRST"];
    let raw = |name: &str| -> Option<String> {
        let value = &option[format!("tcp.options.mptcp.{name}")];
        let several =
            || value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","));
        value.as_str().map(ToOwned::to_owned).or_else(several)
    };
    let number = |name: &str| {
        raw(name).map(|text| match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).unwrap().to_string(),
            None => text,
        })
    };
    let subtype: usize = raw("subtype").unwrap().parse().unwrap();
    let flag = |name: &str| option["tcp.options.mptcp.flags_tree"][format!("tcp.options.mptcp.{name}.flag")].as_str();
    let set = |name: &str| flag(name).map(ToOwned::to_owned);
    // Printed as numbers of 64 bits, or as bytes with colons.
    let bytes = |name: &str| raw(name).map(|text| text.replace(':', ""));
    let sixteen = |name: &str| raw(name).map(|text| format!("{:016x}", text.parse::<u64>().unwrap()));
    let mut fields = Fields::new();
    let mut put = |name: &'static str, value: Option<String>| {
        if let Some(value) = value {
            fields.insert(name, value);
        }
    };
    put("subtype", Some(SUBTYPES[subtype].to_owned()));
    put("version", number("version"));
    put("flags", if subtype == 0 { number("flags") } else { None });
    put("sender_key", number("sendkey"));
    put("receiver_key", number("recvkey"));
    put("token", number("recvtok"));
    put("nonce", number("sendrand"));
    put("hmac", bytes("sendhmac").or_else(|| sixteen("sendtrunchmac")).or_else(|| sixteen("addaddrtrunchmac")));
    put("addr_id", number("addrid"));
    put("backup", set("backup"));
    put("data_fin", set("datafin"));
    put("data_ack", number("rawdataack"));
    put("data_ack_long", number("rawdataack").and_then(|_| set("dataack8")));
    put("dsn", number("rawdataseqno"));
    put("dsn_long", number("rawdataseqno").and_then(|_| set("dseqn8")));
    put("ssn", number("subflowseqno"));
    put("length", number("datalvllen"));
    put("checksum", number("checksum"));
    put("echo", number("echo"));
    put("address", raw("ipv4").or_else(|| raw("ipv6")));
    put("port", number("port"));
    put("reason", number("rst_reason"));
    put("transient", set("flag_T"));
    fields
}
