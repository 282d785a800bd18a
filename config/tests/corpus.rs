//! Files that are right, files that are wrong with what is said about them, and the examples we ship.
#![allow(clippy::disallowed_methods, reason = "a corpus is files; the room under test stays without them")]

use std::fs;
use std::path::{Path, PathBuf};

use anabranch_config::{Change, Config, parse};

/// The files of a directory with this ending; there is always at least one.
fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    assert!(!files.is_empty(), "no .{ending} in {}", directory.display());
    files.sort();
    files
}

/// Parses a file under its bare name, so that messages and resolved paths are the same everywhere.
fn parse_file(path: &Path) -> Result<Config, anabranch_config::Error> {
    parse(&fs::read_to_string(path).unwrap(), Path::new(path.file_name().unwrap()))
}

#[test]
fn right_files_are_accepted_and_survive_printing() {
    for path in files("tests/accept", "toml").iter().chain(&files("../deploy/examples", "toml")) {
        let config = parse_file(path).unwrap_or_else(|error| panic!("{}:\n{error}", path.display()));
        let printed = config.to_toml();
        let again = parse(&printed, Path::new("printed.toml"));
        assert_eq!(again.as_ref(), Ok(&config), "{} printed:\n{printed}", path.display());
        assert_eq!(config.diff(&config.clone()), Change::Nothing);
    }
}

#[test]
fn wrong_files_are_refused_in_the_expected_words() {
    let cases = files("tests/reject", "toml");
    assert!(cases.len() >= 60, "only {} cases left", cases.len());
    let count = cases.len();
    let mut wrong = Vec::new();
    for path in cases {
        let error = parse_file(&path).expect_err(&path.display().to_string());
        let expected = path.with_extension("expected");
        // With GOLDEN=1 the messages are rewritten; whoever does that reads them.
        if std::env::var_os("GOLDEN").is_some() {
            fs::write(&expected, format!("{error}\n")).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap();
        if expected != format!("{error}\n") {
            wrong.push(format!("{}\nexpected:\n{expected}got:\n{error}", path.display()));
        }
    }
    assert_eq!(count, files("tests/reject", "expected").len(), "every .toml has one .expected");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_problem_names_its_file_line_and_fix() {
    for path in files("tests/reject", "toml") {
        let error = parse_file(&path).unwrap_err();
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(!error.problems().is_empty());
        assert_eq!(error.to_string().lines().count(), error.problems().len(), "one line each: {error}");
        for problem in error.problems() {
            assert_eq!(problem.file, Path::new(path.file_name().unwrap()));
            assert!((1..=lines).contains(&problem.line), "{problem}");
            assert!(problem.key.is_empty() || !problem.expected.is_empty(), "no fix: {problem}");
            assert!(!problem.to_string().contains(|c: char| c.is_control()), "{problem:?}");
        }
    }
}
