//! `anabranch status`

use std::fmt::Write as _;

use anabranch_config::Role;
use serde_json::Value;

use super::ask::{Arguments, are_two, ask, place};
use super::say;

/// Prints how a running anabranch is.
pub(super) fn run(arguments: &Arguments) -> u8 {
    match ask(arguments, Role::Both, "/status") {
        Ok(status) if arguments.json => say(&format!("{status}\n")),
        Ok(status) => {
            say(&words(&status));
            if are_two(arguments) {
                let socket = place(Role::Steer);
                say(&format!("  another process steers: anabranch status --socket {}\n", socket.display()));
            }
        }
        Err(code) => return code,
    }
    0
}

fn words(status: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let draining = if status["draining"] == Value::Bool(true) { ", draining" } else { "" };
    let mut out = format!(
        "anabranch {}, pid {}: {}{draining}\n",
        text(&status["version"]),
        status["pid"],
        counted(&status["sessions"], "session")
    );
    for listener in status["listeners"].as_array().into_iter().flatten() {
        let (name, address) = (text(&listener["name"]), text(&listener["address"]));
        writeln!(out, "  {name}: {address} over {}", text(&listener["transport"])).unwrap_or_default();
    }
    let witnesses = &status["witnesses"];
    if witnesses.is_null() && status["steered"] == Value::Bool(false) {
        out += "  nobody steers: no process of the role \"steer\" is linked to this one\n";
    }
    if !witnesses.is_null() {
        let kernel = witnesses["kernel"]
            .as_str()
            .map_or_else(|| "is a witness".to_owned(), |why| format!("is no witness: {why}"));
        writeln!(out, "  the kernel {kernel}").unwrap_or_default();
        for (name, interface) in witnesses["interfaces"].as_object().into_iter().flatten() {
            let watched = if interface["watched"] == Value::Bool(true) { "is watched" } else { "cannot be watched" };
            writeln!(
                out,
                "  {name} {watched}: {}, {} dropped",
                counted(&interface["frames"], "frame"),
                interface["dropped"]
            )
            .unwrap_or_default();
        }
        for (word, count) in witnesses["disagreements"].as_object().into_iter().flatten() {
            writeln!(out, "  the witnesses disagree: {word}, {}", counted(count, "time")).unwrap_or_default();
        }
    }
    for (name, value) in status["counters"].as_object().into_iter().flatten() {
        writeln!(out, "  {name} {value}").unwrap_or_default();
    }
    out
}

/// A number, and the word for what there are so many of.
fn counted(count: &Value, word: &str) -> String {
    format!("{count} {word}{}", if count.as_u64() == Some(1) { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_without_who_steers_says_so() {
        let of = |steered: bool, witnesses: Value| {
            words(
                &serde_json::json!({"version": "1", "pid": 7, "sessions": 0, "draining": false, "steered": steered, "witnesses": witnesses}),
            )
        };
        assert!(of(false, Value::Null).contains("nobody steers"), "{}", of(false, Value::Null));
        assert!(!of(true, Value::Null).contains("nobody steers"));
        // The process that steers has no sessions of its own that anybody would be told of.
        assert!(!of(false, serde_json::json!({"kernel": null})).contains("nobody steers"));
    }

    #[test]
    fn one_is_told_as_one() {
        let of = |count: u64| {
            let interfaces = serde_json::json!({"eth0": {"watched": true, "frames": count, "dropped": 0}});
            let witnesses =
                serde_json::json!({"kernel": null, "interfaces": interfaces, "disagreements": {"priority": count}});
            let status = serde_json::json!({"version": "1", "pid": 7, "sessions": count, "draining": false, "witnesses": witnesses});
            words(&status)
        };
        for said in ["pid 7: 1 session\n", "eth0 is watched: 1 frame, 0 dropped", "disagree: priority, 1 time\n"] {
            assert!(of(1).contains(said), "{}", of(1));
        }
        for said in ["pid 7: 0 sessions\n", "eth0 is watched: 0 frames, 0 dropped", "disagree: priority, 0 times\n"] {
            assert!(of(0).contains(said), "{}", of(0));
        }
    }
}
