//! What holds for subflows to come.

use super::world::*;
use crate::intent::{Armed, Arming};

const PLACES: &str = r#"
[[listener]]
name = "edge"
address = "127.0.0.1:3128"
[[listener]]
name = "other"
address = "[::1]:3129"
[[path]]
name = "dsl"
client = ["10.1.0.0/16"]
[[path]]
name = "lte"
client = ["10.2.0.0/16", "fd02::/16"]
cost = 10
[[path]]
name = "wire"
interface = "ppp0"
[[subscriber]]
name = "ann"
client = ["10.1.0.0/24"]
"#;

fn armed(policies: &str) -> Vec<Arming> {
    let mut world = World::new(configured(&format!("{PLACES}{policies}")));
    world.decide();
    world.decisions.arming
}

fn prefixes(arming: &Arming) -> Vec<String> {
    arming.prefixes.iter().map(ToString::to_string).collect()
}

const LIMIT: &str = "[[policy]]\nname = \"slow\"\npath = \"lte\"\naction = \"limit\"\nrate = \"2 Mbit/s\"\n";

#[test]
fn a_limit_on_a_path_holds_from_the_first_packet_on() {
    let armed = armed(LIMIT);
    assert_eq!(armed.len(), 1);
    assert_eq!(
        (&*armed[0].policy, prefixes(&armed[0]), &*armed[0].ports),
        ("slow", vec!["10.2.0.0/16".to_owned(), "fd02::/16".to_owned()], &[][..])
    );
    assert!(matches!(armed[0].hold, Armed::Rate(ceiling) if ceiling.rate == mbit(2)));
}

#[test]
fn only_what_address_and_port_decide_is_armed() {
    // What else the policy says, and whether it is armed.
    for (said, is) in [
        ("", true),
        ("subflow = \"joined\"", true),
        ("subflow = \"initial\"", false),
        ("subscriber = \"ann\"", false),
        ("destination = \"203.0.113.0/24\"", false),
        ("port = 443", false),
        ("when = \"00:00-01:00\"\nzone = \"UTC\"", true),
        ("when = \"01:00-02:00\"\nzone = \"UTC\"", false),
        ("used_above = \"1 GB\"\nused_per = \"month\"", false),
        ("rtt_above = \"50 ms\"", false),
        ("loss_above = 2", false),
        ("direction = \"both\"\nenforce = \"always\"", true),
        ("direction = \"upload\"\nenforce = \"always\"", false),
    ] {
        assert_eq!(armed(&format!("{LIMIT}{said}")).len(), usize::from(is), "{said}");
    }
    assert_eq!(armed(&format!("{LIMIT}listener = \"other\""))[0].ports, [3129]);
    // A path that an interface is part of cannot be told by the address.
    assert!(armed(&LIMIT.replace("\"lte\"", "\"wire\"")).is_empty());
}

#[test]
fn only_limits_and_closing_are_for_the_kernel() {
    let action = |action: &str| {
        armed(&format!("[[policy]]\nname = \"it\"\npath = \"lte\"\naction = \"{action}\"\n"))
            .into_iter()
            .map(|one| one.hold)
            .collect::<Vec<_>>()
    };
    assert_eq!(action("close"), [Armed::Refused]);
    assert_eq!(action("backup"), []);
    assert_eq!(action("overflow"), []);
    assert_eq!(action("share\"\npercent = 30\n# \""), []);
}

#[test]
fn an_earlier_policy_that_might_have_it_keeps_it_from_being_armed() {
    let behind = |earlier: &str| armed(&format!("[[policy]]\nname = \"first\"\n{earlier}\n{LIMIT}"));
    let names = |armed: Vec<Arming>| armed.iter().map(|one| one.policy.to_string()).collect::<Vec<_>>();
    // It might: a subscriber's, of whom the joining subflow's address tells nothing.
    assert!(behind("path = \"lte\"\naction = \"backup\"\nsubscriber = \"ann\"").is_empty());
    assert!(behind("path = \"lte\"\naction = \"overflow\"").is_empty());
    // It will, itself.
    assert_eq!(names(behind("path = [\"lte\", \"dsl\"]\naction = \"close\"")), ["first"]);
    // It will not: another path, the initial subflow's, another time, the other direction.
    for earlier in [
        "path = \"dsl\"\naction = \"backup\"",
        "path = \"lte\"\naction = \"backup\"\nsubflow = \"initial\"",
        "path = \"lte\"\naction = \"backup\"\nwhen = \"05:00-06:00\"\nzone = \"UTC\"",
        "path = \"lte\"\naction = \"limit\"\nrate = \"1 Mbit/s\"\ndirection = \"upload\"\nenforce = \"always\"",
    ] {
        assert_eq!(names(behind(earlier)), ["slow"], "{earlier}");
    }
}

#[test]
fn addresses_of_closer_paths_are_left_out() {
    let mut all = paths();
    all.insert(0, path("twin", "10.2.64.0/18", 1, None));
    all.push(path("corner", "10.2.0.0/24", 1, None));
    let mut world = World::new(rules(all, vec![rule("slow", &[2], limit(2, anabranch_config::Per::Policy))]));
    world.decide();
    let armed = &world.decisions.arming[0];
    // All of 10.2.0.0/16 but 10.2.64.0/18 and 10.2.0.0/24.
    let inside = |address: &str| armed.prefixes.iter().filter(|prefix| prefix.contains(ip(address))).count();
    for (address, expected) in [
        ("10.2.0.1", 0),
        ("10.2.0.255", 0),
        ("10.2.1.0", 1),
        ("10.2.63.255", 1),
        ("10.2.64.0", 0),
        ("10.2.127.255", 0),
        ("10.2.128.0", 1),
        ("10.2.255.255", 1),
        ("10.3.0.0", 0),
    ] {
        assert_eq!(inside(address), expected, "{address} in {:?}", prefixes(armed));
    }
    // One that another path covers altogether is not armed at all.
    let covered = vec![path("first", "10.2.0.0/16", 1, None), path("lte", "10.2.0.0/16", 1, None)];
    let mut world = World::new(rules(covered, vec![rule("slow", &[1], limit(2, anabranch_config::Per::Policy))]));
    world.decide();
    assert!(world.decisions.arming.is_empty());
}

#[test]
fn unsent_data_is_bounded_from_accept_while_a_rate_may_be_wanted() {
    let bounded = |text: &str| {
        let mut world = World::new(configured(&format!("{PLACES}{text}")));
        world.decide();
        world.decisions.bound_from_accept
    };
    let action = |action: &str| bounded(&format!("[[policy]]\nname = \"it\"\npath = \"lte\"\naction = {action}\n"));
    assert!(bounded(LIMIT) && !bounded(""));
    assert!(!bounded(&format!("{LIMIT}subflow = \"initial\"")));
    assert!(!bounded(&format!("{LIMIT}when = \"05:00-06:00\"\nzone = \"UTC\"")));
    assert!(bounded(&format!("{LIMIT}used_above = \"1 GB\"\nused_per = \"month\"")));
    assert!(action("\"share\"\npercent = 30") && action("\"overflow\"\nlimit = \"1 Mbit/s\""));
    assert!(!action("\"overflow\"") && !action("\"backup\"") && !action("\"close\""));
}
