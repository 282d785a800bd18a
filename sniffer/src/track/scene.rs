//! Hand-built traffic for tests: two hosts that speak MPTCP, and a tracker that sees what they send.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Limits, Timeouts, Tracker};
use crate::crypto;
use crate::event::{End, Ends, Event, What};
use crate::id::{AddrId, FourTuple, Token};
use crate::story::ConnectionFacts;
use crate::wire::mptcp::{
    AddAddr, Capable, DataSeq, Dss, DssMap, FastClose, Hmac, Join, Key, MptcpOption, Prio, RemoveAddr, ResetReason,
    TcpRst,
};
use crate::wire::tcp::{Flags, Segment};

pub(crate) const SYN: Flags = Flags::SYN;
pub(crate) const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);
pub(crate) const ACK: Flags = Flags::ACK;
pub(crate) const FIN: Flags = Flags(Flags::FIN.0 | Flags::ACK.0);
pub(crate) const RST: Flags = Flags(Flags::RST.0 | Flags::ACK.0);

/// The tracker, the time, and which direction of the wire the capture misses.
pub(crate) struct Scene {
    pub(crate) tracker: Tracker,
    pub(crate) now: Duration,
    /// What this end of the connection sends is not captured.
    pub(crate) missed: Option<End>,
}

/// What both ends of a connection know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Talk {
    pub(crate) keys: Ends<Key>,
    pub(crate) version: u8,
    /// The next number of each end's data.
    pub(crate) dsn: Ends<u64>,
}

/// One flow; `client` is the end of the connection, whoever opened the flow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) addresses: Ends<SocketAddr>,
    pub(crate) base: Ends<u32>,
    pub(crate) next: Ends<u32>,
}

impl Talk {
    pub(crate) fn new(seed: u8) -> Self {
        Self::of_version(seed, 1)
    }

    pub(crate) fn of_version(seed: u8, version: u8) -> Self {
        let keys = Ends { client: Key([seed; 8]), server: Key([!seed; 8]) };
        let first = |key| crypto::idsn(key, version).wrapping_add(1);
        Self { keys, version, dsn: Ends { client: first(keys.client), server: first(keys.server) } }
    }

    pub(crate) fn token(&self, end: End) -> Token {
        crypto::token(self.keys[end], self.version)
    }

    pub(crate) fn capable(&self, from: End, both: bool, data_len: Option<u16>) -> MptcpOption<'static> {
        MptcpOption::Capable(Capable {
            version: self.version,
            flags: 1,
            sender_key: Some(self.keys[from]),
            receiver_key: both.then_some(self.keys[from.other()]),
            data_len,
            checksum: None,
        })
    }

    /// MP_CAPABLE of the SYN.
    pub(crate) fn syn(&self) -> MptcpOption<'static> {
        let MptcpOption::Capable(mut capable) = self.capable(End::Client, false, None) else { unreachable!() };
        capable.sender_key = capable.sender_key.filter(|_| self.version == 0);
        MptcpOption::Capable(capable)
    }

    pub(crate) fn ack(&self, from: End) -> MptcpOption<'static> {
        MptcpOption::Dss(Dss { data_fin: false, data_ack: Some(DataSeq::Long(self.dsn[from.other()])), map: None })
    }

    pub(crate) fn map(&self, from: End, dsn: u64, ssn: u32, len: u16) -> MptcpOption<'static> {
        MptcpOption::Dss(Dss {
            data_fin: false,
            data_ack: Some(DataSeq::Long(self.dsn[from.other()])),
            map: Some(DssMap { dsn: DataSeq::Long(dsn), ssn, len, checksum: None }),
        })
    }

    pub(crate) fn data_fin(&mut self, from: End) -> MptcpOption<'static> {
        let dsn = DataSeq::Long(self.dsn[from]);
        self.dsn[from] += 1;
        MptcpOption::Dss(Dss {
            data_fin: true,
            data_ack: Some(DataSeq::Long(self.dsn[from.other()])),
            map: Some(DssMap { dsn, ssn: 0, len: 1, checksum: None }),
        })
    }

    pub(crate) fn add_addr(&self, from: End, id: u8, address: &str, port: Option<u16>) -> AddAddr {
        let address: IpAddr = address.parse().unwrap();
        let proof = crypto::add_addr_hmac(self.keys[from], self.keys[from.other()], AddrId(id), address, port);
        AddAddr { version: 1, echo: false, addr_id: AddrId(id), address, port, hmac: Some(Hmac(proof)) }
    }
}

impl Wire {
    /// A flow of the client to the server, or of the server to the client, by its addresses on both.
    pub(crate) fn new(client: &str, server: &str) -> Self {
        let addresses = Ends { client: client.parse().unwrap(), server: server.parse().unwrap() };
        Self::from_base(addresses, Ends { client: u32::MAX - 100, server: 5_000 })
    }

    pub(crate) fn from_base(addresses: Ends<SocketAddr>, base: Ends<u32>) -> Self {
        Self { addresses, base, next: base }
    }

    pub(crate) fn flow(&self, from: End) -> FourTuple {
        FourTuple::new(self.addresses[from], self.addresses[from.other()]).unwrap()
    }

    pub(crate) fn ssn(&self, from: End) -> u32 {
        self.next[from].wrapping_sub(self.base[from])
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::with(Limits::default())
    }
}

impl Scene {
    pub(crate) fn with(limits: Limits) -> Self {
        let now = Duration::from_secs(1_700_000_000);
        Self { tracker: Tracker::new(limits, Timeouts::default()), now, missed: None }
    }

    pub(crate) fn wait(&mut self, span: Duration) {
        self.now += span;
        self.tracker.handle_timeout(self.now);
    }

