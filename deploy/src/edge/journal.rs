//! What was there before, and the way back to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plan::is_ours;
use super::{Key, Setting};

/// What a set-up changed, with what was there before: the state file.
///
/// Shape:   an entry a sysctl and a file; a second set-up keeps what the first one found
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Sysctls.
    pub sysctls: Vec<KeptSysctl>,
    /// Files.
    pub files: Vec<KeptFile>,
    /// Directories that were made for them, in the order they were made; paths below the root.
    pub directories: Vec<String>,
}

/// A sysctl that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptSysctl {
    /// Its name.
    pub key: Key,
    /// The value before.
    pub former: String,
    /// The value it was given.
    pub set: String,
    /// Why.
    pub why: String,
    /// Whether a file says it at boot as well.
    pub lasting: bool,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptFile {
    /// Its path below the root.
    pub path: String,
    /// Its text before. `None`: there was none.
    pub former: Option<String>,
    /// The text it was given.
    pub set: String,
}

/// What takes a set-up back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Undo {
    /// Sysctls to write, and their values.
    pub sysctls: Vec<(Key, String)>,
    /// Files to write, or (`None`) to remove.
    pub files: Vec<(String, Option<String>)>,
    /// Directories to remove where nothing else is in them, in order.
    pub directories: Vec<String>,
    /// What somebody has changed since and is left as it is, in words.
    pub left: Vec<String>,
}

impl Journal {
    /// Notes a sysctl that is to be changed.
    pub fn keep_sysctl(&mut self, setting: &Setting, now: &str) {
        let former = now.trim().to_owned();
        match self.sysctls.iter_mut().find(|kept| kept.key == setting.key) {
            Some(kept) => {
                // Somebody changed it since: theirs is what to go back to.
                if !same(&kept.set, &former) && !same(&kept.former, &former) {
                    kept.former = former;
                }
                kept.set.clone_from(&setting.value);
                kept.why.clone_from(&setting.why);
                kept.lasting = setting.lasting;
            }
            None => self.sysctls.push(KeptSysctl {
                key: setting.key.clone(),
                former,
                set: setting.value.clone(),
                why: setting.why.clone(),
                lasting: setting.lasting,
            }),
        }
    }

    /// Notes a file that is to be written.
    pub fn keep_file(&mut self, path: &str, now: Option<String>, text: &str) {
        match self.files.iter_mut().find(|kept| kept.path == path) {
            Some(kept) => {
                if now.as_ref() != Some(&kept.set) && now != kept.former {
                    kept.former = now;
                }
                text.clone_into(&mut kept.set);
            }
            None => self.files.push(KeptFile { path: path.to_owned(), former: now, set: text.to_owned() }),
        }
    }

    /// Whether it wrote this text there.
    pub(super) fn wrote(&self, path: &str, text: &str) -> bool {
        self.files.iter().any(|kept| kept.path == path && kept.set == text)
    }

    /// Whether it names nothing but sysctls, and files that a set-up writes: whoever can write the state file would else choose what root
    /// overwrites.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let below = |path: &String| Key::new(path).is_sound();
        self.sysctls.iter().all(|kept| kept.key.is_sound())
            && self.files.iter().all(|kept| is_ours(&kept.path))
            && self.directories.iter().all(below)
    }
}

impl KeptSysctl {
    /// The setting it came of.
    pub(super) fn setting(&self) -> Setting {
        Setting { key: self.key.clone(), value: self.set.clone(), why: self.why.clone(), lasting: self.lasting }
    }
}

/// Whether two values are the same to the kernel, which prints tabs where blanks were written.
fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// What takes a set-up back, where this is what sysctls and files are now. In the reverse order: a sysctl may bound another.
#[must_use]
pub fn undo(journal: &Journal, sysctls: &BTreeMap<Key, String>, files: &BTreeMap<String, String>) -> Undo {
    let mut back = Undo::default();
    for kept in journal.sysctls.iter().rev() {
        match sysctls.get(&kept.key) {
            // Written and never set, or set back by somebody: it is as it was.
            Some(now) if same(now, &kept.former) => {}
            Some(now) if same(now, &kept.set) => back.sysctls.push((kept.key.clone(), kept.former.clone())),
            Some(now) => back.left.push(format!("{} is {}: somebody has set it since", kept.key, now.trim())),
            None => back.left.push(format!("{} is not there any more", kept.key)),
        }
    }
    for kept in journal.files.iter().rev() {
        match files.get(&kept.path) {
            now if now == kept.former.as_ref() => {}
            Some(now) if *now == kept.set => back.files.push((kept.path.clone(), kept.former.clone())),
            Some(_) => back.left.push(format!("/{} has been changed since", kept.path)),
            None => back.left.push(format!("/{} has been removed since", kept.path)),
        }
    }
    back.directories = journal.directories.iter().rev().cloned().collect();
    back
}

#[cfg(test)]
mod tests;
