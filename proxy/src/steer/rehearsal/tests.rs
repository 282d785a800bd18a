use anabranch_kernel::shaper::Options;
use anabranch_throttle::policy::Rules;

use super::*;
use crate::steer::doors::names;
use crate::steer::engine;

const ALL: Abilities = Abilities { demote: true, pace: true, cap: true, proxy: true };
const AT: Duration = Duration::from_secs(1_700_000_000);
const LTE: &str = "[[path]]\nname = \"lte\"\nclient = [\"10.2.0.0/16\"]\ncost = 10\n";

/// What is said of policies while there is no connection.
fn said(policies: &str, abilities: Abilities, passing: bool) -> String {
    let config = anabranch_config::parse(&format!("{LTE}{policies}"), std::path::Path::new("test")).unwrap();
    let mut policies = Policies::new(Rules::from(&config));
    policies.decide(&View { at: AT, connections: Vec::new() });
    let (names, steering) = (names(&config.steering), &config.steering);
    let options = Options { subflows: steering.subflows, lease: steering.lease, adopt: steering.adopt };
    let settings = engine::settings(steering, passing);
    let prospects = prospects(&policies, (abilities, settings), &Commands::new(&names, options), AT);
    prospects.iter().map(ToString::to_string).collect()
}

fn policy(name: &str, rest: &str) -> String {
    format!("[[policy]]\nname = \"{name}\"\n{rest}\n")
}

const SLOW: &str = "path = \"lte\"\naction = \"limit\"\nrate = \"2 Mbit/s\"";

/// In this order, each on a line of its own.
fn assert_order(text: &str, parts: &[&str]) {
    let mut lines = text.lines();
    for part in parts {
        assert!(lines.any(|line| line.contains(part)), "{part}, in this order, in {text}");
    }
}

#[test]
fn a_limit_that_holds_nothing_says_its_lines() {
    let text = said(&policy("slow", SLOW), ALL, false);
    assert_order(
        &text,
        &[
            "\"slow\" on lte: limit to 2 Mbit/s per subscriber, download; no subflow that it selects",
            "once it holds one, such as 00000000 192.0.2.1:3128 > 10.2.0.1:50000 (made up):",
            "tc class change dev anabranch0 ",
            "SO_MAX_PACING_RATE ",
        ],
    );
    assert!(text.contains("rate 2000000bit") || text.contains("rate 2Mbit"), "{text}");
    assert!(text.contains("nft 'add element netdev anabranch "), "{text}");
}

#[test]
fn each_policy_speaks_for_itself() {
    let share = "path = \"lte\"\naction = \"share\"\npercent = 30";
    let total = "action = \"limit\"\nrate = \"5 Mbit/s\"";
    let all = [policy("away", "path = \"lte\"\naction = \"backup\""), policy("part", share), policy("in all", total)];
    assert_order(
        &said(&all.concat(), ALL, false),
        &[
            "\"away\" on lte: backup",
            "# MPTCP_PM_CMD_SET_FLAGS token 00000000, 192.0.2.1:3128 > 10.2.0.1:50000: backup",
            "\"part\" on lte: share of 30 %",
            "to a rate that follows what the others carry",
            "\"in all\" on everything: limit to 5 Mbit/s",
            "# the proxy carries at most 5 Mbit/s of download of 00000000",
        ],
    );
}

#[test]
fn what_cannot_be_done_has_no_lines() {
    let text = said(&policy("slow", SLOW), Abilities::NONE, false);
    assert_order(&text, &["\"slow\" on lte", "nothing of it can be done here"]);
    let away = policy("away", "path = \"lte\"\naction = \"backup\"");
    assert!(said(&away, Abilities { demote: false, ..ALL }, true).contains("nothing of it can be done here"));
    let text = said(&policy("slow", SLOW), Abilities { demote: false, pace: false, ..ALL }, true);
    assert_order(&text, &["such as #0 192.0.2.1:3128 > 10.2.0.1:50000", "tc class", "nft 'add element"]);
}

#[test]
fn what_goes_to_and_fro_is_said_once() {
    let text = said(&policy("slow", SLOW), Abilities { pace: false, ..ALL }, false);
    let lines = |end: &str| text.lines().filter(|line| line.ends_with(end)).count();
    assert_eq!((lines(": backup"), lines(": nobackup")), (1, 1), "{text}");
}

#[test]
fn what_was_a_backup_for_long_is_let_in_at_its_rate() {
    let config =
        anabranch_config::parse(&format!("{LTE}{}", policy("slow", SLOW)), std::path::Path::new("test")).unwrap();
    let mut policies = Policies::new(Rules::from(&config));
    policies.decide(&View { at: AT, connections: Vec::new() });
    let mut example = policies.example("slow", Made::Ours, AT).unwrap();
    let held = &mut example.view.connections[0].subflows[1];
    (held.backup_by_us, held.sent, held.heard) = (true, 1_000_000, Some(Duration::from_secs(30)));
    let ops = rehearse(ALL, engine::settings(&config.steering, false), &example.view, &example.decisions);
    assert_eq!(ops.last(), Some(&Op::Promote(example.subflow)), "{ops:?}");
}
