//! What is done where not everything can be.

use std::time::Duration;

use super::world::*;
use crate::intent::{Direction, LeftFree};
use crate::op::{Abilities, Op};

/// Without a priority to change: little unsent first, then down by halves, and the class last.
#[test]
fn without_demotion_a_busy_socket_is_eased_down() {
    let mut world = World::new(Abilities { demote: false, ..ALL });
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(2));
    assert_eq!((world.said("demote"), world.said("promote")), (0, 0));
    let paces: Vec<_> = world
        .log
        .iter()
        .filter_map(|(at, op, _)| match op {
            Op::Pace { rate, unsent, .. } => {
                assert_eq!(*unsent, 4096);
                Some((*at, rate.bits_per_second()))
            }
            _ => None,
        })
        .collect();
    assert!(paces[0].1 > 1000 * MBIT, "no limit at first: {paces:?}");
    assert!((millis(300)..=millis(700)).contains(&(paces[1].0 - paces[0].0)), "{paces:?}");
    assert!(paces[1].1 < 21 * MBIT);
    for pair in paces[1..].windows(2) {
        assert!(pair[1].1 >= pair[0].1 / 2 && pair[1].0 - pair[0].0 >= millis(50), "{paces:?}");
    }
    assert_eq!(paces.last().unwrap().1, 1_880_000);
    let reached = paces.last().unwrap().0;
    assert!(reached - paces[1].0 < millis(400), "{paces:?}");
    let put = world.log.iter().find(|(_, op, _)| op.as_str() == "put").unwrap().0;
    assert!(put >= reached, "the class is no wall to run into");
    assert_eq!(world.rate(subflows[0], seconds(1)), 1);
    assert_eq!(world.planner.in_transition().next(), None);
}

/// On its way down it is let go like any other, and begins anew.
#[test]
fn easing_is_taken_back() {
    let mut world = World::new(Abilities { demote: false, ..ALL });
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(millis(200));
    assert_eq!(world.kernel.paced.len(), 1);
    world.kill(subflows[1]);
    world.turn();
    world.turn();
    assert!(world.is_untouched());
    world.join(0, 1);
    world.run(seconds(3));
    assert_eq!(world.kernel.paced[&subflows[0]], 1_880_000);
}

#[test]
fn without_pacing_it_is_let_in_for_moments() {
    let mut world = World::new(Abilities { pace: false, ..ALL });
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Rate(4));
    world.run(seconds(1));
    let (before, promotions) = (world.subflow(subflows[0]).sent, world.said("promote"));
    world.run(seconds(5));
    let carried = (world.subflow(subflows[0]).sent - before) * 8 / 5;
    assert!((3_000_000..=4_800_000).contains(&carried), "{carried}");
    let promotions = world.said("promote") - promotions;
    assert!((5..=250).contains(&promotions), "{promotions} in 5 s");
    assert!(world.kernel.elements.is_empty() && world.kernel.paced.is_empty());
    world.wants[0] = None;
    world.run(seconds(1));
    assert!(world.is_untouched());
}

/// Behind the socket a busy subflow is capped to no less than half of what it carried, once that is known.
#[test]
fn a_cap_alone_halves_at_most() {
    let mut world = World::new(Abilities { demote: false, pace: false, cap: true, proxy: false });
    world.passing = true;
    let subflows = world.connect(&[0, 1]);
    world.carry(seconds(1));
    world.wants[0] = steer(Wanted::Rate(2));
    world.turn();
    assert!(world.kernel.elements.is_empty(), "nobody knows yet what it carries");
    world.run(seconds(3));
    let (slot, _) = world.kernel.elements[&(subflows[0], Direction::Download)];
    let rate = world.kernel.classes[&slot].rate.bits_per_second();
    assert!((20 * MBIT..=22 * MBIT).contains(&rate), "{rate}");
    world.wants[0] = always(Wanted::Rate(2));
    world.run(seconds(1));
    let (slot, _) = world.kernel.elements[&(subflows[0], Direction::Download)];
    assert_eq!(world.kernel.classes[&slot].rate, mbit(2));
}

/// What the wire tells is up to a second old: a count that stands still for that long says nothing of a rate.
#[test]
fn what_is_old_is_not_taken_for_idle() {
    let mut world = World::new(Abilities { demote: false, pace: false, cap: true, proxy: false });
    world.passing = true;
    world.connect(&[0, 1]);
    world.carry(seconds(1));
    world.wants[0] = steer(Wanted::Rate(2));
    for _ in 0..4 {
        let told = world.connections.clone();
        for _ in 0..10 {
            world.carry(Duration::from_millis(100));
            let known = std::mem::replace(&mut world.connections, told.clone());
            world.turn();
            world.connections = known;
        }
    }
    let rates: Vec<_> = world.kernel.classes.values().map(|class| class.rate.bits_per_second() / MBIT).collect();
    assert!(!rates.is_empty() && rates.iter().all(|rate| (19..=22).contains(rate)), "{rates:?}");
}

