//! An option as an operator reads it: one line of words, or one JSON object.
//!
//! What lives here: the names and the order of an option's fields, told once for both forms. What does not: printing.
//! Called by `sniff`. Invariant: keys and HMACs come out as `…` unless [`Secrets::Shown`] was asked for.

use std::fmt;
use std::net::IpAddr;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::wire::mptcp::{AddAddr, Capable, DataSeq, Dss, FastClose, Hmac, Join, Key, MptcpOption, Prio, TcpRst};

/// Whether keys and HMACs are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secrets {
    /// As `…`: who has the keys can take the connection over.
    #[default]
    Hidden,
    /// As hexadecimal digits.
    Shown,
}

/// An option and how to show it: `Display` is a line, `Serialize` a map whose first entry is `subtype`.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// What is shown.
    pub option: &'a MptcpOption<'a>,
    /// Whether its secrets are.
    pub secrets: Secrets,
}

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'a> {
    Flag(bool),
    Number(u64),
    /// As so many hexadecimal digits as the field has on the wire.
    Hex(u64, usize),
    Secret(&'a [u8]),
    Bytes(&'a [u8]),
    Ids(&'a [u8]),
    Address(IpAddr),
    Word(&'static str),
}

/// What takes an option's fields, in order.
type Visit<'v, 'a> = &'v mut dyn FnMut(&'static str, Value<'a>);

impl<'a> Shown<'a> {
    /// An option with its secrets hidden.
    #[must_use]
    pub const fn hidden(option: &'a MptcpOption<'a>) -> Self {
        Self { option, secrets: Secrets::Hidden }
    }

    fn fields(&self, visit: Visit<'_, 'a>) {
        match self.option {
            MptcpOption::Capable(capable) => of_capable(capable, visit),
            MptcpOption::Join(join) => of_join(join, visit),
            MptcpOption::Dss(dss) => of_dss(dss, visit),
            MptcpOption::AddAddr(announced) => of_add_addr(announced, visit),
            MptcpOption::RemoveAddr(removed) => visit("addr_ids", Value::Ids(removed.ids)),
            MptcpOption::Prio(Prio { backup, addr_id }) => {
                visit("backup", Value::Flag(*backup));
                if let Some(id) = addr_id {
                    visit("addr_id", Value::Number(id.0.into()));
                }
            }
            MptcpOption::Fail(fail) => visit("dsn", Value::Number(fail.dsn)),
            MptcpOption::FastClose(FastClose { receiver_key }) => key("receiver_key", receiver_key, visit),
            MptcpOption::TcpRst(TcpRst { transient, flags, reason }) => {
                visit("transient", Value::Flag(*transient));
                visit("flags", Value::Hex(u64::from(*flags), 1));
                visit("reason", Value::Number(reason.0.into()));
                visit("reason_text", Value::Word(reason.as_str()));
            }
            MptcpOption::Unknown(unknown) => {
                visit("number", Value::Number(unknown.subtype.into()));
                visit("bytes", Value::Bytes(unknown.bytes));
            }
        }
    }
}

fn key<'a>(name: &'static str, key: &'a Key, visit: Visit<'_, 'a>) {
    visit(name, Value::Secret(&key.0));
}

fn hmac<'a, const N: usize>(hmac: &'a Hmac<N>, visit: Visit<'_, 'a>) {
    visit("hmac", Value::Secret(&hmac.0));
}

fn of_capable<'a>(capable: &'a Capable, visit: Visit<'_, 'a>) {
    visit("version", Value::Number(capable.version.into()));
    visit("flags", Value::Hex(capable.flags.into(), 2));
    if let Some(sender) = &capable.sender_key {
        key("sender_key", sender, visit);
    }
    if let Some(receiver) = &capable.receiver_key {
        key("receiver_key", receiver, visit);
    }
    if let Some(len) = capable.data_len {
        visit("data_level_length", Value::Number(len.into()));
    }
    if let Some(checksum) = capable.checksum {
        visit("checksum", Value::Hex(checksum.into(), 4));
    }
}

fn of_join<'a>(join: &'a Join, visit: Visit<'_, 'a>) {
    match join {
        Join::Syn { backup, addr_id, token, nonce } => {
            visit("form", Value::Word("syn"));
            visit("backup", Value::Flag(*backup));
            visit("addr_id", Value::Number(addr_id.0.into()));
            visit("token", Value::Hex(token.0.into(), 8));
            visit("nonce", Value::Hex((*nonce).into(), 8));
        }
        Join::SynAck { backup, addr_id, hmac: sent, nonce } => {
            visit("form", Value::Word("syn-ack"));
            visit("backup", Value::Flag(*backup));
            visit("addr_id", Value::Number(addr_id.0.into()));
            hmac(sent, visit);
            visit("nonce", Value::Hex((*nonce).into(), 8));
        }
        Join::Ack { hmac: sent } => {
            visit("form", Value::Word("ack"));
            hmac(sent, visit);
        }
    }
}

