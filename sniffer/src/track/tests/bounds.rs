use super::*;
use crate::event::{ConnectionEnd, What};
use crate::track::connection::Connection;
use crate::track::half_open::HalfOpen;
use crate::track::plain::Plain;
use crate::track::scene::{ACK, SYN, SYN_ACK, join_options};
use crate::track::subflow::Subflow;
use crate::track::{Entry, Limits};
use std::mem::size_of;

fn small() -> Limits {
    Limits { connections: 10, subflows: 20, subflows_per_connection: 4, half_open: 16, plain_flows: 8, events: 50 }
}

/// One connection with one subflow takes about 1 KiB, tables included.
#[test]
fn a_connection_is_small() {
    assert!(size_of::<Connection>() <= 480, "{}", size_of::<Connection>());
    assert!(size_of::<Subflow>() <= 352, "{}", size_of::<Subflow>());
    assert!(size_of::<HalfOpen>() <= 160, "{}", size_of::<HalfOpen>());
    assert!(size_of::<Plain>() <= 112, "{}", size_of::<Plain>());
    assert!(size_of::<(crate::track::flow::FlowKey, Entry)>() <= 44);
}

#[test]
fn a_flood_of_syns_displaces_nothing_that_is_established() {
    let (mut scene, mut talk, mut wire) = (Scene::with(small()), Talk::new(7), first());
    scene.talk(&mut talk, &mut wire);
    let forged = Talk::new(9);
    for n in 0..1000 {
        let syn = match n % 3 {
            0 => forged.syn(),
            1 => join_options(&talk, End::Client, false)[0],
            _ => join_options(&forged, End::Client, false)[0],
        };
        scene.send(&mut nth(n), End::Client, SYN, 0, &[syn]);
        let plain = if n % 2 == 0 { SYN } else { SYN_ACK };
        scene.send(&mut nth(n + 100_000), End::Client, plain, 0, &[]);
    }
    let held = scene.tracker.held();
    assert_eq!((held.connections, held.subflows, held.half_open, held.plain_flows), (1, 1, 16, 8));
    assert_eq!(scene.tracker.flows.len(), 1 + 16 + 8);
    let counters = scene.tracker.counters();
    assert_eq!((counters.half_open_evicted, counters.plain_evicted), (984, 492));
    // The connection goes on, and others may join it: a real handshake is done before its turn to make room comes.
    scene.data(&mut talk, &mut wire, End::Client, 100);
    scene.join(&talk, &mut second(), End::Client, false);
    assert_eq!((scene.only().bytes.client, scene.only().subflows.len()), (101, 2));
    // All of it goes by itself.
    scene.wait(std::time::Duration::from_secs(301));
    assert_eq!((scene.tracker.held().half_open, scene.tracker.held().plain_flows), (0, 0));
    assert_eq!(scene.tracker.flows.len(), 2);
}

#[test]
fn a_flood_of_made_up_data_displaces_only_its_like() {
    let (mut scene, mut talk, mut wire) = (Scene::with(small()), Talk::new(7), first());
    scene.talk(&mut talk, &mut wire);
    for n in 0..1000 {
        scene.send(&mut nth(n), End::Client, ACK, 10, &[talk.map(End::Client, u64::from(n), 1, 10)]);
    }
    let held = scene.tracker.held();
    assert_eq!((held.connections, held.subflows), (10, 10));
    assert_eq!((scene.tracker.flows.len(), scene.tracker.by_id.len()), (10, 10));
    assert_eq!(scene.tracker.counters().connections_evicted, 991);
    // A new connection takes the place of one of them, not of the other real one.
    let mut other = Talk::new(8);
    scene.talk(&mut other, &mut nth(5000));
    let confirmed: Vec<_> =
        scene.tracker.connections().filter(|facts| !facts.late).map(|facts| facts.connection.0).collect();
    assert_eq!(confirmed.len(), 2, "{confirmed:?}");
    assert!(confirmed.contains(&0));
}

#[test]
fn where_all_are_alive_the_next_is_not_taken() {
    let mut scene = Scene::with(small());
    for n in 0..15 {
        scene.talk(&mut Talk::new(n), &mut nth(n.into()));
    }
    assert_eq!(scene.tracker.held().connections, 10);
    assert_eq!(scene.tracker.counters().connections_evicted, 0);
    assert!(scene.tracker.counters().connections_refused >= 5);
    let ids: Vec<_> = scene.tracker.connections().map(|facts| facts.connection.0).collect();
    assert!((0..10).all(|id| ids.contains(&id)), "{ids:?}");
}

#[test]
fn who_has_ended_makes_room() {
    let mut scene = Scene::with(small());
    for n in 0..30 {
        let (mut talk, mut wire) = (Talk::new(n), nth(n.into()));
        scene.talk(&mut talk, &mut wire);
        scene.end_data(&mut talk, &mut wire);
        scene.finish(&mut wire);
    }
    assert_eq!(scene.tracker.held().connections, 10);
    assert_eq!((scene.tracker.counters().connections_evicted, scene.tracker.counters().connections_refused), (20, 0));
    assert!(scene.tracker.tokens.is_empty());
}

