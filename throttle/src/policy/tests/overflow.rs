//! Overflow, as time series.

use super::world::*;
use crate::intent::Hold;
use crate::policy::rules::Act;

const DSL: &str = "10.1.0.2";
const LTE: &str = "10.2.0.2";

fn world() -> World {
    World::new(rules(paths(), vec![rule("spare", &[1], overflow())]))
}

#[test]
fn the_costly_path_opens_when_the_cheap_one_is_full_and_closes_when_it_would_do() {
    let mut world = world();
    let one = world.connect(&[DSL, LTE]);
    world.tick(100);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
    world.changes = 0;
    for cycle in 0..5 {
        // Less than the cheap path carries: all of it goes there.
        world.conns[one].download.demand = 20 * MBIT;
        world.moved.clear();
        world.run(10);
        if cycle > 0 {
            assert_eq!(world.hold(one, LTE), Some(&Hold::Backup), "cycle {cycle}");
        }
        let rates = world.rates(5);
        assert_eq!((rates[&ip(DSL)], rates.get(&ip(LTE)).copied().unwrap_or(0)), (200, 0), "cycle {cycle}");
        // More: the excess goes by the costly one, within two seconds.
        world.conns[one].download.demand = 60 * MBIT;
        world.run(2);
        assert_eq!(world.hold(one, LTE), None, "cycle {cycle}");
        world.run(2);
        let rates = world.rates(5);
        assert!(rates[&ip(DSL)] + rates[&ip(LTE)] >= 590, "cycle {cycle}: {rates:?}");
    }
    assert_eq!(world.changes, 9, "one opening and one closing a cycle");
}

#[test]
fn demand_just_below_and_just_above_does_not_flap() {
    for demand in [33, 35, 36, 37, 39] {
        let mut world = world();
        let one = world.connect(&[DSL, LTE]);
        world.tick(100);
        world.changes = 0;
        world.conns[one].download.demand = demand * MBIT;
        world.run(120);
        assert_eq!(world.changes, 0, "{demand} Mbit/s fit into 40");
    }
    for demand in [41, 42, 50, 100] {
        let mut world = world();
        let one = world.connect(&[DSL, LTE]);
        world.tick(100);
        world.changes = 0;
        world.conns[one].download.demand = demand * MBIT;
        world.run(120);
        assert_eq!(world.changes, 1, "{demand} Mbit/s do not");
    }
}

/// As the line is on the wire: what it carries of payload is less than what is said of it, and the loop wakes between two counts.
#[test]
fn it_opens_within_two_seconds_though_payload_is_less_than_the_line() {
    for download in [true, false] {
        let mut world = World::new(rules(
            vec![path("dsl", "10.1.0.0/16", 1, Some(20)), path("lte", "10.2.0.0/16", 10, None)],
            vec![rule("spare", &[1], overflow())],
        ));
        let one = world.connect(&[DSL, LTE]);
        world.lines.insert(ip(DSL), 19_100_000);
        let flow = |world: &mut World, rate: u64| {
            let conn = &mut world.conns[one];
            if download { conn.download.demand = rate * MBIT } else { conn.upload.demand = rate * MBIT }
        };
        for cycle in 0..5 {
            flow(&mut world, 10);
            for tick in 0..90 {
                world.wake(tick % 7 * 10);
                world.tick(100);
            }
            assert_eq!(world.hold(one, LTE), Some(&Hold::Backup), "cycle {cycle}");
            flow(&mut world, 28);
            let rise = world.at;
            while world.hold(one, LTE).is_some() {
                world.wake(20);
                world.tick(100);
            }
            let took = world.at - rise;
            assert!(took < std::time::Duration::from_millis(1_500), "cycle {cycle}: {took:?}");
            assert!(took > AFTER, "cycle {cycle}: {took:?}");
            for _ in 0..50 {
                world.tick(100);
                assert_eq!(world.hold(one, LTE), None, "cycle {cycle}");
            }
        }
    }
}

#[test]
fn once_open_it_stays_open_until_the_cheap_path_alone_has_sufficed_for_long() {
    let mut world = world();
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].download.demand = 60 * MBIT;
    world.run(3);
    assert_eq!(world.hold(one, LTE), None);
    // It would fit, but barely: closing on that would open again soon.
    world.conns[one].download.demand = 37 * MBIT;
    world.run(60);
    assert_eq!(world.hold(one, LTE), None);
    // It fits with room to spare, though not for long.
    for _ in 0..10 {
        world.conns[one].download.demand = 10 * MBIT;
        world.run(4);
        world.conns[one].download.demand = 37 * MBIT;
        world.run(2);
        assert_eq!(world.hold(one, LTE), None);
    }
    world.conns[one].download.demand = 10 * MBIT;
    let fall = world.at;
    while world.hold(one, LTE).is_none() {
        world.tick(100);
    }
    let took = world.at - fall;
    assert!(HOLD < took && took < HOLD * 6 / 5, "{took:?}");
}

