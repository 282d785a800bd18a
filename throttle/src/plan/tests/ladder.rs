//! The way of one subflow: what is done in which state when what happens.

use anabranch_config::Enforce;

use super::world::*;
use crate::op::Op;
use crate::view::SubflowKey;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Draining,
    Paced,
    Held,
    Backup,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Nothing,
    Drained,
    Undrained,
    Released,
    Rate(u64),
    Backup,
    Closed,
    OtherDies,
    OtherTimesOut,
    OtherIsBackup,
    OtherIsHeld,
    Dies,
    /// Somebody else promotes it, and it is seen for some time.
    Promoted,
    /// Seconds go by.
    Waits(u64),
}

/// A world in which the first subflow is in a state, and what was done so far; the second is free.
fn world(state: State) -> (World, SubflowKey, SubflowKey) {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.carry(millis(200));
    world.turn();
    if state == State::Free {
        return (world, subflows[0], subflows[1]);
    }
    world.wants[0] = steer(if state == State::Backup { Wanted::Backup } else { Wanted::Rate(2) });
    world.subflow(subflows[0]).queued = Some(50_000);
    world.turn();
    if matches!(state, State::Paced | State::Held) {
        world.subflow(subflows[0]).queued = Some(0);
        world.turn();
    }
    if state == State::Held {
        world.turn();
    }
    (world, subflows[0], subflows[1])
}

/// What is done about the first subflow.
fn next(state: State, event: Event) -> Vec<&'static str> {
    let (mut world, subflow, other) = world(state);
    let mut pass = millis(100);
    match event {
        Event::Nothing => {}
        Event::Drained => world.subflow(subflow).queued = Some(0),
        Event::Undrained => world.subflow(subflow).queued = Some(1),
        Event::Released => world.wants[0] = None,
        Event::Rate(rate) => world.wants[0] = steer(Wanted::Rate(rate)),
        Event::Backup => world.wants[0] = steer(Wanted::Backup),
        Event::Closed => world.wants[0] = steer(Wanted::Closed),
        Event::OtherDies => world.kill(other),
        Event::OtherTimesOut => world.subflow(other).timeouts = 1,
        Event::OtherIsBackup => world.subflow(other).backup_by_client = true,
        Event::OtherIsHeld => world.wants[1] = steer(Wanted::Backup),
        Event::Dies => world.kill(subflow),
        Event::Promoted => {
            world.subflow(subflow).backup_by_us = false;
            pass = seconds(2);
        }
        Event::Waits(time) => pass = seconds(time),
    }
    world.at += pass;
    let ops = world.turn();
    ops.iter().filter(|op| op.subflow() == Some(subflow)).map(Op::as_str).collect()
}

