//! What an experiment yields: one JSON object, or a table for a reader.
//!
//! What lives here: figures, cells, assertions. What does not: measuring. Called by experiments and the binary.
//! Invariant: a figure that an assertion names and the experiment did not yield is a failure, not a pass.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::stats::{highest, lowest, median, round};

/// The outcome of one experiment.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Its name.
    pub experiment: String,
    /// What it ran on and with.
    pub setup: Value,
    /// The figures, and the cells behind them under `cells`.
    pub figures: BTreeMap<String, Value>,
    /// Whether every assertion holds.
    pub passed: bool,
    /// The assertions that do not, in words.
    pub failures: Vec<String>,
    /// What else a reader should know.
    pub notes: Vec<String>,
    /// How many of the failures a busy machine can cause.
    #[serde(skip)]
    doubts: usize,
    /// Streams that were compared, and those of them that came whole in length with wrong bytes.
    #[serde(skip)]
    compared: (usize, usize),
    /// A picture of what was measured, as the text of an SVG file.
    #[serde(skip)]
    pub picture: Option<String>,
}

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Must {
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
}

impl Report {
    /// A report without figures, which passes until something fails.
    pub fn new(experiment: &str, setup: Value) -> Self {
        let figures = BTreeMap::from([("cells".into(), json!({}))]);
        Self {
            experiment: experiment.into(),
            setup,
            figures,
            passed: true,
            failures: Vec::new(),
            notes: Vec::new(),
            doubts: 0,
            compared: (0, 0),
            picture: None,
        }
    }

    /// Gives it a picture.
    pub fn picture(&mut self, svg: String) {
        self.picture = Some(svg);
    }

    /// Notes a figure; one without a value (an empty sample) is noted as null.
    pub fn figure(&mut self, name: &str, value: Option<f64>) {
        self.figures.insert(name.into(), json!(value.map(|v| round(v, 3))));
    }

    /// Notes a cell: a named sample with its unit, reported as median, lowest, highest and count.
    pub fn cell(&mut self, name: &str, unit: &str, sample: &[f64]) {
        let rounded = |value: Option<f64>| value.map(|v| round(v, 3));
        let cell = json!({
            "unit": unit,
            "median": rounded(median(sample)),
            "min": rounded(lowest(sample.iter().copied())),
            "max": rounded(highest(sample.iter().copied())),
            "n": sample.len(),
        });
        self.raw_cell(name, cell);
    }

    /// Notes a cell that is more than a sample.
    pub fn raw_cell(&mut self, name: &str, cell: Value) {
        if let Some(Value::Object(cells)) = self.figures.get_mut("cells") {
            cells.insert(name.into(), cell);
        }
    }

    /// Notes words for the reader that do not decide over passing.
    pub fn note(&mut self, words: impl Into<String>) {
        self.notes.push(words.into());
    }

    /// Requires that a figure noted before is as it must be.
    pub fn require(&mut self, name: &str, must: Must) {
        let value = self.figures.get(name).and_then(Value::as_f64);
        let (holds, words) = match must {
            Must::AtLeast(bound) => (value.is_some_and(|v| v >= bound), format!("at least {bound}")),
            Must::AtMost(bound) => (value.is_some_and(|v| v <= bound), format!("at most {bound}")),
        };
        if !holds {
            let value = value.map_or_else(|| "missing".to_owned(), |v| v.to_string());
            self.fail(format!("{name} is {value}, must be {words}"));
        }
    }

    /// Requires it of a figure that a busy machine can spoil: a rate, a time, a ratio or a count of such.
    pub fn require_of_a_busy_machine(&mut self, name: &str, must: Must) {
        let before = self.failures.len();
        self.require(name, must);
        self.doubts += self.failures.len() - before;
    }

    /// Whether it failed, and a busy machine can be all there is to it: more rounds will tell.
    pub fn is_in_doubt(&self) -> bool {
        !self.passed && self.doubts == self.failures.len()
    }

    /// Notes a failure.
    pub fn fail(&mut self, words: impl Into<String>) {
        self.failures.push(words.into());
        self.passed = false;
    }

    /// Counts streams of which every byte was compared.
    pub fn compared(&mut self, streams: usize) {
        self.compared.0 += streams;
    }

    /// Notes a stream that came whole in length but with wrong bytes. The kernel does that to young uploads now and then, without any
    /// relay between as well (the `integrity` experiment is about it): one is told, more than one in fifty fail.
    pub fn altered(&mut self, words: impl Into<String>) {
        self.compared.1 += 1;
        if self.compared.1 > 1 + self.compared.0 / 50 {
            self.fail(words);
        } else {
            self.note(words);
        }
    }

    /// A report of an experiment that could not be run to its end.
    pub fn broken(experiment: &str, error: &anyhow::Error) -> Self {
        let mut report = Self::new(experiment, json!({}));
        report.fail(format!("{error:#}"));
        report
    }

    /// Several reports as one.
    pub fn all(reports: Vec<Self>) -> Self {
        let mut all = Self::new("all", json!({}));
        all.figures.clear();
        let mut setups = serde_json::Map::new();
        for report in reports {
            let named = |words: &String| format!("{}: {words}", report.experiment);
            all.failures.extend(report.failures.iter().map(named));
            all.notes.extend(report.notes.iter().map(named));
            all.passed &= report.passed;
            setups.insert(report.experiment.clone(), report.setup);
            all.figures.insert(report.experiment, json!(report.figures));
        }
        all.setup = Value::Object(setups);
        all
    }

    /// A table for a reader.
    pub fn table(&self) -> String {
        let mut out = format!("{} — {}\n", self.experiment, if self.passed { "passed" } else { "FAILED" });
        tabulate(&mut out, "", &self.figures);
        for (mark, lines) in [('!', &self.failures), ('-', &self.notes)] {
            for words in lines {
                out.push_str(&format!("  {mark} {words}\n"));
            }
        }
        out
    }
}

/// One line a figure, then one a cell; groups of figures (of several reports) one below the other.
fn tabulate<'a>(out: &mut String, indent: &str, figures: impl IntoIterator<Item = (&'a String, &'a Value)>) {
    let (mut cells, mut groups) = (None, Vec::new());
    for (name, value) in figures {
        match value {
            Value::Object(map) if name == "cells" => cells = Some(map),
            Value::Object(map) => groups.push((name, map)),
            _ => {
                out.push_str(&format!("{indent}  {name:<34} {value}\n"));
            }
        }
    }
    for (name, cell) in cells.into_iter().flatten() {
        let field = |key: &str| cell[key].as_f64().map_or_else(|| "-".into(), |v| format!("{v:.3}"));
        let (median, min, max) = (field("median"), field("min"), field("max"));
        let unit = cell["unit"].as_str().unwrap_or_default();
        out.push_str(&format!(
            "{indent}    {name:<44} {median:>10} ({min:>10} – {max:>10}) {unit:<7} n={}\n",
            cell["n"]
        ));
    }
    for (name, group) in groups {
        out.push_str(&format!("{indent}  {name}\n"));
        tabulate(out, &format!("{indent}  "), group);
    }
}

#[cfg(test)]
mod tests;
