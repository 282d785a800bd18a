//! Operations that fail, and subflows that are gone.

use super::world::*;
use crate::intent::Direction;
use crate::op::{Abilities, Op};

/// Each is tried again with growing pauses, for as long as it fails, and then done.
#[test]
fn what_fails_is_tried_again_with_pauses() {
    for kind in ["demote", "pace", "put", "set-class", "bound-unsent", "promote", "unpace", "remove", "close"] {
        let mut world = World::new(ALL);
        world.connect(&[0, 1]);
        world.run(seconds(1));
        if matches!(kind, "promote" | "unpace" | "remove") {
            world.wants[0] = steer(if kind == "promote" { Wanted::Backup } else { Wanted::Rate(2) });
            world.run(seconds(2));
            world.wants[0] = None;
        } else {
            world.wants[0] = steer(if kind == "close" { Wanted::Closed } else { Wanted::Rate(2) });
        }
        let before = world.said(kind);
        world.fates.insert(kind, Fate::Fails);
        world.run(seconds(60));
        let tries = world.said(kind) - before;
        let most = if matches!(kind, "set-class" | "bound-unsent") { 61 } else { 14 };
        assert!((4..=most).contains(&tries), "{kind}: {tries} tries in a minute");
        let times: Vec<_> =
            world.log.iter().filter(|(_, op, done)| op.as_str() == kind && !done).map(|(at, ..)| *at).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= millis(100)), "{kind}: {times:?}");
        // Nothing else is done over and over in its place.
        assert!(world.log.len() < 200, "{kind}: {} operations", world.log.len());
        world.fates.clear();
        // Two of them have another rung to fall back to, and stay there.
        if !matches!(kind, "demote" | "pace") {
            world.run(seconds(12));
            assert!(world.log.iter().rev().any(|(_, op, done)| op.as_str() == kind && *done), "{kind}");
        }
        let ops = world.planner.release_all(&world.view());
        world.apply(&ops);
        assert!(world.is_untouched(), "{kind}: {:?}", world.kernel);
    }
}

/// A kernel that knows it no more, while it is still seen: nothing is done for a while, and no state of it is believed.
#[test]
fn what_is_gone_is_left_alone() {
    for kind in ["demote", "pace", "put"] {
        let mut world = World::new(ALL);
        world.connect(&[0, 1]);
        world.run(seconds(1));
        world.wants[0] = steer(Wanted::Rate(2));
        world.fates.insert(kind, Fate::Gone);
        world.run(seconds(10));
        assert!((3..=10).contains(&world.said(kind)), "{kind}: {}", world.said(kind));
        world.fates.clear();
        world.run(seconds(15));
        assert_eq!(world.kernel.paced.values().collect::<Vec<_>>(), [&1_880_000], "{kind}");
    }
}

/// A connection that is gone needs no bound, and nobody says so forever.
#[test]
fn what_a_connection_is_told_when_it_is_gone_counts_as_done() {
    let mut world = World::new(ALL);
    world.connect(&[0, 1]);
    world.run(seconds(1));
    world.fates.insert("bound-unsent", Fate::Gone);
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(10));
    assert_eq!(world.said("bound-unsent"), 1);
}

/// Giving back does not wait for what failed before, and one that is stuck is no way out for another.
#[test]
fn what_is_stuck_is_no_way_out() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Backup);
    world.run(seconds(1));
    world.fates.insert("promote", Fate::Fails);
    world.wants = [None, steer(Wanted::Backup), None];
    world.turn();
    world.at += millis(100);
    world.turn();
    // The first is still demoted, so that the second may not be.
    assert!(world.ops.iter().any(|op| matches!(op, Op::Promote(key) if *key == subflows[1])), "{:?}", world.ops);
    world.fates.clear();
    world.run(seconds(15));
    assert_eq!(world.kernel.demoted.iter().collect::<Vec<_>>(), [&subflows[1]]);
}

#[test]
fn what_was_tried_in_vain_is_given_back_at_once_when_the_other_dies() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Rate(2));
    world.fates.insert("promote", Fate::Fails);
    world.run(seconds(5));
    assert_eq!(world.kernel.demoted.len(), 1);
    world.fates.clear();
    world.kill(subflows[1]);
    world.turn();
    assert!(world.kernel.demoted.is_empty() && world.kernel.paced.is_empty() && world.kernel.elements.is_empty());
}

/// Somebody else who promotes it again and again gets his way.
#[test]
fn a_demotion_that_does_not_stay_is_given_up() {
    let mut world = World::new(Abilities { pace: false, ..ALL });
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Backup);
    for _ in 0..600 {
        world.run(millis(100));
        world.subflow(subflows[0]).backup_by_us = false;
    }
    assert_eq!(world.said("demote"), 4);
    assert!(world.planner.explain(subflows[0]).but.iter().any(|but| but.contains("somebody else")));
}

/// Nothing is put into a class that could not be made, once that is known.
#[test]
fn a_class_comes_before_its_members() {
    let mut world = World::new(ALL);
    world.connect(&[0, 1]);
    world.run(seconds(1));
    world.fates.insert("set-class", Fate::Fails);
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(5));
    assert_eq!(world.said("put"), 1);
    world.fates.clear();
    world.run(seconds(2));
    assert!(world.kernel.classes.len() == 1 && world.kernel.elements.len() == 1);
    // One that cannot be changed stays what it was, and whoever is in it stays there.
    world.fates.insert("set-class", Fate::Fails);
    world.wants[0] = steer(Wanted::Rate(5));
    world.run(seconds(20));
    assert_eq!((world.kernel.elements.len(), world.said("remove")), (1, 0));
    let puts = world.log.iter().filter(|(_, op, _)| matches!(op, Op::Put { direction: Direction::Download, .. }));
    assert!(puts.count() > 4, "leases are renewed all the same");
}
