//! What a policy alone cannot know: whether what it names is there, whether it can be true, whether it is ever reached.

use std::collections::HashSet;

use super::unique;
use crate::unit::{BitRate, shown};
use crate::{
    Action, Config, Directions, Enforce, Listener, Name, Path, PathManagement, Per, Policy, Read, Section, Subscriber,
    UsedPer, Warning,
};

/// What policies may name.
pub(crate) struct Named<'a> {
    paths: Vec<&'a Path>,
    subscribers: HashSet<&'a str>,
    listeners: HashSet<&'a str>,
    /// Everything could be read. Where something could not, any name may be right.
    whole: bool,
}

impl<'a> Named<'a> {
    /// What the sections say, and the listeners of a file that names none.
    pub(crate) fn of(
        paths: &'a [Read<'_, Path>],
        subscribers: &'a [Read<'_, Subscriber>],
        listeners: &'a [Read<'_, Listener>],
        defaults: &'a [Listener],
    ) -> Self {
        let whole = paths.iter().all(|(_, path)| path.is_some())
            && subscribers.iter().all(|(_, subscriber)| subscriber.is_some())
            && listeners.iter().all(|(_, listener)| listener.is_some());
        let listeners = listeners.iter().filter_map(|(_, listener)| listener.as_ref()).chain(defaults);
        Self {
            paths: paths.iter().filter_map(|(_, path)| path.as_ref()).collect(),
            subscribers: subscribers.iter().filter_map(|(_, one)| Some(one.as_ref()?.name.as_str())).collect(),
            listeners: listeners.map(|listener| listener.name.as_str()).collect(),
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
    let mut closed = HashSet::new();
    for (section, policy) in sections {
        let Some(policy) = policy else { continue };
        if refuse_unknown(section, policy, named) {
            refuse_contradictions(section, policy, named);
            refuse_closing_all(section, policy, named, &mut closed);
        }
    }
}

/// Refuses names that nothing has; says whether there was none.
fn refuse_unknown(section: &Section<'_>, policy: &Policy, named: &Named<'_>) -> bool {
    let refuse = |kind: &str, unknown: Option<&str>, mut known: Vec<&str>| {
        let Some(unknown) = unknown else { return true };
        known.sort_unstable();
        let fix = match known.as_slice() {
            [] => format!("add a [[{kind}]] of that name"),
            known => format!("expected one of: {}", shown(&known.join(", "))),
        };
        section.refuse(kind, &format!("there is no [[{kind}]] \"{}\"", shown(unknown)), &fix);
        false
    };
    let select = &policy.select;
    let path = select.paths.iter().find(|name| named.path(name).is_none());
    let subscriber = select.subscribers.iter().find(|name| !named.subscribers.contains(name.as_str()));
    let listener = select.listeners.iter().find(|name| !named.listeners.contains(name.as_str()));
    let paths = named.paths.iter().map(|path| path.name.as_str()).collect();
    [
        refuse("path", path.map(Name::as_str), paths),
        refuse("subscriber", subscriber.map(|name| name.as_str()), named.subscribers.iter().copied().collect()),
        refuse("listener", listener.map(Name::as_str), named.listeners.iter().copied().collect()),
    ]
    .iter()
    .all(|right| *right)
}

/// Refuses what cannot be true on the paths there are.
fn refuse_contradictions(section: &Section<'_>, policy: &Policy, named: &Named<'_>) {
    let paths: Vec<_> = policy.select.paths.iter().filter_map(|name| named.path(name)).collect();
    let (rates, per): (&[_], _) = match policy.action {
        Action::Limit { rate, ceil, per, .. } => (&[("rate", Some(rate)), ("ceil", ceil)], per),
        Action::Overflow { limit, .. } => (&[("limit", limit)], Per::Subscriber),
        Action::Backup | Action::Share { .. } | Action::Close => (&[], Per::Subscriber),
    };
    let most = carried(&paths, per);
    for (key, rate) in rates {
        if let (Some(rate), Some(most)) = (*rate, most)
            && rate > most
        {
            let what = "more than the path carries: it would never limit anything";
            section.refuse(key, what, &format!("expected at most {most}, or another line or capacity of the path"));
        }
    }
    let cheapest = named.paths.iter().map(|path| path.cost).min();
    let every = named.paths.len() == paths.len();
    match policy.action {
        Action::Overflow { .. } if paths.iter().any(|path| Some(path.cost) == cheapest) => section.refuse(
            "path",
            "no path is cheaper: there is nothing it could take the overflow of",
            "give a dearer path, or change the costs",
        ),
        // A path that nobody has configured is one as well; who names several and all of them leaves none out.
        Action::Close | Action::Backup | Action::Share { .. } if every && paths.len() > 1 => {
            let what = format!("every path there is: \"{}\" leaves nothing to use instead", policy.action.as_str());
            section.refuse("path", &what, "leave at least one path out, or add another [[path]]");
        }
        _ => {}
    }
    if policy.select.load_above.is_some()
        && let Some(path) = paths.iter().find(|path| path.capacity.is_none())
    {
        let what = format!("the load of path \"{}\" is not known without its capacity", path.name);
        section.refuse("load_above", &what, "give the [[path]] a capacity such as \"1 Gbit/s\"");
    }
}

/// The most that paths can carry of those who share a rate. `None`: one of them has no bound that is known, or there is none.
fn carried(paths: &[&Path], per: Per) -> Option<BitRate> {
    let bounds = paths.iter().map(|path| match per {
        // One subscriber's line is no bound for all together.
        Per::Policy => path.capacity,
        Per::Subscriber | Per::Connection | Per::Subflow => path.line.or(path.capacity),
    });
    let bounds: Vec<_> = bounds.map(|bound| bound.map(BitRate::bits_per_second)).collect::<Option<_>>()?;
    let most = match per {
        // It is on one of them.
        Per::Subflow => bounds.iter().max().copied(),
        Per::Subscriber | Per::Connection | Per::Policy => Some(bounds.iter().sum()),
    };
    most.and_then(BitRate::from_bits_per_second)
}

/// Refuses the policy with which policies together close every path, whoever and whatever it is about.
fn refuse_closing_all<'p>(section: &Section<'_>, policy: &'p Policy, named: &Named<'_>, closed: &mut HashSet<&'p str>) {
    let before = closed.len();
    if policy.action == Action::Close && policy.select.is_about_paths_alone() {
        closed.extend(policy.select.paths.iter().map(Name::as_str));
    }
    // One policy that names them all has been refused for that.
    if before > 0 && closed.len() > before && closed.len() == named.paths.len() {
        section.refuse(
            "path",
            "the last one that no other policy closes: nothing is left to use instead",
            "leave it open, or narrow one of the policies",
        );
    }
}

