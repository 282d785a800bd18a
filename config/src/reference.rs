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
    /// What it means.
    pub about: String,
    /// What holds without it, in words.
    pub default: Absence,
    /// The one action of a policy that has it. Empty: it is no matter of the action.
    pub action: String,
}

/// What it means that a key is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// This holds instead.
    Default(String),
    /// The file is refused.
    Refused,
    /// Nothing holds that could be named; or it depends on other keys whether it may be left out.
    Nothing,
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
            key.action = owner(&section.header, &key.name);
            if key.default == Absence::Nothing && !complaints(&section.header, "", &key.name).is_empty() {
                key.default = Absence::Refused;
            }
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
                keys.insert(after, new(name, about));
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

/// What is known of a key by what is printed.
fn new(name: &str, about: &str) -> Key {
    let (about, default) = match about.rsplit_once("default") {
        Some((about, default)) if about.is_empty() || about.ends_with("; ") => {
            let default = default.trim_start_matches(':').trim().to_owned();
            (about.trim_end_matches("; "), Absence::Default(default))
        }
        _ => (about, Absence::Nothing),
    };
    let about = if about.is_empty() { "how messages call it" } else { about };
    Key { name: name.to_owned(), value: String::new(), about: about.to_owned(), default, action: String::new() }
}

/// The action that has this key to itself, by what reading says when another one comes with it.
fn owner(header: &str, key: &str) -> String {
    if header != "[[policy]]" {
        return String::new();
    }
    // Whatever has a parameter, "backup" has none.
    let said = complaints(header, &format!("action = \"backup\"\n{key} = {{}}"), key);
    let owner =
        said.iter().find_map(|expected| Some(expected.split_once("or say action = \"")?.1.trim_end_matches('"')));
    owner.unwrap_or_default().to_owned()
}

/// What reading says that a value has to be, when it is none of the kind.
fn expected(header: &str, key: &str) -> String {
    // A table is wrong for nearly all, a number for what is a table.
    let said = |wrong: &str| complaints(header, &format!("{key} = {wrong}"), key).into_iter().next();
    said("{}").or_else(|| said("-1")).unwrap_or_default()
}

/// What reading expects instead of what a line says about a key, in the order in which it says so.
fn complaints(header: &str, line: &str, key: &str) -> Vec<String> {
    let section = header.trim_matches(['[', ']']);
    let base = if header.starts_with("[[") { format!("{section}[0]") } else { section.to_owned() };
    let Err(error) = parse(&format!("{header}\n{line}\n"), Path::new("probe.toml")) else { return Vec::new() };
    // What is missing besides is reported under other keys.
    let about = error.problems().iter().filter(|problem| problem.key == format!("{base}.{key}"));
    about.map(|problem| problem.expected.trim_start_matches("expected ").to_owned()).collect()
}

#[cfg(test)]
mod tests;
