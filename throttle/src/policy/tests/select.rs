//! Which policy has which subflow.

use std::sync::Arc;
use std::time::Duration;

use anabranch_config::{Enforce, Per};

use super::world::*;
use crate::intent::{Hold, Scope};
use crate::policy::rules::{Act, Rule};
use crate::usage::Saved;

const DSL: &str = "10.1.0.2";
const LTE: &str = "10.2.0.2";

/// Two paths, two subscribers, and whatever else.
const PLACES: &str = r#"
[[listener]]
name = "edge"
address = "127.0.0.1:3128"
[[listener]]
name = "other"
address = "127.0.0.1:3129"
[[path]]
name = "dsl"
client = ["10.1.0.0/16"]
[[path]]
name = "lte"
client = ["10.2.0.0/16"]
cost = 10
capacity = "20 Mbit/s"
[[subscriber]]
name = "ann"
client = ["10.1.0.0/24"]
[[subscriber]]
name = "bob"
client = ["10.2.7.0/24"]
[[policy]]
name = "it"
path = "lte"
action = "backup"
"#;

fn backup(name: &str) -> Rule {
    rule(name, &[1], Act::Backup)
}

#[test]
fn every_selector_has_to_match() {
    // What is said, and whether it has the joined subflow of a connection of ann's for 203.0.113.9:443.
    for (said, matches) in [
        ("", true),
        ("subscriber = \"ann\"", true),
        ("subscriber = \"bob\"", false),
        ("subscriber = [\"bob\", \"ann\"]", true),
        ("listener = \"edge\"", true),
        ("listener = \"other\"", false),
        ("subflow = \"joined\"", true),
        ("subflow = \"initial\"", false),
        ("destination = \"203.0.113.0/24\"", true),
        ("destination = \"203.0.114.0/24\"", false),
        ("port = 443", true),
        ("port = [80, 8080]", false),
        // It is Saturday, midnight; in Berlin it is one o'clock.
        ("when = \"00:00-01:00\"\nzone = \"UTC\"", true),
        ("when = \"00:00-01:00\"\nzone = \"Europe/Berlin\"", false),
        ("when = \"mon-fri 00:00-24:00\"\nzone = \"UTC\"", false),
        ("when = [\"sun 00:00-24:00\", \"fri 22:00-06:00\"]\nzone = \"UTC\"", true),
        ("used_above = \"1 kB\"\nused_per = \"connection\"", false),
        ("used_above = \"1 kB\"\nused_per = \"month\"", false),
        ("load_above = 50", false),
        ("rtt_above = \"19 ms\"", true),
        ("rtt_above = \"21 ms\"", false),
        ("loss_above = 1", false),
        ("subscriber = \"ann\"\nport = 80", false),
    ] {
        let mut world = World::new(configured(&format!("{PLACES}{said}")));
        let one = world.connect(&[DSL, LTE]);
        world.decide();
        assert_eq!(world.hold(one, LTE).is_some(), matches, "{said}");
        assert_eq!(world.hold(one, DSL), None, "{said}");
    }
}

#[test]
fn nothing_is_wanted_of_what_is_not_known_for_sure() {
    let mut world = World::new(rules(paths(), vec![backup("it")]));
    let one = world.connect(&[DSL, LTE, "10.9.0.1"]);
    world.decide();
    assert_eq!(world.decisions.intents.len(), 1);
    world.subflow(one, LTE).verified = false;
    world.decide();
    assert!(world.decisions.intents.is_empty());
    world.subflow(one, LTE).verified = true;
    world.subflow(one, LTE).established = false;
    world.decide();
    assert!(world.decisions.intents.is_empty());
    world.subflow(one, LTE).established = true;
    world.conns[one].view.fallback = true;
    world.decide();
    assert!(world.decisions.intents.is_empty());
}

