//! Every key that a file may have, for who writes or prints a manual.
//!
//! No list of its own: names and meanings are those that [`Config::to_toml`] prints, and what a value has to be is what reading says of
//! a wrong one. The tests ask reading for its keys, and find each of them here.

use std::path::Path;

use crate::{Config, parse};

/// A section of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// As in the file: `[limits]`, `[[policy]]`.
    pub header: String,
    /// What it is about.
    pub about: String,
    /// Its keys, in the order in which they are printed; each once.
    pub keys: Vec<Key>,
}

/// A key of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// As in the file.
    pub name: String,
    /// What its value has to be: `a whole number from 1 to 60000`.
    pub value: String,
    /// What it means, with its default.
    pub about: String,
}

/// A file with every section in it, and with every action, for each has keys of its own.
const EVERYTHING: &str = r#"
[[listener]]
address = "[::]:3128"
[[path]]
name = "a path"
client = ["192.0.2.0/24"]
[[path]]
name = "a cheaper path"
client = ["198.51.100.0/24"]
cost = 0
[[subscriber]]
name = "somebody"
client = ["192.0.2.1/32"]
[[policy]]
name = "overflow"
path = "a path"
port = 1
action = "overflow"
[[policy]]
name = "share"
path = "a path"
port = 2
action = "share"
percent = 10
[[policy]]
name = "limit"
path = "a path"
action = "limit"
rate = "1 Mbit/s"
"#;

/// What may stand in a file.
///
/// Panics:  never: the file above is right, as the tests show
#[must_use]
pub fn sections() -> Vec<Section> {
    let everything = parse(EVERYTHING, Path::new("everything.toml")).expect("the constant is a right file");
    let mut sections = printed(&everything);
    for section in &mut sections {
        for key in &mut section.keys {
            key.value = expected(&section.header, &key.name);
        }
    }
    sections
}

/// What is printed, taken apart again. Sections of one header become one.
fn printed(config: &Config) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let text = config.to_toml();
    let (mut current, mut after) = (0, 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('[') {
            let about = lines.next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
            current = sections.iter().position(|section| section.header == line).unwrap_or_else(|| {
                sections.push(Section { header: line.to_owned(), about: about.to_owned(), keys: Vec::new() });
                sections.len() - 1
            });
            after = 0;
        } else if let Some((name, about)) = key(line) {
            let keys = &mut sections[current].keys;
            let known = keys.iter().position(|key| key.name == name);
            let at = known.unwrap_or_else(|| {
                keys.insert(after, Key { name: name.to_owned(), value: String::new(), about: about.to_owned() });
                after
            });
            after = at + 1;
        }
    }
    sections
}

/// `key = value # about`, or `# key: about` of one that has no value.
fn key(line: &str) -> Option<(&str, &str)> {
    if let Some(comment) = line.strip_prefix("# ") {
        return comment.split_once(": ");
    }
    let (setting, about) = line.rsplit_once(" # ")?;
    Some((setting.split_once(" = ")?.0, about))
}

/// What reading says that a value has to be, when it is none of the kind.
fn expected(header: &str, key: &str) -> String {
    // A table is wrong for nearly all, a number for what is a table.
    ["{}", "-1"].iter().find_map(|wrong| complaint(header, &format!("{key} = {wrong}"), key)).unwrap_or_default()
}

/// What reading expects instead of what a line says about a key.
fn complaint(header: &str, line: &str, key: &str) -> Option<String> {
    let section = header.trim_matches(['[', ']']);
    let base = if header.starts_with("[[") { format!("{section}[0]") } else { section.to_owned() };
    // What is missing besides is reported under other keys.
    let error = parse(&format!("{header}\n{line}\n"), Path::new("probe.toml")).err()?;
    let problem = error.problems().iter().find(|problem| problem.key == format!("{base}.{key}"))?;
    Some(problem.expected.strip_prefix("expected ").unwrap_or(&problem.expected).to_owned())
}

#[cfg(test)]
mod tests;
