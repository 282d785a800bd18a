//! The key flows are found by, and the options of one segment sorted by kind.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use crate::id::FourTuple;
use crate::wire::mptcp::{AddAddr, Capable, Dss, Fail, FastClose, Join, MptcpOption, Prio, RemoveAddr, TcpRst};

/// Addresses and ports of a flow, the same for both of its directions.
///
/// Shape:   two times address and port, the smaller one first, IPv4 in its IPv6 form
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowKey([u8; 36]);

impl FlowKey {
    pub(crate) fn of(flow: &FourTuple) -> Self {
        let (one, other) = (bytes(flow.source()), bytes(flow.destination()));
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        let mut key = [0; 36];
        key[..18].copy_from_slice(&low);
        key[18..].copy_from_slice(&high);
        Self(key)
    }
}

impl Hash for FlowKey {
    /// In one piece: a hasher's cost is mostly per call.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

fn bytes(end: SocketAddr) -> [u8; 18] {
    let address = match end.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&address.octets());
    bytes[16..].copy_from_slice(&end.port().to_be_bytes());
    bytes
}

/// The MPTCP options of one segment. Of a kind that comes twice where it may not, the first is taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options<'a> {
    /// There was one, of whatever kind.
    pub(super) any: bool,
    pub(super) capable: Option<Capable>,
    pub(super) join: Option<Join>,
    pub(super) dss: Option<Dss>,
    /// An echo and an announcement may share a segment.
    pub(super) add_addr: [Option<AddAddr>; 2],
    pub(super) remove_addr: Option<RemoveAddr<'a>>,
    pub(super) prio: Option<Prio>,
    pub(super) fail: Option<Fail>,
    pub(super) fast_close: Option<FastClose>,
    pub(super) reset: Option<TcpRst>,
}

impl<'a> Options<'a> {
    pub(super) fn gather(options: impl IntoIterator<Item = MptcpOption<'a>>) -> Self {
        let mut sorted = Self::default();
        for option in options {
            sorted.any = true;
            match option {
                MptcpOption::Capable(capable) => _ = sorted.capable.get_or_insert(capable),
                MptcpOption::Join(join) => _ = sorted.join.get_or_insert(join),
                MptcpOption::Dss(dss) => _ = sorted.dss.get_or_insert(dss),
                MptcpOption::AddAddr(announced) => {
                    if let Some(place) = sorted.add_addr.iter_mut().find(|place| place.is_none()) {
                        *place = Some(announced);
                    }
                }
                MptcpOption::RemoveAddr(removed) => _ = sorted.remove_addr.get_or_insert(removed),
                MptcpOption::Prio(prio) => _ = sorted.prio.get_or_insert(prio),
                MptcpOption::Fail(fail) => _ = sorted.fail.get_or_insert(fail),
                MptcpOption::FastClose(close) => _ = sorted.fast_close.get_or_insert(close),
                MptcpOption::TcpRst(reset) => _ = sorted.reset.get_or_insert(reset),
                MptcpOption::Unknown(_) => {}
            }
        }
        sorted
    }
}
