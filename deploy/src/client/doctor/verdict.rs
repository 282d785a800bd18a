//! What can be wrong, in words, with what mends it.

use std::fmt::Write as _;

use serde::Serialize;

/// What is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Culprit {
    /// Nothing: all is well.
    None,
    /// The link is down, or has no address.
    LinkDown,
    /// Packets with this source have no route.
    NoRoute,
    /// Packets with this source leave by another link.
    WrongRoute,
    /// The routing is wrong, and strict reverse path filtering makes it a silence.
    StrictFilter,
    /// Packets leave by the right link, answers come back by another.
    Asymmetric,
    /// The proxy's port is refused or filtered on this link.
    BlockedPort,
    /// The proxy does not let this address in.
    NotAllowed,
    /// The proxy asks to come back later.
    Limited,
    /// Something answers that is no anabranch.
    NotAnabranch,
    /// Large segments vanish.
    Mtu,
    /// This kernel has no MPTCP, or has it switched off.
    MptcpOff,
    /// This kernel has stopped asking for MPTCP for a while.
    MptcpGaveUp,
    /// The proxy's listener does not offer MPTCP.
    NotOffered,
    /// SYNs with MPTCP are dropped, plain ones pass.
    SynBlackholed,
    /// MPTCP is removed from the SYN.
    SynStripped,
    /// MPTCP is removed from the answer to the SYN.
    SynAckStripped,
    /// MPTCP is removed after the handshake, towards the edge.
    StrippedToEdge,
    /// MPTCP is removed after the handshake, towards the client.
    StrippedToClient,
    /// The payload is rewritten on the way.
    Rewritten,
    /// MPTCP did not last, and the two ends' stories match nothing known.
    MptcpLost,
    /// No endpoint makes subflows from the address.
    NoEndpoint,
    /// This machine allows no more subflows.
    OwnLimit,
    /// This machine's path manager is a program, which decides by itself.
    OwnManager,
    /// The proxy allows no more subflows.
    EdgeLimit,
    /// SYNs that join are not answered.
    JoinSilent,
    /// The proxy refuses SYNs that join.
    JoinRefused,
}

/// What was found out about one link, or about all together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The link and its address, or `together`.
    pub subject: String,
    /// What is to blame.
    pub culprit: Culprit,
    /// The evidence, in words.
    pub evidence: String,
    /// What mends it; empty where all is well.
    pub mend: String,
    /// Payload. Units: bit/s.
    pub rate: Option<u64>,
}

/// All verdicts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    /// One a link and family, then those about all together.
    pub verdicts: Vec<Verdict>,
    /// How many of them are not well.
    pub failures: usize,
}

impl Diagnosis {
    pub(super) fn new(verdicts: Vec<Verdict>) -> Self {
        let failures = verdicts.iter().filter(|verdict| verdict.culprit != Culprit::None).count();
        Self { verdicts, failures }
    }

    /// For a reader.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for Verdict { subject, culprit, evidence, mend, rate } in &self.verdicts {
            let mark = if *culprit == Culprit::None { "ok  " } else { "FAIL" };
            let rate = rate.map(|rate| format!(" ({})", mbit(rate))).unwrap_or_default();
            writeln!(out, "{mark} {subject}{rate}: {evidence}").unwrap_or_default();
            if !mend.is_empty() {
                writeln!(out, "     {mend}").unwrap_or_default();
            }
        }
        let end = match self.failures {
            0 => "all is well".to_owned(),
            1 => "one thing is wrong".to_owned(),
            n => format!("{n} things are wrong"),
        };
        writeln!(out, "{end}").unwrap_or_default();
        out
    }
}

/// A rate for a reader.
pub(super) fn mbit(bits: u64) -> String {
    format!("{}.{} Mbit/s", bits / 1_000_000, bits / 100_000 % 10)
}