#[test]
fn an_evicted_connection_says_so() {
    let mut scene = Scene::with(Limits { connections: 1, ..small() });
    let talk = Talk::new(7);
    scene.send(&mut nth(1), End::Client, ACK, 10, &[talk.map(End::Client, 5, 1, 10)]);
    scene.send(&mut nth(2), End::Client, ACK, 10, &[talk.map(End::Client, 5, 1, 10)]);
    let evicted = |what: &What| matches!(what, What::ConnectionClosed { end: ConnectionEnd::Evicted, .. });
    assert_eq!(scene.whats().iter().filter(|what| evicted(what)).count(), 1);
}

#[test]
fn subflows_of_one_connection_are_bounded_and_the_ended_make_room() {
    let (mut scene, mut talk, mut wire) = (Scene::with(small()), Talk::new(7), first());
    scene.talk(&mut talk, &mut wire);
    for n in 0..3 {
        scene.join(&talk, &mut nth(n), End::Client, false);
    }
    let only = |scene: &Scene| scene.tracker.connection(crate::event::ConnId(0)).unwrap();
    scene.join(&talk, &mut nth(9), End::Client, false);
    assert_eq!((only(&scene).subflows.len(), scene.tracker.counters().subflows_refused), (4, 1));
    // The second of four ends.
    let mut ended = nth(0);
    ended.next = Ends { client: ended.base.client.wrapping_add(1), server: ended.base.server.wrapping_add(1) };
    scene.finish(&mut ended);
    scene.join(&talk, &mut nth(10), End::Client, false);
    let numbers: Vec<_> = only(&scene).subflows.iter().map(|subflow| subflow.subflow.number).collect();
    assert_eq!(numbers, [0, 2, 3, 4]);
}

#[test]
fn a_reader_who_sleeps_is_told_how_much_it_missed() {
    let (mut scene, talk, mut wire) = (Scene::with(small()), Talk::new(7), first());
    scene.connect(&talk, &mut wire);
    for n in 0..100u32 {
        scene.send(&mut wire, End::Client, ACK, 0, &[crate::track::scene::prio(n % 2 == 0)]);
    }
    assert_eq!(scene.tracker.held().events, 50);
    let events = scene.events();
    assert_eq!(events.len(), 51);
    assert_eq!(events[50].what, What::Lost { count: 52 });
    assert_eq!(events[50].at, scene.now);
    assert_eq!(scene.tracker.counters().events_lost, 52);
    scene.send(&mut wire, End::Client, ACK, 0, &[crate::track::scene::prio(true)]);
    assert!(matches!(scene.whats()[..], [What::Priority { .. }]));
}

#[test]
fn one_key_for_many_connections_is_no_long_way_to_any() {
    let mut scene = Scene::default();
    let talk = Talk::new(7);
    for n in 0..200 {
        scene.connect(&talk, &mut nth(n));
    }
    assert_eq!(scene.tracker.holders(talk.token(End::Server)).count(), 8);
    scene.wait(std::time::Duration::from_secs(3601));
    assert_eq!(scene.tracker.holders(talk.token(End::Server)).count(), 0);
    scene.wait(std::time::Duration::from_secs(3601));
    assert_eq!(
        (scene.tracker.held(), scene.tracker.tokens.len()),
        (crate::track::Held { events: scene.tracker.held().events, ..Default::default() }, 0)
    );
}

#[test]
fn a_reader_learns_of_one_gap_before_what_comes_after_it() {
    let (mut scene, talk, mut wire) = (Scene::with(Limits { events: 3, ..small() }), Talk::new(7), first());
    scene.connect(&talk, &mut wire);
    let mut prio = |scene: &mut Scene, backup| {
        scene.send(&mut wire, End::Client, ACK, 0, &[crate::track::scene::prio(backup)]);
    };
    prio(&mut scene, true);
    prio(&mut scene, false);
    // There is room again, and what comes now is still behind the gap.
    assert!(scene.tracker.poll_event().is_some());
    prio(&mut scene, true);
    assert!(matches!(scene.whats()[..], [_, What::Priority { backup: true, .. }, What::Lost { count: 2 }]));
}

#[test]
fn the_end_of_time_is_borne() {
    for end in [std::time::Duration::MAX, std::time::Duration::from_secs(u64::MAX)] {
        let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::new(7), first());
        scene.now = end - std::time::Duration::from_secs(1);
        scene.talk(&mut talk, &mut wire);
        scene.send(&mut second(), End::Client, SYN, 0, &[talk.syn()]);
        scene.send(&mut nth(1), End::Client, SYN, 0, &[]);
        scene.tracker.handle_timeout(end);
        // What is never due is due at the very last.
        let left = scene.tracker.next_deadline();
        assert!(left.is_none_or(|at| at == std::time::Duration::MAX), "{left:?}");
        scene.tracker.handle_timeout(std::time::Duration::MAX);
        let held = scene.tracker.held();
        assert_eq!((held.connections, held.half_open, held.plain_flows), (0, 0, 0));
    }
}
