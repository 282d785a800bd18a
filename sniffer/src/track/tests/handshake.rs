use super::*;
use crate::event::{FallbackReason, SubflowState, Verified, What};
use crate::id::SubflowKind;
use crate::track::scene::{ACK, RST, SYN, SYN_ACK};

#[test]
fn a_connection_begins_with_its_third_ack() {
    for version in [0, 1] {
        let (mut scene, talk, mut wire) = (Scene::default(), Talk::of_version(3, version), first());
        scene.connect(&talk, &mut wire);
        let facts = scene.only();
        assert_eq!((facts.version, facts.late, facts.fallback), (version, false, None));
        assert_eq!(facts.tokens.client, Some(talk.token(End::Client)), "version {version}");
        assert_eq!(facts.tokens.server, Some(talk.token(End::Server)));
        assert_eq!(
            (facts.started_at, facts.established_at),
            (Some(scene.now - std::time::Duration::from_millis(2)), scene.now)
        );
        let [subflow] = &facts.subflows[..] else { panic!("{facts:#?}") };
        assert_eq!(
            (subflow.kind, subflow.opened_by, subflow.state),
            (SubflowKind::Initial, End::Client, SubflowState::Established)
        );
        assert_eq!((subflow.flow, subflow.verified), (wire.flow(End::Client), Verified::Yes));
        let [What::ConnectionEstablished { late: false, .. }, What::SubflowEstablished { .. }] = scene.whats()[..]
        else {
            panic!("{:?}", scene.whats())
        };
        assert_eq!(scene.tracker.held().half_open, 0);
    }
}

#[test]
fn a_syn_and_its_answer_are_no_connection() {
    let (mut scene, talk, mut wire) = (Scene::default(), Talk::new(3), first());
    let mut syn = talk.syn();
    scene.send(&mut wire, End::Client, SYN, 0, &[syn]);
    assert_eq!(scene.tracker.held().half_open, 1);
    // Again, as the client's TCP does.
    let seq = wire.base.client;
    scene.send_at(&wire, End::Client, SYN, seq, 0, &[syn]);
    syn = talk.capable(End::Server, false, None);
    scene.send(&mut wire, End::Server, SYN_ACK, 0, &[syn]);
    scene.send_at(&wire, End::Server, SYN_ACK, wire.base.server, 0, &[syn]);
    assert_eq!((scene.tracker.held().half_open, scene.tracker.held().connections), (1, 0));
    scene.send(&mut wire, End::Client, ACK, 0, &[talk.capable(End::Client, true, None)]);
    assert_eq!((scene.tracker.held().half_open, scene.tracker.held().connections), (0, 1));
    assert_eq!(scene.tracker.counters().implausible, 0);
}

#[test]
fn what_does_not_answer_the_syn_is_not_believed() {
    let (mut scene, talk, mut wire) = (Scene::default(), Talk::new(3), first());
    scene.send(&mut wire, End::Client, SYN, 0, &[talk.syn()]);
    // A SYN/ACK for another SYN, an ACK for another SYN/ACK, a RST out of nowhere.
    let mut blind = wire;
    blind.next.client = blind.next.client.wrapping_add(77);
    scene.send(&mut blind, End::Server, SYN_ACK, 0, &[talk.capable(End::Server, false, None)]);
    assert_eq!(scene.tracker.counters().implausible, 1);
    scene.send(&mut wire, End::Server, SYN_ACK, 0, &[talk.capable(End::Server, false, None)]);
    let mut blind = wire;
    blind.next.server = 1;
    scene.send(&mut blind, End::Client, ACK, 0, &[talk.capable(End::Client, true, None)]);
    scene.send_at(&wire, End::Server, RST, 99, 0, &[]);
    // Both keys, but others.
    scene.send_at(&wire, End::Client, ACK, wire.next.client, 0, &[Talk::new(9).capable(End::Client, true, None)]);
    assert_eq!(scene.tracker.counters().implausible, 4);
    assert_eq!(scene.tracker.held().connections, 0);
}