fn of_dss(dss: &Dss, visit: Visit<'_, '_>) {
    let number = |seq: DataSeq| match seq {
        DataSeq::Short(low) => (u64::from(low), 32),
        DataSeq::Long(all) => (all, 64),
    };
    visit("data_fin", Value::Flag(dss.data_fin));
    if let Some((ack, bits)) = dss.data_ack.map(number) {
        visit("data_ack", Value::Number(ack));
        visit("data_ack_bits", Value::Number(bits));
    }
    let Some(map) = dss.map else { return };
    let (dsn, bits) = number(map.dsn);
    visit("dsn", Value::Number(dsn));
    visit("dsn_bits", Value::Number(bits));
    visit("ssn", Value::Number(map.ssn.into()));
    visit("data_level_length", Value::Number(map.len.into()));
    if let Some(checksum) = map.checksum {
        visit("checksum", Value::Hex(checksum.into(), 4));
    }
}

fn of_add_addr<'a>(announced: &'a AddAddr, visit: Visit<'_, 'a>) {
    visit("version", Value::Number(announced.version.into()));
    visit("echo", Value::Flag(announced.echo));
    visit("addr_id", Value::Number(announced.addr_id.0.into()));
    visit("address", Value::Address(announced.address));
    if let Some(port) = announced.port {
        visit("port", Value::Number(port.into()));
    }
    if let Some(sent) = &announced.hmac {
        hmac(sent, visit);
    }
}

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.option.subtype())?;
        let mut result = Ok(());
        self.fields(&mut |name, value| {
            if result.is_ok() {
                result = write_field(f, name, value, self.secrets);
            }
        });
        result
    }
}

/// A field in words: a flag by its name if it is set, the width of a number and the number of a reason not at all.
fn write_field(f: &mut fmt::Formatter<'_>, name: &str, value: Value<'_>, secrets: Secrets) -> fmt::Result {
    match (name, value) {
        ("data_ack_bits" | "dsn_bits" | "reason" | "number", _) | (_, Value::Flag(false)) => Ok(()),
        ("reason_text" | "form", Value::Word(word)) => write!(f, " {word}"),
        (_, Value::Word(word)) => write!(f, " {name} {word}"),
        (_, Value::Flag(true)) => write!(f, " {name}"),
        ("data_level_length", Value::Number(number)) => write!(f, " len {number}"),
        ("addr_id", Value::Number(number)) => write!(f, " id {number}"),
        (_, Value::Number(number)) => write!(f, " {name} {number}"),
        (_, Value::Hex(number, digits)) => write!(f, " {name} {number:0digits$x}"),
        (_, Value::Secret(bytes)) => match secrets {
            Secrets::Hidden => write!(f, " {name} …"),
            Secrets::Shown => write!(f, " {name} {}", Hex(bytes)),
        },
        (_, Value::Bytes(bytes)) => write!(f, " {name} {}", Hex(bytes)),
        (_, Value::Ids(ids)) => {
            f.write_str(" ids")?;
            ids.iter().enumerate().try_for_each(|(n, id)| write!(f, "{}{id}", if n == 0 { ' ' } else { ',' }))
        }
        (_, Value::Address(address)) => write!(f, " {address}"),
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("subtype", self.option.subtype().as_str())?;
        let mut result = Ok(());
        self.fields(&mut |name, value| {
            if result.is_ok() {
                result = match value {
                    Value::Flag(flag) => map.serialize_entry(name, &flag),
                    Value::Number(number) => map.serialize_entry(name, &number),
                    Value::Hex(number, digits) => map.serialize_entry(name, &format_args!("{number:0digits$x}")),
                    Value::Secret(_) if self.secrets == Secrets::Hidden => map.serialize_entry(name, "…"),
                    Value::Secret(bytes) | Value::Bytes(bytes) => {
                        map.serialize_entry(name, &format_args!("{}", Hex(bytes)))
                    }
                    Value::Ids(ids) => map.serialize_entry(name, ids),
                    Value::Address(address) => map.serialize_entry(name, &address),
                    Value::Word(word) => map.serialize_entry(name, word),
                };
            }
        });
        result?;
        map.end()
    }
}

#[cfg(test)]
mod tests;
