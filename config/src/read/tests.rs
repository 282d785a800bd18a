//! The walk itself; what is said about each key is in tests/reject.

use std::path::Path;

use super::spelling::{edits, nearest};
use super::written;

#[test]
fn a_misspelt_key_finds_its_neighbour() {
    const KNOWN: &[&str] = &["connections", "connections_per_client", "connection_rate", "request_rate", "key", "dns"];
    for (key, near) in [
        ("conections", Some("connections")),
        ("Connections", Some("connections")),
        ("connection-rate", Some("connection_rate")),
        ("kye", Some("key")),
        ("ns", Some("dns")),
        ("rotate", None),
        ("", None),
    ] {
        assert_eq!(nearest(key, KNOWN), near, "{key}");
    }
    assert_eq!((edits("", ""), edits("abc", ""), edits("abc", "acb"), edits("abc", "xyz")), (0, 3, 1, 3));
}

#[test]
fn lines_and_columns_count_from_one_and_in_characters() {
    let parse = |text: &str| crate::parse(text, Path::new("f.toml")).unwrap_err();
    let error = parse("# é\n[log]\n  level = \"é\"");
    assert_eq!((error.problems()[0].line, error.problems()[0].column), (3, 11));
    // The first column after a letter of two bytes.
    let error = parse("log = { level = \"info\", format = \"é\", access = 1 }");
    assert_eq!((error.problems()[1].line, error.problems()[1].column), (1, 48));
    let error = parse("\r\n\r\nlevel = 1\r\n");
    assert_eq!(error.problems()[0].line, 3);
}

#[test]
fn problems_come_in_the_order_of_the_lines() {
    let text = "[log]\nlevel = 1\n[process]\nworkers = 0\nx = 1\n[timeouts]\ndns = 1\n";
    let error = crate::parse(text, Path::new("f.toml")).unwrap_err();
    assert_eq!(error.problems().iter().map(|problem| problem.line).collect::<Vec<_>>(), [2, 4, 5, 7]);
    assert_eq!(error.problems()[2].key, "process.x");
}

#[test]
fn a_list_is_shown_on_one_line() {
    assert_eq!(written("[\n  1,\r\n\t2 ]"), "[ 1, 2 ]");
    assert_eq!(written("\"a  b\""), "\"a  b\"");
}