/// What is allowed of policies but should be known.
pub(super) fn warnings(config: &Config) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (index, policy) in config.policies.iter().enumerate() {
        let mut warn = |what: String| {
            warnings.push(Warning { subject: format!("policy \"{}\"", policy.name), what });
        };
        if let Some(before) = hidden_by(policy, &config.policies[..index]) {
            warn(format!("never applies: {before} all that it matches; move it up, or narrow what is before"));
        }
        let calendar = policy.select.used.as_ref().is_some_and(|used| used.per != UsedPer::Connection);
        if calendar && config.steering.usage.is_none() {
            warn("what was used is forgotten when the process ends; name a file (steering.usage)".to_owned());
        }
        let limits_subflows = matches!(policy.action, Action::Limit { .. }) && !policy.select.paths.is_empty();
        let contract = policy.enforce == Enforce::Always;
        if limits_subflows && contract && directions(policy) != Directions::Download {
            let upload_alone = directions(policy) == Directions::Upload;
            let but =
                if upload_alone { "; where its priority can be changed, only while no other is free" } else { "" };
            warn(format!(
                "a cap on the upload of single subflows can hold up the whole of their connection (to a tenth was seen){but}"
            ));
        }
        if config.steering.path_manager == PathManagement::Kernel
            && let Some(left) = left_by_kernel(policy)
        {
            warn(format!(
                "{left} with steering.path_manager = \"kernel\"; say \"auto\" if the namespace is anabranch's own"
            ));
        }
    }
    warnings
}

/// What of a policy is left where priorities of single subflows cannot be had. `None`: all of it.
fn left_by_kernel(policy: &Policy) -> Option<&'static str> {
    match policy.action {
        Action::Limit { .. } if policy.select.paths.is_empty() || policy.enforce == Enforce::Always => None,
        Action::Limit { .. } => Some(
            "slows busy subflows down by pacing alone, and where that is not to be had to no less than half of what they carry,",
        ),
        Action::Overflow { .. } | Action::Backup | Action::Share { .. } => Some("is decided and never carried out"),
        Action::Close => Some("refuses what joins and closes nothing that is open"),
    }
}

/// Which way a policy is about.
const fn directions(policy: &Policy) -> Directions {
    match policy.action {
        Action::Limit { directions, .. } => directions,
        _ => Directions::Both,
    }
}

/// What leaves a policy nothing, if something does: one policy, or one for each direction.
fn hidden_by(policy: &Policy, before: &[Policy]) -> Option<String> {
    use Directions::{Both, Download, Upload};
    // A total and a rate of subflows go together.
    let total = |policy: &Policy| policy.select.paths.is_empty();
    let covers = |way| {
        before.iter().find(|before| {
            matches!((directions(before), way), (Both, _) | (Download, Download) | (Upload, Upload))
                && total(before) == total(policy)
                && before.select.covers(&policy.select)
        })
    };
    let first = match directions(policy) {
        Both => covers(Download)?,
        one => covers(one)?,
    };
    let second = if directions(policy) == Both { covers(Upload)? } else { first };
    Some(if first.name == second.name {
        format!("\"{}\" before it takes", first.name)
    } else {
        format!("\"{}\" and \"{}\" before it take", first.name, second.name)
    })
}
