use std::time::Duration;

use super::*;
use crate::event::{ConnectionEnd, Forgery, SubflowEnd, SubflowState, Verified, What};
use crate::id::{AddrId, SubflowKind};
use crate::track::scene::{ACK, RST, SYN, SYN_ACK, join_options, reset};
use crate::wire::mptcp::{Hmac, Join, MptcpOption, ResetReason};

#[test]
fn a_join_leads_to_its_connection_whoever_opens_it() {
    for version in [0, 1] {
        for opener in End::BOTH {
            let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::of_version(7, version), first());
            scene.talk(&mut talk, &mut wire);
            let mut other = second();
            // Another connection, which it must not end up with.
            scene.connect(&Talk::of_version(8, version), &mut nth(5));
            scene.events();
            scene.join(&talk, &mut other, opener, false);
            let facts = scene.tracker.connection(crate::event::ConnId(0)).unwrap();
            let joined = facts.subflows.last().unwrap();
            assert_eq!((joined.kind, joined.opened_by), (SubflowKind::Joined, opener));
            assert_eq!((joined.flow, joined.verified), (other.flow(End::Client), Verified::Yes));
            assert_eq!(joined.state, SubflowState::Established);
            assert_eq!(joined.addr_ids, Ends::of(opener, Some(AddrId(7)), Some(AddrId(0))));
            let delay = scene.now - facts.established_at;
            assert_eq!(joined.join_delay, Some(delay));
            let whats = scene.whats();
            let [What::SubflowEstablished { verified: Verified::Yes, opened_by, join_delay, .. }] = whats[..] else {
                panic!("{whats:?}")
            };
            assert_eq!((opened_by, join_delay), (opener, delay));
        }
    }
}

#[test]
fn a_join_is_established_once_its_responder_took_the_third_ack() {
    let (mut scene, mut talk, _) = talking();
    let (mut other, [syn, syn_ack, ack]) = (second(), join_options(&talk, End::Client, false));
    scene.events();
    scene.send(&mut other, End::Client, SYN, 0, &[syn]);
    scene.send(&mut other, End::Server, SYN_ACK, 0, &[syn_ack]);
    assert_eq!(scene.only().subflows.len(), 1);
    scene.send(&mut other, End::Client, ACK, 0, &[ack]);
    assert_eq!(scene.only().subflows[1].state, SubflowState::SynAckSeen);
    assert_eq!(scene.whats(), []);
    // The ACK that says so was missed, the data was not.
    scene.data(&mut talk, &mut other, End::Client, 10);
    assert_eq!(scene.only().subflows[1].state, SubflowState::Established);
    assert_eq!(scene.whats().len(), 1);
}

#[test]
fn a_backup_join_says_who_asks() {
    for opener in End::BOTH {
        let (mut scene, talk, _) = talking();
        scene.join(&talk, &mut second(), opener, true);
        assert_eq!(scene.only().subflows[1].backup, Ends::of(opener, true, false));
    }
}

#[test]
fn a_join_that_is_refused_after_its_handshake() {
    // Over the limit of the server (pcap 14): the handshake is whole, then comes a RST, and one in return.
    let (mut scene, talk, wire) = talking();
    let (mut other, [syn, syn_ack, ack]) = (second(), join_options(&talk, End::Client, false));
    scene.events();
    scene.send(&mut other, End::Client, SYN, 0, &[syn]);
    scene.send(&mut other, End::Server, SYN_ACK, 0, &[syn_ack]);
    scene.send(&mut other, End::Client, ACK, 0, &[ack]);
    scene.send(&mut other, End::Server, RST, 0, &[reset(3)]);
    scene.send(&mut other, End::Client, RST, 0, &[reset(0)]);
    let facts = scene.only();
    let refused = What::JoinRefused {
        connection: Some(facts.connection),
        flow: other.flow(End::Client),
        reason: Some(ResetReason(3)),
    };
    assert_eq!(scene.whats(), [refused]);
    assert_eq!((facts.joins_refused, facts.subflows[1].state), (1, SubflowState::Reset));
    assert_eq!(facts.subflows[1].end, Some(SubflowEnd::Reset { by: End::Server, reason: Some(ResetReason(3)) }));
    assert_eq!((facts.subflows[0].flow, facts.end), (wire.flow(End::Client), None));
}

