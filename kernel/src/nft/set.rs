//! Sets and maps.

use std::time::Duration;

use crate::abi::nft::{element, msg, set as abi};
use crate::abi::route::NLM_F_CREATE;
use crate::netlink::{Request, Step};

use super::expression::ANONYMOUS;
use super::interval::Border;
use super::{Map, message};

/// Types of user data (`NFTNL_UDATA_SET_*`): the byte order of keys and of data, 1 for the host's and 2 for the network's, 0 for
/// several parts.
const KEY_ORDER: u8 = 0;
const DATA_ORDER: u8 = 1;
const HOST: u32 = 1;
const NETWORK: u32 = 2;

/// What a set's keys are.
#[derive(Debug, Clone, Copy)]
struct Keys {
    kind: u32,
    length: u32,
    /// How nft is to understand them.
    order: u32,
}

/// A map from a subflow to its class, whose elements time out unless renewed, and which packets may change.
pub(super) fn map(table: &str, map: Map, size: u32, lease: Duration) -> Step {
    let address = if map.v6 { abi::TYPE_IPV6 } else { abi::TYPE_IPV4 };
    let parts = [address, abi::TYPE_SERVICE, address, abi::TYPE_SERVICE];
    let kind = parts.into_iter().fold(0, |all, part| all << abi::TYPE_BITS | part);
    let flags = abi::MAP | abi::TIMEOUTS | abi::DYNAMIC;
    let keys = Keys { kind, length: 2 * (map.address() + 4), order: 0 };
    let request = new(table, map.name(), flags, keys)
        .be32(abi::DATA_TYPE, abi::TYPE_CLASSID)
        .be32(abi::DATA_LENGTH, 4)
        .be32(abi::ID, 0)
        .nest(abi::DESCRIPTION, |said| said.be32(abi::SIZE, size))
        .attribute(abi::TIMEOUT, &millis(lease).to_be_bytes())
        .attribute(abi::USERDATA, &[orders(keys.order), data_order()].concat());
    Step::new("NFT_MSG_NEWSET", format_args!("map {map} of table {table}"), request)
}

/// The same in words.
pub(super) fn map_text(table: &str, map: Map, size: u32, lease: Duration) -> String {
    let ip = if map.v6 { "ipv6_addr" } else { "ipv4_addr" };
    let (kind, lease) = (format!("{ip} . inet_service . {ip} . inet_service : classid"), millis(lease));
    format!("add map netdev {table} {map} {{ type {kind}; flags dynamic,timeout; size {size}; timeout {lease}ms; }}")
}

/// A map from a class to the number of the IFB it is on.
pub(super) fn ifbs(table: &str, name: &str, size: u32) -> Step {
    let keys = Keys { kind: abi::TYPE_CLASSID, length: 4, order: HOST };
    let request = new(table, name, abi::MAP, keys)
        .be32(abi::DATA_TYPE, abi::TYPE_LINK)
        .be32(abi::DATA_LENGTH, 4)
        .be32(abi::ID, 0)
        .nest(abi::DESCRIPTION, |said| said.be32(abi::SIZE, size))
        .attribute(abi::USERDATA, &[orders(keys.order), data_order()].concat());
    Step::new("NFT_MSG_NEWSET", format_args!("map {name} of table {table}"), request)
}

/// The same in words.
pub(super) fn ifbs_text(table: &str, name: &str, size: u32) -> String {
    format!("add map netdev {table} {name} {{ type classid : iface_index; size {size}; }}")
}

/// A set of protocols whose elements time out unless renewed.
pub(super) fn alive(table: &str, name: &str, lease: Duration) -> Step {
    let keys = Keys { kind: abi::TYPE_PROTOCOL, length: 1, order: HOST };
    let request = new(table, name, abi::TIMEOUTS, keys)
        .be32(abi::ID, 0)
        .attribute(abi::TIMEOUT, &millis(lease).to_be_bytes())
        .attribute(abi::USERDATA, &orders(keys.order));
    Step::new("NFT_MSG_NEWSET", format_args!("set {name} of table {table}"), request)
}

/// The same in words.
pub(super) fn alive_text(table: &str, name: &str, lease: Duration) -> String {
    format!("add set netdev {table} {name} {{ type inet_proto; flags timeout; timeout {}ms; }}", millis(lease))
}

/// An anonymous set of addresses, known to the rules of the same transaction by its number.
pub(super) fn addresses(table: &str, id: u32, v6: bool) -> Step {
    let (kind, length) = if v6 { (abi::TYPE_IPV6, 16) } else { (abi::TYPE_IPV4, 4) };
    anonymous(table, id, abi::INTERVAL, Keys { kind, length, order: NETWORK })
}

/// An anonymous set of ports.
pub(super) fn ports(table: &str, id: u32) -> Step {
    anonymous(table, id, 0, Keys { kind: abi::TYPE_SERVICE, length: 2, order: NETWORK })
}

fn anonymous(table: &str, id: u32, flags: u32, keys: Keys) -> Step {
    let flags = flags | abi::ANONYMOUS | abi::CONSTANT;
    let request = new(table, ANONYMOUS, flags, keys).be32(abi::ID, id).attribute(abi::USERDATA, &orders(keys.order));
    Step::new("NFT_MSG_NEWSET", format_args!("set {id} of a rule of table {table}"), request)
}

/// What an anonymous set has, in as many messages as it takes.
pub(super) fn fill(table: &str, id: u32, borders: &[Border]) -> Vec<Step> {
    let one = |list: Request, border: &Border| {
        list.nest(element::LIST, |mut one| {
            if border.end {
                one = one.be32(element::FLAGS, element::INTERVAL_END);
            }
            one.nest(element::KEY, |key| key.attribute(element::VALUE, &border.key))
        })
    };
    let step = |borders: &[Border]| {
        let request = message(msg::NEWSETELEM, NLM_F_CREATE)
            .text(element::TABLE, table)
            .text(element::SET, ANONYMOUS)
            .be32(element::SET_ID, id)
            .nest(element::ELEMENTS, |list| borders.iter().fold(list, one));
        Step::new("NFT_MSG_NEWSETELEM", format_args!("elements of set {id} of table {table}"), request)
    };
    borders.chunks(super::element::AT_ONCE).map(step).collect()
}

fn new(table: &str, name: &str, flags: u32, keys: Keys) -> Request {
    message(msg::NEWSET, NLM_F_CREATE)
        .text(abi::TABLE, table)
        .text(abi::NAME, name)
        .be32(abi::FLAGS, flags)
        .be32(abi::KEY_TYPE, keys.kind)
        .be32(abi::KEY_LENGTH, keys.length)
}

fn orders(key: u32) -> Vec<u8> {
    [&[KEY_ORDER, 4][..], &key.to_ne_bytes()].concat()
}

fn data_order() -> Vec<u8> {
    [&[DATA_ORDER, 4][..], &HOST.to_ne_bytes()].concat()
}

/// A lease in the kernel's unit.
pub(super) fn millis(lease: Duration) -> u64 {
    u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)
}