#[test]
fn between_two_bursts_nothing_waits_and_that_is_no_lapse() {
    let mut world = world();
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].download.demand = 60 * MBIT;
    for _ in 0..20 {
        world.tick(100);
        world.conns[one].view.waiting = Some(0);
        world.wake(50);
        world.wake(40);
    }
    assert_eq!(world.hold(one, LTE), None);
}

#[test]
fn what_moves_by_short_connections_counts() {
    let mut world = world();
    let one = world.connect(&[DSL, LTE]);
    world.decide();
    // A new connection for every object: none lives through two looks.
    for _ in 0..30 {
        let short = world.connect(&[DSL]);
        world.subflow(short, DSL).download = 480_000;
        world.conns[one].view.waiting = Some(1_000_000);
        world.wake(100);
        world.conns[short].view.subflows.clear();
    }
    assert_eq!(world.hold(one, LTE), None, "38.4 of 40 Mbit/s, and data waits");
}

#[test]
fn uploads_open_it_as_well() {
    let mut world = world();
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].upload.demand = 20 * MBIT;
    world.run(5);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
    world.conns[one].upload.demand = 60 * MBIT;
    world.run(3);
    assert_eq!(world.hold(one, LTE), None);
    world.conns[one].upload.demand = 10 * MBIT;
    world.run(10);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
}

#[test]
fn without_data_waiting_a_full_path_is_just_right() {
    let mut world = world();
    let one = world.connect(&[DSL, LTE]);
    // The origin sends exactly what fits.
    world.conns[one].download.demand = 38 * MBIT;
    world.run(30);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
}

#[test]
fn a_client_that_reads_slowly_does_not_open_it() {
    let mut world = world();
    let one = world.connect(&[DSL, LTE]);
    // A film: the data waits, since the client does not take it.
    world.conns[one].download = Flow { demand: 100 * MBIT, taken: Some(10 * MBIT), ..Flow::default() };
    world.moved.clear();
    world.run(60);
    assert_eq!(world.share(LTE), 0);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
}

#[test]
fn the_connections_of_a_subscriber_decide_together() {
    let mut world = world();
    world.conns.clear();
    let (one, two) = (world.connect(&[DSL, LTE]), world.connect(&[DSL, LTE]));
    let other = world.connect(&["10.1.0.77", "10.2.0.77"]);
    for conn in [one, two, other] {
        world.conns[conn].download.demand = 25 * MBIT;
    }
    world.run(4);
    assert_eq!((world.hold(one, LTE), world.hold(two, LTE)), (None, None), "together they ask for 50 Mbit/s");
    assert_eq!(world.hold(other, "10.2.0.77"), Some(&Hold::Backup), "25 alone");
}

#[test]
fn a_cheap_path_that_dies_opens_it_at_once() {
    let mut world = world();
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].download.demand = 10 * MBIT;
    world.run(3);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
    world.subflow(one, DSL).timeouts = 1;
    world.tick(5);
    assert_eq!(world.hold(one, LTE), None, "in the very tick");
    // It comes back: not trusted for a second, then relied upon again.
    world.subflow(one, DSL).timeouts = 0;
    world.tick(100);
    assert_eq!(world.hold(one, LTE), None);
    world.run(2);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
    // Gone altogether.
    world.conns[one].view.subflows.remove(0);
    world.tick(5);
    assert_eq!(world.hold(one, LTE), None);
    world.run(5);
    assert_eq!(world.hold(one, LTE), None);
}

#[test]
fn a_connection_that_only_has_the_costly_path_uses_it() {
    let mut world = world();
    let one = world.connect(&[LTE]);
    world.conns[one].download.demand = 10 * MBIT;
    world.run(3);
    assert_eq!(world.hold(one, LTE), None);
    // The cheap one joins: from then on it carries.
    world.join(one, DSL);
    world.tick(100);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
    // As a backup by the client's own wish it is no way at all.
    world.subflow(one, DSL).backup_by_client = true;
    world.run(3);
    assert_eq!(world.hold(one, LTE), None);
}

#[test]
fn what_overflows_keeps_to_the_limit() {
    let act = Act::Overflow { limit: Some(mbit(10)), after: AFTER, hold: HOLD };
    let mut world = World::new(rules(paths(), vec![rule("spare", &[1], act)]));
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].download.demand = 80 * MBIT;
    world.run(4);
    let Some(Hold::Rate { download: Some((class, ceiling)), upload: None }) = world.hold(one, LTE) else {
        panic!("{:?}", world.intent(one, LTE));
    };
    assert_eq!((ceiling.rate, &*class.policy), (mbit(10), "spare"));
    assert_eq!(class.scope, crate::intent::Scope::Subscriber(name(DSL)));
    let rates = world.rates(5);
    assert_eq!((rates[&ip(DSL)], rates[&ip(LTE)]), (400, 100));
    assert!(world.decisions.bound_from_accept);
}

