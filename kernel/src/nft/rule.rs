//! Rules, each with its text.

use crate::abi::nft::{NLM_F_APPEND, expr, msg, rule as abi};
use crate::abi::route::NLM_F_CREATE;
use crate::netlink::{Request, Step};

use super::expression::{Expression, META_L4PROTO, META_PRIORITY, META_PROTOCOL, NETWORK, TRANSPORT};
use super::{Direction, Map, message};

/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// `ETH_P_IP`, `ETH_P_IPV6` as they are on the wire.
const IP: [u8; 2] = [0x08, 0x00];
const IP6: [u8; 2] = [0x86, 0xdd];
/// Offsets in the TCP header.
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;
const TCP_FLAGS: u32 = 13;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
/// The option's kind, and the subtype of MP_JOIN in the upper half of the byte behind its length.
const MPTCP: u8 = 30;
const SUBTYPE: u8 = 0xf0;
const JOIN: u8 = 0x10;

/// A rule of a chain, encoded and in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) chain: String,
    pub(super) expressions: Vec<Expression>,
    /// As `nft` reads it.
    pub(super) text: String,
}

impl Rule {
    /// The step that puts it behind the others of its chain.
    pub(super) fn step(&self, table: &str) -> Step {
        let request = message(msg::NEWRULE, NLM_F_CREATE | NLM_F_APPEND)
            .text(abi::TABLE, table)
            .text(abi::CHAIN, &self.chain)
            .nest(abi::EXPRESSIONS, |list| self.expressions.iter().fold(list, |list, one| one.append(list)));
        let Self { chain, text, .. } = self;
        Step::new("NFT_MSG_NEWRULE", format_args!("rule \"{text}\" in chain {chain} of table {table}"), request)
    }

    /// As `nft` reads it in a file.
    pub(super) fn command(&self, table: &str) -> String {
        format!("add rule netdev {table} {} {}", self.chain, self.text)
    }
}

/// The step that takes all rules of a chain away.
pub(super) fn flush(table: &str, chain: &str) -> Step {
    let request: Request = message(msg::DELRULE, 0).text(abi::TABLE, table).text(abi::CHAIN, chain);
    Step::new("NFT_MSG_DELRULE", format_args!("rules of chain {chain} of table {table}"), request)
}

/// Sends a packet of a subflow that is in the map to the IFB of its class, with that class as its priority; a packet that is not in it
/// goes on.
pub(super) fn redirect(chain: &str, map: Map, ifbs: &'static str) -> Rule {
    let mut expressions = family(map.v6);
    expressions.extend(tcp());
    expressions.extend(key(map, map.direction));
    expressions.push(Expression::Look { map: map.name() });
    expressions.push(Expression::SetPriority);
    expressions.push(Expression::Meta(META_PRIORITY));
    expressions.push(Expression::Look { map: ifbs });
    expressions.push(Expression::Forward);
    let key = key_text(map, map.direction);
    let text = format!("meta priority set {key} map @{map} fwd to meta priority map @{ifbs}");
    Rule { chain: chain.to_owned(), expressions, text }
}

/// Has every MP_JOIN of a SYN go through another chain, while somebody is alive to look after what that does.
pub(super) fn joins(chain: &str, alive: &str, to: &'static str) -> Rule {
    let mut expressions: Vec<_> = tcp().into();
    expressions.push(payload(TRANSPORT, TCP_FLAGS, 1, expr::REG_1));
    expressions.push(Expression::Mask(SYN_ACK));
    expressions.push(Expression::Equal(vec![SYN]));
    expressions.push(Expression::TcpOption(MPTCP));
    expressions.push(Expression::Mask(SUBTYPE));
    expressions.push(Expression::Equal(vec![JOIN]));
    expressions.push(Expression::Meta(META_L4PROTO));
    expressions.push(Expression::Contains { set: alive.to_owned(), id: 0 });
    expressions.push(Expression::Verdict { code: expr::JUMP, chain: Some(to) });
    let text = format!("tcp flags & (syn|ack) == syn tcp option mptcp subtype 1 meta l4proto @{alive} jump {to}");
    Rule { chain: chain.to_owned(), expressions, text }
}

/// Goes on in another chain.
pub(super) fn goto(chain: &str, to: &'static str) -> Rule {
    let expressions = vec![Expression::Verdict { code: expr::GOTO, chain: Some(to) }];
    Rule { chain: chain.to_owned(), expressions, text: format!("goto {to}") }
}

/// Goes on for packets of one family.
pub(super) fn family(v6: bool) -> Vec<Expression> {
    vec![Expression::Meta(META_PROTOCOL), Expression::Equal(if v6 { IP6 } else { IP }.to_vec())]
}

/// Goes on for TCP.
pub(super) fn tcp() -> [Expression; 2] {
    [Expression::Meta(META_L4PROTO), Expression::Equal(vec![TCP])]
}

/// Loads the client's address, as a packet from it has it, into register 1.
pub(super) fn client(v6: bool) -> Expression {
    let map = Map { direction: Direction::Upload, v6 };
    payload(NETWORK, source(v6), map.address(), expr::REG_1)
}

/// Loads the port a client's packet goes to into register 1.
pub(super) fn port() -> Expression {
    payload(TRANSPORT, DESTINATION_PORT, 2, expr::REG_1)
}

/// Loads the key of a map from a packet of that direction: the client's address and port, the other end's address and port.
pub(super) fn key(map: Map, of: Direction) -> [Expression; 4] {
    let (length, words) = (map.address(), map.address() / 4);
    let from = (source(map.v6), SOURCE_PORT);
    let to = (from.0 + length, DESTINATION_PORT);
    let (client, server) = match of {
        Direction::Download => (to, from),
        Direction::Upload => (from, to),
    };
    // Parts lie in registers of four bytes, one behind the other; a part that begins a register of sixteen bytes is named by that.
    let second = if map.v6 { expr::REG_2 } else { expr::REG32_00 + 1 };
    let third = expr::REG32_00 + words + 1;
    [
        payload(NETWORK, client.0, length, expr::REG_1),
        payload(TRANSPORT, client.1, 2, second),
        payload(NETWORK, server.0, length, third),
        payload(TRANSPORT, server.1, 2, third + words),
    ]
}

/// The same in words.
pub(super) fn key_text(map: Map, of: Direction) -> String {
    let ip = if map.v6 { "ip6" } else { "ip" };
    match of {
        Direction::Download => format!("{ip} daddr . tcp dport . {ip} saddr . tcp sport"),
        Direction::Upload => format!("{ip} saddr . tcp sport . {ip} daddr . tcp dport"),
    }
}

/// Offset of the source address; the destination's is behind it.
const fn source(v6: bool) -> u32 {
    if v6 { 8 } else { 12 }
}

const fn payload(base: u32, offset: u32, length: u32, register: u32) -> Expression {
    Expression::Payload { register, base, offset, length }
}
