//! Holds are counted: each that begins ends in one way, and what is done now is what the kernel was told.

use std::sync::Arc;

use super::world::*;
use crate::intent::{Ceiling, ClassKey, Decisions, Direction, Scope, Total};
use crate::plan::{Happened, Held, Tally};

/// How often, in the order begun, released, rolled back, ended.
fn of(tally: &Tally, policy: &str) -> [u64; 4] {
    Happened::ALL.map(|what| tally.get(&(policy.into(), what)).copied().unwrap_or(0))
}

const FIRST: &str = "policy 0 of edition 0";

#[test]
fn a_hold_begins_once_and_is_released_once() {
    let mut world = World::new(ALL);
    world.connect(&[0, 1]);
    world.connect(&[0, 1]);
    world.run(seconds(2));
    assert!(world.planner.take_tally().is_empty() && world.planner.held() == Held::default());
    world.wants[0] = steer(Wanted::Backup);
    world.run(seconds(5));
    assert_eq!(of(&world.planner.take_tally(), FIRST), [2, 0, 0, 0]);
    let held = Held { connections: 2, demoted: 2, ..Held::default() };
    assert_eq!(world.planner.held(), held);
    world.wants[0] = None;
    world.run(seconds(5));
    assert_eq!(of(&world.planner.take_tally(), FIRST), [0, 2, 0, 0]);
    assert_eq!(world.planner.held(), Held::default());
    assert!(world.planner.take_tally().is_empty());
}

#[test]
fn what_is_held_by_another_policy_was_released_by_the_first() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(5));
    assert_eq!(world.planner.held(), Held { connections: 1, paced: 1, ..world.planner.held() });
    world.edition = 1;
    world.run(seconds(5));
    let tally = world.planner.take_tally();
    assert_eq!((of(&tally, FIRST), of(&tally, "policy 0 of edition 1")), ([1, 1, 0, 0], [1, 0, 0, 0]));
    world.kill(subflows[0]);
    world.run(seconds(1));
    assert_eq!(of(&world.planner.take_tally(), "policy 0 of edition 1"), [0, 0, 0, 1]);
    assert_eq!(world.planner.held(), Held::default());
}

#[test]
fn what_costs_too_much_is_counted_as_rolled_back_each_time() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(5));
    world.cost = 50;
    world.run(seconds(100));
    let rolled_back = world.planner.explain(subflows[0]).measured.unwrap().rolled_back;
    let [begun, released, counted, ended] = of(&world.planner.take_tally(), FIRST);
    assert_eq!((counted, released, ended), (u64::from(rolled_back), 0, 0));
    assert!(counted > 1 && (counted..=counted + 1).contains(&begun), "{begun} begun, {counted} rolled back");
}

/// Nothing of what is taken back at the end is forgotten.
#[test]
fn a_process_that_stops_has_released_everything() {
    let mut world = World::new(ALL);
    world.connect(&[0, 1]);
    world.connect(&[0, 1, 2]);
    world.wants = [steer(Wanted::Rate(2)), None, always(Wanted::Upload(1))];
    world.run(seconds(5));
    let ops = world.planner.release_all(&world.view());
    world.apply(&ops);
    let tally = world.planner.take_tally();
    assert_eq!((of(&tally, FIRST), of(&tally, "policy 2 of edition 0")), ([2, 2, 0, 0], [1, 1, 0, 0]));
}

#[test]
fn a_dead_path_neither_begins_nor_ends_a_hold() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(5));
    world.subflow(subflows[0]).timeouts = 3;
    // This one is dead before anything is wanted of it.
    let second = world.connect(&[0, 1]);
    world.subflow(second[0]).timeouts = 3;
    world.run(seconds(2));
    assert!(world.kernel.demoted.contains(&subflows[0]) && world.kernel.demoted.contains(&second[0]));
    assert_eq!(of(&world.planner.take_tally(), FIRST), [1, 0, 0, 0]);
    world.subflow(second[0]).timeouts = 0;
    world.run(seconds(2));
    assert_eq!(of(&world.planner.take_tally(), FIRST), [1, 0, 0, 0]);
}

#[test]
fn whole_connections_count_too() {
    let mut world = World::new(ALL);
    let key = world.connect(&[0, 1])[0].connection;
    let policy: Arc<str> = "in all".into();
    let class = ClassKey { policy: policy.clone(), scope: Scope::Policy, direction: Direction::Download };
    let ceiling = Ceiling { rate: mbit(5), ceil: None, burst: None };
    let total = Total { connection: key, class, ceiling, evidence: Vec::new() };
    let decisions = Decisions { totals: vec![total], ..Decisions::default() };
    for _ in 0..3 {
        let ops = world.planner.plan(&world.view(), &decisions);
        world.apply(&ops);
    }
    assert_eq!(of(&world.planner.take_tally(), "in all"), [1, 0, 0, 0]);
    assert_eq!(world.planner.held(), Held { connections: 1, totals: 1, ..Held::default() });
    world.turn();
    assert_eq!(of(&world.planner.take_tally(), "in all"), [0, 1, 0, 0]);
    let ops = world.planner.plan(&world.view(), &decisions);
    world.apply(&ops);
    world.connections.clear();
    world.turn();
    assert_eq!(of(&world.planner.take_tally(), "in all"), [1, 0, 0, 1]);
    assert_eq!(world.planner.held(), Held::default());
}