const AFTER: std::time::Duration = std::time::Duration::from_secs(1);
const HOLD: std::time::Duration = std::time::Duration::from_secs(5);

fn unknown_line(carries: u64) -> World {
    let mut world = World::new(rules(
        vec![path("dsl", "10.1.0.0/16", 1, None), path("lte", "10.2.0.0/16", 10, None)],
        vec![rule("spare", &[1], overflow())],
    ));
    world.connect(&[DSL, LTE]);
    world.lines.insert(ip(DSL), carries * MBIT);
    world
}

#[test]
fn what_a_line_carries_is_learned() {
    for carries in [2, 10, 40, 300] {
        let mut world = unknown_line(carries);
        world.conns[0].download.demand = 1000 * MBIT;
        world.run(6);
        assert_eq!(world.hold(0, LTE), None, "{carries} Mbit/s are full");
        world.changes = 0;
        world.run(120);
        assert_eq!(world.changes, 0, "{carries} Mbit/s stay full");
        // It is known from now on, up to where the cheap path alone would do.
        world.conns[0].download.demand = carries * MBIT / 2;
        world.run(8);
        assert_eq!(world.hold(0, LTE), Some(&Hold::Backup), "{carries} Mbit/s");
        world.moved.clear();
        world.run(60);
        assert_eq!(world.share(LTE), 0, "{carries} Mbit/s");
        // What is known needs no other trial.
        world.conns[0].download.demand = 1000 * MBIT;
        world.run(2);
        assert_eq!(world.hold(0, LTE), None, "{carries} Mbit/s are full again");
        world.conns[0].download.demand = carries * MBIT / 2;
        world.run(8);
        world.changes = 0;
        world.conns[0].download.demand = carries * MBIT * 105 / 100;
        world.run(60);
        assert_eq!((world.hold(0, LTE), world.changes), (None, 1), "a little more than {carries} Mbit/s");
    }
}

#[test]
fn what_was_learned_of_a_line_is_unlearned_when_it_gets_worse_or_better() {
    let mut world = unknown_line(40);
    world.conns[0].download.demand = 1000 * MBIT;
    world.run(10);
    world.conns[0].download.demand = 10 * MBIT;
    world.run(10);
    assert_eq!(world.hold(0, LTE), Some(&Hold::Backup));
    // Worse: what it has now is all it has.
    world.lines.insert(ip(DSL), 12 * MBIT);
    world.conns[0].download.demand = 1000 * MBIT;
    world.run(8);
    assert_eq!(world.hold(0, LTE), None);
    world.conns[0].download.demand = 4 * MBIT;
    world.run(8);
    assert_eq!(world.hold(0, LTE), Some(&Hold::Backup));
    // Better: what fits now does not overflow.
    world.lines.insert(ip(DSL), 100 * MBIT);
    world.conns[0].download.demand = 60 * MBIT;
    world.moved.clear();
    world.run(60);
    assert!(world.share(LTE) < 50, "{}", world.share(LTE));
    assert_eq!(world.hold(0, LTE), Some(&Hold::Backup));
}

#[test]
fn a_slow_reader_on_an_unknown_line_costs_a_trial_now_and_then_and_no_more() {
    let mut world = unknown_line(40);
    world.conns[0].download = Flow { demand: 100 * MBIT, taken: Some(10 * MBIT), ..Flow::default() };
    world.moved.clear();
    world.run(600);
    assert!(world.share(LTE) < 20, "{} per mille", world.share(LTE));
    assert_eq!(world.hold(0, LTE), Some(&Hold::Backup));
}

#[test]
fn a_line_below_what_was_said_of_it_overflows_all_the_same() {
    let mut world = world();
    let one = world.connect(&[DSL, LTE]);
    world.lines.insert(ip(DSL), 20 * MBIT);
    world.conns[one].download.demand = 100 * MBIT;
    world.run(6);
    assert_eq!(world.hold(one, LTE), None);
    world.changes = 0;
    world.run(60);
    assert_eq!(world.changes, 0);
    world.conns[one].download.demand = 10 * MBIT;
    world.run(8);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup));
}

#[test]
fn a_steady_upload_on_an_unknown_line_is_tried_and_left_alone() {
    let mut world = unknown_line(40);
    world.conns[0].upload.demand = 8 * MBIT;
    world.moved.clear();
    world.run(600);
    assert!(world.share(LTE) < 20, "{} per mille", world.share(LTE));
    // One that is held up is helped.
    world.conns[0].upload.demand = 60 * MBIT;
    world.run(400);
    assert_eq!(world.hold(0, LTE), None);
}

