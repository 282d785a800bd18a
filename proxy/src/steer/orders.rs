//! What the control socket may ask of policies at work, and the answers.

use anabranch_config::Config;
use anabranch_kernel::shaper::{Commands, Options};
use anabranch_throttle::op::Abilities;
use anabranch_throttle::policy::{Policies, Rules};
use http::StatusCode;
use serde_json::json;
use thiserror::Error;
use tokio::sync::oneshot;

use super::commands::lines;
use super::doors::{Closed, names};
use super::engine::Engine;
use super::now;
use super::rehearsal::{prospects, rehearse};
use crate::control::Answer;
use crate::http::chain;

/// Something to be told or done.
#[derive(Debug)]
pub enum Order {
    /// What is in force.
    List,
    /// What would happen now, by these rules or by those in force.
    Plan(Option<Box<Config>>),
    /// Other rules in force.
    Apply(Box<Config>),
    /// No rules in force.
    Clear,
    /// Why something is as it is.
    Explain(String),
}

/// An order that was not carried out.
#[derive(Debug, Error)]
pub enum Refused {
    /// The kernel cannot be steered. The former policies are in force again.
    #[error("nothing was applied: {0}")]
    Closed(String),
    /// There is no such thing.
    #[error(
        "no Multipath TCP connection, subflow or client \"{0}\" lives; `anabranch connections` lists those that do, and what is plain TCP, and why"
    )]
    Unknown(String),
}

/// When a connection began whose subflows cannot be demoted, and what helps those to come.
const ANOTHER: &str = "before the userspace path manager was in force (steering.path_manager = \"userspace\" has it from this process's start on)";

/// An answer, or why there is none.
pub type Answered = Result<Answer, Refused>;

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Answered>;

impl Refused {
    /// The status it is answered with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Closed(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unknown(_) => StatusCode::NOT_FOUND,
        }
    }
}

