//! Everything is given back: slots, numbers, bounds, and all of it at the end.

use std::collections::BTreeMap;

use anabranch_config::{Enforce, Prefix};

use super::world::*;
use crate::intent::{Armed, Arming, Ceiling, Direction};
use crate::op::{Abilities, Op};
use crate::plan::{Planner, Settings};

fn arming(policy: &str, rate: u64) -> Arming {
    let ceiling = Ceiling { rate: mbit(rate), ceil: None, burst: None };
    let prefix: Prefix = "10.1.0.0/16".parse().unwrap();
    Arming {
        policy: policy.into(),
        enforce: Enforce::Steer,
        prefixes: vec![prefix],
        ports: Vec::new(),
        hold: Armed::Rate(ceiling),
    }
}

/// Once is enough, in whatever state.
#[test]
fn releasing_all_once_leaves_nothing() {
    for time in [0, 5, 20, 60, 110, 150, 400, 2000] {
        let mut world = World::new(ALL);
        world.arming = vec![arming("to come", 2)];
        world.connect(&[0, 1, 2]);
        world.run(seconds(1));
        world.connect(&[0, 1]);
        world.wants = [steer(Wanted::Rate(2)), steer(Wanted::Backup), None];
        world.run(millis(time));
        world.connect(&[2]);
        assert!(!world.is_untouched());
        let ops = world.planner.release_all(&world.view());
        world.apply(&ops);
        assert!(world.is_untouched(), "after {time} ms: {:?}", world.kernel);
    }
}

#[test]
fn an_element_of_the_dead_is_taken_out() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = always(Wanted::Both(2));
    world.run(seconds(2));
    assert_eq!(world.kernel.elements.len(), 2);
    world.kill(subflows[0]);
    world.turn();
    assert!(world.kernel.elements.is_empty());
    world.turn();
    assert!(world.ops.iter().all(|op| op.as_str() != "remove"));
}

/// A slot is another's only when whatever may point to it has timed out.
#[test]
fn a_slot_cools_for_a_lease() {
    let mut world = World::new(ALL);
    world.planner = Planner::new(ALL, Settings { slots: 1, lease: LEASE, passing: false });
    world.connect(&[0, 1]);
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(2));
    world.wants = [None, steer(Wanted::Rate(2)), None];
    world.turn();
    let left = world.at;
    world.run(LEASE);
    assert!(world.kernel.elements.is_empty(), "there is no class left");
    world.run(seconds(2));
    let put = world.log.iter().rev().find(|(_, op, _)| op.as_str() == "put").unwrap().0;
    assert_eq!(world.kernel.elements.len(), 1);
    assert!(put - left >= LEASE);
}

/// Classes change owners for ever, and none is lost.
#[test]
fn slots_are_not_lost() {
    let mut world = World::new(ALL);
    world.planner = Planner::new(ALL, Settings { slots: 6, lease: LEASE, passing: false });
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = always(Wanted::Both(2));
    for round in 0..20 {
        // Always from one class straight into another.
        world.edition = round;
        world.run(seconds(25));
        let way = (subflows[0], Direction::Download);
        assert!(world.kernel.elements.contains_key(&way), "round {round}");
    }
}

#[test]
fn classes_of_policies_that_arm_no_more_are_given_back() {
    let mut world = World::new(ALL);
    world.planner = Planner::new(ALL, Settings { slots: 2, lease: LEASE, passing: false });
    for round in 0..6 {
        world.arming = vec![arming(&format!("policy {round}"), 2)];
        world.run(seconds(25));
        let [(_, slot)] = world.kernel.armed.as_slice() else { panic!("not armed") };
        assert!(slot.is_some(), "round {round}");
    }
    let arms = world.said("arm");
    // None is left for the third: that is said once, not in every turn.
    world.arming = (0..3).map(|number| arming(&format!("one of many {number}"), 2)).collect();
    world.run(seconds(60));
    assert!((1..=3).contains(&(world.said("arm") - arms)), "{}", world.said("arm") - arms);
    assert_eq!(world.kernel.armed.iter().filter(|(_, slot)| slot.is_some()).count(), 2);
}

