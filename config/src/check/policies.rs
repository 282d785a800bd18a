//! What a policy alone cannot know: whether what it names is there, whether it can be true, whether it is ever reached.

use std::collections::HashSet;

use super::unique;
use crate::unit::{BitRate, shown};
use crate::{Action, Config, Enforce, Listener, Name, Path, Policy, Read, Subscriber, UsedPer, Warning};

/// What policies may name.
pub(crate) struct Named<'a> {
    paths: Vec<&'a Path>,
    subscribers: HashSet<&'a str>,
    listeners: HashSet<&'a str>,
    /// Something could not be read: any name may be right.
    whole: bool,
}

impl<'a> Named<'a> {
    /// What the sections say.
    pub(crate) fn of(
        paths: &'a [Read<'_, Path>],
        subscribers: &'a [Read<'_, Subscriber>],
        listeners: &'a [Read<'_, Listener>],
    ) -> Self {
        let whole = paths.iter().all(|(_, path)| path.is_some())
            && subscribers.iter().all(|(_, subscriber)| subscriber.is_some())
            && listeners.iter().all(|(_, listener)| listener.is_some());
        let listeners: HashSet<_> =
            listeners.iter().filter_map(|(_, listener)| Some(listener.as_ref()?.name.as_str())).collect();
        Self {
            paths: paths.iter().filter_map(|(_, path)| path.as_ref()).collect(),
            subscribers: subscribers.iter().filter_map(|(_, one)| Some(one.as_ref()?.name.as_str())).collect(),
            listeners,
            whole,
        }
    }

    fn path(&self, name: &Name) -> Option<&'a Path> {
        self.paths.iter().copied().find(|path| path.name == *name)
    }
}

/// The policies among themselves, and what they name.
pub(crate) fn policies(sections: &[Read<'_, Policy>], named: &Named<'_>) {
    unique(sections, |policy| policy.name.as_str());
    if !named.whole {
        return;
    }
    for (section, policy) in sections {
        let Some(policy) = policy else { continue };
        let refuse = |key: &str, what: &str, fix: &str| section.refuse(key, what, fix);
        if refuse_unknown(policy, named, &refuse) {
            refuse_contradictions(policy, named, &refuse);
        }
    }
}

/// Refuses names that nothing has; says whether there was none.
fn refuse_unknown(policy: &Policy, named: &Named<'_>, refuse: &dyn Fn(&str, &str, &str)) -> bool {
    let select = &policy.select;
    let expected = |kind: &str, mut known: Vec<&str>| {
        known.sort_unstable();
        match known.as_slice() {
            [] => format!("add a [[{kind}]] of that name"),
            known => format!("expected one of: {}", shown(&known.join(", "))),
        }
    };
    let mut right = true;
    if select.paths.iter().any(|name| named.path(name).is_none()) {
        let known = named.paths.iter().map(|path| path.name.as_str()).collect();
        refuse("path", "there is no [[path]] of that name", &expected("path", known));
        right = false;
    }
    if select.subscribers.iter().any(|name| !named.subscribers.contains(name.as_str())) {
        let known = named.subscribers.iter().copied().collect();
        refuse("subscriber", "there is no [[subscriber]] of that name", &expected("subscriber", known));
        right = false;
    }
    if select.listeners.iter().any(|name| !named.listeners.contains(name.as_str())) {
        let known = named.listeners.iter().copied().collect();
        refuse("listener", "there is no [[listener]] of that name", &expected("listener", known));
        right = false;
    }
    right
}

/// Refuses what cannot be true on the paths there are.
fn refuse_contradictions(policy: &Policy, named: &Named<'_>, refuse: &dyn Fn(&str, &str, &str)) {
    let paths: Vec<_> = policy.select.paths.iter().filter_map(|name| named.path(name)).collect();
    let others = named.paths.len() > paths.len();
    let rates: &[(&str, Option<BitRate>)] = match policy.action {
        Action::Limit { rate, ceil, .. } => &[("rate", Some(rate)), ("ceil", ceil)],
        Action::Overflow { limit, .. } => &[("limit", limit)],
        Action::Backup | Action::Share { .. } | Action::Close => &[],
    };
    for (key, rate) in rates.iter().filter_map(|(key, rate)| Some((key, (*rate)?))) {
        let most = paths.iter().filter_map(|path| path.capacity.or(path.line)).max();
        if let Some(most) = most.filter(|most| rate > *most) {
            let what = "more than the path carries: it would never limit anything";
            refuse(key, what, &format!("expected at most {most}, or another capacity of the path"));
        }
    }
    let dearest = paths.iter().map(|path| path.cost).max();
    let cheapest = named.paths.iter().map(|path| path.cost).min();
    match policy.action {
        Action::Overflow { .. } if dearest.is_some() && paths.iter().any(|path| Some(path.cost) == cheapest) => {
            refuse(
                "path",
                "no path is cheaper: there is nothing it could take the overflow of",
                "give a dearer path, or change the costs",
            );
        }
        // A path that nobody has configured is one as well; who names several and all of them leaves none out.
        Action::Close | Action::Backup | Action::Share { .. } if !others && paths.len() > 1 => {
            let what = format!("every path there is: \"{}\" leaves nothing to use instead", policy.action.as_str());
            refuse("path", &what, "leave at least one path out, or add another [[path]]");
        }
        _ => {}
    }
    if policy.select.load_above.is_some()
        && let Some(path) = paths.iter().find(|path| path.capacity.is_none())
    {
        let what = format!("the load of path \"{}\" is not known without its capacity", path.name);
        refuse("load_above", &what, "give the [[path]] a capacity such as \"1 Gbit/s\"");
    }
}

/// What is allowed of policies but should be known.
pub(super) fn warnings(config: &Config) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (index, policy) in config.policies.iter().enumerate() {
        let mut warn = |what: String| {
            warnings.push(Warning { subject: format!("policy \"{}\"", policy.name), what });
        };
        let before = config.policies[..index].iter().find(|before| is_hidden_by(policy, before));
        if let Some(before) = before {
            warn(format!(
                "never applies: \"{}\" comes before and matches all it matches; move it up, or narrow the other",
                before.name
            ));
        }
        let calendar = policy.select.used.as_ref().is_some_and(|used| used.per != UsedPer::Connection);
        if calendar && config.steering.usage.is_none() {
            warn("what was used is forgotten when the process ends; name a file (steering.usage)".to_owned());
        }
        if policy.enforce == Enforce::Always
            && matches!(
                policy.action,
                Action::Limit { directions: crate::Directions::Upload | crate::Directions::Both, .. }
            )
            && !policy.select.paths.is_empty()
        {
            warn("a cap on the upload of single subflows can hold up the whole of their connection (to a tenth was seen)".to_owned());
        }
    }
    warnings
}

/// Whether a policy is never reached behind another one.
fn is_hidden_by(policy: &Policy, before: &Policy) -> bool {
    use crate::Directions::{Both, Download, Upload};
    let directions = |policy: &Policy| match policy.action {
        Action::Limit { directions, .. } => directions,
        _ => Both,
    };
    let ways = matches!((directions(before), directions(policy)), (Both, _) | (Download, Download) | (Upload, Upload));
    // A total and a rate of subflows go together.
    let same_kind = before.select.paths.is_empty() == policy.select.paths.is_empty();
    ways && same_kind && before.select.covers(&policy.select)
}