#[test]
fn a_join_that_is_refused_at_its_syn() {
    let (mut scene, talk, _) = talking();
    scene.events();
    let [syn, ..] = join_options(&talk, End::Client, false);
    let mut other = second();
    scene.send(&mut other, End::Client, SYN, 0, &[syn]);
    scene.send_at(&other, End::Server, RST, 0, 0, &[reset(1)]);
    assert_eq!(scene.only().joins_refused, 1);
    let [What::JoinRefused { connection: Some(_), reason: Some(ResetReason(1)), .. }] = scene.whats()[..] else {
        panic!("no refusal")
    };
    // A token that is nobody's is counted.
    let [syn, ..] = join_options(&Talk::new(99), End::Client, false);
    let mut other = nth(3);
    scene.send(&mut other, End::Client, SYN, 0, &[syn]);
    scene.send_at(&other, End::Server, RST, 0, 0, &[reset(1)]);
    assert_eq!((scene.whats(), scene.tracker.counters().joins_refused), (vec![], 2));
    assert_eq!(scene.tracker.held().half_open, 0);
}

#[test]
fn a_join_to_a_port_the_server_announced() {
    let (mut scene, talk, mut wire) = talking();
    let announced = MptcpOption::AddAddr(talk.add_addr(End::Server, 5, "10.0.0.9", Some(9999)));
    scene.send(&mut wire, End::Server, ACK, 0, &[announced]);
    let mut other = Wire::new("10.2.0.2:41000", "10.0.0.9:9999");
    scene.join(&talk, &mut other, End::Client, false);
    assert_eq!(scene.only().subflows[1].flow, other.flow(End::Client));
}

#[test]
fn a_forged_proof_is_told_and_counts_for_nothing() {
    for by in End::BOTH {
        let (mut scene, mut talk, mut wire) = talking();
        let before = scene.only().bytes;
        scene.events();
        let (mut other, [syn, mut syn_ack, mut ack]) = (second(), join_options(&talk, End::Client, false));
        match (by, &mut syn_ack, &mut ack) {
            (End::Server, MptcpOption::Join(Join::SynAck { hmac, .. }), _) => *hmac = Hmac([1; 8]),
            (End::Client, _, MptcpOption::Join(Join::Ack { hmac })) => *hmac = Hmac([1; 20]),
            _ => unreachable!(),
        }
        scene.send(&mut other, End::Client, SYN, 0, &[syn]);
        scene.send(&mut other, End::Server, SYN_ACK, 0, &[syn_ack]);
        scene.send(&mut other, End::Client, ACK, 0, &[ack]);
        let facts = scene.only();
        let flow = other.flow(End::Client);
        assert_eq!(scene.whats(), [What::Forged { connection: facts.connection, flow, by, what: Forgery::Join }]);
        assert_eq!((facts.subflows[1].verified, facts.forged), (Verified::No, 1));
        // What it sends is not the connection's: no bytes, no announcement, no fast close.
        let mut mine = talk;
        mine.dsn.client += 1_000;
        scene.data(&mut mine, &mut other, End::Client, 500);
        let close = crate::track::scene::fast_close(talk.keys.server);
        scene.send_at(&other, End::Client, RST, other.next.client, 0, &[close]);
        assert_eq!((scene.only().bytes, scene.only().end, scene.whats()), (before, None, vec![]));
        // Nor does it keep the connection alive.
        scene.end_data(&mut talk, &mut wire);
        scene.finish(&mut wire);
        assert_eq!(scene.only().end, Some(ConnectionEnd::Finished));
    }
}

