//! `anabranch connections`

use std::fmt::Write as _;

use serde_json::Value;

use super::ask::{Arguments, ask};
use super::say;

/// Lists the sessions that live now.
pub(super) fn run(arguments: &Arguments) -> u8 {
    match ask(arguments, "/connections") {
        Ok(lines) if arguments.json => say(&format!("{lines}\n")),
        Ok(lines) => say(&table(&lines)),
        Err(code) => return code,
    }
    0
}

fn table(lines: &Value) -> String {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut out = format!(
        "{:>8} {:<28} {:<32} {:<20} {:>8} {:>6} {:>14} {:>14}\n",
        "SESSION", "CLIENT", "ORIGIN", "MPTCP", "SUBFLOWS", "AGE s", "TO ORIGIN", "TO CLIENT"
    );
    for line in lines.as_array().into_iter().flatten() {
        let mptcp = if line["fallback"].is_null() { text(&line["token"]) } else { text(&line["fallback"]) };
        writeln!(
            out,
            "{:>8} {:<28} {:<32} {:<20} {:>8} {:>6} {:>14} {:>14}",
            text(&line["session"]),
            text(&line["client"]),
            text(&line["origin"]),
            mptcp,
            text(&line["subflows"]),
            text(&line["age_seconds"]),
            text(&line["bytes_to_origin"]),
            text(&line["bytes_to_client"])
        )
        .unwrap_or_default();
    }
    out
}