#[test]
fn a_refused_connection_leaves_nothing() {
    let (mut scene, talk, mut wire) = (Scene::default(), Talk::new(3), first());
    scene.send(&mut wire, End::Client, SYN, 0, &[talk.syn()]);
    scene.send_at(&wire, End::Server, RST, 0, 0, &[]);
    assert_eq!(scene.tracker.held(), crate::track::Held::default());
    assert_eq!(scene.whats(), []);
}

#[test]
fn flows_without_mptcp_are_remembered_as_that() {
    let (mut scene, talk, mut wire) = (Scene::default(), Talk::new(3), first());
    scene.send(&mut wire, End::Client, SYN, 0, &[]);
    scene.send(&mut wire, End::Server, SYN_ACK, 0, &[]);
    scene.bare_data(&mut wire, End::Client, 100);
    let plain: Vec<_> = scene.tracker.plain_flows().collect();
    assert_eq!((plain.len(), plain[0].reason), (1, FallbackReason::NoMptcpOnSyn));
    assert_eq!(plain[0].bytes, Ends { client: 100, server: 0 });
    assert_eq!((scene.whats(), scene.tracker.counters().plain_syns), (vec![], 1));
    scene.finish(&mut wire);
    assert_eq!(scene.tracker.held().plain_flows, 0);
    // The same ports again, now with MPTCP.
    let mut wire = first();
    scene.connect(&talk, &mut wire);
    assert_eq!(scene.tracker.held().connections, 1);
}

#[test]
fn the_word_for_a_handshake_that_lost_mptcp() {
    let plain = |options_of_ack: bool, server_known: bool, gives_up: bool| {
        let (mut scene, talk, mut wire) = (Scene::default(), Talk::new(3), first());
        if server_known {
            scene.connect(&Talk::new(4), &mut second());
            scene.events();
        }
        let syn = talk.syn();
        scene.send(&mut wire, End::Client, SYN, 0, &[syn]);
        if gives_up {
            scene.send_at(&wire, End::Client, SYN, wire.base.client, 0, &[]);
        }
        let answer = talk.capable(End::Server, false, None);
        scene.send(
            &mut wire,
            End::Server,
            SYN_ACK,
            0,
            if options_of_ack { std::slice::from_ref(&answer) } else { &[] },
        );
        assert_eq!(scene.whats(), [], "nobody has shown yet that the client exists");
        scene.send(&mut wire, End::Client, ACK, 0, &[]);
        let [.., What::Fallback { connection, flow, reason }] = scene.whats()[..] else { panic!("no fallback") };
        assert_eq!(flow, wire.flow(End::Client));
        assert_eq!(scene.tracker.held().plain_flows, usize::from(connection.is_none()));
        (connection.is_some(), reason)
    };
    assert_eq!(plain(false, false, false), (false, FallbackReason::NoMptcpOnSynAck));
    assert_eq!(plain(false, true, false), (false, FallbackReason::StrippedOnSyn));
    assert_eq!(plain(false, true, true), (false, FallbackReason::NoMptcpOnSyn));
    assert_eq!(plain(true, false, false), (true, FallbackReason::LostAfterSyn));
}

#[test]
fn flags_that_make_the_option_void() {
    for (flags, mptcp) in [(0x01, true), (0x81, true), (0x02, true), (0x00, false), (0x80, false), (0x41, false)] {
        let (mut scene, talk, mut wire) = (Scene::default(), Talk::new(3), first());
        let mut syn = talk.syn();
        if let crate::wire::mptcp::MptcpOption::Capable(capable) = &mut syn {
            capable.flags = flags;
        }
        scene.send(&mut wire, End::Client, SYN, 0, &[syn]);
        assert_eq!(scene.tracker.held().half_open, usize::from(mptcp), "{flags:#x}");
    }
}