#[test]
fn a_client_that_refuses_a_forged_answer() {
    let (mut scene, talk, _) = talking();
    scene.events();
    let (mut other, [syn, ..]) = (second(), join_options(&talk, End::Client, false));
    let forged = Join::SynAck { backup: false, addr_id: AddrId(0), hmac: Hmac([9; 8]), nonce: 3 };
    scene.send(&mut other, End::Client, SYN, 0, &[syn]);
    scene.send(&mut other, End::Server, SYN_ACK, 0, &[MptcpOption::Join(forged)]);
    scene.send(&mut other, End::Client, RST, 0, &[reset(1)]);
    let [What::Forged { by: End::Server, .. }, What::JoinRefused { .. }] = scene.whats()[..] else {
        panic!("not told")
    };
}

#[test]
fn many_forgeries_are_not_many_events() {
    let (mut scene, talk, _) = talking();
    scene.events();
    for n in 0..100u8 {
        let (mut other, [syn, syn_ack, _]) = (nth(n.into()), join_options(&talk, End::Client, false));
        scene.send(&mut other, End::Client, SYN, 0, &[syn]);
        scene.send(&mut other, End::Server, SYN_ACK, 0, &[syn_ack]);
        scene.send(&mut other, End::Client, ACK, 0, &[MptcpOption::Join(Join::Ack { hmac: Hmac([n; 20]) })]);
    }
    assert_eq!((scene.whats().len(), scene.tracker.counters().forged), (8, 100));
    let facts = scene.only();
    assert!(facts.subflows.len() <= 32, "{}", facts.subflows.len());
    assert_eq!(facts.subflows[0].state, SubflowState::Established);
    // The room they took is given to one who knows the keys.
    scene.join(&talk, &mut second(), End::Client, false);
    assert_eq!(scene.only().subflows.last().unwrap().verified, Verified::Yes);
}

#[test]
fn of_two_connections_with_one_token_the_proof_decides() {
    let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::new(7), first());
    scene.talk(&mut talk, &mut wire);
    // The server chose the same key twice, the client did not.
    let mut twin = Talk::new(8);
    twin.keys.server = talk.keys.server;
    scene.connect(&twin, &mut nth(1));
    scene.join(&talk, &mut second(), End::Client, false);
    let of = |scene: &Scene, id| scene.tracker.connection(crate::event::ConnId(id)).unwrap().subflows.len();
    assert_eq!((of(&scene, 0), of(&scene, 1)), (2, 1));
    scene.join(&twin, &mut nth(2), End::Client, false);
    assert_eq!((of(&scene, 0), of(&scene, 1)), (2, 2));
    assert_eq!(scene.tracker.counters().forged, 0);
}

#[test]
fn a_token_is_free_once_its_connection_ended() {
    let (mut scene, mut talk, mut wire) = talking();
    scene.end_data(&mut talk, &mut wire);
    scene.finish(&mut wire);
    scene.join(&talk, &mut second(), End::Client, false);
    let mut all: Vec<_> = scene.tracker.connections().collect();
    all.sort_by_key(|facts| facts.connection);
    assert_eq!((all[0].subflows.len(), all[1].late), (1, true));
}

#[test]
fn a_proof_counts_more_than_a_connection_that_cannot_be_asked_for_one() {
    let (mut scene, talk, _) = talking();
    // Younger, with the same token, and the client's key was not seen.
    let (mut twin, mut other) = (Talk::new(8), nth(1));
    twin.keys.server = talk.keys.server;
    scene.send(&mut other, End::Client, SYN, 0, &[twin.syn()]);
    scene.send(&mut other, End::Server, SYN_ACK, 0, &[twin.capable(End::Server, false, None)]);
    scene.send(&mut other, End::Client, ACK, 0, &[twin.ack(End::Client)]);
    scene.join(&talk, &mut second(), End::Client, false);
    let older = scene.tracker.connection(crate::event::ConnId(0)).unwrap();
    assert_eq!((older.subflows.len(), older.subflows[1].verified), (2, Verified::Yes));
}

