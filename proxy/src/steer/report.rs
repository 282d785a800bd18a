//! What the steering side answers: every connection with what each witness says of it, and how the witnesses are.

use std::collections::BTreeMap;

use anabranch_sniffer::Token;
use anabranch_sniffer::facts::{Fact, KernelConnection, Report};
use anabranch_sniffer::story::ConnectionFacts;
use serde::Serialize;

use super::Desk;
use crate::link::SessionFacts;

/// How the witnesses are.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Witnesses {
    /// Why the kernel is none; `None` while it is one.
    pub kernel: Option<String>,
    /// Times the kernel's events came faster than they were read; the sockets then told all there is.
    pub events_lost: u64,
    /// Interfaces under watch, by name.
    pub interfaces: BTreeMap<String, Interface>,
    /// Where the witnesses disagreed, by the word for it.
    pub disagreements: BTreeMap<String, u64>,
}

/// How the watch on an interface goes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Interface {
    /// It is watched now.
    pub watched: bool,
    /// Frames that tell of MPTCP so far.
    pub frames: u64,
    /// Of them, those that nobody read in time.
    pub dropped: u64,
}

/// One connection, as the control socket tells it.
#[derive(Debug, Serialize)]
pub struct ConnectionLine {
    /// The token of this end, where this machine is one.
    pub token: Option<Token>,
    /// What the proxy told of it, if it is one of its sessions.
    pub session: Option<SessionFacts>,
    /// What the kernel says.
    pub kernel: Option<KernelConnection>,
    /// What is seen on the wire; several where the watch began late.
    pub wire: Vec<ConnectionFacts>,
}

impl Desk {
    /// Every connection that lives.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionLine> {
        let sessions: BTreeMap<Token, SessionFacts> = self.proxies.lock().by_token().collect();
        let facts: Vec<Fact> = self.facts.lock().connections().collect();
        let line = |Fact { kernel, wire }: Fact| {
            let token = kernel.as_ref().map(|kernel| kernel.token);
            let session = token.and_then(|token| sessions.get(&token)).cloned();
            ConnectionLine { token, session, kernel, wire }
        };
        let mut lines: Vec<_> = facts.into_iter().map(line).collect();
        lines.sort_by_key(|line| {
            let session = line.session.as_ref().map(|session| session.session);
            (session.is_none(), session, line.token, line.wire.first().map(|wire| wire.connection))
        });
        lines
    }

    /// How the witnesses are.
    #[must_use]
    pub fn witnesses(&self) -> Witnesses {
        self.witnesses.lock().clone()
    }

    /// Says and counts a disagreement.
    pub(super) fn disagree(&self, report: &Report) {
        let word = serde_json::to_value(report.disagreement).ok();
        let word = word.and_then(|value| Some(value["disagreement"].as_str()?.to_owned())).unwrap_or_default();
        let token = report.token.map(|token| token.to_string());
        tracing::warn!(disagreement = %word, flow = %report.flow, token, "the witnesses disagree");
        *self.witnesses.lock().disagreements.entry(word).or_default() += 1;
    }
}