#[test]
fn the_first_that_matches_decides() {
    let mut first = rule("close", &[1], Act::Close);
    first.destinations = vec!["198.51.100.0/24".parse().unwrap()];
    let all = vec![first, backup("backup"), rule("limit", &[1], limit(1, Per::Policy))];
    let mut world = World::new(rules(paths(), all));
    let one = world.connect(&[DSL, LTE]);
    let two = world.connect(&[DSL, LTE]);
    world.conns[two].view.destination = Some("198.51.100.1:80".parse().unwrap());
    world.decide();
    assert_eq!((world.hold(one, LTE), world.hold(two, LTE)), (Some(&Hold::Backup), Some(&Hold::Closed)));
    assert_eq!(&*world.intent(one, LTE).unwrap().policy, "backup");
}

#[test]
fn limits_of_the_two_directions_are_divided_and_nothing_else_is() {
    let way = |download, upload, rate: u64| {
        let Act::Limit { ceiling, .. } = limit(rate, Per::Subscriber) else { unreachable!() };
        Act::Limit { ceiling, per: Per::Subscriber, download, upload }
    };
    let contract = |name: &str, act| Rule { enforce: Enforce::Always, ..rule(name, &[1], act) };
    let wanted = |policies: Vec<Rule>| {
        let mut world = World::new(rules(paths(), policies));
        let one = world.connect(&[DSL, LTE]);
        world.decide();
        let intent = world.intent(one, LTE).unwrap().clone();
        let Hold::Rate { download, upload } = &intent.hold else { return (intent.policy.to_string(), None, None) };
        let rate = |class: &Option<(crate::intent::ClassKey, crate::intent::Ceiling)>| {
            class.as_ref().map(|(class, ceiling)| (class.policy.to_string(), ceiling.rate.bits_per_second() / MBIT))
        };
        (intent.policy.to_string(), rate(download), rate(upload))
    };
    let (down, up) = (Some(("down".to_owned(), 2)), Some(("up".to_owned(), 1)));
    // Two contracts, one each way.
    let two = vec![contract("up", way(false, true, 1)), contract("down", way(true, false, 2))];
    assert_eq!(wanted(two), ("down".to_owned(), down.clone(), up.clone()));
    // A backup behind a limit on downloads would act on downloads as well.
    let backup = vec![rule("down", &[1], way(true, false, 2)), backup("backup")];
    assert_eq!(wanted(backup), ("down".to_owned(), down.clone(), None));
    // What steers beside a contract is left out.
    let mixed = vec![rule("down", &[1], way(true, false, 2)), contract("up", way(false, true, 1))];
    assert_eq!(wanted(mixed), ("up".to_owned(), None, up));
    // The first of two limits on one direction.
    let same = vec![rule("down", &[1], way(true, false, 2)), rule("late", &[1], way(true, false, 9))];
    assert_eq!(wanted(same), ("down".to_owned(), down, None));
}