#[test]
fn a_forged_proof_that_comes_later_is_one_too() {
    let (mut scene, mut talk, mut wire) = talking();
    let (mut other, [syn, syn_ack, _]) = (second(), join_options(&talk, End::Client, false));
    scene.send(&mut other, End::Client, SYN, 0, &[syn]);
    scene.send(&mut other, End::Server, SYN_ACK, 0, &[syn_ack]);
    scene.send(&mut other, End::Server, ACK, 0, &[talk.ack(End::Server)]);
    scene.events();
    for _ in 0..2 {
        scene.send(&mut other, End::Client, ACK, 0, &[MptcpOption::Join(Join::Ack { hmac: Hmac([1; 20]) })]);
    }
    let [What::Forged { by: End::Client, .. }] = scene.whats()[..] else { panic!("not told, or twice") };
    scene.end_data(&mut talk, &mut wire);
    scene.finish(&mut wire);
    assert_eq!(scene.only().end, Some(crate::event::ConnectionEnd::Finished));
}

/// A subflow whose opener's proof was missed, and that proof, forged.
fn unproven(scene: &mut Scene, talk: &Talk, other: &mut Wire) -> MptcpOption<'static> {
    let [syn, syn_ack, _] = join_options(talk, End::Client, false);
    scene.send(other, End::Client, SYN, 0, &[syn]);
    scene.send(other, End::Server, SYN_ACK, 0, &[syn_ack]);
    scene.send(other, End::Server, ACK, 0, &[talk.ack(End::Server)]);
    MptcpOption::Join(Join::Ack { hmac: Hmac([0; 20]) })
}

#[test]
fn a_proof_that_comes_after_the_end_of_its_subflow_takes_nothing_from_the_others() {
    let (mut scene, talk, mut wire) = talking();
    let mut third = Wire::new("10.3.0.2:42000", "10.0.0.1:3128");
    scene.join(&talk, &mut third, End::Client, false);
    let mut other = second();
    let forged = unproven(&mut scene, &talk, &mut other);
    scene.send(&mut other, End::Client, RST, 0, &[]);
    scene.send(&mut other, End::Client, ACK, 0, &[forged]);
    assert_eq!((scene.tracker.counters().forged, scene.only().subflows[2].verified), (1, Verified::No));
    scene.send(&mut third, End::Client, RST, 0, &[]);
    scene.tracker.check();
    // The initial subflow lives on, and the connection with it.
    scene.wait(Duration::from_secs(60));
    assert_eq!(scene.only().end, None);
    scene.send(&mut wire, End::Client, RST, 0, &[]);
    scene.wait(Duration::from_secs(10));
    assert_eq!(scene.only().end, Some(ConnectionEnd::NoSubflowLeft));
}

#[test]
fn what_was_forged_keeps_no_connection_alive() {
    // The forgery shows after all others are gone.
    let (mut scene, talk, mut wire) = talking();
    let mut other = second();
    let forged = unproven(&mut scene, &talk, &mut other);
    scene.send(&mut wire, End::Client, RST, 0, &[]);
    scene.send(&mut other, End::Client, ACK, 0, &[forged]);
    scene.tracker.check();
    scene.wait(Duration::from_secs(10));
    assert_eq!(scene.only().end, Some(ConnectionEnd::NoSubflowLeft));
    // It comes after all others are gone.
    let (mut scene, talk, mut wire) = talking();
    scene.send(&mut wire, End::Client, RST, 0, &[]);
    let mut other = second();
    let [syn, syn_ack, _] = join_options(&talk, End::Client, false);
    scene.send(&mut other, End::Client, SYN, 0, &[syn]);
    scene.send(&mut other, End::Server, SYN_ACK, 0, &[syn_ack]);
    scene.send(&mut other, End::Client, ACK, 0, &[forged]);
    scene.tracker.check();
    scene.wait(Duration::from_secs(10));
    assert_eq!(scene.only().end, Some(ConnectionEnd::NoSubflowLeft));
}
