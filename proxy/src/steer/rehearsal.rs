//! What would happen, without anything happening: the planner against a kernel that does at once whatever it is told.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use anabranch_kernel::shaper::Commands;
use anabranch_throttle::intent::Decisions;
use anabranch_throttle::op::{Abilities, Op};
use anabranch_throttle::plan::{Planner, Settings};
use anabranch_throttle::policy::{Made, Policies, PolicyLine};
use anabranch_throttle::view::{SubflowKey, View};
use serde::Serialize;

use super::commands::lines;

/// Turns after which everything that would be done has been said: demote, drain, pace, promote, and some to spare.
const TURNS: u32 = 12;

/// Between two turns.
const STEP: Duration = Duration::from_millis(100);

/// Every operation from now until the decisions are carried out.
pub(super) fn rehearse(abilities: Abilities, settings: Settings, view: &View, decisions: &Decisions) -> Vec<Op> {
    let mut planner = Planner::new(abilities, settings);
    let (mut view, mut said, mut puts, mut priorities) = (view.clone(), Vec::new(), HashSet::new(), HashSet::new());
    for _ in 0..TURNS {
        for op in planner.plan(&view, decisions) {
            planner.on_done(&op, Ok(()), view.at);
            pretend(&mut view, &op);
            // Leases are renewed as time goes by, and what is let in for moments goes to and fro; that is nothing new.
            let renewal = match &op {
                Op::Put { subflow, direction, .. } => !puts.insert((*subflow, *direction)),
                Op::Demote(subflow) => !priorities.insert((*subflow, true)),
                Op::Promote(subflow) => !priorities.insert((*subflow, false)),
                _ => false,
            };
            if !renewal {
                said.push(op);
            }
        }
        view.at += STEP;
        view.connections.iter_mut().flat_map(|connection| &mut connection.subflows).for_each(|subflow| {
            if subflow.backup_by_us {
                // It has sent what it held, and its client answers whoever asks.
                (subflow.queued, subflow.heard) = (Some(0), Some(Duration::ZERO));
            }
        });
    }
    said
}

/// A policy that holds nothing now, and what it will do.
#[derive(Debug, Serialize)]
pub(super) struct Prospect {
    /// What it is, and why it holds nothing.
    #[serde(flatten)]
    policy: PolicyLine,
    /// The subflow that is made up to say what it will do. `None`: that cannot be said beforehand.
    example: Option<String>,
    /// What will be done to that.
    commands: Vec<String>,
}

/// Every policy that holds nothing now.
pub(super) fn prospects(
    policies: &Policies,
    (abilities, settings): (Abilities, Settings),
    commands: &Commands<'_>,
    at: Duration,
) -> Vec<Prospect> {
    let made = if settings.passing { Made::Passing } else { Made::Ours };
    let idle = policies.lines().into_iter().filter(|line| line.held == 0);
    let prospect = |policy: PolicyLine| {
        let example = policies.example(&policy.name, made, at);
        let ops = example.as_ref().map(|made| rehearse(abilities, settings, &made.view, &made.decisions));
        let commands = ops.iter().flatten().flat_map(|op| lines(op, commands)).collect();
        Prospect { policy, example: example.map(|example| example.subflow.to_string()), commands }
    };
    idle.map(prospect).collect()
}

impl fmt::Display for Prospect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.policy)?;
        match &self.example {
            None => writeln!(f, "once it holds one: as a limit, to a rate that follows what the others carry"),
            Some(_) if self.commands.is_empty() => {
                writeln!(f, "once it selects one: nothing of it can be done here (`anabranch policy list` says why)")
            }
            Some(example) => {
                writeln!(f, "once it holds one, such as {example} (made up):\n{}", self.commands.join("\n"))
            }
        }
    }
}

/// The view after an operation.
fn pretend(view: &mut View, op: &Op) {
    match *op {
        Op::Demote(subflow) => set_backup(view, subflow, true),
        Op::Promote(subflow) => set_backup(view, subflow, false),
        Op::Close(SubflowKey { connection, flow }) => {
            let of = view.connections.iter_mut().filter(|one| one.key == connection);
            of.for_each(|one| one.subflows.retain(|subflow| subflow.flow != flow));
        }
        _ => {}
    }
}

fn set_backup(view: &mut View, SubflowKey { connection, flow }: SubflowKey, backup: bool) {
    let of = view.connections.iter_mut().filter(|one| one.key == connection).flat_map(|one| &mut one.subflows);
    of.filter(|subflow| subflow.flow == flow).for_each(|subflow| subflow.backup_by_us = backup);
}

#[cfg(test)]
mod tests;