/// A rule that could not be taken back still puts packets into its class.
#[test]
fn a_class_that_is_still_armed_is_nobody_elses() {
    let mut world = World::new(ALL);
    world.planner = Planner::new(ALL, Settings { slots: 1, lease: LEASE, passing: false });
    world.arming = vec![arming("to come", 2)];
    world.connect(&[0, 1]);
    world.run(seconds(1));
    world.fates.insert("arm", Fate::Fails);
    world.arming.clear();
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(30));
    assert!(world.kernel.elements.is_empty());
    world.fates.clear();
    world.run(seconds(12));
    assert_eq!(world.kernel.elements.len(), 1);
}

/// One that joined under a rule is taken out of its class, where that is not what its policy wants.
#[test]
fn what_a_rule_did_is_taken_back() {
    for (want, stays) in [(None, false), (steer(Wanted::Backup), false), (steer(Wanted::Rate(2)), true)] {
        for abilities in [ALL, Abilities { pace: false, ..ALL }] {
            let mut world = World::new(abilities);
            world.arming = vec![arming("to come", 2)];
            world.connect(&[1]);
            world.run(seconds(1));
            world.wants[0] = want.clone();
            let joined = world.join(0, 0);
            let (_, slot) = world.kernel.armed[0].clone();
            world.kernel.elements.insert((joined, Direction::Download), (slot.unwrap(), world.at + LEASE));
            world.run(seconds(1));
            let in_class = world.kernel.elements.contains_key(&(joined, Direction::Download));
            assert_eq!(in_class, stays && abilities.pace, "{want:?} {abilities:?}");
            let removals = world.said("remove");
            world.run(seconds(10));
            assert_eq!(world.said("remove"), removals, "once is enough");
        }
    }
}

/// Bound from the start, and let go when nothing joined that is to be held.
#[test]
fn a_bound_from_accept_is_lifted() {
    let mut world = World::new(ALL);
    world.arming = vec![arming("to come", 2)];
    world.turn();
    assert!(world.kernel.from_accept.is_some());
    world.connect(&[1]);
    world.run(millis(300));
    assert_eq!(world.kernel.bound.len(), 1);
    world.run(millis(400));
    assert!(world.kernel.bound.is_empty());
    // One that is held meanwhile keeps it, as long as it is.
    world.wants[0] = steer(Wanted::Rate(2));
    world.connect(&[0, 1]);
    world.run(seconds(2));
    assert_eq!(world.kernel.bound.len(), 1);
    world.wants[0] = None;
    world.run(millis(200));
    assert!(world.kernel.bound.is_empty());
    assert!(matches!(world.log.last().unwrap().1, Op::BoundUnsent { bytes: None, .. }));
}

/// With nothing new there is nothing to do but renew leases.
#[test]
fn what_is_constant_needs_leases_only() {
    let mut world = World::new(ALL);
    world.arming = vec![arming("to come", 2)];
    (0..5).for_each(|_| drop(world.connect(&[0, 1, 2])));
    world.wants = [steer(Wanted::Rate(2)), steer(Wanted::Backup), None];
    world.run(seconds(5));
    let before = world.log.len();
    world.run(seconds(30));
    let mut kinds = BTreeMap::<_, usize>::new();
    world.log[before..].iter().for_each(|(_, op, _)| *kinds.entry(op.as_str()).or_default() += 1);
    assert_eq!(kinds.keys().collect::<Vec<_>>(), [&"put"]);
    assert!(kinds["put"] <= 5 * 30 / 2, "{kinds:?}");
}

/// What passes is capped once it is known what it carries; a contract does not wait.
#[test]
fn on_a_router_only_contracts_hold_what_joins() {
    for (enforce, armed) in [(Enforce::Steer, 0), (Enforce::Always, 1)] {
        let mut world = World::new(Abilities { demote: false, pace: false, cap: true, proxy: false });
        world.planner = Planner::new(ALL, Settings { slots: 1000, lease: LEASE, passing: true });
        world.arming = vec![Arming { enforce, ..arming("to come", 2) }];
        world.run(seconds(1));
        assert_eq!(world.kernel.armed.len(), armed, "{enforce:?}");
    }
}
