//! Operations as the lines an operator would type: for people, and for comparing; nothing runs them.

use crate::intent::{Armed, Direction};
use crate::op::Op;
use crate::view::{ConnectionKey, SubflowKey};
use std::net::SocketAddr;

/// What our objects are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The nftables table of the netdev family.
    pub table: String,
    /// The IFB.
    pub device: String,
}

/// The lines that stand for an operation; what no tool can do is a comment.
#[must_use]
pub fn commands(op: &Op, names: &Names) -> Vec<String> {
    vec![match op {
        Op::BoundUnsent { connection, bytes } => {
            let bytes = bytes.map_or_else(|| "none".to_owned(), |bytes| bytes.to_string());
            format!("# TCP_NOTSENT_LOWAT of connection {connection}: {bytes}")
        }
        Op::BoundFromAccept { bytes } => {
            let bytes = bytes.map_or_else(|| "none".to_owned(), |bytes| bytes.to_string());
            format!("# TCP_NOTSENT_LOWAT of connections accepted from now on: {bytes}")
        }
        Op::Total { connection, direction, bucket } => match bucket {
            Some((number, rate)) => {
                format!("# the proxy carries at most {rate} of {direction} of {connection} (bucket {number})")
            }
            None => format!("# the proxy carries {direction} of {connection} as fast as it can"),
        },
        Op::Demote(subflow) => priority(*subflow, "backup"),
        Op::Promote(subflow) => priority(*subflow, "nobackup"),
        Op::Pace { subflow, rate, unsent } => {
            format!(
                "# bpf_iter/tcp: SO_MAX_PACING_RATE {rate}, TCP_NOTSENT_LOWAT {unsent} on the socket {}",
                subflow.flow
            )
        }
        Op::Unpace(subflow) => format!("# bpf_iter/tcp: no SO_MAX_PACING_RATE on the socket {}", subflow.flow),
        Op::SetClass { slot, ceiling } => {
            let rate = ceiling.rate.bits_per_second();
            let ceil = ceiling.ceil.unwrap_or(ceiling.rate).bits_per_second();
            let burst = ceiling.burst.map(|burst| format!(" burst {}", burst.bytes())).unwrap_or_default();
            let device = quote(&names.device);
            format!(
                "tc class change dev {device} parent 1: classid 1:{:x} htb rate {rate}bit ceil {ceil}bit{burst}",
                slot.0
            )
        }
        Op::Put { subflow, direction, slot } => {
            let element = format!("{} : 1:{:x}", element(*subflow), slot.0);
            format!(
                "nft add element netdev {} {} {}",
                names.table,
                map(*subflow, *direction),
                quote(&format!("{{ {element} }}"))
            )
        }
        Op::Remove { subflow, direction } => {
            let element = format!("{{ {} }}", element(*subflow));
            format!("nft destroy element netdev {} {} {}", names.table, map(*subflow, *direction), quote(&element))
        }
        Op::Arm(armed) => {
            return armed
                .iter()
                .map(|(arming, slot)| {
                    let prefixes: Vec<_> = arming.prefixes.iter().map(ToString::to_string).collect();
                    let (prefixes, then) = (
                        prefixes.join(", "),
                        match (&arming.hold, slot) {
                            (Armed::Rate(_), Some(slot)) => format!("into class 1:{:x}", slot.0),
                            (Armed::Rate(_), None) => "into no class: there is none left".to_owned(),
                            (Armed::Refused, _) => "refused".to_owned(),
                        },
                    );
                    format!(
                        "# table netdev {}: MP_JOIN from {prefixes} {then} (policy {})",
                        names.table,
                        quote(&arming.policy)
                    )
                })
                .collect();
        }
        Op::Close(SubflowKey { connection, flow }) => {
            format!("# MPTCP_PM_CMD_SUBFLOW_DESTROY token {connection}, {flow}")
        }
    }]
}

fn priority(SubflowKey { connection, flow }: SubflowKey, flag: &str) -> String {
    match connection {
        // ip-mptcp(8) changes endpoints, and with them all connections; of one subflow only the netlink command does.
        ConnectionKey::Ours(token) => format!("# MPTCP_PM_CMD_SET_FLAGS token {token}, {flow}: {flag}"),
        ConnectionKey::Passing(_) => format!("# {flow}: {flag} is for its ends to say"),
    }
}

fn map(subflow: SubflowKey, direction: Direction) -> &'static str {
    match (direction, subflow.flow.source().is_ipv4()) {
        (Direction::Download, true) => "down4",
        (Direction::Download, false) => "down6",
        (Direction::Upload, true) => "up4",
        (Direction::Upload, false) => "up6",
    }
}

fn element(subflow: SubflowKey) -> String {
    let end = |end: SocketAddr| format!("{} . {}", end.ip(), end.port());
    format!("{} . {}", end(subflow.flow.destination()), end(subflow.flow.source()))
}

/// A word as a shell takes it for one.
fn quote(word: &str) -> String {
    let plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests;