#[test]
fn addresses_and_ports_are_used_again() {
    // The old connection has ended.
    let (mut scene, mut talk, mut wire) = talking();
    scene.end_data(&mut talk, &mut wire);
    scene.finish(&mut wire);
    let fresh = Wire::from_base(wire.addresses, Ends { client: 900, server: 100 });
    let (mut again, other) = (fresh, Talk::new(9));
    scene.connect(&other, &mut again);
    let mut ids: Vec<_> = scene.tracker.connections().map(|facts| (facts.connection.0, facts.end.is_some())).collect();
    ids.sort_unstable();
    assert_eq!(ids, [(0, true), (1, false)]);
    // What is remembered of the old one goes without taking the new one along.
    scene.wait(std::time::Duration::from_secs(60));
    assert_eq!(scene.only().connection.0, 1);
    let mut other = other;
    scene.data(&mut other, &mut again, End::Client, 50);
    assert_eq!(scene.only().bytes.client, 50);
}

#[test]
fn a_syn_alone_does_not_displace_what_is_alive() {
    let (mut scene, mut talk, mut wire) = talking();
    scene.events();
    let (mut fresh, other) = (Wire::from_base(wire.addresses, Ends { client: 900, server: 100 }), Talk::new(9));
    scene.send(&mut fresh, End::Client, SYN, 0, &[other.syn()]);
    // The old connection goes on, and its segments are its own.
    scene.data(&mut talk, &mut wire, End::Client, 10);
    assert_eq!((scene.only().connection.0, scene.only().bytes.client), (0, 11));
    assert_eq!(scene.whats(), []);
    // A SYN/ACK for something else changes nothing; the one that answers does.
    let mut blind = fresh;
    blind.next.client = 5;
    scene.send(&mut blind, End::Server, SYN_ACK, 0, &[other.capable(End::Server, false, None)]);
    assert_eq!(scene.whats(), []);
    scene.send(&mut fresh, End::Server, SYN_ACK, 0, &[other.capable(End::Server, false, None)]);
    assert!(matches!(scene.whats()[..], [What::SubflowClosed { end: crate::event::SubflowEnd::Replaced, .. }]));
    scene.send(&mut fresh, End::Client, ACK, 0, &[other.capable(End::Client, true, None)]);
    assert_eq!(scene.tracker.held().connections, 2);
}

#[test]
fn ipv6_is_no_different() {
    let (mut scene, mut talk) = (Scene::default(), Talk::new(3));
    let mut wire = Wire::new("[fd01::2]:40000", "[fd01::1]:3128");
    scene.talk(&mut talk, &mut wire);
    let mut other = Wire::new("[fd02::2]:40000", "[fd02::1]:9998");
    scene.join(&talk, &mut other, End::Client, false);
    let facts = scene.only();
    assert_eq!(facts.subflows.len(), 2);
    assert_eq!((facts.subflows[1].flow, facts.subflows[1].verified), (other.flow(End::Client), Verified::Yes));
}

#[test]
fn data_on_the_syn_is_before_the_data() {
    // The server takes it, or does not and gets it again.
    for taken in [true, false] {
        let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::new(3), first());
        scene.send(&mut wire, End::Client, SYN, 64, &[talk.syn()]);
        if !taken {
            wire.next.client = wire.next.client.wrapping_sub(64);
        } else {
            wire.base.client = wire.base.client.wrapping_add(64);
        }
        scene.send(&mut wire, End::Server, SYN_ACK, 0, &[talk.capable(End::Server, false, None)]);
        scene.send(&mut wire, End::Client, ACK, 0, &[talk.capable(End::Client, true, None)]);
        assert_eq!(wire.ssn(End::Client), 1);
        scene.data(&mut talk, &mut wire, End::Client, 64);
        let facts = scene.only();
        assert_eq!(facts.bytes.client, if taken { 128 } else { 64 });
        assert_eq!((facts.delivered.client, facts.fallback), (Some(64), None));
    }
}