#[test]
fn every_state_and_event_has_its_step() {
    use Event::*;
    let (all, held) = (["promote", "remove", "unpace"].as_slice(), ["remove", "unpace"].as_slice());
    let (all_off, let_off) = (["promote", "remove", "pace"].as_slice(), ["remove", "pace"].as_slice());
    let table: [(State, Event, &[&str]); 44] = [
        (State::Free, Nothing, &[]),
        (State::Free, Rate(2), &["demote"]),
        (State::Free, Event::Backup, &["demote"]),
        (State::Free, Closed, &["close"]),
        (State::Free, OtherDies, &[]),
        (State::Draining, Nothing, &[]),
        (State::Draining, Drained, &["put", "pace"]),
        (State::Draining, Undrained, &[]),
        (State::Draining, Waits(1), &[]),
        (State::Draining, Rate(10), &[]),
        (State::Draining, Released, &["promote"]),
        (State::Draining, OtherDies, &["promote"]),
        (State::Draining, OtherTimesOut, &["promote"]),
        (State::Draining, OtherIsHeld, &["promote"]),
        (State::Draining, Event::Backup, &[]),
        (State::Draining, Closed, &["close"]),
        (State::Draining, Dies, &[]),
        (State::Draining, Promoted, &["demote"]),
        (State::Paced, Nothing, &["promote"]),
        (State::Paced, Undrained, &[]),
        (State::Paced, Rate(10), &["pace"]),
        (State::Paced, Released, all_off),
        (State::Paced, OtherDies, all),
        (State::Paced, Event::Backup, &["remove", "unpace"]),
        (State::Paced, Dies, &["remove"]),
        (State::Held, Nothing, &[]),
        (State::Held, Undrained, &[]),
        (State::Held, Rate(10), &["pace"]),
        (State::Held, Rate(1), &["pace"]),
        (State::Held, Released, let_off),
        (State::Held, OtherDies, held),
        (State::Held, OtherTimesOut, held),
        (State::Held, OtherIsBackup, held),
        (State::Held, OtherIsHeld, let_off),
        (State::Held, Event::Backup, &["demote", "remove"]),
        (State::Held, Closed, &["close"]),
        (State::Held, Dies, &["remove"]),
        (State::Held, Waits(4), &["put"]),
        (State::Backup, Nothing, &[]),
        (State::Backup, Rate(2), &[]),
        (State::Backup, Released, &["promote"]),
        (State::Backup, OtherDies, &["promote"]),
        (State::Backup, Closed, &["close"]),
        (State::Backup, Promoted, &["demote"]),
    ];
    for (state, event, expected) in table {
        // A lease's renewal is spread: between a quarter and a half of it.
        let waits = matches!(event, Waits(4));
        let event = if waits { Waits(5) } else { event };
        assert_eq!(next(state, event), expected, "{state:?} {event:?}");
    }
}

#[test]
fn a_rate_is_reached_and_given_back() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    assert!(world.kernel.classes.is_empty() && world.said("demote") == 0);
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(1));
    assert_eq!(world.rate(subflows[0], seconds(1)), 1);
    assert!(world.rate(subflows[1], seconds(1)) >= 39);
    assert_eq!(world.kernel.paced[&subflows[0]], 1_880_000);
    assert!(world.kernel.demoted.is_empty());
    let (slot, _) = world.kernel.elements[&(subflows[0], crate::intent::Direction::Download)];
    assert_eq!(world.kernel.classes[&slot].rate, mbit(2));
    // The bound comes before everything else.
    let first = world.log.iter().find(|(_, op, _)| op.as_str() != "set-class").unwrap();
    assert!(matches!(first.1, Op::BoundUnsent { bytes: Some(_), .. }), "{first:?}");
    world.wants[0] = None;
    world.turn();
    world.turn();
    // Its rate is lifted at once, what it may hold unsent when it has found its feet.
    assert!(world.kernel.paced[&subflows[0]] > 1_000 * MBIT && world.kernel.elements.is_empty());
    world.run(seconds(1));
    world.turn();
    assert!(world.is_untouched(), "{:?}", world.kernel);
    assert!(world.rate(subflows[0], seconds(1)) >= 39);
}

/// What has sent nothing needs neither demotion nor a drain.
#[test]
fn what_has_sent_nothing_is_paced_at_once() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = steer(Wanted::Rate(2));
    let ops: Vec<_> = world.turn().iter().map(Op::as_str).collect();
    assert_eq!(ops, ["bound-unsent", "set-class", "put", "pace"]);
    world.run(seconds(1));
    assert_eq!(world.rate(subflows[0], seconds(1)), 1);
    assert_eq!((world.said("demote"), world.said("promote")), (0, 0));
}

#[test]
fn a_rate_is_changed_without_demotion_or_steps() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = steer(Wanted::Rate(20));
    world.run(seconds(2));
    let demotions = world.said("demote");
    for (rate, paced) in [(2, 1_880_000), (30, 28_200_000), (5, 4_700_000)] {
        world.wants[0] = steer(Wanted::Rate(rate));
        world.turn();
        assert_eq!(world.kernel.paced[&subflows[0]], paced);
        world.run(seconds(1));
        assert_eq!(world.kernel.paced[&subflows[0]], paced);
    }
    assert_eq!(world.said("demote"), demotions);
}

