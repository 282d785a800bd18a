//! The table as a whole.

use std::time::Duration;

use crate::abi::nft::{msg, table as abi};
use crate::abi::route::{NLM_F_CREATE, NLM_F_EXCL};
use crate::netlink::attribute::Attributes;
use crate::netlink::{Request, Step};

use super::chain::{self, Hook};
use super::join::{self, Join};
use super::rule::{self, Rule};
use super::{Direction, Map, Slot, element, message, set};

/// The set that knows TCP while somebody looks after the chain of joins.
const ALIVE: &str = "alive";
/// The map from classes to IFBs.
const IFBS: &str = "ifbs";
/// The chain that joins go through.
const JOIN: &str = "join";

/// What a table is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout<'a> {
    pub(crate) table: &'a str,
    /// What it says of itself.
    pub(crate) comment: &'a str,
    /// Most elements of a map.
    pub(crate) size: u32,
    pub(crate) lease: Duration,
    /// Most classes.
    pub(crate) classes: u32,
}

/// A table as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) comment: Option<String>,
}

impl Layout<'_> {
    /// The steps that make it, without interfaces.
    pub(crate) fn add(&self) -> Vec<Step> {
        let table = self.table;
        let comment = [&[abi::COMMENT, udata_length(self.comment)], self.comment.as_bytes(), &[0]].concat();
        let request = message(msg::NEWTABLE, NLM_F_CREATE | NLM_F_EXCL)
            .text(abi::NAME, table)
            .be32(abi::FLAGS, 0)
            .attribute(abi::USERDATA, &comment);
        let mut steps = vec![Step::new("NFT_MSG_NEWTABLE", format_args!("table {table}"), request)];
        steps.extend(Map::ALL.map(|map| set::map(table, map, self.size, self.lease)));
        steps.push(set::ifbs(table, IFBS, self.classes));
        steps.push(set::alive(table, ALIVE, self.lease));
        steps.extend([JOIN, Hook::Ingress.shared(), Hook::Egress.shared()].map(|name| chain::shared(table, name)));
        steps.extend(self.rules().iter().map(|rule| rule.step(table)));
        steps
    }

    /// The same as `nft` reads it in a file.
    pub(crate) fn commands(&self) -> Vec<String> {
        let table = self.table;
        let mut lines = vec![format!("create table netdev {table} {{ comment \"{}\"; }}", self.comment)];
        lines.extend(Map::ALL.map(|map| set::map_text(table, map, self.size, self.lease)));
        lines.push(set::ifbs_text(table, IFBS, self.classes));
        lines.push(set::alive_text(table, ALIVE, self.lease));
        let chains = [JOIN, Hook::Ingress.shared(), Hook::Egress.shared()];
        lines.extend(chains.map(|name| format!("add chain netdev {table} {name}")));
        lines.extend(self.rules().iter().map(|rule| rule.command(table)));
        lines
    }

    fn rules(&self) -> Vec<Rule> {
        let mut rules = vec![rule::joins(Hook::Ingress.shared(), ALIVE, JOIN)];
        rules.extend(Map::ALL.map(|map| {
            let hook = match map.direction {
                Direction::Download => Hook::Egress,
                Direction::Upload => Hook::Ingress,
            };
            rule::redirect(hook.shared(), map, IFBS)
        }));
        rules
    }
}

/// The step that takes a table away, with everything in it.
pub(crate) fn delete(table: &str) -> Step {
    let request = message(msg::DELTABLE, 0).text(abi::NAME, table);
    Step::new("NFT_MSG_DELTABLE", format_args!("table {table}"), request)
}

/// The steps that say which IFB some classes are on.
pub(crate) fn ifbs(table: &str, slots: &[Slot], ifb: u32) -> Vec<Step> {
    element::ifbs(table, IFBS, slots, ifb)
}

/// What says the same of one class, as `nft` reads it in a file.
pub(crate) fn ifb_command(table: &str, slot: Slot, ifb: &str) -> String {
    format!("add element netdev {table} {IFBS} {{ {slot} : \"{ifb}\" }}")
}

/// The steps that say anew what holds for joins, for a lease.
pub(crate) fn arm(table: &str, lease: Duration, joins: &[Join]) -> Vec<Step> {
    let mut steps = vec![rule::flush(table, JOIN)];
    steps.extend(join::steps(table, JOIN, joins));
    steps.extend(alive(table, lease));
    steps
}

/// The steps that let what holds for joins hold for a lease more.
pub(crate) fn alive(table: &str, lease: Duration) -> [Step; 2] {
    element::alive(table, ALIVE, lease)
}

/// The steps of [`arm`] as `nft` reads them in a file.
pub(crate) fn arm_commands(table: &str, lease: Duration, joins: &[Join]) -> Vec<String> {
    let mut lines = vec![format!("flush chain netdev {table} {JOIN}")];
    lines.extend(join::commands(table, JOIN, joins));
    lines.push(format!("add element netdev {table} {ALIVE} {{ tcp timeout {}ms }}", set::millis(lease)));
    lines
}

/// The question for all tables of the family.
pub(super) fn get() -> Request {
    message(msg::GETTABLE, 0)
}

/// Reads a table.
pub(super) fn parse(payload: &[u8]) -> Option<Table> {
    let said = Attributes::new(payload.get(crate::abi::nft::HEADER..)?);
    let name = said.find(abi::NAME)?.text()?.to_owned();
    Some(Table { name, comment: said.find(abi::USERDATA).and_then(|data| comment(data.payload)) })
}

/// Finds the comment in user data: types and lengths of one byte each, with what they are of behind them.
fn comment(mut data: &[u8]) -> Option<String> {
    while let &[kind, length, ref rest @ ..] = data {
        let (value, rest) = rest.split_at_checked(length.into())?;
        if kind == abi::COMMENT {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return std::str::from_utf8(text).ok().map(str::to_owned);
        }
        data = rest;
    }
    None
}

/// Length of a comment and the zero byte behind it.
fn udata_length(comment: &str) -> u8 {
    u8::try_from(comment.len() + 1).unwrap_or(u8::MAX)
}
