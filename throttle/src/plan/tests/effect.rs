//! The effect is watched: what costs more than it promised is held more gently, then not at all, then tried again.

use super::world::*;
use crate::plan::Measured;

fn held() -> (World, Vec<crate::view::SubflowKey>) {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(5));
    (world, subflows)
}

fn measured(world: &World, key: crate::view::SubflowKey) -> Measured {
    world.planner.explain(key).measured.unwrap()
}

fn why(world: &World, key: crate::view::SubflowKey) -> String {
    world.planner.explain(key).but.join("; ")
}

#[test]
fn what_keeps_its_promise_stays() {
    let (mut world, subflows) = held();
    world.run(seconds(60));
    let measured = measured(&world, subflows[0]);
    assert_eq!((measured.rolled_back, world.said("demote")), (0, 1));
    assert!((39.0..41.0).contains(&(measured.reference / 1e6)), "{measured:?}");
    assert!((41.0..42.5).contains(&(measured.total / 1e6)), "{measured:?}");
}

#[test]
fn what_costs_more_is_a_backup_first_and_then_let_go_for_longer_and_longer() {
    let (mut world, subflows) = held();
    world.cost = 50;
    world.run(millis(1000));
    assert!(world.kernel.demoted.is_empty(), "not before a second is over");
    let mut free = None;
    let mut pauses = Vec::new();
    let began = world.at;
    while world.at < began + seconds(100) {
        world.run(millis(20));
        let is_free = world.kernel.paced.is_empty() && world.kernel.demoted.is_empty();
        match (is_free, free) {
            (true, None) => {
                assert!(why(&world, subflows[0]).contains("rolled back"), "{}", why(&world, subflows[0]));
                free = Some(world.at);
            }
            (false, Some(since)) => {
                pauses.push((world.at - since).as_secs());
                free = None;
            }
            _ => {}
        }
    }
    assert_eq!(pauses, [10, 20, 40]);
    assert_eq!(measured(&world, subflows[0]).rolled_back, 4);
}

#[test]
fn tightening_comes_first_and_ends() {
    let (mut world, subflows) = held();
    world.cost = 30;
    world.run(millis(2500));
    assert!(world.kernel.demoted.contains(&subflows[0]));
    assert!(why(&world, subflows[0]).contains("held as a backup instead"));
    // As a backup it costs nothing: what is wanted is tried again after a while.
    world.cost = 0;
    world.run(seconds(14));
    assert!(world.kernel.demoted.is_empty());
    assert_eq!(world.kernel.paced[&subflows[0]], 1_880_000);
    assert_eq!(measured(&world, subflows[0]).rolled_back, 0);
}

/// The total falls since nobody asks for more.
#[test]
fn what_has_no_data_waiting_is_not_judged() {
    for demand in [0, 1, 5, 20] {
        let (mut world, subflows) = held();
        (world.hungry, world.demand) = (false, demand);
        world.run(seconds(30));
        assert_eq!(world.said("demote"), 1, "{demand} Mbit/s");
        assert_eq!(why(&world, subflows[0]), "");
    }
}

#[test]
fn noise_is_no_reason() {
    let (mut world, subflows) = held();
    let mut seed = 7u64;
    for _ in 0..600 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        world.lines[1] = 36 + (seed >> 33) % 9;
        world.run(millis(100));
    }
    assert_eq!((world.said("demote"), why(&world, subflows[0])), (1, String::new()));
}

/// One of two free paths dies: the other is what there is, and the hold is not to blame.
#[test]
fn a_free_path_that_dies_is_not_the_fault_of_the_hold() {
    let mut world = World::new(ALL);
    world.lines[2] = 100;
    let subflows = world.connect(&[0, 1, 2]);
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(10));
    world.kill(subflows[2]);
    for _ in 0..20 {
        world.run(seconds(1));
        assert_eq!(why(&world, subflows[0]), "");
    }
}

/// While the held one was let go it carried much: that is not what the free ones carry.
#[test]
fn what_was_let_go_is_not_the_measure() {
    let (mut world, subflows) = held();
    world.subflow(subflows[1]).timeouts = 1;
    world.run(seconds(2));
    world.subflow(subflows[1]).timeouts = 0;
    world.run(seconds(1));
    for _ in 0..20 {
        world.run(seconds(1));
        assert_eq!(why(&world, subflows[0]), "");
    }
    assert_eq!(world.kernel.paced[&subflows[0]], 1_880_000);
}

/// Counters that were not looked at for a while jump when they are.
#[test]
fn old_counters_are_no_burst() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = steer(Wanted::Rate(2));
    world.turn();
    world.subflow(subflows[1]).download += 5_000_000;
    world.run(millis(100));
    world.subflow(subflows[1]).download += 5_000_000;
    for _ in 0..5 {
        world.run(seconds(1));
        assert_eq!(why(&world, subflows[0]), "");
    }
    let measured = measured(&world, subflows[0]);
    assert!(measured.reference < 41e6, "{measured:?}");
}

#[test]
fn a_contract_is_never_rolled_back() {
    let (mut world, subflows) = held();
    world.wants[0] = always(Wanted::Rate(2));
    world.cost = 60;
    world.run(seconds(30));
    assert_eq!(world.kernel.paced[&subflows[0]], 1_880_000);
    assert_eq!(why(&world, subflows[0]), "");
}

/// What passes has nothing gentler: it is let go.
#[test]
fn what_passes_is_let_go() {
    let mut world = World::new(crate::op::Abilities { demote: false, pace: false, cap: true, proxy: false });
    world.passing = true;
    let subflows = world.connect(&[0, 1]);
    world.connections[0].waiting = None;
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(5));
    assert_eq!(world.kernel.elements.len(), 1);
    world.cost = 80;
    world.run(seconds(4));
    assert!(world.kernel.elements.is_empty(), "{}", why(&world, subflows[0]));
}