#[test]
fn closed_is_closed_once() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Closed);
    // It stays in sight for a moment.
    let ops = world.planner.plan(&world.view(), &world.decisions());
    assert_eq!(ops, [Op::Close(subflows[0])]);
    world.planner.on_done(&ops[0], Ok(()), world.at);
    for _ in 0..10 {
        world.at += millis(100);
        assert_eq!(world.planner.plan(&world.view(), &world.decisions()), []);
    }
    // The last is not closed.
    world.kill(subflows[0]);
    world.wants[1] = steer(Wanted::Closed);
    world.run(seconds(2));
    assert_eq!(world.said("close"), 0);
}

#[test]
fn a_contract_holds_the_last_subflow_too() {
    for hold in [Wanted::Rate(2), Wanted::Both(2)] {
        let mut world = World::new(ALL);
        let subflows = world.connect(&[0]);
        world.wants[0] = always(hold);
        world.run(seconds(2));
        assert_eq!(world.rate(subflows[0], seconds(5)), 1, "{hold:?}");
        let ways = world.kernel.elements.keys().filter(|(key, _)| *key == subflows[0]).count();
        assert_eq!(ways, if hold == Wanted::Both(2) { 2 } else { 1 });
        assert_eq!(world.decisions().intents[0].enforce, Enforce::Always);
    }
}

/// A cap on what comes from a client holds up its whole connection: the client sends over a free one while there is one.
#[test]
fn a_contract_about_uploads_sets_its_subflow_aside_while_another_is_free() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = always(Wanted::Upload(2));
    world.turn();
    assert_eq!((world.kernel.demoted.len(), world.kernel.elements.len()), (1, 0), "what is on its way is let through");
    world.run(seconds(2));
    assert!(world.kernel.demoted.contains(&subflows[0]));
    assert_eq!(world.kernel.elements.keys().filter(|(key, _)| *key == subflows[0]).count(), 1, "the cap is behind it");
    let words = world.planner.explain(subflows[0]).to_string();
    assert!(words.contains("demoted (MP_PRIO), upload in class") && words.contains("over the free one"), "{words}");
    // With both held none is the free one, and neither is a backup.
    world.wants[1] = always(Wanted::Upload(2));
    world.run(seconds(2));
    assert_eq!((world.kernel.demoted.len(), world.kernel.elements.len()), (0, 2));
    world.wants[1] = None;
    world.run(seconds(2));
    assert_eq!(world.kernel.demoted.len(), 1);
    world.kill(subflows[1]);
    world.run(seconds(2));
    assert_eq!((world.kernel.demoted.len(), world.kernel.elements.len()), (0, 1), "the last one carries, at its rate");
}

/// Held again only when another one has lived for a while: one that comes and goes does not make it flap, and one that has just come
/// is still finding its rate.
#[test]
fn what_was_let_go_is_held_again_after_a_while() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = steer(Wanted::Backup);
    world.run(seconds(1));
    assert_eq!(world.kernel.demoted.len(), 1);
    world.kill(subflows[1]);
    world.turn();
    assert!(world.kernel.demoted.is_empty());
    for _ in 0..5 {
        let other = world.join(0, 1);
        world.run(millis(850));
        assert!(world.kernel.demoted.is_empty());
        world.kill(other);
        world.run(millis(100));
    }
    world.join(0, 1);
    world.run(millis(1_300));
    assert_eq!(world.kernel.demoted.iter().collect::<Vec<_>>(), [&subflows[0]]);
}

