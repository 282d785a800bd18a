//! From bytes to options: the walk over a TCP header's options, and each option's forms.
//!
//! Called through [`Segment::mptcp`]. Invariant: which form an option has follows from SYN, ACK and its length alone
//! (RFC 8684 §3.1); what fits none of its forms is malformed, and said to be.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    AddAddr, Capable, DataSeq, Dss, DssMap, Fail, FastClose, Hmac, Join, KIND, Key, Malformed, MptcpOption, Prio,
    Reason, RemoveAddr, ResetReason, Subtype, TcpRst, Unknown,
};
use crate::id::{AddrId, Token};
use crate::wire::tcp::{Flags, Segment};

/// The MPTCP options of a segment, in order.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
    flags: Flags,
    /// Bytes of options that were sent and not captured.
    missing: bool,
}

impl<'a> Segment<'a> {
    /// Its MPTCP options, in order.
    #[must_use]
    pub fn mptcp(&self) -> Options<'a> {
        let missing = self.options.len() < usize::from(self.options_len);
        Options { rest: self.options, flags: self.flags, missing }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<MptcpOption<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match *self.rest {
                // End of options; what follows is padding.
                [] | [0, ..] => return None,
                [1, ref rest @ ..] => self.rest = rest,
                [kind, ref tail @ ..] => {
                    let len = tail.first().copied().unwrap_or(0);
                    let option = if len < 2 { None } else { self.rest.get(..len.into()) };
                    let Some(option) = option else {
                        let whole = self.rest;
                        self.rest = &[];
                        return (kind == KIND).then(|| Err(self.overrun(whole, len)));
                    };
                    self.rest = self.rest.get(len.into()..).unwrap_or(&[]);
                    if kind == KIND {
                        return Some(parse(option, self.flags));
                    }
                }
            }
        }
    }
}

impl Options<'_> {
    /// An option that is longer than what there is.
    fn overrun(&self, option: &[u8], length: u8) -> Malformed {
        let subtype = option.get(2).map(|byte| Subtype::from_number(byte >> 4));
        let reason = if self.missing && (length >= 2 || option.len() < 2) {
            Reason::NotCaptured
        } else if length < 2 {
            Reason::BadLength
        } else {
            Reason::Overrun
        };
        Malformed { subtype, length, reason }
    }
}

/// Reads one option of kind 30, its kind and length included.
fn parse(option: &[u8], flags: Flags) -> Result<MptcpOption<'_>, Malformed> {
    let length = u8::try_from(option.len()).unwrap_or(u8::MAX);
    let malformed = |subtype, reason| Malformed { subtype, length, reason };
    let [_, _, third, body @ ..] = option else { return Err(malformed(None, Reason::BadLength)) };
    let (number, nibble) = (third >> 4, third & 0x0f);
    let subtype = Subtype::from_number(number);
    let parsed = match subtype {
        Subtype::Capable => capable(nibble, body, flags).map(MptcpOption::Capable),
        Subtype::Join => join(nibble, body, flags).map(MptcpOption::Join),
        Subtype::Dss => dss(body).map(MptcpOption::Dss),
        Subtype::AddAddr => add_addr(nibble, body).map(MptcpOption::AddAddr),
        Subtype::RemoveAddr if body.is_empty() => Err(Reason::BadLength),
        Subtype::RemoveAddr => Ok(MptcpOption::RemoveAddr(RemoveAddr { ids: body })),
        Subtype::Prio => prio(nibble, body).map(MptcpOption::Prio),
        Subtype::Fail => long(body).map(|dsn| MptcpOption::Fail(Fail { dsn })),
        Subtype::FastClose => {
            long(body).map(|key| MptcpOption::FastClose(FastClose { receiver_key: Key(key.to_be_bytes()) }))
        }
        Subtype::TcpRst => tcp_rst(nibble, body).map(MptcpOption::TcpRst),
        Subtype::Other(_) => {
            Ok(MptcpOption::Unknown(Unknown { subtype: number, bytes: option.get(2..).unwrap_or(&[]) }))
        }
    };
    parsed.map_err(|reason| malformed(Some(subtype), reason))
}

/// Takes fields off the front of an option; a field that is not there whole is `None`.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn data_seq(&mut self, long: bool) -> Option<DataSeq> {
        if long { self.take().map(u64::from_be_bytes).map(DataSeq::Long) } else { self.u32().map(DataSeq::Short) }
    }
}

fn long(body: &[u8]) -> Result<u64, Reason> {
    // A reserved byte, then eight bytes.
    let [_, rest @ ..] = body else { return Err(Reason::BadLength) };
    <[u8; 8]>::try_from(rest).map(u64::from_be_bytes).map_err(|_| Reason::BadLength)
}

