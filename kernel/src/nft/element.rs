//! Elements of the maps.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::abi::nft::{element as abi, msg};
use crate::abi::route::NLM_F_CREATE;
use crate::netlink::attribute::{Attribute, Attributes};
use crate::netlink::{Request, Step};

use super::interval::octets;
use super::set::millis;
use super::{Flow, Map, Slot, message};

/// Elements in one message: the longest take 76 bytes, and a list of them may have 64 KiB.
pub(super) const AT_ONCE: usize = 800;

/// An element as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) flow: Flow,
    /// `None`: a class that is none of ours.
    pub(crate) slot: Option<Slot>,
    /// How long it stays unless it is renewed.
    pub(crate) left: Option<Duration>,
}

/// Takes elements away; one that is not there is no error.
///
/// Kernel: v6.3.
pub(crate) fn destroy(table: &str, map: Map, flows: &[Flow]) -> Vec<Step> {
    let step = |flows: &[Flow]| {
        let request = list(msg::DESTROYSETELEM, 0, table, map)
            .nest(abi::ELEMENTS, |all| flows.iter().fold(all, |all, flow| all.nest(abi::LIST, |one| key(one, *flow))));
        Step::new("NFT_MSG_DESTROYSETELEM", objects(table, map, flows.len(), flows.first()), request)
    };
    flows.chunks(AT_ONCE).map(step).collect()
}

/// Puts elements in, with the whole lease before them.
///
/// Shape: whoever is in the map already is to be taken away in the same transaction: the kernel takes another class for a mistake,
/// and before v6.12 leaves the timeout as it was.
pub(crate) fn put(table: &str, map: Map, lease: Duration, elements: &[(Flow, Slot)]) -> Vec<Step> {
    let lease = millis(lease).to_be_bytes();
    let step = |elements: &[(Flow, Slot)]| {
        let request = list(msg::NEWSETELEM, NLM_F_CREATE, table, map).nest(abi::ELEMENTS, |all| {
            elements.iter().fold(all, |all, (flow, slot)| {
                all.nest(abi::LIST, |one| {
                    key(one.attribute(abi::TIMEOUT, &lease), *flow)
                        .nest(abi::DATA, |data| data.attribute(abi::VALUE, &slot.class().to_ne_bytes()))
                })
            })
        });
        let first = elements.first().map(|(flow, _)| flow);
        Step::new("NFT_MSG_NEWSETELEM", objects(table, map, elements.len(), first), request)
    };
    elements.chunks(AT_ONCE).map(step).collect()
}

/// The same as one of these steps by `nft`: the flow alone where it is to go.
pub(crate) fn text(flow: Flow, class: Option<(Slot, Duration)>) -> String {
    let Flow { client, server } = flow;
    let key = format!("{} . {} . {} . {}", client.ip(), client.port(), server.ip(), server.port());
    match class {
        Some((slot, lease)) => format!("{key} timeout {}ms : {slot}", millis(lease)),
        None => key,
    }
}

/// The steps that have a map know which IFB some classes are on.
pub(super) fn ifbs(table: &str, name: &str, slots: &[Slot], ifb: u32) -> Vec<Step> {
    let value =
        |one: Request, kind, number: u32| one.nest(kind, |value| value.attribute(abi::VALUE, &number.to_ne_bytes()));
    let step = |slots: &[Slot]| {
        let about = message(msg::NEWSETELEM, NLM_F_CREATE).text(abi::TABLE, table).text(abi::SET, name);
        let request = about.nest(abi::ELEMENTS, |all| {
            slots.iter().fold(all, |all, slot| {
                all.nest(abi::LIST, |one| value(value(one, abi::KEY, slot.class()), abi::DATA, ifb))
            })
        });
        Step::new("NFT_MSG_NEWSETELEM", format_args!("classes of link {ifb} in map {name} of table {table}"), request)
    };
    slots.chunks(AT_ONCE).map(step).collect()
}

/// The steps that have a set of protocols know TCP for a lease more.
pub(super) fn alive(table: &str, name: &str, lease: Duration) -> [Step; 2] {
    let tcp = |one: Request| one.nest(abi::KEY, |key| key.attribute(abi::VALUE, &[6]));
    let about = |kind, flags| message(kind, flags).text(abi::TABLE, table).text(abi::SET, name);
    let one = |request: Request, fill: &dyn Fn(Request) -> Request| {
        request.nest(abi::ELEMENTS, |all| all.nest(abi::LIST, fill))
    };
    let object = format!("set {name} of table {table}");
    let lease = millis(lease).to_be_bytes();
    let gone = one(about(msg::DESTROYSETELEM, 0), &tcp);
    let there = one(about(msg::NEWSETELEM, NLM_F_CREATE), &|one| tcp(one.attribute(abi::TIMEOUT, &lease)));
    [Step::new("NFT_MSG_DESTROYSETELEM", &object, gone), Step::new("NFT_MSG_NEWSETELEM", &object, there)]
}

/// The question for everything in a map.
pub(super) fn get(table: &str, map: Map) -> Request {
    list(msg::GETSETELEM, 0, table, map)
}

/// Reads the elements of one message.
pub(super) fn parse(payload: &[u8]) -> Vec<Element> {
    let said = payload.get(crate::abi::nft::HEADER..).map_or_else(Attributes::default, Attributes::new);
    let all = said.find(abi::ELEMENTS).map_or_else(Attributes::default, |all| all.nested());
    all.filter_map(|one| element(&one)).collect()
}

fn element(one: &Attribute<'_>) -> Option<Element> {
    let said = one.nested();
    let value = |kind| Some(said.find(kind)?.nested().find(abi::VALUE)?.payload);
    let left = said.find(abi::EXPIRATION).and_then(|left| left.payload.try_into().ok());
    Some(Element {
        flow: flow(value(abi::KEY)?)?,
        slot: Slot::of(u32::from_ne_bytes(value(abi::DATA)?.try_into().ok()?)),
        left: left.map(|bytes| Duration::from_millis(u64::from_be_bytes(bytes))),
    })
}

/// Reads a key.
fn flow(bytes: &[u8]) -> Option<Flow> {
    let (client, server) = bytes.split_at_checked(bytes.len() / 2)?;
    Some(Flow { client: end(client)?, server: end(server)? })
}

fn end(bytes: &[u8]) -> Option<SocketAddr> {
    let (address, port) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let address = match *address {
        [a, b, c, d] => IpAddr::from([a, b, c, d]),
        _ => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
    };
    Some(SocketAddr::new(address, u16::from_be_bytes(*port.first_chunk()?)))
}

fn list(kind: u16, flags: u16, table: &str, map: Map) -> Request {
    message(kind, flags).text(abi::TABLE, table).text(abi::SET, map.name())
}

/// Appends a key: each part is padded to four bytes.
fn key(one: Request, flow: Flow) -> Request {
    let mut bytes = Vec::with_capacity(40);
    for end in [flow.client, flow.server] {
        bytes.extend(octets(end.ip()));
        bytes.extend(end.port().to_be_bytes());
        bytes.extend([0; 2]);
    }
    one.nest(abi::KEY, |key| key.attribute(abi::VALUE, &bytes))
}

/// What a step is about: the kernel does not say which element of several it means.
fn objects(table: &str, map: Map, count: usize, first: Option<&Flow>) -> String {
    let first = first.map_or_else(String::new, |&flow| text(flow, None));
    match count {
        1 => format!("{first} in map {map} of table {table}"),
        _ => format!("{first} and {} others in map {map} of table {table}", count - 1),
    }
}
