//! Doing what a plan says, and taking it back.
//!
//! Invariant: what was there before is in the state file, on the disk, before anything of it is changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anabranch_deploy::edge::{Journal, Key, Plan, Setting, undo as way_back};
use thiserror::Error;

use super::super::{complain, exit, say};
use super::state::{self, STATE, StateError};

/// Why nothing was done, or not all.
#[derive(Debug, Error)]
pub(super) enum ActError {
    /// The state file.
    #[error("nothing is changed")]
    State(#[from] StateError),
    /// A file.
    #[error("{what} {}", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Does what a plan says; what came of it, as an exit code.
pub(super) fn apply(root: &Path, plan: &Plan, mut journal: Journal) -> Result<u8, ActError> {
    if plan.is_empty() {
        say(&plan.text(&root.to_string_lossy()));
        return Ok(0);
    }
    // Without the former value there is no way back: what cannot be read stays as it is.
    let (known, unknown): (Vec<_>, Vec<_>) = plan.settings.iter().partition(|setting| sysctl(&setting.key).is_some());
    for setting in &known {
        journal.keep_sysctl(setting, &sysctl(&setting.key).unwrap_or_default());
    }
    let mut made = Vec::new();
    for path in plan.files.iter().map(|file| file.path.as_str()).chain([STATE]) {
        made.extend(missing(root, path).into_iter().filter(|directory| !made.contains(directory)).collect::<Vec<_>>());
    }
    for file in &plan.files {
        journal.keep_file(&file.path, text_of(root, &file.path)?, &file.text);
    }
    journal.directories.extend(made.into_iter().filter(|one| !journal.directories.contains(one)).collect::<Vec<_>>());
    write(root, STATE, &text(&journal))?;
    for file in &plan.files {
        write(root, &file.path, &file.text)?;
        say(&format!("wrote {}\n", root.join(&file.path).display()));
    }
    let code = known.into_iter().map(set).fold(0, u8::max);
    unknown
        .iter()
        .for_each(|setting| complain(&format!("anabranch: {} stays as it is: it cannot be read", setting.key)));
    if plan.restarts() {
        reload(root);
    }
    for (name, line) in &plan.by_hand {
        say(&format!("left to you, {name}: {line}\n"));
    }
    Ok(code)
}

/// Takes a set-up back; what came of it, as an exit code.
pub(super) fn undo(root: &Path) -> Result<u8, ActError> {
    let journal = state::read(root)?;
    if journal == Journal::default() {
        say("nothing to take back\n");
        return Ok(0);
    }
    let sysctls: BTreeMap<_, _> =
        journal.sysctls.iter().filter_map(|kept| Some((kept.key.clone(), sysctl(&kept.key)?))).collect();
    let mut files = BTreeMap::new();
    for kept in &journal.files {
        if let Some(text) = text_of(root, &kept.path)? {
            files.insert(kept.path.clone(), text);
        }
    }
    let back = way_back(&journal, &sysctls, &files);
    for (path, former) in &back.files {
        match former {
            Some(text) => write(root, path, text)?,
            None => fs::remove_file(root.join(path)).map_err(failed("cannot remove", root, path))?,
        }
        let word = if former.is_some() { "put back" } else { "removed" };
        say(&format!("{word} {}\n", root.join(path).display()));
    }
    let settings =
        back.sysctls.into_iter().map(|(key, value)| Setting { key, value, why: String::new(), lasting: false });
    let code = settings.map(|setting| set(&setting)).fold(0, u8::max);
    for words in &back.left {
        say(&format!("left as it is: {words}\n"));
    }
    if back.files.iter().any(|(path, _)| path.starts_with("etc/systemd/")) {
        reload(root);
    }
    if code == 0 {
        // Not before: what could not be put back can be tried once more.
        fs::remove_file(root.join(STATE)).map_err(failed("cannot remove", root, STATE))?;
        for directory in &back.directories {
            // One that somebody has put something into stays.
            drop(fs::remove_dir(root.join(directory)));
        }
    }
    Ok(code)
}

fn sysctl_file(key: &Key) -> PathBuf {
    Path::new("/proc/sys").join(key.path())
}

fn sysctl(key: &Key) -> Option<String> {
    fs::read_to_string(sysctl_file(key)).ok()
}

/// Writes a sysctl.
fn set(setting: &Setting) -> u8 {
    let Setting { key, value, .. } = setting;
    match fs::write(sysctl_file(key), value) {
        Ok(()) => {
            say(&format!("{key} = {}\n", value.trim()));
            0
        }
        Err(error) => {
            complain(&format!("anabranch: {key} stays as it is: {error}"));
            exit::OS
        }
    }
}

fn failed<'a>(what: &'static str, root: &'a Path, path: &'a str) -> impl FnOnce(io::Error) -> ActError + 'a {
    move |source| ActError::File { what, path: root.join(path), source }
}

fn text_of(root: &Path, path: &str) -> Result<Option<String>, ActError> {
    match fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("cannot read", root, path)(error)),
    }
}

fn write(root: &Path, path: &str, text: &str) -> Result<(), ActError> {
    let file = root.join(path);
    let directory = file.parent().map_or(Ok(()), fs::create_dir_all);
    directory.and_then(|()| state::write(&file, text)).map_err(failed("cannot write", root, path))
}

fn text(journal: &Journal) -> String {
    serde_json::to_string_pretty(journal).unwrap_or_default() + "\n"
}

/// The directories of a file that are not there yet, the outermost first; paths below the root.
fn missing(root: &Path, path: &str) -> Vec<String> {
    let above = Path::new(path).ancestors().skip(1).filter(|directory| !directory.as_os_str().is_empty());
    let mut missing: Vec<_> = above
        .take_while(|directory| !root.join(directory).exists())
        .map(|directory| directory.display().to_string())
        .collect();
    missing.reverse();
    missing
}

/// Tells the service manager, if it is that of this root.
fn reload(root: &Path) {
    if root != Path::new("/") || !Path::new("/run/systemd/system").exists() {
        say("then: systemctl daemon-reload\n");
        return;
    }
    match Command::new("systemctl").arg("daemon-reload").status() {
        Ok(status) if status.success() => say("systemctl daemon-reload; the new limit is that of the next start\n"),
        _ => complain("anabranch: systemctl daemon-reload failed; the files are there"),
    }
}
