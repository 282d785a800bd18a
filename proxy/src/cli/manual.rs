//! `anabranch manual DIRECTORY`: manual pages and shell completions, made from the command line's own types; with `--reference FILE` the
//! reference in the documents.
//!
//! For whoever makes a package: what is installed can then never say something else than the program does.

mod reference;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, complain, exit};

/// Arguments of `manual`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where to write them; `man/` and `completions/` appear in it.
    #[arg(required_unless_present = "reference")]
    directory: Option<PathBuf>,
    /// Write docs/reference.md to this file.
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
}

/// Shells that Debian and its like put completions of packages in a place for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes everything.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let Arguments { directory, reference } = arguments;
    let done = directory.as_deref().map_or(Ok(()), |directory| {
        told(directory, write_pages(&directory.join("man")))?;
        told(directory, write_completions(&directory.join("completions")))
    });
    let done = done
        .and_then(|()| reference.as_deref().map_or(Ok(()), |file| told(file, fs::write(file, reference::reference()))));
    done.err().unwrap_or(0)
}

/// Complains of what could not be written, and returns the exit code.
fn told(path: &Path, done: io::Result<()>) -> Result<(), u8> {
    done.map_err(|error| {
        complain(&format!("anabranch: {}: {error}", path.display()));
        exit::OS
    })
}

/// `anabranch.1`, and one page for every subcommand that is shown in the help.
fn write_pages(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(Cli::command(), directory)
}

fn write_completions(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut Cli::command(), "anabranch", directory)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_that_is_shown_has_a_page_and_no_hidden_one_has() {
        let directory = std::env::temp_dir().join(format!("anabranch-manual-{}", std::process::id()));
        assert_eq!(run(&Arguments { directory: Some(directory.clone()), reference: None }), 0);
        let names = |under: &str| {
            let entries = fs::read_dir(directory.join(under)).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let pages = names("man");
        for page in ["anabranch.1", "anabranch-run.1", "anabranch-policy.1", "anabranch-policy-plan.1"] {
            assert!(pages.iter().any(|name| name == page), "{page} is missing: {pages:?}");
        }
        assert!(!pages.iter().any(|name| name.contains("guard") || name.contains("manual")), "{pages:?}");
        let run_page = fs::read_to_string(directory.join("man/anabranch-run.1")).unwrap();
        assert!(run_page.contains("anabranch run") && run_page.contains("\\-\\-config"), "{run_page}");
        assert_eq!(names("completions"), ["_anabranch", "anabranch.bash", "anabranch.fish"]);
        fs::remove_dir_all(&directory).unwrap();
    }
}
