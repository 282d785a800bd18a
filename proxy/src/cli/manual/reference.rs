//! `docs/reference.md`, made from the configuration's keys and the command line's own types.

use anabranch_config::reference::{Absence, Key, Section, sections};
use clap::{Command, CommandFactory as _};

use crate::cli::Cli;

/// Columns of the help texts, wherever they are made.
const WIDTH: usize = 100;

const HEAD: &str = "\
# Reference

Every key of the configuration, every command. Made by `anabranch manual --reference docs/reference.md` from the program's own types; a test
compares. What it is all for: [README](../README.md), [deploy.md](deploy.md), [client.md](client.md), [policies.md](policies.md).
";

const CONFIGURATION: &str = "
## Configuration

One TOML file. Every key may be left out but those that are required; a key that nobody knows is refused. `anabranch check FILE` names everything
that is wrong with a file, `anabranch print-config --config FILE` prints what is in force. *Value* is what the checker says of a wrong one.
A section in double brackets may be there many times. What policies do is in [steering.md](steering.md).

Rates are decimal (1 Mbit/s = 1 000 000 bit/s), sizes both (MB, MiB); times take ms, s, min, h, d. Relative paths are meant from the directory of the file.
";

const COMMANDS: &str = "
## Command line
";

/// All of it.
pub(super) fn reference() -> String {
    let mut out = format!("{HEAD}{CONFIGURATION}");
    sections().iter().for_each(|section| write_section(&mut out, section));
    out.push_str(COMMANDS);
    let mut root = Cli::command().term_width(WIDTH);
    root.build();
    write_command(&mut out, &mut root);
    out
}

fn write_section(out: &mut String, Section { header, about, keys }: &Section) {
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("\n### `{header}`: {about}\n\n| key | meaning | default | value |\n|---|---|---|---|"));
    for Key { name, value, about, default, action } in keys {
        let of = if action.is_empty() { String::new() } else { format!("of `{action}`: ") };
        let default = match default {
            Absence::Default(default) => cell(default),
            Absence::Refused => "**required**".to_owned(),
            Absence::Nothing => String::new(),
        };
        line(format!("| `{name}` | {of}{} | {default} | {} |", cell(about), cell(value)));
    }
}

/// Text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// A command's help, and that of the commands within it; those that are hidden stay so.
fn write_command(out: &mut String, command: &mut Command) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let help = command.render_help().to_string();
    let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    out.push_str(&format!("\n### `{name}`\n\n```text\n{}\n```\n", help.trim_end()));
    for inner in command.get_subcommands_mut() {
        if !inner.is_hide_set() && inner.get_name() != "help" {
            write_command(out, inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_document_says_what_the_program_does() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference.md");
        // With GOLDEN=1 it is rewritten; whoever does that reads it.
        if std::env::var_os("GOLDEN").is_some() {
            std::fs::write(&file, reference()).unwrap();
        }
        let there = std::fs::read_to_string(&file).unwrap();
        assert!(
            there == reference(),
            "docs/reference.md is not what `anabranch manual --reference docs/reference.md` writes"
        );
    }

    #[test]
    fn every_key_and_every_command_that_is_shown_is_in_it() {
        let text = reference();
        for needle in
            ["### `[steering]`", "| `path_manager` | auto, ", "### `anabranch policy plan`", "--save-facts <FILE>"]
        {
            assert!(text.contains(needle), "{needle}");
        }
        assert!(!text.contains("anabranch guard") && !text.contains("### `anabranch manual`"), "hidden ones are shown");
        let longest = text.lines().filter(|line| !line.starts_with('|')).map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|longest| longest <= 160), "{longest:?}");
    }
}
