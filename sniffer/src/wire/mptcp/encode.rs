//! From options to bytes: for tests, forged floods and the round trip of everything that parses.

use std::net::IpAddr;

use super::{AddAddr, Capable, DataSeq, Dss, DssMap, Join, KIND, MptcpOption};

/// The room there is for options in a TCP header.
///
/// Source:  RFC 9293 §3.1: a data offset of 15 words, 5 of them fixed
const ROOM: usize = 40;

/// Options on their way into a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionBuf {
    bytes: [u8; ROOM],
    len: usize,
}

/// There is no room left in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room left in the 40 bytes that a TCP header has for options")]
pub struct NoRoom;

impl Default for OptionBuf {
    fn default() -> Self {
        Self { bytes: [0; ROOM], len: 0 }
    }
}

impl OptionBuf {
    /// The options so far, without padding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Adds bytes as they are, such as a no-operation or another kind of option.
    ///
    /// Errors:  [`NoRoom`]: nothing was added
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end).ok_or(NoRoom)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    fn number(&mut self, number: Option<u16>) -> Result<(), NoRoom> {
        number.map_or(Ok(()), |number| self.push(&number.to_be_bytes()))
    }

    fn data_seq(&mut self, number: DataSeq) -> Result<(), NoRoom> {
        match number {
            DataSeq::Short(low) => self.push(&low.to_be_bytes()),
            DataSeq::Long(all) => self.push(&all.to_be_bytes()),
        }
    }
}

impl MptcpOption<'_> {
    /// Writes the option behind what is there.
    ///
    /// Errors:  [`NoRoom`]: nothing was added
    pub fn encode(&self, out: &mut OptionBuf) -> Result<(), NoRoom> {
        let before = *out;
        let done = self.write(out).and_then(|()| {
            // The length is known now.
            let len = u8::try_from(out.len - before.len).map_err(|_| NoRoom)?;
            out.bytes.get_mut(before.len + 1).map(|byte| *byte = len).ok_or(NoRoom)
        });
        if done.is_err() {
            *out = before;
        }
        done
    }

    fn write(&self, out: &mut OptionBuf) -> Result<(), NoRoom> {
        let mut begin = |subtype: u8, nibble: u8, rest: &[u8]| {
            out.push(&[KIND, 0, subtype << 4 | nibble & 0x0f])?;
            out.push(rest)
        };
        match self {
            Self::Capable(capable) => {
                begin(0, capable.version, &[capable.flags])?;
                write_capable(capable, out)
            }
            Self::Join(Join::Syn { backup, addr_id, token, nonce }) => {
                begin(1, u8::from(*backup), &[addr_id.0])?;
                out.push(&token.0.to_be_bytes())?;
                out.push(&nonce.to_be_bytes())
            }
            Self::Join(Join::SynAck { backup, addr_id, hmac, nonce }) => {
                begin(1, u8::from(*backup), &[addr_id.0])?;
                out.push(&hmac.0)?;
                out.push(&nonce.to_be_bytes())
            }
            Self::Join(Join::Ack { hmac }) => {
                begin(1, 0, &[0])?;
                out.push(&hmac.0)
            }
            Self::Dss(dss) => {
                begin(2, 0, &[dss_bits(dss)])?;
                write_dss(dss, out)
            }
            Self::AddAddr(announced) => {
                begin(3, add_addr_nibble(announced), &[announced.addr_id.0])?;
                write_add_addr(announced, out)
            }
            Self::RemoveAddr(removed) => begin(4, 0, removed.ids),
            Self::Prio(prio) => {
                begin(5, u8::from(prio.backup), &[])?;
                prio.addr_id.map_or(Ok(()), |id| out.push(&[id.0]))
            }
            Self::Fail(fail) => {
                begin(6, 0, &[0])?;
                out.push(&fail.dsn.to_be_bytes())
            }
            Self::FastClose(close) => {
                begin(7, 0, &[0])?;
                out.push(&close.receiver_key.0)
            }
            Self::TcpRst(reset) => begin(8, reset.flags & 0x0e | u8::from(reset.transient), &[reset.reason.0]),
            Self::Unknown(unknown) => {
                out.push(&[KIND, 0])?;
                out.push(unknown.bytes)
            }
        }
    }
}

fn write_capable(capable: &Capable, out: &mut OptionBuf) -> Result<(), NoRoom> {
    for key in [&capable.sender_key, &capable.receiver_key].into_iter().flatten() {
        out.push(&key.0)?;
    }
    out.number(capable.data_len)?;
    out.number(capable.checksum)
}

fn dss_bits(dss: &Dss) -> u8 {
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    let long = |number: DataSeq| matches!(number, DataSeq::Long(_));
    bit(dss.data_fin, 0x10)
        | bit(dss.map.is_some_and(|map| long(map.dsn)), 0x08)
        | bit(dss.map.is_some(), 0x04)
        | bit(dss.data_ack.is_some_and(long), 0x02)
        | bit(dss.data_ack.is_some(), 0x01)
}

fn write_dss(dss: &Dss, out: &mut OptionBuf) -> Result<(), NoRoom> {
    if let Some(ack) = dss.data_ack {
        out.data_seq(ack)?;
    }
    let Some(DssMap { dsn, ssn, len, checksum }) = dss.map else { return Ok(()) };
    out.data_seq(dsn)?;
    out.push(&ssn.to_be_bytes())?;
    out.push(&len.to_be_bytes())?;
    out.number(checksum)
}

const fn add_addr_nibble(announced: &AddAddr) -> u8 {
    match (announced.version, announced.address) {
        (0, IpAddr::V4(_)) => 4,
        (0, IpAddr::V6(_)) => 6,
        _ => announced.echo as u8,
    }
}

fn write_add_addr(announced: &AddAddr, out: &mut OptionBuf) -> Result<(), NoRoom> {
    match announced.address {
        IpAddr::V4(address) => out.push(&address.octets()),
        IpAddr::V6(address) => out.push(&address.octets()),
    }?;
    out.number(announced.port)?;
    announced.hmac.map_or(Ok(()), |hmac| out.push(&hmac.0))
}
