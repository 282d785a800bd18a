//! Hand-built segments: hosts that speak MPTCP to one another, and a tracker that sees what they send.
//!
//! Called by the measurements of state. Invariant: what an honest host sends here has the numbers, keys and proofs that a
//! real one would send.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anabranch_sniffer::event::{End, Ends};
use anabranch_sniffer::track::Tracker;
use anabranch_sniffer::wire::mptcp::{Capable, DataSeq, Dss, DssMap, Hmac, Join, Key, MptcpOption};
use anabranch_sniffer::wire::tcp::{Flags, Segment};
use anabranch_sniffer::{AddrId, FourTuple, Token, crypto};

const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);
const VERSION: u8 = 1;

/// The server everyone connects to.
pub(super) const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 3128);

/// The tracker and the time.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) tracker: Tracker,
    /// Since the Unix epoch.
    pub(super) now: Duration,
}

/// What both ends of a connection know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    keys: Ends<Key>,
    dsn: Ends<u64>,
}

/// One flow between a client and the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    addresses: Ends<SocketAddr>,
    base: Ends<u32>,
    next: Ends<u32>,
}

impl Hand {
    pub(super) fn new() -> Self {
        Self { tracker: Tracker::default(), now: Duration::from_secs(1_700_000_000) }
    }

    /// Sends a segment with the numbers that come next, and takes what the tracker has to tell.
    pub(super) fn send(&mut self, flow: &mut Flow, from: End, flags: Flags, len: u16, options: &[MptcpOption<'_>]) {
        let Ok(direction) = FourTuple::new(flow.addresses[from], flow.addresses[from.other()]) else { return };
        let segment = Segment {
            flow: direction,
            seq: flow.next[from],
            ack: if flags.has(Flags::ACK) { flow.next[from.other()] } else { 0 },
            flags,
            window: 1_000,
            options: &[],
            options_len: 0,
            payload: &[],
            payload_len: len.into(),
        };
        flow.next[from] = flow.next[from].wrapping_add(segment.seq_len());
        self.tracker.on_segment(&segment, options.iter().copied(), self.now);
        while self.tracker.poll_event().is_some() {}
    }

    /// SYN, SYN/ACK and ACK of a connection, and a byte of data each way.
    pub(super) fn connect(&mut self, talk: &mut Talk, flow: &mut Flow) {
        for step in 0..3 {
            self.connect_step(talk, flow, step);
        }
        self.data(talk, flow, End::Client, 1);
        self.data(talk, flow, End::Server, 1);
    }

    /// The SYN, the SYN/ACK, or the ACK.
    pub(super) fn connect_step(&mut self, talk: &Talk, flow: &mut Flow, step: u8) {
        match step {
            0 => self.send(flow, End::Client, Flags::SYN, 0, &[capable(None, None)]),
            1 => self.send(flow, End::Server, SYN_ACK, 0, &[capable(Some(talk.keys.server), None)]),
            _ => {
                let both = capable(Some(talk.keys.client), Some(talk.keys.server));
                self.send(flow, End::Client, Flags::ACK, 0, &[both]);
            }
        }
    }

    /// A subflow that the client joins.
    pub(super) fn join(&mut self, talk: &Talk, flow: &mut Flow) {
        let Ends { client, server } = talk.keys;
        let (nonce, answer_nonce) = (0x1111_1111, 0x2222_2222);
        let answer = crypto::join_hmac(server, client, answer_nonce, nonce, VERSION);
        let short = answer.first_chunk().copied().unwrap_or_default();
        let syn = Join::Syn { backup: false, addr_id: AddrId(1), token: talk.token(End::Server), nonce };
        let syn_ack = Join::SynAck { backup: false, addr_id: AddrId(0), hmac: Hmac(short), nonce: answer_nonce };
        let proof = crypto::join_hmac(client, server, nonce, answer_nonce, VERSION);
        self.send(flow, End::Client, Flags::SYN, 0, &[MptcpOption::Join(syn)]);
        self.send(flow, End::Server, SYN_ACK, 0, &[MptcpOption::Join(syn_ack)]);
        self.send(flow, End::Client, Flags::ACK, 0, &[MptcpOption::Join(Join::Ack { hmac: Hmac(proof) })]);
        self.send(flow, End::Server, Flags::ACK, 0, &[talk.acknowledgement(End::Server)]);
    }

    /// Data, and its acknowledgement.
    pub(super) fn data(&mut self, talk: &mut Talk, flow: &mut Flow, from: End, len: u16) {
        let map = DssMap {
            dsn: DataSeq::Long(talk.dsn[from]),
            ssn: flow.next[from].wrapping_sub(flow.base[from]),
            len,
            checksum: None,
        };
        let data_ack = Some(DataSeq::Long(talk.dsn[from.other()]));
        let data = MptcpOption::Dss(Dss { data_fin: false, data_ack, map: Some(map) });
        self.send(flow, from, Flags::ACK, len, &[data]);
        talk.dsn[from] += u64::from(len);
        self.send(flow, from.other(), Flags::ACK, 0, &[talk.acknowledgement(from.other())]);
    }
}

impl Talk {
    /// The `n`th of many, with keys like no other's.
    pub(super) fn nth(n: u32) -> Self {
        let key = |side: u32| {
            let mut key = [0; 8];
            key[..4].copy_from_slice(&n.to_be_bytes());
            key[4..].copy_from_slice(&side.to_be_bytes());
            Key(key)
        };
        let keys = Ends { client: key(1), server: key(2) };
        let first = |key| crypto::idsn(key, VERSION).wrapping_add(1);
        Self { keys, dsn: Ends { client: first(keys.client), server: first(keys.server) } }
    }

    pub(super) fn token(&self, end: End) -> Token {
        crypto::token(self.keys[end], VERSION)
    }

    fn acknowledgement(&self, from: End) -> MptcpOption<'static> {
        let data_ack = Some(DataSeq::Long(self.dsn[from.other()]));
        MptcpOption::Dss(Dss { data_fin: false, data_ack, map: None })
    }
}

impl Flow {
    /// The `n`th of many in 10.`net`.0.0/16 and above, a /11 in all.
    pub(super) fn nth(net: u8, n: u32) -> Self {
        let [_, high, middle, low] = n.to_be_bytes();
        let client = Ipv4Addr::new(10, net.wrapping_add(high), middle, low);
        let port = 10_000 + u16::from(low);
        let base = Ends { client: n.wrapping_mul(2_654_435_761), server: n.wrapping_mul(40_503) };
        Self { addresses: Ends { client: SocketAddr::new(client.into(), port), server: SERVER }, base, next: base }
    }
}

/// MP_CAPABLE with the keys it carries at that step.
pub(super) fn capable(sender_key: Option<Key>, receiver_key: Option<Key>) -> MptcpOption<'static> {
    MptcpOption::Capable(Capable {
        version: VERSION,
        flags: 1,
        sender_key,
        receiver_key,
        data_len: None,
        checksum: None,
    })
}