#[test]
fn who_shares_a_rate() {
    for (per, together) in [(Per::Policy, 4), (Per::Subscriber, 2), (Per::Connection, 1), (Per::Subflow, 1)] {
        let mut world = World::new(rules(paths(), vec![rule("slow", &[1], limit(2, per))]));
        for _ in 0..2 {
            world.connect(&[DSL, LTE]);
            world.connect(&["10.1.0.9", "10.2.0.9"]);
        }
        world.decide();
        let mut scopes: Vec<_> = world
            .decisions
            .intents
            .iter()
            .map(|intent| match &intent.hold {
                Hold::Rate { download: Some((class, _)), upload: None } => class.scope.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(scopes.len(), 4);
        scopes.sort();
        scopes.dedup();
        assert_eq!(scopes.len(), 4 / together, "{per}");
        if per == Per::Subscriber {
            assert_eq!(scopes, [Scope::Subscriber(name("10.1.0.2")), Scope::Subscriber(name("10.1.0.9"))]);
        }
    }
}

#[test]
fn totals_are_of_connections() {
    let text = PLACES.replace(
        "path = \"lte\"\naction = \"backup\"",
        "action = \"limit\"\nrate = \"8 Mbit/s\"\ndirection = \"both\"\nsubscriber = \"ann\"",
    );
    let mut world = World::new(configured(&text));
    let one = world.connect(&[DSL, LTE]);
    world.connect(&["10.2.7.1"]);
    world.decide();
    assert!(world.decisions.intents.is_empty());
    let totals = &world.decisions.totals;
    assert_eq!(totals.len(), 2, "both ways, and only ann's");
    assert!(totals.iter().all(|total| total.connection == world.conns[one].view.key));
    assert!(totals.iter().all(|total| total.class.scope == Scope::Subscriber(name("ann"))));
    assert_ne!(totals[0].class.direction, totals[1].class.direction);
    assert!(!world.decisions.bound_from_accept);
    world.conns[one].download.demand = 8 * MBIT;
    world.conns[one].upload.demand = 8 * MBIT;
    world.run(4);
    let line = &world.policies.lines()[0];
    assert_eq!((line.held, line.subscribers), (2, 1));
    let moved: u64 = world.conns[one].view.subflows.iter().map(|one| one.download + one.upload).sum();
    assert_eq!(line.bytes, moved);
}

#[test]
fn a_quota_is_crossed_in_mid_transfer_and_over_again_in_the_next_month() {
    let text = PLACES.replace(
        "action = \"backup\"",
        "action = \"limit\"\nrate = \"1 Mbit/s\"\nused_above = \"50 MB\"\nused_per = \"month\"",
    );
    let mut world = World::new(configured(&text));
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].download.demand = 80 * MBIT;
    // 40 Mbit/s over it: 5 MB a second.
    world.run(9);
    assert_eq!(world.hold(one, LTE), None);
    world.run(2);
    let intent = world.intent(one, LTE).unwrap();
    assert!(matches!(intent.hold, Hold::Rate { .. }));
    assert!(
        intent.evidence[0].starts_with("50.") && intent.evidence[0].contains(" MB used this month, above 50 MB"),
        "{:?}",
        intent.evidence
    );
    // Another connection of hers is under it from the start, one of somebody else's is not.
    let (two, three) = (world.connect(&[DSL, LTE]), world.connect(&["10.1.9.9", "10.2.9.9"]));
    world.decide();
    assert!(world.hold(two, LTE).is_some() && world.hold(three, "10.2.9.9").is_none());
    // Another process goes on where this one was.
    let mut saved = Saved::default();
    saved.apply(&world.policies.usage().take_changes());
    world.policies = crate::policy::Policies::new(configured(&text));
    world.policies.usage().restore(saved);
    world.decide();
    assert!(world.hold(one, LTE).is_some());
    let used: u64 = world.policies.usage().accounts().map(|(_, bytes)| bytes).sum();
    let moved: u64 = world
        .conns
        .iter()
        .flat_map(|conn| &conn.view.subflows)
        .filter(|one| one.client().ip() == ip(LTE))
        .map(|one| one.download)
        .sum();
    assert_eq!(used, moved, "no byte twice, none lost");
    // February: from then on, it counts anew.
    let edge = world.policies.next_change(world.at).unwrap();
    assert_eq!(edge, START + Duration::from_secs(31 * 86_400));
    world.at = edge - Duration::from_millis(1);
    world.decide();
    assert!(world.hold(one, LTE).is_some());
    world.at = edge;
    world.decide();
    assert!(world.hold(one, LTE).is_none());
}

#[test]
fn what_a_connection_used_is_its_own() {
    let text =
        PLACES.replace("action = \"backup\"", "action = \"backup\"\nused_above = \"10 MB\"\nused_per = \"connection\"");
    let mut world = World::new(configured(&text));
    let (one, two) = (world.connect(&[DSL, LTE]), world.connect(&["10.1.0.9", "10.2.0.9"]));
    world.conns[one].download.demand = 8 * MBIT;
    world.run(9);
    assert!(world.hold(one, LTE).is_none());
    world.run(2);
    assert!(world.hold(one, LTE).is_some() && world.hold(two, "10.2.0.9").is_none());
}

#[test]
fn a_schedule_begins_and_ends_on_time() {
    let mut world = World::new(configured(&format!("{PLACES}when = \"18:00-23:00\"\nzone = \"UTC\"")));
    let one = world.connect(&[DSL, LTE]);
    world.decide();
    assert!(world.hold(one, LTE).is_none());
    assert_eq!(world.policies.lines()[0].state, "not at this time");
    for (hour, holds) in [(18, true), (23, false)] {
        let edge = START + Duration::from_secs(hour * 3600);
        assert_eq!(world.policies.next_change(world.at), Some(edge));
        world.at = edge - Duration::from_millis(1);
        world.decide();
        assert_eq!(world.hold(one, LTE).is_some(), !holds);
        world.at = edge;
        world.decide();
        assert_eq!(world.hold(one, LTE).is_some(), holds);
    }
    // The clock is set back into the evening.
    world.at -= Duration::from_secs(3600);
    world.decide();
    assert!(world.hold(one, LTE).is_some());
}

#[test]
fn a_loaded_path_is_left_and_come_back_to() {
    let mut world = World::new(configured(&format!("{PLACES}load_above = 80")));
    world.lines.insert(ip(LTE), 20 * MBIT);
    let one = world.connect(&[DSL, LTE]);
    let others = world.connect(&["10.2.3.3"]);
    world.conns[one].download.demand = MBIT;
    world.conns[others].download.demand = 19 * MBIT;
    world.run(8);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
    let evidence = &world.intent(one, LTE).unwrap().evidence;
    assert!(evidence[0].starts_with("lte is loaded 9") && evidence[0].ends_with("threshold 80 %"), "{evidence:?}");
    // Nine tenths of eighty are seventy-two: between them it stays.
    world.conns[others].download.demand = 15 * MBIT;
    world.run(10);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
    world.conns[others].download.demand = 5 * MBIT;
    world.run(8);
    assert_eq!(world.hold(one, LTE), None);
}

#[test]
fn what_was_before_a_long_pause_is_no_measure() {
    let mut world = World::new(configured(&format!("{PLACES}load_above = 80")));
    world.lines.insert(ip(LTE), 20 * MBIT);
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].download.demand = 100 * MBIT;
    world.run(3);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
    // Nobody decided for a while: all policies were cleared.
    world.at += Duration::from_secs(60);
    world.policies.replace(configured(&format!("{PLACES}load_above = 80").replace("\"it\"", "\"again\"")));
    world.decide();
    assert_eq!(world.hold(one, LTE), None);
}