/// The same where nothing was wanted of it when the other one came.
#[test]
fn nobody_is_put_on_what_has_just_come() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0]);
    world.run(seconds(3));
    world.join(0, 1);
    world.run(millis(200));
    world.wants[0] = steer(Wanted::Backup);
    world.run(millis(600));
    assert!(world.kernel.demoted.is_empty());
    world.run(millis(500));
    assert_eq!(world.kernel.demoted.iter().collect::<Vec<_>>(), [&subflows[0]]);
}

/// What nothing gets through is kept out of the scheduler's way where a policy has a hand in the connection, and only there.
#[test]
fn what_is_dead_is_a_backup_until_something_gets_through() {
    let mut world = World::new(ALL);
    let ours = world.connect(&[0, 1]);
    let others = world.connect(&[1, 1]);
    world.wants[0] = steer(Wanted::Rate(2));
    world.run(seconds(2));
    for key in [ours[1], others[1]] {
        world.subflow(key).timeouts = 1;
    }
    world.run(millis(300));
    assert_eq!(world.kernel.demoted.iter().collect::<Vec<_>>(), [&ours[1]]);
    world.subflow(ours[1]).timeouts = 0;
    world.wants[0] = None;
    world.run(seconds(2));
    assert!(world.kernel.demoted.is_empty());
}

#[test]
fn what_is_not_verified_is_neither_held_nor_a_way_out() {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.wants[0] = steer(Wanted::Backup);
    world.subflow(subflows[0]).verified = false;
    world.run(seconds(1));
    assert_eq!(world.said("demote"), 0);
    world.subflow(subflows[0]).verified = true;
    world.subflow(subflows[1]).verified = false;
    world.run(seconds(1));
    assert_eq!(world.said("demote"), 0);
    world.subflow(subflows[1]).verified = true;
    world.run(millis(1_200));
    assert_eq!(world.said("demote"), 1);
}

/// Fifty connections under one rate: together they fill it.
#[test]
fn many_share_one_class() {
    let mut world = World::new(ALL);
    world.lines = [1000, 1000, 0];
    let all: Vec<_> = (0..50).map(|_| world.connect(&[0, 1])[0]).collect();
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Rate(20));
    world.run(seconds(2));
    let slots: std::collections::BTreeSet<_> = world.kernel.elements.values().map(|(slot, _)| *slot).collect();
    assert_eq!((slots.len(), world.kernel.elements.len()), (1, 50));
    let sum: u64 = world.kernel.paced.values().sum();
    assert!((18_600_000..=18_800_000).contains(&sum), "{sum}");
    // Who has nothing to send leaves it to the others.
    for key in &all[10..] {
        world.connections.iter_mut().find(|one| one.key == key.connection).unwrap().subflows[0].timeouts = 1;
    }
    world.run(seconds(3));
    assert!(all[..10].iter().all(|key| (1_840_000..=1_880_000).contains(&world.kernel.paced[key])));
}

#[test]
fn leases_are_renewed_in_time_and_not_all_at_once() {
    let mut world = World::new(ALL);
    (0..50).for_each(|_| drop(world.connect(&[0, 1])));
    world.wants[0] = steer(Wanted::Rate(20));
    world.run(seconds(1));
    let before = world.log.len();
    for _ in 0..300 {
        world.run(millis(100));
        assert!(world.kernel.elements.values().all(|(_, until)| *until > world.at + LEASE / 3));
        assert_eq!(world.kernel.elements.len(), 50);
    }
    let turns = world.log[before..].chunk_by(|one, two| one.0 == two.0);
    let most = turns.map(<[_]>::len).max().unwrap();
    assert!((1..=10).contains(&most), "{most} at once");
}

/// What is on its way is looked at often, and nothing else is.
#[test]
fn only_what_drains_is_in_transition() {
    let (world, subflow, _) = world(State::Draining);
    assert_eq!(world.planner.in_transition().collect::<Vec<_>>(), [subflow]);
    for state in [State::Free, State::Held, State::Backup] {
        assert_eq!(super::ladder::world(state).0.planner.in_transition().next(), None, "{state:?}");
    }
    // One that does not drain is brought down to its pace instead, and that has an end.
    let (mut world, subflow, _) = super::ladder::world(State::Draining);
    for _ in 0..40 {
        world.at += millis(100);
        world.turn();
    }
    assert!(world.kernel.paced[&subflow] <= 2 * MBIT);
    assert!(world.kernel.elements.contains_key(&(subflow, crate::intent::Direction::Download)));
    assert_eq!(world.planner.in_transition().next(), None);
}

