//! Seeds made of the captures that the tests share, and a few made by hand.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use crate::event::{End, Ends};
use crate::id::FourTuple;
use crate::pcap::{Capture, Writer};
use crate::track::FlowKey;
use crate::wire::mptcp::{MptcpOption, OptionBuf};
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{LinkType, parse};

type Seed = (&'static str, String, Vec<u8>);

const FILTERS: [&str; 8] = [
    "",
    "host 10.1.0.2 and port 3128",
    "src net 10.0.0.0/8 or dst net fd01::/16",
    "not (subtype MP_JOIN || subtype DSS)",
    "token 7bd96dc8 connection 3",
    "syn && ! fin and !rst",
    "((malformed) or (subtype 9)) and src port 65535",
    "dst host ::ffff:10.0.0.1 port 70000",
];

/// A connection, a join whose last proof is wrong, and time: in steps of the tracker's target.
const FORGED_JOIN: &[u8] = &[
    0xff, 0xff, // limits
    0, 0, 2, 1, 0, 0x00, // SYN: MP_CAPABLE without keys, by the client of the first connection
    0, 8, 0x12, 1, 1, 0x08, // SYN/ACK
    0, 0, 0x10, 1, 2, 0x00, // ACK
    0, 0x40, 0x18, 0, 9, 1, 8, 0x10, 0, 1, 0, 1, 0, 1, 0, 9, // data
    0, 2, 2, 1, 4, 0x00, 1, // a join: SYN
    0, 10, 0x12, 1, 5, 0x08, 1, // SYN/ACK
    0, 2, 0x10, 1, 6, 0xf0, 1, // ACK, forged
    7, 5, 6, 6, 2, 0x00, 7, // look, wait, the kernel speaks, look
];

pub(super) fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut forms = HashSet::new();
    for (number, bytes) in captures() {
        let mut transcript = Transcript::new();
        let mut cut = Vec::new();
        let mut writer = Writer::new(&mut cut, LinkType::Ethernet).unwrap();
        let mut capture = Capture::open(&bytes[..]).unwrap();
        while let Some(frame) = capture.next_frame().unwrap() {
            let Ok(segment) = parse(frame.link.unwrap(), frame.captured, frame.wire_len) else { continue };
            let kept = frame.captured.len() - segment.payload.len();
            let head = &frame.captured[..kept];
            if let Some(form) = form(&segment).filter(|_| frame.link == Some(LinkType::Ethernet))
                && forms.insert(form)
            {
                seeds.push(("codec", format!("{number}-{}", frame.number), [&[2], head].concat()));
            }
            if frame.number <= 8 {
                writer.write(frame.at, head, frame.wire_len).unwrap();
            }
            transcript.add(&segment);
        }
        if ["02", "06", "12", "30"].contains(&&number[..]) {
            seeds.push(("pcap", number.clone(), cut));
        }
        seeds.push(("tracker", number, transcript.finish()));
    }
    for big in [true, false] {
        let bytes = crate::pcap::tests::next_generation(big);
        seeds.push(("pcap", format!("next-generation-{}", if big { "big" } else { "little" }), bytes));
    }
    let filters = FILTERS.iter().enumerate();
    seeds.extend(filters.map(|(n, text)| ("filter", n.to_string(), text.as_bytes().to_vec())));
    seeds.push(("tracker", "forged-join".to_owned(), FORGED_JOIN.to_vec()));
    seeds
}

/// The captures by the number their names begin with.
fn captures() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pcaps");
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "pcap"));
    found.sort();
    assert!(found.len() >= 21, "only {} captures left", found.len());
    found
        .iter()
        .map(|path| (path.file_name().unwrap().to_str().unwrap()[..2].to_owned(), fs::read(path).unwrap()))
        .collect()
}

/// What the options of a segment are, their values left out.
fn form(segment: &Segment<'_>) -> Option<Vec<(String, usize)>> {
    let form: Vec<_> =
        segment.mptcp().flatten().map(|option| (option.subtype().to_string(), encoded(&[option]).len())).collect();
    (!form.is_empty()).then_some(form)
}

fn encoded(options: &[MptcpOption<'_>]) -> Vec<u8> {
    let mut buffer = OptionBuf::default();
    options.iter().for_each(|option| option.encode(&mut buffer).unwrap());
    buffer.as_bytes().to_vec()
}

/// Segments as steps of the tracker's target.
struct Transcript {
    steps: Vec<u8>,
    segments: usize,
    flows: Vec<(FlowKey, FourTuple)>,
    next: Vec<Ends<u32>>,
}

impl Transcript {
    fn new() -> Self {
        let next = vec![Ends { client: u32::MAX - 100, server: 5_000 }; 8];
        Self { steps: vec![0xff, 0xff], segments: 0, flows: Vec::new(), next }
    }

    /// The beginning, and later what is more than data.
    fn add(&mut self, segment: &Segment<'_>) {
        let options: Vec<_> = segment.mptcp().flatten().collect();
        let data = options.iter().all(|option| matches!(option, MptcpOption::Dss(_)));
        let control = [Flags::SYN, Flags::FIN, Flags::RST].into_iter().any(|flag| segment.flags.has(flag));
        if self.segments >= if data && !control { 24 } else { 48 } {
            return;
        }
        let key = FlowKey::of(&segment.flow);
        let known = self.flows.iter().position(|(flow, _)| *flow == key);
        let at = known.unwrap_or_else(|| {
            self.flows.push((key, segment.flow));
            self.flows.len() - 1
        });
        if at >= self.next.len() {
            return;
        }
        self.segments += 1;
        let from = if segment.flow == self.flows[at].1 { End::Client } else { End::Server };
        let expected = (self.next[at][from], self.next[at][from.other()]);
        let fits = (segment.seq, segment.ack) == expected;
        let len = u16::try_from(segment.payload_len).unwrap_or(u16::MAX);
        let place = u8::try_from(at).unwrap()
            | if from == End::Server { 8 } else { 0 }
            | if fits { 0 } else { 0x30 }
            | if len > 0 { 0x40 } else { 0 };
        self.steps.extend([0, place, segment.flags.0]);
        if len > 0 {
            self.steps.extend(len.to_be_bytes());
        }
        if !fits {
            self.steps.extend(segment.seq.to_be_bytes());
            self.steps.extend(segment.ack.to_be_bytes());
        }
        if fits || segment.flags.has(Flags::SYN) {
            self.next[at][from] = segment.seq.wrapping_add(segment.seq_len());
        }
        let options = encoded(&options);
        if options.is_empty() {
            self.steps.push(0);
        } else {
            self.steps.extend([3, u8::try_from(options.len()).unwrap()]);
            self.steps.extend(options);
        }
    }

    /// Looks, waits until the first thing is due, and looks again.
    fn finish(mut self) -> Vec<u8> {
        assert!(self.segments > 4, "a capture without a connection");
        self.steps.extend([7, 5, 6, 7]);
        self.steps
    }
}