/// A policy that comes to connections that live: what they have moved was not moved in the moment since.
#[test]
fn what_was_moved_before_anybody_looked_is_no_rate() {
    let mut world = World::new(configured(&format!("{PLACES}load_above = 80")));
    let one = world.connect(&[DSL, LTE]);
    world.subflow(one, LTE).download = 3_000_000;
    world.policies.decide_unseen(world.at);
    world.tick(5);
    let loads: Vec<u64> = world.policies.paths.iter().map(|path| path.load()).collect();
    assert!(loads.iter().all(|load| *load < 1_000_000), "{loads:?}");
}

#[test]
fn a_slow_path_is_tried_again_ever_less_often() {
    let mut world = World::new(configured(&format!("{PLACES}rtt_above = \"100 ms\"")));
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].download.demand = 60 * MBIT;
    world.run(1);
    world.changes = 0;
    let slow = |world: &mut World, millis| world.subflow(one, LTE).rtt = Some(Duration::from_millis(millis));
    slow(&mut world, 150);
    world.tick(100);
    assert_eq!(world.hold(one, LTE), None, "a change of mind takes its dwell");
    world.run(2);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
    // While it carries nothing, its round-trip time is what it was; the path gets no better for five minutes.
    world.run(300);
    assert!((5..=20).contains(&world.changes), "{} changes", world.changes);
    slow(&mut world, 30);
    world.run(200);
    assert_eq!(world.hold(one, LTE), None);
    world.changes = 0;
    world.run(100);
    assert_eq!(world.changes, 0);
}