fn capable(version: u8, body: &[u8], flags: Flags) -> Result<Capable, Reason> {
    let (syn, ack) = (flags.has(Flags::SYN), flags.has(Flags::ACK));
    if version > 1 {
        return Err(Reason::BadVersion);
    }
    // The lengths of the whole option: RFC 8684 §3.1, and RFC 6824 §3.1 for version 0.
    let fits = match (syn, ack, version, body.len() + 3) {
        (true, false, 0, len) => len == 12,
        (true, false, _, len) => len == 4,
        (true, true, _, len) => len == 12,
        (false, _, 0, len) => len == 20,
        (false, _, _, len) => matches!(len, 20 | 22 | 24),
    };
    if !fits {
        return Err(Reason::BadLength);
    }
    let mut fields = Fields(body);
    let flags = fields.take::<1>().map_or(0, |[flags]| flags);
    Ok(Capable {
        version,
        flags,
        sender_key: fields.take().map(Key),
        receiver_key: fields.take().map(Key),
        data_len: fields.u16(),
        checksum: fields.u16(),
    })
}

fn join(nibble: u8, body: &[u8], flags: Flags) -> Result<Join, Reason> {
    let mut fields = Fields(body);
    let backup = nibble & 1 != 0;
    let mut form = || {
        // Reserved in the third form.
        let addr_id = fields.take::<1>().map(|[id]| AddrId(id))?;
        match (flags.has(Flags::SYN), flags.has(Flags::ACK), body.len() + 3) {
            (true, false, 12) => Some(Join::Syn { backup, addr_id, token: Token(fields.u32()?), nonce: fields.u32()? }),
            (true, true, 16) => {
                Some(Join::SynAck { backup, addr_id, hmac: Hmac(fields.take()?), nonce: fields.u32()? })
            }
            (false, _, 24) => Some(Join::Ack { hmac: Hmac(fields.take()?) }),
            _ => None,
        }
    };
    form().ok_or(Reason::BadLength)
}

fn dss(body: &[u8]) -> Result<Dss, Reason> {
    let [bits, rest @ ..] = body else { return Err(Reason::BadLength) };
    let bit = |bit: u8| bits & bit != 0;
    let (fin, long_dsn, has_map, long_ack, has_ack) = (bit(0x10), bit(0x08), bit(0x04), bit(0x02), bit(0x01));
    if !has_map && !has_ack {
        return Err(Reason::EmptyDss);
    }
    let mut fields = Fields(rest);
    let data_ack = match has_ack {
        true => Some(fields.data_seq(long_ack).ok_or(Reason::BadLength)?),
        false => None,
    };
    let map = match has_map {
        true => Some(dss_map(&mut fields, long_dsn).ok_or(Reason::BadLength)?),
        false => None,
    };
    if !fields.0.is_empty() {
        return Err(Reason::BadLength);
    }
    Ok(Dss { data_fin: fin, data_ack, map })
}

fn dss_map(fields: &mut Fields<'_>, long: bool) -> Option<DssMap> {
    let (dsn, ssn, len) = (fields.data_seq(long)?, fields.u32()?, fields.u16()?);
    // Whether there is a checksum follows from the length alone (RFC 8684 §3.3).
    Some(DssMap { dsn, ssn, len, checksum: fields.u16() })
}

fn add_addr(nibble: u8, body: &[u8]) -> Result<AddAddr, Reason> {
    let [addr_id, rest @ ..] = body else { return Err(Reason::BadLength) };
    // Version 0 has the IP version where version 1 has flags; lengths tell the rest (RFC 6824 §3.4.1).
    let (version, echo, v6, has_port, has_hmac) = match (nibble, body.len() + 3) {
        (4, len @ (8 | 10)) => (0, false, false, len == 10, false),
        (6, len @ (20 | 22)) => (0, false, true, len == 22, false),
        (flags, len @ (8 | 10)) if flags & 1 == 1 => (1, true, false, len == 10, false),
        (flags, len @ (20 | 22)) if flags & 1 == 1 => (1, true, true, len == 22, false),
        (flags, len @ (16 | 18)) if flags & 1 == 0 => (1, false, false, len == 18, true),
        (flags, len @ (28 | 30)) if flags & 1 == 0 => (1, false, true, len == 30, true),
        _ => return Err(Reason::BadLength),
    };
    let mut fields = Fields(rest);
    let address = match v6 {
        true => fields.take().map(|bytes: [u8; 16]| Ipv6Addr::from(bytes).into()),
        false => fields.take().map(|bytes: [u8; 4]| Ipv4Addr::from(bytes).into()),
    };
    let port = if has_port { fields.u16() } else { None };
    let hmac = if has_hmac { fields.take().map(Hmac) } else { None };
    let address = address.ok_or(Reason::BadLength)?;
    Ok(AddAddr { version, echo, addr_id: AddrId(*addr_id), address, port, hmac })
}

fn prio(nibble: u8, body: &[u8]) -> Result<Prio, Reason> {
    let addr_id = match body {
        [] => None,
        [id] => Some(AddrId(*id)),
        _ => return Err(Reason::BadLength),
    };
    Ok(Prio { backup: nibble & 1 != 0, addr_id })
}

fn tcp_rst(nibble: u8, body: &[u8]) -> Result<TcpRst, Reason> {
    match body {
        [reason] => Ok(TcpRst { transient: nibble & 1 != 0, flags: nibble, reason: ResetReason(*reason) }),
        _ => Err(Reason::BadLength),
    }
}