impl Engine<'_> {
    /// Does what is asked.
    pub(super) fn obey(&mut self, order: Order) -> Answered {
        match order {
            Order::List => Ok(self.list()),
            Order::Plan(config) => Ok(self.rehearse(config.as_deref().map(Rules::from))),
            Order::Apply(config) => self.apply(Rules::from(&*config)),
            Order::Clear => self.apply(Rules::default()),
            Order::Explain(what) => self.explain(&what),
        }
    }

    fn list(&self) -> Answer {
        let lines = self.policies.lines();
        let mut text = String::new();
        for line in &lines {
            text += &format!("{line}\n");
        }
        if lines.is_empty() {
            text += "no policy is in force\n";
        }
        if !self.acts() {
            text += "steering.mode = \"observe\": decided and logged, nothing is done\n";
        }
        let cannot = self.cannot();
        text += &impossible(&cannot);
        Answer { text, values: json!({ "policies": lines, "mode": self.steering.mode.as_str(), "cannot": cannot }) }
    }

    /// What cannot be done here, and why.
    fn cannot(&self) -> Vec<String> {
        let doors = match &self.doors {
            Ok(doors) => doors.cannot(),
            Err(Closed::NoPolicy) => Vec::new(),
            Err(closed) => vec![chain(closed)],
        };
        let undemotable = match self.planner.undemotable() {
            0 => None,
            1 => Some(format!("demote in 1 of the connections: it began {ANOTHER}")),
            count => Some(format!("demote in {count} of the connections: they began {ANOTHER}")),
        };
        doors.into_iter().chain(self.ledger.why.clone()).chain(undemotable).collect()
    }

    fn apply(&mut self, rules: Rules) -> Answered {
        let former = self.policies.rules().clone();
        if let Err(closed) = self.replace(rules) {
            let why = chain(&closed);
            // As before: where that cannot be carried out either, it could not be before.
            drop(self.replace(former));
            return Err(Refused::Closed(why));
        }
        // Who is told that it is in force may connect at once.
        self.tick();
        let lines = self.policies.lines();
        let mut text = match lines.len() {
            0 => "no policy is in force; everything was taken back".to_owned(),
            1 => "1 policy is in force".to_owned(),
            count => format!("{count} policies are in force"),
        };
        let mut cannot = self.cannot();
        if let Some((count, why)) = self.planner.failing() {
            let subflows = if count == 1 { "subflow" } else { "subflows" };
            cannot.push(format!(
                "what is wanted of {count} {subflows}, so far: {why} (`anabranch policy explain` has what becomes of it)"
            ));
        }
        if !lines.is_empty() && !cannot.is_empty() {
            text += &format!("\n{}", impossible(&cannot).trim_end());
        }
        tracing::info!(policies = lines.len(), "policies were replaced over the control socket");
        Ok(Answer { text, values: json!({ "policies": lines, "cannot": cannot }) })
    }

    fn rehearse(&mut self, rules: Option<Rules>) -> Answer {
        let at = now();
        let view = self.look(at);
        let mut policies = Policies::new(rules.unwrap_or_else(|| self.policies.rules().clone()));
        let decisions = policies.decide(&view);
        let (abilities, settings) = (self.possible(), super::engine::settings(&self.steering, self.desk.passing));
        let ops = rehearse(abilities, settings, &view, &decisions);
        let (names, steering) = (names(&self.steering), &self.steering);
        let options = Options { subflows: steering.subflows, lease: steering.lease, adopt: steering.adopt };
        let commands = Commands::new(&names, options);
        let lines: Vec<String> = ops.iter().flat_map(|op| lines(op, &commands)).collect();
        let prospects = prospects(&policies, (abilities, settings), &commands, at);
        let mut text = String::new();
        for intent in &decisions.intents {
            let evidence = intent.evidence.join("; ");
            text += &format!("{}: {}, by \"{}\" ({evidence})\n", intent.subflow, intent.hold, intent.policy);
        }
        for total in &decisions.totals {
            let (direction, rate) = (total.class.direction, total.ceiling.rate);
            text +=
                &format!("{}: at most {rate} of {direction} in all, by \"{}\"\n", total.connection, total.class.policy);
        }
        if decisions.intents.is_empty() && decisions.totals.is_empty() {
            text += "no subflow that lives now would be touched\n";
        }
        if !lines.is_empty() {
            text += &format!("\nas commands:\n{}\n", lines.join("\n"));
        }
        for prospect in &prospects {
            text += &format!("\n{prospect}");
        }
        let cannot = self.cannot();
        text += &impossible(&cannot);
        let wants: Vec<_> = decisions.intents.iter().map(|intent| {
            json!({ "connection": intent.subflow.connection, "flow": intent.subflow.flow, "policy": intent.policy, "path": intent.path,
                "subscriber": intent.subscriber, "wants": intent.hold.to_string(), "evidence": intent.evidence })
        }).collect();
        Answer {
            text,
            values: json!({ "intents": wants, "commands": lines, "prospects": prospects, "cannot": cannot }),
        }
    }

    /// What could be done: what can be done, and of what is not open yet, all there is.
    fn possible(&self) -> Abilities {
        let all = Abilities { demote: true, pace: true, cap: true, proxy: true };
        self.doors.as_ref().map_or(all, |doors| {
            let now = doors.abilities(self.desk);
            if doors.shapes() { now } else { Abilities { pace: true, cap: true, ..now } }
        })
    }

    fn explain(&mut self, what: &str) -> Answered {
        let view = self.look(now());
        let is_meant = |key: &anabranch_throttle::view::SubflowKey| {
            key.connection.to_string() == what
                || [key.flow.source(), key.flow.destination()].iter().any(|end| end.to_string() == what)
                || key.flow.destination().ip().to_string() == what
        };
        let keys: Vec<_> =
            view.connections.iter().flat_map(|one| one.keyed()).map(|(key, _)| key).filter(is_meant).collect();
        if keys.is_empty() {
            return Err(Refused::Unknown(what.to_owned()));
        }
        let explained: Vec<_> =
            keys.iter().map(|key| self.planner.explain(*key).or_left(self.policies.left_free(*key))).collect();
        let text: Vec<_> = explained.iter().map(ToString::to_string).collect();
        Ok(Answer { text: text.join("\n"), values: json!({ "subflows": explained }) })
    }
}

/// What cannot be done, for people: a line each.
fn impossible(reasons: &[String]) -> String {
    reasons.iter().map(|reason| format!("not possible here: {reason}\n")).collect()
}