#[test]
fn of_three_paths_each_opens_when_all_cheaper_ones_are_full() {
    let mut all = paths();
    all.insert(1, path("wifi", "10.3.0.0/16", 5, Some(20)));
    let mut world = World::new(rules(all, vec![rule("spare", &[1, 2], overflow())]));
    let one = world.connect(&[DSL, "10.3.0.2", LTE]);
    world.lines.insert(ip("10.3.0.2"), 20 * MBIT);
    world.conns[one].download.demand = 50 * MBIT;
    world.run(10);
    assert_eq!((world.hold(one, "10.3.0.2"), world.hold(one, LTE)), (None, Some(&Hold::Backup)));
    world.conns[one].download.demand = 90 * MBIT;
    world.run(5);
    assert_eq!(world.hold(one, LTE), None);
    // The first dies: the second is the cheap one now, and full.
    world.conns[one].view.subflows.remove(0);
    world.run(3);
    assert_eq!((world.hold(one, "10.3.0.2"), world.hold(one, LTE)), (None, None));
    world.conns[one].download.demand = 5 * MBIT;
    world.run(8);
    assert_eq!((world.hold(one, "10.3.0.2"), world.hold(one, LTE)), (None, Some(&Hold::Backup)));
}

#[test]
fn a_cheap_path_that_another_policy_has_closed_or_limited_counts_as_that() {
    let closed = rule("off", &[0], Act::Close);
    let mut world = World::new(rules(paths(), vec![closed, rule("spare", &[1], overflow())]));
    let one = world.connect(&[DSL, LTE]);
    world.tick(100);
    assert_eq!((world.hold(one, DSL), world.hold(one, LTE)), (Some(&Hold::Closed), None));

    let slow = rule("slow", &[0], limit(2, anabranch_config::Per::Subscriber));
    let mut world = World::new(rules(paths(), vec![slow, rule("spare", &[1], overflow())]));
    let one = world.connect(&[DSL, LTE]);
    world.conns[one].download.demand = 10 * MBIT;
    for _ in 0..16 {
        world.tick(100);
    }
    assert_eq!(world.hold(one, LTE), None, "2 of 2 Mbit/s are full");
}

#[test]
fn a_path_that_others_crowd_is_full_for_everybody() {
    let mut crowded = paths();
    crowded[0].capacity = Some(60 * MBIT);
    let mut world = World::new(rules(crowded, vec![rule("spare", &[1], overflow())]));
    let one = world.connect(&[DSL, LTE]);
    let others: Vec<_> = (3..6).map(|host| world.connect(&[&format!("10.1.0.{host}")])).collect();
    for other in others {
        world.conns[other].download.demand = 1000 * MBIT;
        let line = world.conns[other].view.subflows[0].client().ip();
        world.lines.insert(line, 17 * MBIT);
    }
    world.lines.insert(ip(DSL), 8 * MBIT);
    world.conns[one].download.demand = 4 * MBIT;
    world.run(6);
    assert_eq!(world.hold(one, LTE), Some(&Hold::Backup), "crowded, and still enough");
    world.conns[one].download.demand = 20 * MBIT;
    world.run(6);
    assert_eq!(world.hold(one, LTE), None);
    world.changes = 0;
    world.run(60);
    assert_eq!(world.changes, 0);
}

#[test]
fn the_policy_that_leaves_a_subflow_free_says_so_and_why() {
    let mut world = world();
    let one = world.connect(&[DSL, LTE]);
    let key = |world: &World, address: &str| {
        let (key, _) = world.conns[one].view.keyed().find(|(_, seen)| seen.client().ip() == ip(address)).unwrap();
        key
    };
    let (dsl, lte) = (key(&world, DSL), key(&world, LTE));
    world.tick(100);
    assert_eq!(world.policies.left_free(lte), None, "it is held");
    world.conns[one].download.demand = 60 * MBIT;
    world.run(3);
    let left = world.policies.left_free(lte).unwrap();
    assert_eq!((&*left.policy, &*left.path, &*left.subscriber), ("spare", "lte", "10.1.0.2"));
    assert!(left.evidence[0].starts_with("dsl carries ") && left.evidence[1].starts_with("open for "), "{left:?}");
    assert_eq!(world.policies.left_free(dsl), None, "no policy has it");
    assert_eq!(left.wants, "nothing, it is open");
    world.subflow(one, DSL).backup_by_client = true;
    world.run(10);
    assert_eq!(world.policies.left_free(lte).unwrap().wants, "nothing, the connection has no cheaper way");
    // What was in force before says nothing.
    world.policies.replace(rules(paths(), Vec::new()));
    assert_eq!(world.policies.left_free(lte), None);
}
