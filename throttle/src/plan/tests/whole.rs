//! Whole connections: rates of the proxy's, and what they may hold unsent.

use std::sync::Arc;

use super::world::*;
use crate::intent::{Ceiling, ClassKey, Decisions, Direction, Scope, Total};
use crate::view::ConnectionKey;

fn total(connection: ConnectionKey, scope: Scope, rate: u64) -> Total {
    Total {
        connection,
        class: ClassKey { policy: Arc::from("total"), scope, direction: Direction::Download },
        ceiling: Ceiling { rate: mbit(rate), ceil: None, burst: None },
        evidence: Vec::new(),
    }
}

#[test]
fn totals_are_said_once_and_taken_back() {
    let mut world = World::new(ALL);
    let one = world.connect(&[0])[0].connection;
    let two = world.connect(&[0])[0].connection;
    let totals = vec![total(one, Scope::Policy, 5), total(two, Scope::Policy, 5)];
    let mut decisions = Decisions { totals, ..Decisions::default() };
    let mut turn = |decisions: &Decisions| {
        world.at += millis(100);
        let ops = world.planner.plan(&world.view(), decisions);
        world.apply(&ops);
        (ops.len(), world.kernel.totals.clone())
    };
    let (said, totals) = turn(&decisions);
    assert_eq!(said, 2);
    assert_eq!(totals[&(one, Direction::Download)], totals[&(two, Direction::Download)], "one bucket");
    assert_eq!(turn(&decisions).0, 0);
    decisions.totals[1] = total(two, Scope::Connection(two), 5);
    let (said, totals) = turn(&decisions);
    assert_eq!(said, 1);
    assert_ne!(totals[&(one, Direction::Download)].0, totals[&(two, Direction::Download)].0);
    let (said, totals) = turn(&Decisions::default());
    assert_eq!((said, totals.len()), (2, 0));
}

#[test]
fn a_total_is_explained_with_its_policy() {
    let mut world = World::new(ALL);
    let key = world.connect(&[0])[0];
    let other = world.connect(&[0])[0];
    let limit = total(key.connection, Scope::Policy, 5);
    let (policy, decisions) = (limit.class.policy.clone(), Decisions { totals: vec![limit], ..Decisions::default() });
    let ops = world.planner.plan(&world.view(), &decisions);
    world.apply(&ops);
    let words = world.planner.explain(key).to_string();
    assert!(words.contains("at most 5 Mbit/s of download in all") && words.contains(&*policy), "{words}");
    assert!(words.contains("no policy wants anything of it alone"), "{words}");
    assert!(!world.planner.explain(other).to_string().contains("in all"));
}

/// Numbers of buckets are forgotten with those who used them, and never mean two things at once.
#[test]
fn buckets_do_not_pile_up() {
    let mut world = World::new(ALL);
    world.connect(&[0]);
    for _ in 0..100 {
        let key = world.connect(&[0])[0];
        let decisions = Decisions {
            totals: vec![total(key.connection, Scope::Connection(key.connection), 5)],
            ..Decisions::default()
        };
        for _ in 0..2 {
            let ops = world.planner.plan(&world.view(), &decisions);
            world.apply(&ops);
        }
        world.kill(key);
    }
    world.turn();
    assert!(world.planner.buckets.len() <= 1);
}

/// The bound follows the round-trip time of what is held, and does not flap where it is in between.
#[test]
fn bounds_follow_the_slowest() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = steer(Wanted::Rate(2));
    for (rtt, bound) in [(1, 4), (7, 4), (12, 8), (7, 8), (25, 8), (40, 16), (20, 16), (12, 8), (3, 4)] {
        world.subflow(subflows[0]).rtt = Some(millis(rtt));
        world.run(millis(200));
        assert_eq!(world.kernel.bound[&subflows[0].connection], bound * 1024, "{rtt} ms");
    }
}