#[test]
fn a_lossy_path_is_left() {
    let mut world = World::new(configured(&format!("{PLACES}loss_above = 2")));
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].download.demand = 60 * MBIT;
    world.run(3);
    assert_eq!(world.hold(one, LTE), None);
    for _ in 0..40 {
        world.subflow(one, LTE).retransmitted += 20_000;
        world.tick(100);
    }
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
}

#[test]
fn a_subscriber_is_whoever_the_best_sign_says_and_stays_so() {
    let mut world = World::new(configured(PLACES));
    let who = |world: &World, conn: usize| {
        let view = &world.conns[conn].view;
        world.policies.placement(view, &view.subflows[0]).subscriber.to_string()
    };
    // The initial subflow is ann's, the joined one bob's.
    let one = world.connect(&["10.1.0.2", "10.2.7.7"]);
    // The initial one is nobody's, the joined one bob's.
    let two = world.connect(&["10.1.9.9", "10.2.7.7"]);
    let nobody = world.connect(&["10.1.9.9", "10.2.9.9"]);
    let six = world.connect(&["fd01:1:2:3:4:5:6:7"]);
    let told = world.connect(&["10.1.0.2"]);
    assert_eq!(who(&world, one), "ann", "before any decision as well");
    world.decide();
    let all = [one, two, nobody, six, told].map(|conn| who(&world, conn));
    assert_eq!(all, ["ann", "bob", "10.1.9.9", "fd01:1:2:3::/64", "ann"]);
    world.conns[told].view.subscriber = Some(name("carl"));
    // The initial subflows die, others join.
    world.conns[one].view.subflows.remove(0);
    world.conns[two].view.subflows.remove(0);
    world.conns[nobody].view.subflows.remove(0);
    for _ in 0..200 {
        world.tick(100);
    }
    world.join(nobody, "10.2.8.8");
    world.conns[two].view.subflows.clear();
    world.join(two, "10.2.8.9");
    for _ in 0..200 {
        world.tick(100);
    }
    let all = [one, two, nobody, told].map(|conn| who(&world, conn));
    assert_eq!(all, ["ann", "bob", "10.1.9.9", "carl"]);
    // Also over a reload.
    world.policies.replace(configured(PLACES));
    world.decide();
    assert_eq!([one, two, nobody, told].map(|conn| who(&world, conn)), all);
    // One of nobody's addresses becomes somebody's, and ann is renamed.
    let text = PLACES.replace("\"ann\"", "\"anna\"").replace("[\"10.2.7.0/24\"]", "[\"10.1.9.0/24\"]");
    world.policies.replace(configured(&text));
    world.decide();
    let all = [one, two, nobody, told].map(|conn| who(&world, conn));
    assert_eq!(all, ["anna", "bob", "bob", "carl"]);
}

#[test]
fn a_path_is_the_longest_prefix_then_the_first_in_the_file() {
    let mut all = vec![
        path("any", "10.0.0.0/8", 1, None),
        path("net", "10.2.0.0/16", 1, None),
        path("twin", "10.2.0.0/16", 1, None),
        path("six", "fd02::/16", 1, None),
        path("wire", "", 1, None),
        path("both", "10.2.0.0/24", 1, None),
    ];
    all[4].interface = Some(name("ppp0"));
    all[5].interface = Some(name("eth1"));
    let rules = rules(all, Vec::new());
    let of =
        |client: &str, interface| rules.path_of(ip(client), interface).map(|path| rules.paths[path].name.to_string());
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of("10.9.9.9", None), some("any"));
    assert_eq!(of("10.2.9.9", None), some("net"));
    assert_eq!(of("10.2.0.9", None), some("net"));
    assert_eq!(of("10.2.0.9", Some("eth1")), some("both"));
    assert_eq!(of("10.2.0.9", Some("eth0")), some("net"));
    assert_eq!(of("::ffff:10.2.9.9", None), some("net"));
    assert_eq!(of("fd02::1", Some("eth1")), some("six"));
    assert_eq!(of("192.0.2.1", Some("ppp0")), some("wire"));
    assert_eq!(of("10.2.9.9", Some("ppp0")), some("net"), "a prefix is closer than an interface alone");
    assert_eq!(of("192.0.2.1", None), None);
}

