//! Captures that began late, see one direction, or lose segments.

use super::*;
use crate::event::{Verified, What};
use crate::track::scene::{ACK, SYN, SYN_ACK, join_options};

#[test]
fn a_connection_found_running_is_late() {
    for from in End::BOTH {
        let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::new(7), first());
        wire.next = Ends { client: 70_000, server: 90_000 };
        scene.send(&mut wire, from, ACK, 0, &[]);
        assert_eq!((scene.tracker.held().connections, scene.tracker.counters().unknown), (0, 1));
        scene.data(&mut talk, &mut wire, from, 100);
        scene.data(&mut talk, &mut wire, from, 100);
        let facts = scene.only();
        assert_eq!((facts.late, facts.tokens, facts.started_at), (true, Ends::default(), None));
        assert_eq!(facts.subflows[0].flow, wire.flow(End::Client), "the server has the lower port");
        assert_eq!((facts.subflows[0].verified, facts.fallback), (Verified::Unknown, None));
        assert_eq!((facts.bytes[from], facts.data_retransmitted[from]), (200, 0));
        assert_eq!(facts.delivered, Ends::default(), "from where is not known");
        assert!(matches!(scene.whats()[0], What::ConnectionEstablished { late: true, .. }));
    }
}

#[test]
fn subflows_found_running_are_not_taken_for_one_connection() {
    let (mut scene, mut talk) = (Scene::default(), Talk::new(7));
    scene.data(&mut talk, &mut first(), End::Client, 100);
    scene.data(&mut talk, &mut second(), End::Client, 100);
    assert_eq!(scene.tracker.connections().filter(|facts| facts.late).count(), 2);
}

#[test]
fn the_third_ack_alone_tells_the_keys() {
    let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::new(7), first());
    wire.next = Ends { client: 70_000, server: 90_000 };
    scene.send(&mut wire, End::Client, ACK, 0, &[talk.capable(End::Client, true, None)]);
    scene.data(&mut talk, &mut wire, End::Server, 1);
    let facts = scene.only();
    assert_eq!((facts.late, facts.tokens.server), (true, Some(talk.token(End::Server))));
    scene.join(&talk, &mut second(), End::Client, false);
    assert_eq!(scene.only().subflows[1].verified, Verified::Yes);
}

#[test]
fn a_join_tells_the_token_of_a_connection_not_seen() {
    let (mut scene, talk) = (Scene::default(), Talk::new(7));
    scene.join(&talk, &mut second(), End::Client, false);
    let facts = scene.only();
    assert_eq!((facts.late, facts.tokens), (true, Ends { client: None, server: Some(talk.token(End::Server)) }));
    assert_eq!(facts.subflows[0].verified, Verified::Unknown);
    let whats = scene.whats();
    let [What::ConnectionEstablished { late: true, .. }, What::SubflowEstablished { .. }] = whats[..] else {
        panic!("{whats:?}")
    };
    // The next one is known for another of the same.
    scene.join(&talk, &mut nth(4), End::Client, false);
    assert_eq!(scene.only().subflows.len(), 2);
}

#[test]
fn one_direction_is_enough_to_know_a_connection_by() {
    for missed in End::BOTH {
        let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::new(7), first());
        scene.missed = Some(missed);
        scene.talk(&mut talk, &mut wire);
        scene.data(&mut talk, &mut wire, missed.other(), 500);
        let facts = scene.only();
        assert_eq!(
            (facts.bytes[missed.other()], facts.bytes[missed], facts.fallback),
            (501, 0, None),
            "missed {missed}"
        );
        assert_eq!(facts.tokens.server, Some(talk.token(End::Server)), "missed {missed}");
        assert!(facts.subflows[0].state.as_str() == "established");
    }
}

#[test]
fn one_direction_of_a_join_proves_half() {
    let (mut scene, mut talk, _) = talking();
    let mut other = second();
    scene.missed = Some(End::Server);
    scene.join(&talk, &mut other, End::Client, false);
    scene.data(&mut talk, &mut other, End::Client, 10);
    let joined = &scene.only().subflows[1];
    assert_eq!((joined.verified, joined.state.as_str(), joined.bytes.client), (Verified::Unknown, "established", 10));
}

#[test]
fn a_proof_that_was_missed_may_come_again() {
    let (mut scene, talk, _) = talking();
    let (mut other, [syn, syn_ack, ack]) = (second(), join_options(&talk, End::Client, false));
    scene.send(&mut other, End::Client, SYN, 0, &[syn]);
    scene.send(&mut other, End::Server, SYN_ACK, 0, &[syn_ack]);
    // The ACK is lost, the server's DSS is seen first.
    scene.send(&mut other, End::Server, ACK, 0, &[talk.ack(End::Server)]);
    assert_eq!(scene.only().subflows[1].verified, Verified::Unknown);
    scene.send(&mut other, End::Client, ACK, 0, &[ack]);
    assert_eq!(scene.only().subflows[1].verified, Verified::Yes);
}

#[test]
fn a_missed_third_ack_is_no_fallback() {
    let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::new(7), first());
    scene.send(&mut wire, End::Client, SYN, 0, &[talk.syn()]);
    scene.send(&mut wire, End::Server, SYN_ACK, 0, &[talk.capable(End::Server, false, None)]);
    scene.data(&mut talk, &mut wire, End::Client, 10);
    scene.data(&mut talk, &mut wire, End::Server, 10);
    let facts = scene.only();
    assert_eq!((facts.fallback, facts.bytes), (None, Ends { client: 10, server: 10 }));
    assert_eq!((facts.tokens.client, facts.subflows[0].verified), (None, Verified::Unknown));
}

#[test]
fn time_does_not_run_backwards() {
    let (mut scene, mut talk, mut wire) = talking();
    let (now, seen) = (scene.now, scene.only().last_seen);
    scene.now -= std::time::Duration::from_secs(1000);
    scene.data(&mut talk, &mut wire, End::Client, 10);
    assert_eq!(scene.only().last_seen, seen);
    scene.now = now;
    scene.data(&mut talk, &mut wire, End::Client, 10);
    assert_eq!(scene.only().last_seen, scene.now);
}
