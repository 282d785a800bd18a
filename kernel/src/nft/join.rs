//! What holds for a subflow from its MP_JOIN on.

use crate::abi::nft::expr;
use crate::netlink::Step;

use super::expression::{ANONYMOUS, Expression};
use super::interval::{Border, Prefix, borders};
use super::rule::{self, Rule};
use super::{Direction, Map, Slot, set};

/// What holds for subflows that come from somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Where they come from. None: nothing.
    pub prefixes: Vec<Prefix>,
    /// The ports they go to. None: any.
    pub ports: Vec<u16>,
    /// What.
    pub then: Then,
}

/// What is done with a SYN that joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Its subflow's packets towards the client go through this class.
    Class(Slot),
    /// It is dropped, and the client told by a reset.
    Refuse,
    /// It is dropped; the client tries again for a while.
    Drop,
}

/// The steps that have `chain`, which is empty, do what `joins` say, the first that matches deciding.
pub(super) fn steps(table: &str, chain: &str, joins: &[Join]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (at, join) in joins.iter().enumerate() {
        // Numbers count within the transaction only.
        let id = u32::try_from(at).unwrap_or(u32::MAX).saturating_mul(4).saturating_add(1);
        for v6 in join.families() {
            let (sources, to) = (id + u32::from(v6), id + 2 + u32::from(v6));
            steps.push(set::addresses(table, sources, v6));
            steps.extend(set::fill(table, sources, &borders(v6, &join.prefixes)));
            if !join.ports.is_empty() {
                let ports = join.sorted_ports().map(|port| Border { key: port.to_be_bytes().to_vec(), end: false });
                steps.push(set::ports(table, to));
                steps.extend(set::fill(table, to, &ports.collect::<Vec<_>>()));
            }
            steps.push(join.rule(chain, v6, sources, to).step(table));
        }
    }
    steps
}

/// The same as `nft` reads it in a file.
pub(super) fn commands(table: &str, chain: &str, joins: &[Join]) -> Vec<String> {
    let of = |join: &Join| join.families().map(|v6| join.rule(chain, v6, 0, 0).command(table)).collect::<Vec<_>>();
    joins.iter().flat_map(of).collect()
}

impl Join {
    /// The families of its prefixes.
    fn families(&self) -> impl Iterator<Item = bool> {
        [false, true].into_iter().filter(|&v6| self.prefixes.iter().any(|prefix| prefix.is_v6() == v6))
    }

    fn sorted_ports(&self) -> impl Iterator<Item = u16> {
        let mut ports = self.ports.clone();
        ports.sort_unstable();
        ports.dedup();
        ports.into_iter()
    }

    pub(super) fn rule(&self, chain: &str, v6: bool, sources: u32, to: u32) -> Rule {
        let mut expressions = rule::family(v6);
        expressions.push(rule::client(v6));
        expressions.push(Expression::Contains { set: ANONYMOUS.to_owned(), id: sources });
        expressions.extend(rule::tcp());
        if !self.ports.is_empty() {
            expressions.push(rule::port());
            expressions.push(Expression::Contains { set: ANONYMOUS.to_owned(), id: to });
        }
        expressions.extend(self.then.expressions(v6));
        Rule { chain: chain.to_owned(), expressions, text: self.text(v6) }
    }

    fn text(&self, v6: bool) -> String {
        let prefixes = self.prefixes.iter().filter(|prefix| prefix.is_v6() == v6).map(Prefix::to_string);
        let mut text = format!("{} saddr {{ {} }} ", if v6 { "ip6" } else { "ip" }, joined(prefixes));
        if self.ports.is_empty() {
            text.push_str("meta l4proto tcp ");
        } else {
            text.push_str(&format!("tcp dport {{ {} }} ", joined(self.sorted_ports().map(|port| port.to_string()))));
        }
        text + &self.then.text(v6)
    }
}

impl Then {
    fn expressions(self, v6: bool) -> Vec<Expression> {
        let map = Map { direction: Direction::Download, v6 };
        match self {
            Self::Class(slot) => {
                let mut expressions = rule::key(map, Direction::Upload).to_vec();
                // Behind the key, which takes four registers of four bytes, or ten.
                let value = if v6 { expr::REG32_00 + 10 } else { expr::REG_2 };
                expressions.push(Expression::Load { register: value, bytes: slot.class().to_ne_bytes().to_vec() });
                expressions.push(Expression::Update { map: map.name(), value });
                expressions.push(Expression::Verdict { code: expr::RETURN, chain: None });
                expressions
            }
            Self::Refuse => vec![Expression::Reset],
            Self::Drop => vec![Expression::Verdict { code: expr::DROP, chain: None }],
        }
    }

    fn text(self, v6: bool) -> String {
        let map = Map { direction: Direction::Download, v6 };
        match self {
            Self::Class(slot) => {
                format!("update @{map} {{ {} : {slot} }} return", rule::key_text(map, Direction::Upload))
            }
            Self::Refuse => "reject with tcp reset".to_owned(),
            Self::Drop => "drop".to_owned(),
        }
    }
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(", ")
}
