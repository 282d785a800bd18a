//! Operations as the lines an operator would type: for people, and for comparing; nothing runs them.

use anabranch_kernel::shaper::{Commands, Slot as Class};
use anabranch_throttle::op::Op;
use anabranch_throttle::view::{ConnectionKey, SubflowKey};

use super::doors::{joins, of, spec, way};

/// The lines that stand for an operation; what no tool can do is a comment.
pub(super) fn lines(op: &Op, commands: &Commands<'_>) -> Vec<String> {
    let bound = |bytes: &Option<u32>| bytes.map_or_else(|| "none".to_owned(), |bytes| bytes.to_string());
    match op {
        Op::SetClass { slot, ceiling } => vec![commands.class(Class(slot.0), spec(*ceiling))],
        Op::Put { subflow, direction, slot } => {
            commands.put(way(*direction), of(*subflow), Class(slot.0)).into_iter().collect()
        }
        Op::Remove { subflow, direction } => commands.remove(way(*direction), of(*subflow)).into_iter().collect(),
        Op::Arm(armed) => commands.arm(&joins(armed)),
        Op::BoundUnsent { connection, bytes } => {
            vec![format!("# TCP_NOTSENT_LOWAT of connection {connection}: {}", bound(bytes))]
        }
        Op::BoundFromAccept { bytes } => {
            vec![format!("# TCP_NOTSENT_LOWAT of connections accepted from now on: {}", bound(bytes))]
        }
        Op::Total { connection, direction, bucket: Some((number, rate)) } => {
            vec![format!("# the proxy carries at most {rate} of {direction} of {connection} (bucket {number})")]
        }
        Op::Total { connection, direction, bucket: None } => {
            vec![format!("# the proxy carries {direction} of {connection} as fast as it can")]
        }
        Op::Demote(subflow) => vec![priority(*subflow, "backup")],
        Op::Promote(subflow) => vec![priority(*subflow, "nobackup")],
        Op::Pace { subflow, rate, unsent, probe } => {
            let (flow, probe) = (subflow.flow, if *probe { ", SO_KEEPALIVE" } else { "" });
            let options = format!("SO_MAX_PACING_RATE {rate}, TCP_NOTSENT_LOWAT {unsent}{probe}");
            vec![format!("# bpf_iter/tcp: {options} on the socket {flow}")]
        }
        Op::Unpace(subflow) => vec![format!("# bpf_iter/tcp: no SO_MAX_PACING_RATE on the socket {}", subflow.flow)],
        Op::Close(SubflowKey { connection, flow }) => {
            vec![format!("# MPTCP_PM_CMD_SUBFLOW_DESTROY token {connection}, {flow}")]
        }
    }
}

/// `ip mptcp endpoint change` acts on an address, and with it on every connection; on one subflow only the netlink command does.
fn priority(SubflowKey { connection, flow }: SubflowKey, flag: &str) -> String {
    match connection {
        ConnectionKey::Ours(token) => format!("# MPTCP_PM_CMD_SET_FLAGS token {token}, {flow}: {flag}"),
        ConnectionKey::Passing(_) => format!("# {flow}: {flag} is for its ends to say"),
    }
}