    /// Sends a segment with the numbers that come next.
    pub(crate) fn send(&mut self, wire: &mut Wire, from: End, flags: Flags, len: u32, options: &[MptcpOption<'_>]) {
        let seq = wire.next[from];
        self.send_at(wire, from, flags, seq, len, options);
        let control = u32::from(flags.has(Flags::SYN)) + u32::from(flags.has(Flags::FIN));
        wire.next[from] = seq.wrapping_add(len).wrapping_add(control);
    }

    /// Sends a segment with a sequence number of one's own choice.
    pub(crate) fn send_at(
        &mut self,
        wire: &Wire,
        from: End,
        flags: Flags,
        seq: u32,
        len: u32,
        options: &[MptcpOption<'_>],
    ) {
        self.now += Duration::from_millis(1);
        if self.missed == Some(from) {
            return;
        }
        let segment = Segment {
            flow: wire.flow(from),
            seq,
            ack: if flags.has(Flags::ACK) { wire.next[from.other()] } else { 0 },
            flags,
            window: 1_000,
            options: &[],
            options_len: 0,
            payload: &[],
            payload_len: len,
        };
        self.tracker.on_segment(&segment, options.iter().copied(), self.now);
    }

    /// SYN, SYN/ACK and ACK of a connection.
    pub(crate) fn connect(&mut self, talk: &Talk, wire: &mut Wire) {
        self.send(wire, End::Client, SYN, 0, &[talk.syn()]);
        self.send(wire, End::Server, SYN_ACK, 0, &[talk.capable(End::Server, false, None)]);
        self.send(wire, End::Client, ACK, 0, &[talk.capable(End::Client, true, None)]);
    }

    /// A connection with one byte of data each way, so that others may join.
    pub(crate) fn talk(&mut self, talk: &mut Talk, wire: &mut Wire) {
        self.connect(talk, wire);
        self.data(talk, wire, End::Client, 1);
        self.data(talk, wire, End::Server, 1);
    }

    /// Data, and its acknowledgement.
    pub(crate) fn data(&mut self, talk: &mut Talk, wire: &mut Wire, from: End, len: u16) {
        let map = talk.map(from, talk.dsn[from], wire.ssn(from), len);
        self.send(wire, from, ACK, u32::from(len), &[map]);
        talk.dsn[from] += u64::from(len);
        self.send(wire, from.other(), ACK, 0, &[talk.ack(from.other())]);
    }

    /// Data and acknowledgement, both without MPTCP.
    pub(crate) fn bare_data(&mut self, wire: &mut Wire, from: End, len: u32) {
        self.send(wire, from, ACK, len, &[]);
        self.send(wire, from.other(), ACK, 0, &[]);
    }

    pub(crate) fn join(&mut self, talk: &Talk, wire: &mut Wire, opener: End, backup: bool) {
        let [syn, syn_ack, ack] = join_options(talk, opener, backup);
        self.send(wire, opener, SYN, 0, &[syn]);
        self.send(wire, opener.other(), SYN_ACK, 0, &[syn_ack]);
        self.send(wire, opener, ACK, 0, &[ack]);
        self.send(wire, opener.other(), ACK, 0, &[talk.ack(opener.other())]);
    }

    /// DATA_FIN both ways.
    pub(crate) fn end_data(&mut self, talk: &mut Talk, wire: &mut Wire) {
        for end in End::BOTH {
            let fin = talk.data_fin(end);
            self.send(wire, end, ACK, 0, &[fin]);
        }
    }

    /// FIN both ways.
    pub(crate) fn finish(&mut self, wire: &mut Wire) {
        self.send(wire, End::Client, FIN, 0, &[]);
        self.send(wire, End::Server, FIN, 0, &[]);
        self.send(wire, End::Client, ACK, 0, &[]);
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.tracker.poll_event()).collect()
    }

    pub(crate) fn whats(&mut self) -> Vec<What> {
        self.events().into_iter().map(|event| event.what).collect()
    }

    /// The one connection there is.
    pub(crate) fn only(&self) -> ConnectionFacts {
        let mut all: Vec<_> = self.tracker.connections().collect();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }
}

/// SYN, SYN/ACK and ACK of a join.
pub(crate) fn join_options(talk: &Talk, opener: End, backup: bool) -> [MptcpOption<'static>; 3] {
    let (own, peer) = (talk.keys[opener], talk.keys[opener.other()]);
    let (nonce, peer_nonce) = (0x1111_1111, 0x2222_2222);
    let answer = crypto::join_hmac(peer, own, peer_nonce, nonce, talk.version);
    let mut short = [0; 8];
    short.copy_from_slice(&answer[..8]);
    [
        MptcpOption::Join(Join::Syn { backup, addr_id: AddrId(7), token: talk.token(opener.other()), nonce }),
        MptcpOption::Join(Join::SynAck { backup: false, addr_id: AddrId(0), hmac: Hmac(short), nonce: peer_nonce }),
        MptcpOption::Join(Join::Ack { hmac: Hmac(crypto::join_hmac(own, peer, nonce, peer_nonce, talk.version)) }),
    ]
}

pub(crate) fn reset(reason: u8) -> MptcpOption<'static> {
    MptcpOption::TcpRst(TcpRst { transient: false, flags: 0, reason: ResetReason(reason) })
}

pub(crate) fn prio(backup: bool) -> MptcpOption<'static> {
    MptcpOption::Prio(Prio { backup, addr_id: None })
}

pub(crate) fn fast_close(key: Key) -> MptcpOption<'static> {
    MptcpOption::FastClose(FastClose { receiver_key: key })
}

pub(crate) fn remove(ids: &[u8]) -> MptcpOption<'_> {
    MptcpOption::RemoveAddr(RemoveAddr { ids })
}
