//! What each key becomes; what is said about wrong ones is in tests/reject.

use std::path::Path;

use super::*;
use crate::{UsedPer, parse};

const PATHS: &str = "[[subscriber]]
name = 'line-4711'
client = ['10.1.0.1']
[[path]]
name = 'dsl'
client = ['10.1.0.0/16']
line = '40 Mbit/s'
capacity = '1 Gbit/s'
[[path]]
name = 'lte'
client = ['10.2.0.0/16']
cost = 10
capacity = '1 Gbit/s'
";

/// The only policy of a file with these keys.
fn policy(keys: &str) -> Policy {
    let text = format!("{PATHS}[[policy]]\nname = 'p'\n{keys}\n");
    let config = parse(&text, Path::new("f.toml")).unwrap_or_else(|error| panic!("{text}\n{error}"));
    config.policies[0].clone()
}

fn names<T: ToString>(names: &[T]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn every_selector_lands_where_it_belongs() {
    let keys = "path = ['lte', 'dsl']
subscriber = 'line-4711'
listener = ['loopback6']
subflow = 'joined'
destination = ['203.0.113.0/24', '2001:db8::1']
port = [443, '8443']
when = ['mon-fri 18:00-23:00', '22:00-06:00']
zone = 'Europe/Berlin'
used_above = '50 GB'
used_per = 'week'
load_above = 80
rtt_above = '120 ms'
loss_above = 2
dwell = '3 s'
action = 'limit'
rate = '2 Mbit/s'";
    let Policy { name, select, action: _, enforce, dwell } = policy(keys);
    assert_eq!((name.as_str(), enforce, dwell), ("p", Enforce::Steer, Duration::from_secs(3)));
    assert_eq!((names(&select.paths), names(&select.subscribers)), (names(&["lte", "dsl"]), names(&["line-4711"])));
    assert_eq!((names(&select.listeners), select.subflow), (names(&["loopback6"]), Some(SubflowSelector::Joined)));
    assert_eq!(names(&select.destinations), ["203.0.113.0/24", "2001:db8::1/128"]);
    assert_eq!(select.ports, [443, 8443]);
    let when = select.when.unwrap();
    assert_eq!(when.to_string(), "mon,tue,wed,thu,fri 18:00-23:00, 22:00-06:00 Europe/Berlin");
    let used = select.used.unwrap();
    assert_eq!((used.above.bytes(), used.per, used.zone.as_str()), (50_000_000_000, UsedPer::Week, "Europe/Berlin"));
    assert_eq!(used.period().unwrap().to_string(), "week Europe/Berlin");
    assert_eq!(
        (select.load_above.map(Percent::get), select.rtt_above, select.loss_above.map(Percent::get)),
        (Some(80), Some(Duration::from_millis(120)), Some(2))
    );
}

#[test]
fn every_action_has_its_parameters_and_defaults() {
    let mbit = |rate: u64| BitRate::from_bits_per_second(rate * 1_000_000).unwrap();
    let seconds = Duration::from_secs;
    for (keys, action) in [
        ("path = 'lte'\naction = 'overflow'", Action::Overflow { limit: None, after: seconds(1), hold: seconds(5) }),
        (
            "path = 'lte'\naction = 'overflow'\nlimit = '10 Mbit/s'\nafter = '2 s'\nhold = '9 s'",
            Action::Overflow { limit: Some(mbit(10)), after: seconds(2), hold: seconds(9) },
        ),
        ("path = 'lte'\naction = 'backup'", Action::Backup),
        ("path = 'lte'\naction = 'close'", Action::Close),
        ("path = 'lte'\naction = 'share'\npercent = 30", Action::Share { percent: 30.try_into().unwrap() }),
        (
            "path = 'lte'\naction = 'limit'\nrate = '2 Mbit/s'",
            Action::Limit {
                rate: mbit(2),
                burst: None,
                ceil: None,
                per: Per::Subscriber,
                directions: Directions::Download,
            },
        ),
        (
            "action = 'limit'\nrate = '2 Mbit/s'\nburst = '64 KiB'\nceil = '4 Mbit/s'\nper = 'policy'\ndirection = 'both'",
            Action::Limit {
                rate: mbit(2),
                burst: ByteSize::from_bytes(65_536),
                ceil: Some(mbit(4)),
                per: Per::Policy,
                directions: Directions::Both,
            },
        ),
    ] {
        let policy = policy(keys);
        assert_eq!((policy.action, policy.dwell), (action, seconds(2)), "{keys}");
    }
}

#[test]
fn usage_without_a_zone_is_counted_by_utc() {
    let used = policy("path = 'lte'\naction = 'backup'\nused_above = '1 GB'\nused_per = 'month'").select.used.unwrap();
    assert_eq!(used.zone, crate::Zone::utc());
    let used =
        policy("path = 'lte'\naction = 'backup'\nused_above = '1 GB'\nused_per = 'connection'").select.used.unwrap();
    assert_eq!(used.period(), None);
}

#[test]
fn a_selection_covers_what_is_narrower_and_nothing_else() {
    let select = |keys: &str| policy(&format!("{keys}\naction = 'limit'\nrate = '2 Mbit/s'")).select;
    let lte = "path = 'lte'";
    for (wide, narrow) in [
        (lte, lte),
        (lte, "path = 'lte'\nport = 443"),
        ("path = ['lte', 'dsl']", lte),
        (
            "path = 'lte'\ndestination = '203.0.113.0/24'",
            "path = 'lte'\ndestination = ['203.0.113.7', '203.0.113.128/25']",
        ),
        ("path = 'lte'\nport = [80, 443]", "path = 'lte'\nport = 443"),
        (
            "path = 'lte'\nwhen = '22:00-06:00'\nzone = 'UTC'",
            "path = 'lte'\nwhen = '22:00-06:00'\nzone = 'UTC'\nport = 1",
        ),
        (lte, "path = 'lte'\nrtt_above = '1 s'\nused_above = '1 GB'\nused_per = 'connection'"),
        (lte, "path = 'lte'\nsubscriber = 'line-4711'\nlistener = 'loopback4'\nsubflow = 'initial'"),
    ] {
        assert!(select(wide).covers(&select(narrow)), "{wide}\ncovers\n{narrow}");
        assert!(wide == narrow || !select(narrow).covers(&select(wide)), "{narrow}\ndoes not cover\n{wide}");
    }
    for (one, other) in [
        (lte, "path = 'dsl'"),
        ("path = 'lte'\nsubflow = 'initial'", "path = 'lte'\nsubflow = 'joined'"),
        (
            "path = 'lte'\nwhen = '22:00-06:00'\nzone = 'UTC'",
            "path = 'lte'\nwhen = '22:00-06:00'\nzone = 'Europe/Berlin'",
        ),
        ("path = 'lte'\ndestination = '203.0.113.0/24'", "path = 'lte'\ndestination = '2001:db8::/32'"),
        // What is measured holds at one time and not at another.
        ("path = 'lte'\nrtt_above = '1 s'", "path = 'lte'\nrtt_above = '2 s'"),
    ] {
        assert!(!select(one).covers(&select(other)) && !select(other).covers(&select(one)), "{one}\nand\n{other}");
    }
}
