//! Expressions: what rules are made of.
//!
//! Source: Linux v6.18 `include/uapi/linux/netfilter/nf_tables.h`. The order of attributes is that of libnftnl, against whose bytes
//! they are tested.

use crate::abi::nft::expr as abi;
use crate::netlink::Request;

/// `NFT_META_PROTOCOL`, `NFT_META_PRIORITY`, `NFT_META_L4PROTO`.
pub(super) const META_PROTOCOL: u32 = 1;
pub(super) const META_PRIORITY: u32 = 2;
pub(super) const META_L4PROTO: u32 = 16;

/// Where a packet's bytes are counted from: `NFT_PAYLOAD_NETWORK_HEADER`, `NFT_PAYLOAD_TRANSPORT_HEADER`.
pub(super) const NETWORK: u32 = 1;
pub(super) const TRANSPORT: u32 = 2;

/// The value of a set's name when it has none yet.
pub(super) const ANONYMOUS: &str = "__set%d";

/// One expression. Registers are numbered as the kernel does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// Loads something about a packet into register 1.
    Meta(u32),
    /// Goes on if register 1 begins with these bytes.
    Equal(Vec<u8>),
    /// Loads bytes of a header.
    Payload { register: u32, base: u32, offset: u32, length: u32 },
    /// Keeps these bits of the byte in register 1.
    Mask(u8),
    /// Loads the byte behind the length of a TCP option into register 1; goes on if there is such an option.
    TcpOption(u8),
    /// Goes on if the set of that name or, being anonymous, number has what begins in register 1.
    Contains { set: String, id: u32 },
    /// Puts what a map has for it into register 1; goes on if it has it.
    Look { map: &'static str },
    /// Sets the packet's priority, which is the class of HTB, from register 1.
    SetPriority,
    /// Loads bytes into a register.
    Load { register: u32, bytes: Vec<u8> },
    /// Sends the packet to the link whose number is in register 1.
    Forward,
    /// Adds what begins in register 1 to a map, with the value in another register, or begins its timeout anew.
    Update { map: &'static str, value: u32 },
    /// Ends the rule with a verdict.
    Verdict { code: i32, chain: Option<&'static str> },
    /// Answers a TCP segment with a reset and drops it.
    Reset,
}

impl Expression {
    /// Appends it to a rule's list.
    pub(super) fn append(&self, list: Request) -> Request {
        list.nest(abi::LIST, |one| one.text(abi::NAME, self.name()).nest(abi::DATA, |data| self.data(data)))
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Meta(_) | Self::SetPriority => "meta",
            Self::Equal(_) => "cmp",
            Self::Payload { .. } => "payload",
            Self::Mask(_) => "bitwise",
            Self::TcpOption(_) => "exthdr",
            Self::Contains { .. } | Self::Look { .. } => "lookup",
            Self::Load { .. } | Self::Verdict { .. } => "immediate",
            Self::Forward => "fwd",
            Self::Update { .. } => "dynset",
            Self::Reset => "reject",
        }
    }

    fn data(&self, data: Request) -> Request {
        match *self {
            Self::Meta(key) => data.be32(2, key).be32(1, abi::REG_1),
            Self::SetPriority => data.be32(2, META_PRIORITY).be32(3, abi::REG_1),
            // NFT_CMP_EQ is zero.
            Self::Equal(ref bytes) => value(data.be32(1, abi::REG_1).be32(2, 0), 3, bytes),
            Self::Payload { register, base, offset, length } => {
                data.be32(1, register).be32(2, base).be32(3, offset).be32(4, length)
            }
            // NFT_BITWISE_MASK_XOR is zero.
            Self::Mask(mask) => {
                let data = data.be32(1, abi::REG_1).be32(2, abi::REG_1).be32(6, 0).be32(3, 1);
                value(value(data, 4, &[mask]), 5, &[0])
            }
            // NFT_EXTHDR_OP_TCPOPT is one; the byte behind kind and length.
            Self::TcpOption(kind) => data.be32(1, abi::REG_1).u8(2, kind).be32(3, 2).be32(4, 1).be32(6, 1).be32(5, 0),
            Self::Contains { ref set, id } => data.be32(2, abi::REG_1).text(1, set).be32(4, id),
            // A set with a name is found by it, whatever its number.
            Self::Look { map } => data.be32(2, abi::REG_1).be32(3, abi::REG_1).text(1, map).be32(4, 0),
            Self::Load { register, ref bytes } => value(data.be32(1, register), 2, bytes),
            Self::Forward => data.be32(1, abi::REG_1),
            // NFT_DYNSET_OP_UPDATE is one.
            Self::Update { map, value } => data.be32(4, abi::REG_1).be32(5, value).be32(3, 1).text(1, map).be32(2, 0),
            Self::Verdict { code, chain } => data.be32(1, abi::REG_VERDICT).nest(2, |data| verdict(data, code, chain)),
            // NFT_REJECT_TCP_RST is one.
            Self::Reset => data.be32(1, 1).u8(2, 0),
        }
    }
}

fn value(data: Request, kind: u16, bytes: &[u8]) -> Request {
    data.nest(kind, |data| data.attribute(abi::VALUE, bytes))
}

fn verdict(data: Request, code: i32, chain: Option<&str>) -> Request {
    data.nest(abi::VERDICT, |verdict| {
        let verdict = verdict.attribute(abi::VERDICT_CODE, &code.to_be_bytes());
        chain.into_iter().fold(verdict, |verdict, chain| verdict.text(abi::VERDICT_CHAIN, chain))
    })
}