/// A world whose first subflow was a backup for three seconds, and is no more to be one.
fn was_backup() -> (World, Vec<SubflowKey>) {
    let mut world = World::new(ALL);
    let subflows = world.connect(&[0, 1]);
    world.run(seconds(1));
    world.wants[0] = steer(Wanted::Backup);
    world.run(seconds(3));
    world.wants[0] = None;
    (world, subflows)
}

/// Nothing was sent on it that could have been lost: whether its path still works is asked before anything is.
#[test]
fn what_was_silent_is_asked_before_it_is_let_in() {
    let (mut world, subflows) = was_backup();
    world.subflow(subflows[0]).heard = Some(seconds(3));
    world.turn();
    assert!(matches!(world.ops[..], [Op::Pace { probe: true, .. }]), "{:?}", world.ops);
    assert!(world.kernel.paced[&subflows[0]] >= 4_000_000);
    // No answer: it stays a backup, and no way out for others, and is asked now and then.
    world.wants[1] = steer(Wanted::Rate(2));
    let asked = world.said("pace");
    for _ in 0..60 {
        world.at += millis(100);
        let silent = world.subflow(subflows[0]).heard.map(|heard| heard + millis(100));
        world.subflow(subflows[0]).heard = silent;
        world.turn();
    }
    assert!(world.kernel.demoted.contains(&subflows[0]) && world.kernel.demoted.len() == 1);
    assert_eq!(world.said("pace") - asked, 1);
    assert!(!world.kernel.paced.contains_key(&subflows[1]));
    assert!(world.planner.explain(subflows[0]).action.contains("sign of life"));
    // An answer.
    world.at += millis(20);
    world.subflow(subflows[0]).heard = Some(millis(5));
    world.turn();
    assert!(!world.kernel.demoted.contains(&subflows[0]));
    world.wants[1] = None;
    world.run(seconds(2));
    assert!(world.is_untouched());
}

/// One that was heard of lately is let in at once.
#[test]
fn what_was_not_silent_is_not_asked() {
    let (mut world, subflows) = was_backup();
    world.turn();
    assert!(!world.kernel.demoted.contains(&subflows[0]) && world.kernel.paced.is_empty());
}

/// The kernel sends again as a whole only if the way that is left does not count as stale, which it finds out while that one is busy.
#[test]
fn what_was_dead_itself_is_let_in_slowly_when_the_other_one_dies() {
    for was_dead in [true, false] {
        let mut world = World::new(ALL);
        let subflows = world.connect(&[0, 1]);
        world.run(seconds(1));
        world.wants[1] = steer(Wanted::Backup);
        world.run(seconds(1));
        world.subflow(subflows[1]).timeouts = u32::from(was_dead);
        world.run(seconds(1));
        world.subflow(subflows[1]).timeouts = 0;
        world.run(seconds(2));
        assert!(world.kernel.demoted.contains(&subflows[1]) && world.kernel.paced.is_empty());
        world.subflow(subflows[0]).timeouts = 1;
        world.turn();
        assert!(!world.kernel.demoted.contains(&subflows[1]));
        assert_eq!(world.kernel.paced.get(&subflows[1]), was_dead.then_some(&4_000_000));
        world.run(millis(600));
        assert_eq!(world.kernel.paced.get(&subflows[1]), was_dead.then_some(&4_000_000));
        world.run(millis(200));
        assert!(world.kernel.paced.get(&subflows[1]).is_none_or(|rate| *rate > 1_000_000_000));
    }
}
