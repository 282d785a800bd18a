//! Middleboxes that remove MPTCP options: routers with an nft table.
//!
//! What lives here: which segments lose their options, as values, and the rules for it.
//! What does not: the router's devices and routes (`topology`).
//! Invariant: a middlebox removes the option from the wire, it does not drop segments.

use serde::Serialize;

/// Which way segments go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Toward {
    /// From the client to the edge.
    Edge,
    /// From the edge to the client.
    Client,
}

/// Which segments of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// SYN and SYN-ACK.
    Handshake,
    /// Everything else.
    Later,
}

/// One removal of MPTCP options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Strip {
    /// The direction that suffers.
    pub toward: Toward,
    /// The segments that suffer.
    pub phase: Phase,
}

/// A router that removes options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Middlebox {
    /// All removals it does.
    pub strips: Vec<Strip>,
}

impl Middlebox {
    /// A middlebox with one removal.
    pub fn strip(phase: Phase, toward: Toward) -> Self {
        Self { strips: vec![Strip { toward, phase }] }
    }

    /// A middlebox with the removal in both directions.
    pub fn strip_both(phase: Phase) -> Self {
        Self { strips: [Toward::Edge, Toward::Client].map(|toward| Strip { toward, phase }).to_vec() }
    }

    /// The nft source for a router whose device `near` leads to the client and `far` to the edge.
    ///
    /// Shape: one statement a line, for nft 1.0.6 refuses more after a `reset`.
    pub fn rules(&self, near: &str, far: &str) -> String {
        let rules: String = self
            .strips
            .iter()
            .map(|strip| {
                let device = match strip.toward {
                    Toward::Edge => near,
                    Toward::Client => far,
                };
                let flags = match strip.phase {
                    Phase::Handshake => "!= 0",
                    Phase::Later => "== 0",
                };
                format!("  iifname \"{device}\" tcp flags & syn {flags} counter reset tcp option mptcp\n")
            })
            .collect();
        format!(
            "table inet middlebox {{\n chain strip {{\n  type filter hook forward priority 0; policy accept;\n{rules} }}\n}}\n"
        )
    }
}

#[cfg(test)]
mod tests;
