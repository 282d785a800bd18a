//! A rate too small for all that share it goes to as many as can use it.

use super::world::*;
use crate::intent::Direction;
use crate::view::SubflowKey;

/// Fifty connections that share 2 Mbit/s: seven times 250 kbit/s.
fn crowd() -> (World, Vec<SubflowKey>) {
    let mut world = World::new(ALL);
    world.lines = [1000, 1000, 0];
    let all = (0..50).map(|_| world.connect(&[0, 1])[0]).collect();
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(3));
    (world, all)
}

fn inside(world: &World, all: &[SubflowKey]) -> Vec<SubflowKey> {
    all.iter().copied().filter(|key| !world.kernel.demoted.contains(key)).collect()
}

#[test]
fn as_many_are_let_in_as_can_use_it() {
    let (mut world, all) = crowd();
    let first = inside(&world, &all);
    assert_eq!(first.len(), 7);
    let sum: u64 = first.iter().map(|key| world.kernel.paced[key]).sum();
    assert!((1_800_000..=1_900_000).contains(&sum), "{sum}");
    // They stay: nobody is turned out while it uses its place.
    let before = world.log.iter().filter(|(_, op, _)| matches!(op.as_str(), "promote" | "demote")).count();
    world.run(seconds(5));
    assert_eq!(inside(&world, &all), first);
    assert_eq!(world.log.iter().filter(|(_, op, _)| matches!(op.as_str(), "promote" | "demote")).count(), before);
}

#[test]
fn who_does_not_use_its_place_loses_it() {
    let (mut world, all) = crowd();
    let first = inside(&world, &all);
    for connection in world.connections.iter_mut().filter(|one| one.key == first[0].connection) {
        connection.subflows.iter_mut().for_each(|one| one.timeouts = 1);
    }
    world.run(seconds(4));
    let now: Vec<_> = inside(&world, &all).into_iter().filter(|key| *key != first[0]).collect();
    assert_eq!(now.len(), 7);
    assert!(first[1..].iter().all(|key| now.contains(key)));
}

#[test]
fn a_higher_rate_has_places_for_all() {
    let (mut world, all) = crowd();
    world.wants[0] = steer(Wanted::Rate(20));
    world.run(seconds(3));
    assert_eq!(inside(&world, &all).len(), 50);
    world.wants[0] = None;
    world.run(seconds(2));
    assert!(world.is_untouched());
}

/// What is too small for one is nobody's, as long as each has another way.
#[test]
fn a_rate_too_small_for_one_has_no_places() {
    let (mut world, all) = crowd();
    for (kbit, places) in [(300, 1), (200, 0)] {
        world.wants[0] = steer(Wanted::Kbit(kbit));
        world.run(seconds(3));
        assert_eq!(inside(&world, &all).len(), places, "{kbit} kbit/s");
    }
}

/// A contract that holds all subflows of a connection: some wait, and never all of them.
#[test]
fn the_last_one_is_not_kept_out() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 0, 0, 0, 0]);
    world.run(seconds(1));
    world.wants[0] = always(Wanted::Rate(1));
    world.run(seconds(2));
    assert_eq!(inside(&world, &subflows).len(), 3);
    for key in &subflows[..4] {
        world.kill(*key);
        world.run(seconds(2));
        assert!(!inside(&world, &subflows).is_empty());
    }
}

/// A pace that is raised holds from the next acknowledgement on: what waits would be sent at the old one first.
#[test]
fn who_waits_is_not_paced_to_a_crawl() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Kbit(64));
    world.run(seconds(1));
    assert!(world.kernel.demoted.contains(&subflows[0]));
    assert_eq!(world.kernel.paced[&subflows[0]], 4_000_000);
    world.wants[0] = steer(Wanted::Kbit(300));
    world.run(seconds(1));
    assert!(!world.kernel.demoted.contains(&subflows[0]));
    assert_eq!(world.kernel.paced[&subflows[0]], 282_000);
}

/// What the kernel gives a backup when nothing else gets through would stand in a class of such a rate, and be overtaken.
#[test]
fn who_has_no_place_is_in_no_class_unless_by_contract() {
    for (want, inside) in
        [(steer(Wanted::Kbit(64)), false), (steer(Wanted::Kbit(300)), true), (always(Wanted::Kbit(64)), true)]
    {
        let mut world = World::new(ALL);
        let held = world.connect(&[0, 1])[0];
        world.run(seconds(1));
        world.wants[0] = want.clone();
        world.run(seconds(2));
        assert_eq!(world.kernel.elements.contains_key(&(held, Direction::Download)), inside, "{want:?}");
        world.wants[0] = steer(Wanted::Rate(2));
        world.run(seconds(2));
        assert!(world.kernel.elements.contains_key(&(held, Direction::Download)));
    }
}
