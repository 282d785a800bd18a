//! From the configuration to the rules.

use std::sync::Arc;
use std::time::Duration;

use anabranch_config::{Action, Config, Directions, Period, Policy, SubflowSelector};
use anabranch_sniffer::SubflowKind;

use super::rules::{Act, PathId, PathRule, Rule, Rules, Thresholds};
use crate::intent::Ceiling;

pub(crate) use anabranch_config::Schedule;

/// Usage above which a policy holds.
#[derive(Debug, Clone)]
pub(crate) struct UsedRule {
    pub(crate) above: u64,
    /// `None`: in the life of a connection.
    pub(crate) per: Option<CalendarSpan>,
}

/// A period of the calendar.
#[derive(Debug, Clone)]
pub(crate) struct CalendarSpan {
    pub(crate) label: Arc<str>,
    period: Period,
}

impl CalendarSpan {
    pub(crate) fn words(&self) -> &str {
        self.label.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn start(&self, at: Duration) -> Duration {
        self.period.start(at)
    }

    pub(crate) fn end(&self, at: Duration) -> Duration {
        self.period.end(at)
    }
}

impl From<&Config> for Rules {
    fn from(config: &Config) -> Self {
        let paths: Vec<_> = config
            .paths
            .iter()
            .map(|path| PathRule {
                name: path.name.to_shared(),
                client: path.client.clone(),
                interface: path.interface.as_ref().map(|name| name.to_shared()),
                cost: path.cost,
                capacity: path.capacity.map(|rate| rate.bits_per_second()),
                line: path.line.map(|rate| rate.bits_per_second()),
            })
            .collect();
        let place = |name: &str| paths.iter().position(|path| &*path.name == name);
        let policies = config.policies.iter().map(|policy| rule(policy, &place)).collect();
        let subscribers = config.subscribers.iter().map(|one| (one.name.to_shared(), one.client.clone())).collect();
        let ports =
            config.listeners.iter().map(|listener| (listener.name.to_shared(), listener.address.port())).collect();
        Self { paths, subscribers, policies, ports }
    }
}

fn rule(policy: &Policy, place: &dyn Fn(&str) -> Option<PathId>) -> Rule {
    let select = &policy.select;
    let thousandths = |percent: anabranch_config::Percent| u64::from(percent.get()) * 10;
    Rule {
        name: policy.name.to_shared(),
        paths: select.paths.iter().filter_map(|name| place(name.as_str())).collect(),
        subscribers: select.subscribers.iter().map(|name| name.to_shared()).collect(),
        listeners: select.listeners.iter().map(|name| name.to_shared()).collect(),
        kind: select.subflow.map(|subflow| match subflow {
            SubflowSelector::Initial => SubflowKind::Initial,
            SubflowSelector::Joined => SubflowKind::Joined,
        }),
        destinations: select.destinations.clone(),
        ports: select.ports.clone(),
        when: select.when.clone(),
        used: select.used.as_ref().map(|used| UsedRule {
            above: used.above.bytes(),
            per: used.period().map(|period| CalendarSpan { label: period.to_string().into(), period }),
        }),
        gauges: Thresholds {
            load: select.load_above.map(thousandths),
            rtt: select.rtt_above.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            loss: select.loss_above.map(thousandths),
        },
        act: act(policy.action),
        enforce: policy.enforce,
        dwell: policy.dwell,
    }
}

const fn act(action: Action) -> Act {
    match action {
        Action::Overflow { limit, after, hold } => Act::Overflow { limit, after, hold },
        Action::Backup => Act::Backup,
        Action::Share { percent } => Act::Share { percent: percent.get() },
        Action::Close => Act::Close,
        Action::Limit { rate, burst, ceil, per, directions } => Act::Limit {
            ceiling: Ceiling { rate, ceil, burst },
            per,
            download: !matches!(directions, Directions::Upload),
            upload: !matches!(directions, Directions::Download),
        },
    }
}