#[test]
fn what_is_remembered_survives_a_reload_where_names_stay() {
    let spare = || vec![rule("spare", &[1], overflow())];
    let mut world = World::new(rules(paths(), spare()));
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].download.demand = 80 * MBIT;
    world.run(5);
    assert_eq!(world.hold(one, LTE), None);
    let bytes = |world: &World| {
        world.policies.lines().iter().map(|line| (line.name.to_string(), line.bytes)).collect::<Vec<_>>()
    };
    // The order changes, and with it every number.
    let mut turned = paths();
    turned.reverse();
    turned.insert(0, path("wifi", "10.3.0.0/16", 5, None));
    world.policies.replace(rules(turned, vec![rule("other", &[0], Act::Close), rule("spare", &[1], overflow())]));
    world.tick(100);
    assert_eq!(world.hold(one, LTE), None, "still open");
    assert_eq!(bytes(&world).len(), 2);
    // Under another name it is another policy.
    world.policies.replace(rules(paths(), vec![rule("new", &[1], overflow())]));
    world.tick(100);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
    world.policies.replace(rules(Vec::new(), Vec::new()));
    world.tick(100);
    assert!(world.decisions.intents.is_empty());
}

#[test]
fn lines_say_how_each_policy_is() {
    let mut late = backup("late");
    late.kind = Some(anabranch_sniffer::SubflowKind::Joined);
    let mut measured = backup("measured");
    measured.gauges.rtt = Some(1_000_000);
    let share = rule("share", &[0], Act::Share { percent: 30 });
    let mut world = World::new(rules(paths(), vec![measured, backup("first"), late, share]));
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].download.demand = MBIT;
    world.run(2);
    let lines = world.policies.lines();
    let said: Vec<_> =
        lines.iter().map(|line| (&*line.name, line.active, &*line.state, line.subflows, line.held)).collect();
    assert_eq!(
        said,
        [
            ("measured", false, "its conditions hold for none of 1 subflow", 0, 0),
            ("first", true, "holds 1 subflow", 1, 1),
            ("late", false, "no subflow that it selects, or an earlier policy decides", 0, 0),
            ("share", false, "1 subflow free: the share is not exceeded", 1, 0),
        ]
    );
    assert_eq!((lines[1].subscribers, &*lines[1].action, lines[1].enforce), (1, "backup", "steer"));
    assert_eq!(lines[1].paths, [Arc::<str>::from("lte")]);
}

#[test]
fn what_cannot_be_held_is_not_counted_as_held() {
    let mut world = World::new(rules(paths(), vec![backup("first")]));
    let (one, two) = (world.connect(&[DSL, LTE]), world.connect(&["10.1.0.3", "10.2.0.3"]));
    let key = |world: &World, conn: usize| world.conns[conn].view.keyed().nth(1).unwrap().0;
    let said = |world: &World| {
        let line = &world.policies.lines()[0];
        (line.active, line.state.clone(), line.subflows, line.held, line.cannot_be_held, line.bytes)
    };
    world.policies.set_beyond([key(&world, one), key(&world, two)].into());
    world.subflow(one, LTE).download += 1000;
    world.tick(100);
    world.subflow(one, LTE).download += 1000;
    world.tick(100);
    assert_eq!(said(&world), (false, "2 subflows that cannot be held".to_owned(), 2, 0, 2, 0));
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup), "it is wanted all the same");
    world.policies.set_beyond([key(&world, one)].into());
    world.tick(100);
    assert_eq!(said(&world), (true, "holds 1 subflow, and 1 subflow that cannot be held".to_owned(), 2, 1, 1, 0));
}