/// Priorities of what passes are not ours, and nothing is tried.
#[test]
fn what_passes_is_neither_demoted_nor_closed() {
    for want in [Wanted::Backup, Wanted::Closed] {
        for want in [steer(want), always(want)] {
            let mut world = World::new(ALL);
            world.passing = true;
            world.connect(&[0, 1]);
            world.wants[0] = want;
            world.run(seconds(2));
            assert!(world.log.is_empty(), "{:?}", world.log);
            assert_eq!(world.planner.in_transition().next(), None);
        }
    }
}

#[test]
fn without_any_ability_nothing_is_said() {
    let mut world = World::new(Abilities::NONE);
    world.connect(&[0, 1]);
    world.wants = [steer(Wanted::Rate(2)), None, None];
    world.run(seconds(2));
    world.wants = [steer(Wanted::Backup), None, None];
    world.run(seconds(2));
    assert!(world.log.is_empty(), "{:?}", world.log);
}

/// Who cannot be demoted may still be paced, and the connection is asked no more.
#[test]
fn a_connection_that_refuses_priorities_is_eased() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.fates.insert("demote", Fate::Fails);
    world.wants[0] = steer(Wanted::Rate(2));
    assert_eq!(world.planner.failing(), None);
    world.turn();
    let failing = world.planner.failing();
    assert!(
        failing.as_ref().is_some_and(|(count, why)| *count == 1 && why.contains("demote failed once")),
        "{failing:?}"
    );
    world.run(seconds(6));
    assert_eq!(world.said("demote"), 4);
    assert_eq!(world.planner.failing(), None, "it is given up");
    let said: Vec<_> = world.planner.take_changes().iter().map(ToString::to_string).collect();
    assert_eq!(said.iter().filter(|change| change.contains("demote cannot be done")).count(), 1, "{said:?}");
    assert_eq!(world.kernel.paced[&subflows[0]], 1_880_000);
    assert_eq!(world.rate(subflows[0], seconds(1)), 1);
    assert!(world.planner.explain(subflows[0]).but.iter().any(|but| but.contains("priority")));
    assert_eq!(world.planner.undemotable(), 1);
}

/// What is wanted of such a connection and is not done is told apart from what is held.
#[test]
fn what_can_be_neither_demoted_nor_closed_is_beyond() {
    for want in [Wanted::Backup, Wanted::Closed] {
        let mut world = World::new(ALL);
        let subflows = world.connect(&[0, 1]);
        world.run(seconds(1));
        world.fates.insert("demote", Fate::Fails);
        world.wants[0] = steer(Wanted::Backup);
        world.turn();
        assert!(world.planner.beyond().is_empty(), "it may work yet");
        world.run(seconds(6));
        world.wants[0] = steer(want);
        world.run(seconds(1));
        assert_eq!(world.planner.beyond().into_iter().collect::<Vec<_>>(), [subflows[0]], "{want:?}");
        world.wants[0] = None;
        world.run(seconds(1));
        assert!(world.planner.beyond().is_empty(), "{want:?}");
    }
    let mut world = World::new(ALL);
    world.connect(&[0, 1]);
    world.wants[0] = steer(Wanted::Backup);
    world.run(seconds(1));
    assert!(world.planner.beyond().is_empty(), "it is held");
}

/// A policy that has a subflow and is open is named; what another one wants goes before.
#[test]
fn what_is_left_free_is_explained_by_the_policy_that_leaves_it() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = steer(Wanted::Backup);
    world.run(seconds(1));
    let left = LeftFree {
        policy: "spare".into(),
        path: "lte".into(),
        subscriber: "10.1.0.2".into(),
        enforce: anabranch_config::Enforce::Steer,
        wants: "nothing, it is open",
        evidence: ["open for 5.8 s".to_owned()].into(),
    };
    let said = |key, left| world.planner.explain(key).or_left(left).to_string();
    let open = "  path lte, subscriber 10.1.0.2\n  policy \"spare\" (steers): nothing, it is open\n  because open for 5.8 s\n  action: nothing";
    assert!(said(subflows[1], Some(&left)).contains(open), "{}", said(subflows[1], Some(&left)));
    assert!(said(subflows[1], None).contains("no policy wants anything of it"));
    assert_eq!(said(subflows[0], Some(&left)), said(subflows[0], None));
}
