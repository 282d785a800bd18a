//! Options made of bytes, of few keys: mostly right, sometimes forged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::crypto;
use crate::event::{End, Ends};
use crate::fuzzing::input::Input;
use crate::id::{AddrId, FourTuple, Token};
use crate::wire::mptcp::{
    AddAddr, Capable, DataSeq, Dss, DssMap, Fail, FastClose, Hmac, Join, Key, MptcpOption, OptionBuf, Prio, RemoveAddr,
    ResetReason, TcpRst,
};

/// The keys of one connection, by a byte that says which, and what else is to be said.
pub(super) struct Keys {
    keys: Ends<Key>,
    version: u8,
    /// Who speaks.
    by: End,
    /// What was said is wrong.
    forged: bool,
    /// Something the option says or does not.
    bits: u8,
}

impl Keys {
    /// Four connections: two share the client's key, and one has the same key at both ends.
    pub(super) fn of(who: u8) -> Self {
        let (client, server) = [(1, 11), (2, 12), (1, 13), (4, 4)][usize::from(who & 3)];
        let version = u8::from(who & 4 == 0);
        let by = if who & 8 == 0 { End::Client } else { End::Server };
        Self {
            keys: Ends { client: Key([client; 8]), server: Key([server; 8]) },
            version,
            by,
            forged: who >> 4 == 0xf,
            bits: who >> 4,
        }
    }

    pub(super) fn token(&self, end: End) -> Token {
        crypto::token(self.keys[end], self.version)
    }

    fn bit(&self, number: u8) -> bool {
        self.bits >> number & 1 == 1
    }

    fn capable(&self, input: &mut Input<'_>, form: u8) -> Option<Capable> {
        let version_0 = self.version == 0;
        let data = form > 2 && self.bit(0) && !version_0;
        Some(Capable {
            version: self.version,
            flags: if self.forged { input.byte()? } else { 1 | (self.bits & 0xa) << 4 },
            sender_key: (form > 0 || version_0).then_some(self.keys[self.by]),
            receiver_key: (form > 1).then_some(self.keys[self.by.other()]),
            data_len: if data { Some(input.u16()?) } else { None },
            checksum: (data && self.bit(1)).then_some(7),
        })
    }

    /// The proof of a join, with one of four pairs of nonces.
    fn proof(&self, nonces: u8) -> [u8; 20] {
        let (own, peer) = (self.keys[self.by], self.keys[self.by.other()]);
        let (opener, responder) = (u32::from(nonces & 1), u32::from(nonces >> 1 & 1));
        let mut proof = if nonces & 4 == 0 {
            crypto::join_hmac(own, peer, opener, responder, self.version)
        } else {
            crypto::join_hmac(own, peer, responder, opener, self.version)
        };
        proof[0] ^= u8::from(self.forged);
        proof
    }

    fn join(&self, input: &mut Input<'_>, form: u8) -> Option<Join> {
        let nonces = input.byte()?;
        let (backup, addr_id) = (self.bit(0), AddrId(nonces >> 4));
        Some(match form {
            0 => {
                let token = if self.forged { Token(input.u32()?) } else { self.token(self.by.other()) };
                Join::Syn { backup, addr_id, token, nonce: u32::from(nonces & 1) }
            }
            1 => {
                let mut hmac = [0; 8];
                hmac.copy_from_slice(&self.proof(nonces | 4)[..8]);
                Join::SynAck { backup, addr_id, hmac: Hmac(hmac), nonce: u32::from(nonces >> 1 & 1) }
            }
            _ => Join::Ack { hmac: Hmac(self.proof(nonces & !4)) },
        })
    }

