//! A finding, and all of them as a reader or a program takes them.

use std::fmt::{self, Write as _};

use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use super::Key;
use super::facts::Facts;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// In order.
    Ok,
    /// It works, and would work better otherwise.
    Advice,
    /// It does not work.
    Failure,
}

/// What mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// Sysctls and their values, now and after every boot.
    Sysctls(Vec<(Key, String)>),
    /// A sysctl that is the running program's to change later: now, and not at boot.
    Now(Key, String),
    /// So many descriptors for the services.
    Descriptors {
        /// How many.
        count: u64,
        /// What a set-up has to be told to come to the same number.
        options: Vec<String>,
    },
    /// A command that an administrator has to judge.
    Command(String),
}

/// One line of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at. Stable.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub evidence: String,
    /// Why it matters, in a clause.
    pub why: String,
    /// What mends it. `None`: nothing has to be, or nothing here can.
    pub mend: Option<Mend>,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order of the list in `docs/edge.md`.
    pub checks: Vec<Finding>,
    /// How many are failures.
    pub failures: usize,
}

impl Verdict {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Advice => "advice",
            Self::Failure => "failure",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Mend {
    /// One sysctl.
    pub(super) fn sysctl(path: &str, value: impl ToString) -> Self {
        Self::Sysctls(vec![(Key::new(path), value.to_string())])
    }

    /// The line to type.
    #[must_use]
    pub fn command(&self) -> String {
        match self {
            Self::Sysctls(settings) => {
                let words = settings.iter().map(|(key, value)| assignment(key, value));
                format!("sysctl -w {}", words.collect::<Vec<_>>().join(" "))
            }
            Self::Now(key, value) => format!("sysctl -w {}", assignment(key, value)),
            Self::Descriptors { count, options } => {
                let options = spelt(options);
                format!(
                    "anabranch edge setup --apply{options}  # LimitNOFILE={count}; a shell: ulimit -Hn {count}, or a lower limits.connections"
                )
            }
            Self::Command(line) => line.clone(),
        }
    }
}

/// Options as a shell takes them, each behind a blank.
fn spelt(options: &[String]) -> String {
    options.iter().map(|word| format!(" {}", quoted(word))).collect()
}

/// `key=value` as a shell takes it.
pub(super) fn assignment(key: &Key, value: &str) -> String {
    quoted(&format!("{key}={value}"))
}

/// One word, as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/=,:@".contains(c);
    let is_plain = !word.is_empty() && word.chars().all(plain);
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

impl Finding {
    /// In order.
    pub(super) fn ok(name: impl Into<String>, evidence: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, evidence: evidence.into(), why: why.into(), mend: None }
    }

    /// The same with another verdict and what mends it.
    pub(super) fn but(self, verdict: Verdict, mend: Mend) -> Self {
        Self { verdict, mend: Some(mend), ..self }
    }

    /// It would work better otherwise, and no command here changes that.
    pub(super) fn regret(self) -> Self {
        Self { verdict: Verdict::Advice, ..self }
    }

    /// It could not be seen: with more rights it can be, where there are more.
    pub(super) fn out_of_sight(mut self, facts: &Facts) -> Self {
        if facts.root {
            self.evidence.push_str("; root may not either here (a container or a unit keeps that from it)");
            return self.regret();
        }
        self.advise(Mend::Command(format!("sudo anabranch edge check{}", spelt(&facts.options))))
    }

    /// It would work better otherwise.
    pub(super) fn advise(self, mend: Mend) -> Self {
        self.but(Verdict::Advice, mend)
    }

    /// It does not work.
    pub(super) fn fail(self, mend: Mend) -> Self {
        self.but(Verdict::Failure, mend)
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Finding", 5)?;
        out.serialize_field("name", &self.name)?;
        out.serialize_field("verdict", &self.verdict)?;
        out.serialize_field("evidence", &self.evidence)?;
        out.serialize_field("why", &self.why)?;
        out.serialize_field("mend", &self.mend.as_ref().map(Mend::command))?;
        out.end()
    }
}

impl Report {
    /// Counts.
    #[must_use]
    pub fn new(checks: Vec<Finding>) -> Self {
        let failures = checks.iter().filter(|finding| finding.verdict == Verdict::Failure).count();
        Self { checks, failures }
    }

    /// What a reader sees: a line each, and what mends it below.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let width = self.checks.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
        for Finding { name, verdict, evidence, why, mend } in &self.checks {
            // Writing to a string does not fail.
            writeln!(out, "{verdict:<7}  {name:<width$}  {evidence}").unwrap_or_default();
            if *verdict != Verdict::Ok {
                writeln!(out, "         {:<width$}  {why}", "").unwrap_or_default();
            }
            if let Some(mend) = mend {
                writeln!(out, "         {:<width$}  $ {}", "", mend.command()).unwrap_or_default();
            }
        }
        let advice = self.checks.iter().filter(|finding| finding.verdict == Verdict::Advice).count();
        let fine = self.checks.len() - advice - self.failures;
        let failures = if self.failures == 1 { "failure" } else { "failures" };
        writeln!(out, "{fine} ok, {advice} advice, {} {failures}", self.failures).unwrap_or_default();
        out
    }
}

#[cfg(test)]
mod tests;
