//! From findings to what is to be done, and to the words of the files that make it last.

use std::fmt::Write as _;

use super::finding::assignment;
use super::{Finding, Journal, Key, Mend, Verdict};

/// Where sysctls are read from at boot.
const SYSCTLS: &str = "etc/sysctl.d/60-anabranch.conf";
/// The services whose descriptors are raised.
const UNITS: [&str; 2] = ["anabranch-proxy.service", "anabranch.service"];
/// What each unit's file is called.
const DROP_IN: &str = "60-edge-setup.conf";
/// The first line of every file.
const HEAD: &str = "# Written by `anabranch edge setup --apply`; `anabranch edge setup --undo` takes it back.\n";

/// Whether a set-up ever writes a file there.
pub(super) fn is_ours(path: &str) -> bool {
    path == SYSCTLS || UNITS.iter().any(|unit| path == format!("etc/systemd/system/{unit}.d/{DROP_IN}"))
}

/// A sysctl and the value it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub key: Key,
    /// Its value.
    pub value: String,
    /// Why.
    pub why: String,
    /// After every boot as well.
    pub lasting: bool,
}

/// A file and what is to be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path below the root.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Sysctls to write, in order.
    pub settings: Vec<Setting>,
    /// Files to write, in order.
    pub files: Vec<File>,
    /// What an administrator has to judge: the check's name, and the command.
    pub by_hand: Vec<(String, String)>,
}

/// What is to be done about findings, after what has been done before.
///
/// Shape:   files say all that is to last, what an earlier run has set included; where nothing is new, nothing is planned
#[must_use]
pub fn plan(findings: &[Finding], journal: &Journal) -> Plan {
    let mut plan = Plan::default();
    let mut descriptors = None;
    for finding in findings.iter().filter(|finding| finding.verdict != Verdict::Ok) {
        match &finding.mend {
            None => {}
            Some(Mend::Sysctls(settings)) => plan.settings.extend(settings.iter().map(|(key, value)| Setting {
                key: key.clone(),
                value: value.clone(),
                why: finding.why.clone(),
                lasting: true,
            })),
            Some(Mend::Now(key, value)) => plan.settings.push(Setting {
                key: key.clone(),
                value: value.clone(),
                why: finding.why.clone(),
                lasting: false,
            }),
            Some(Mend::Descriptors { count, .. }) => descriptors = Some((*count, finding.why.as_str())),
            Some(Mend::Command(line)) => plan.by_hand.push((finding.name.clone(), line.clone())),
        }
    }
    let lasting = lasting(&plan.settings, journal);
    if plan.settings.iter().any(|setting| setting.lasting) {
        plan.files.push(File { path: SYSCTLS.to_owned(), text: sysctls(&lasting) });
    }
    if let Some((count, why)) = descriptors {
        let text = format!("{HEAD}[Service]\n# {why}.\nLimitNOFILE={count}\n");
        plan.files.extend(
            UNITS.map(|unit| File { path: format!("etc/systemd/system/{unit}.d/{DROP_IN}"), text: text.clone() }),
        );
    }
    // What an earlier run has written already is not planned again: the service has not been started anew since, that is all.
    plan.files.retain(|file| !journal.wrote(&file.path, &file.text));
    plan
}

/// Everything that is to last: what is new, and before it what an earlier run has set and nobody sets anew.
fn lasting(new: &[Setting], journal: &Journal) -> Vec<Setting> {
    let new: Vec<_> = new.iter().filter(|setting| setting.lasting).cloned().collect();
    let earlier =
        journal.sysctls.iter().filter(|kept| kept.lasting && !new.iter().any(|setting| setting.key == kept.key));
    let mut all: Vec<_> = earlier.map(|kept| kept.setting()).collect();
    all.extend(new);
    all
}

fn sysctls(settings: &[Setting]) -> String {
    let mut text = HEAD.to_owned();
    for Setting { key, value, why, .. } in settings {
        // Writing to a string does not fail.
        write!(text, "\n# {why}.\n{key} = {value}\n").unwrap_or_default();
    }
    text
}

impl Plan {
    /// Whether nothing is to be done, but by hand.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.files.is_empty()
    }

    /// What is to be done, line by line as a shell would do it, with files below a root.
    #[must_use]
    pub fn text(&self, root: &str) -> String {
        let (mut out, root) = (String::new(), root.trim_end_matches('/'));
        for Setting { key, value, why, .. } in &self.settings {
            // Writing to a string does not fail.
            writeln!(out, "# {why}\nsysctl -w {}", assignment(key, value)).unwrap_or_default();
        }
        for File { path, text } in &self.files {
            writeln!(out, "install -D -m 644 /dev/stdin {root}/{path} <<'END'\n{text}END").unwrap_or_default();
        }
        if self.restarts() {
            writeln!(out, "systemctl daemon-reload  # the new limit is that of the next start").unwrap_or_default();
        }
        if self.is_empty() {
            writeln!(out, "# nothing to set up").unwrap_or_default();
        }
        for (name, line) in &self.by_hand {
            writeln!(out, "# left to you, {name}: {line}").unwrap_or_default();
        }
        out
    }

    /// Whether services have to be told.
    #[must_use]
    pub fn restarts(&self) -> bool {
        self.files.iter().any(|file| file.path.starts_with("etc/systemd/"))
    }
}

#[cfg(test)]
mod tests;