    /// A number of the data of an end: near its beginning, or any.
    fn data_seq(&self, input: &mut Input<'_>, of: End) -> Option<DataSeq> {
        let all = if self.forged {
            u64::from(input.u32()?) << 32 | u64::from(input.u32()?)
        } else {
            crypto::idsn(self.keys[of], self.version).wrapping_add(u64::from(input.u16()?))
        };
        let [_, _, _, _, lower @ ..] = all.to_be_bytes();
        Some(if self.bit(2) { DataSeq::Short(u32::from_be_bytes(lower)) } else { DataSeq::Long(all) })
    }

    fn dss(&self, input: &mut Input<'_>, mapped: bool) -> Option<Dss> {
        let data_ack = if self.bit(0) || !mapped { Some(self.data_seq(input, self.by.other())?) } else { None };
        let map = if mapped {
            let (dsn, ssn) = (self.data_seq(input, self.by)?, u32::from(input.u16()?));
            Some(DssMap { dsn, ssn, len: input.u16()?, checksum: None })
        } else {
            None
        };
        Some(Dss { data_fin: self.bit(1), data_ack, map })
    }

    fn add_addr(&self, input: &mut Input<'_>, flow: FourTuple) -> Option<AddAddr> {
        let what = input.byte()?;
        let (addr_id, echo) = (AddrId(what & 3), self.bit(0));
        let last = what >> 2 & 3;
        let address: IpAddr = match flow.source() {
            from if what >> 4 & 7 == 0 => from.ip(),
            from if from.is_ipv4() => Ipv4Addr::new(10, 3, 0, last).into(),
            _ => Ipv6Addr::new(0xfd03, 0, 0, 0, 0, 0, 0, last.into()).into(),
        };
        let port = (what & 0x80 != 0).then_some(8080);
        let mut proof = crypto::add_addr_hmac(self.keys[self.by], self.keys[self.by.other()], addr_id, address, port);
        proof[0] ^= u8::from(self.forged);
        let hmac = (!echo && self.version == 1).then_some(Hmac(proof));
        Some(AddAddr { version: self.version, echo: echo && self.version == 1, addr_id, address, port, hmac })
    }

    fn option<'a>(&self, kind: u8, input: &mut Input<'a>, flow: FourTuple) -> Option<MptcpOption<'a>> {
        Some(match kind & 15 {
            form @ 0..=3 => MptcpOption::Capable(self.capable(input, form)?),
            form @ 4..=6 => MptcpOption::Join(self.join(input, form - 4)?),
            7 => MptcpOption::Dss(self.dss(input, false)?),
            8 | 9 => MptcpOption::Dss(self.dss(input, true)?),
            10 => MptcpOption::AddAddr(self.add_addr(input, flow)?),
            11 => MptcpOption::RemoveAddr(RemoveAddr { ids: input.up_to(1 + usize::from(self.bits & 3)) }),
            12 => {
                let addr_id = self.bit(1).then_some(AddrId(self.bits >> 2));
                MptcpOption::Prio(Prio { backup: self.bit(0), addr_id })
            }
            13 => MptcpOption::Fail(Fail { dsn: u64::from(input.u32()?) }),
            14 => {
                let mut key = self.keys[self.by.other()];
                key.0[0] ^= u8::from(self.forged);
                MptcpOption::FastClose(FastClose { receiver_key: key })
            }
            _ => {
                MptcpOption::TcpRst(TcpRst { transient: self.bit(0), flags: self.bits, reason: ResetReason(self.bits) })
            }
        })
    }
}

/// Options of a segment: none, one or two of one's own making, or bytes as they are. What does not fit is left out.
pub(super) fn fill(out: &mut OptionBuf, input: &mut Input<'_>, flow: FourTuple) -> Option<()> {
    match input.byte()? & 3 {
        3 => {
            let len = usize::from(input.byte()?) % 41;
            out.push(input.up_to(len)).ok()?;
        }
        count => {
            for _ in 0..count {
                let (kind, who) = (input.byte()?, input.byte()?);
                if Keys::of(who).option(kind, input, flow)?.encode(out).is_err() {
                    break;
                }
            }
        }
    }
    Some(())
}
