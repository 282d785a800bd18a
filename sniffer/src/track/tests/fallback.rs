use super::*;
use crate::event::{FallbackReason, What};
use crate::track::scene::{ACK, RST, reset};
use crate::wire::mptcp::{DataSeq, Dss, DssMap, Fail, MptcpOption};

fn connected() -> (Scene, Talk, Wire) {
    let (mut scene, talk, mut wire) = (Scene::default(), Talk::new(7), first());
    scene.connect(&talk, &mut wire);
    scene.events();
    (scene, talk, wire)
}

fn fallbacks(scene: &mut Scene) -> Vec<FallbackReason> {
    let reason = |what| match what {
        What::Fallback { reason, .. } => Some(reason),
        _ => None,
    };
    scene.whats().into_iter().filter_map(reason).collect()
}

fn fail(talk: &Talk) -> MptcpOption<'static> {
    MptcpOption::Fail(Fail { dsn: talk.dsn.client })
}

fn infinite(talk: &Talk) -> MptcpOption<'static> {
    let map = DssMap { dsn: DataSeq::Long(talk.dsn.server), ssn: 1, len: 0, checksum: Some(0) };
    MptcpOption::Dss(Dss { data_fin: false, data_ack: None, map: Some(map) })
}

#[test]
fn what_the_server_sends_arrives_without_mptcp() {
    let (mut scene, talk, mut wire) = connected();
    for _ in 0..2 {
        assert_eq!(fallbacks(&mut scene), []);
        scene.send(&mut wire, End::Client, ACK, 1424, &[talk.capable(End::Client, true, Some(2848))]);
        scene.send(&mut wire, End::Server, ACK, 0, &[]);
    }
    assert_eq!(fallbacks(&mut scene), [FallbackReason::LostTowardsClient]);
    // It is final, and the bytes go on to be counted.
    scene.bare_data(&mut wire, End::Client, 100);
    scene.bare_data(&mut wire, End::Server, 200);
    assert_eq!(fallbacks(&mut scene), []);
    let facts = scene.only();
    assert_eq!(
        (facts.fallback, facts.bytes),
        (Some(FallbackReason::LostTowardsClient), Ends { client: 2948, server: 200 })
    );
    scene.finish(&mut wire);
    assert_eq!(scene.only().end, Some(crate::event::ConnectionEnd::Finished));
}

#[test]
fn what_the_client_sends_arrives_without_mptcp() {
    let (mut scene, talk, mut wire) = connected();
    // A banner, which the client's ACK confirms; its data has nothing.
    scene.send(&mut wire, End::Server, ACK, 11, &[talk.map(End::Server, talk.dsn.server, 1, 11)]);
    scene.send(&mut wire, End::Client, ACK, 100, &[]);
    assert_eq!(fallbacks(&mut scene), []);
    scene.send(&mut wire, End::Client, ACK, 100, &[]);
    assert_eq!(fallbacks(&mut scene), [FallbackReason::LostTowardsServer]);
}

#[test]
fn neither_way_has_mptcp_after_the_handshake() {
    let (mut scene, _, mut wire) = connected();
    scene.bare_data(&mut wire, End::Client, 100);
    assert_eq!(fallbacks(&mut scene), [FallbackReason::LostAfterSyn]);
}

#[test]
fn mptcp_is_lost_later() {
    for (from, reason) in
        [(End::Client, FallbackReason::LostTowardsServer), (End::Server, FallbackReason::LostTowardsClient)]
    {
        let (mut scene, talk, mut wire) = talking();
        for sent in 0.. {
            scene.send(&mut wire, from, ACK, 1000, &[]);
            scene.send(&mut wire, from.other(), ACK, 0, &[talk.ack(from.other())]);
            match &fallbacks(&mut scene)[..] {
                [] => assert!(sent < 4, "not seen"),
                found => {
                    assert_eq!(found, [reason], "{from}");
                    assert!(sent > 0, "on one segment");
                    break;
                }
            }
        }
    }
}

#[test]
fn what_is_no_fallback() {
    // Bare acknowledgements once DSS came; data that an earlier mapping covers; retransmissions; keepalives.
    let (mut scene, talk, mut wire) = talking();
    let map = talk.map(End::Client, talk.dsn.client, wire.ssn(End::Client), 6000);
    scene.send(&mut wire, End::Client, ACK, 1000, &[map]);
    for _ in 0..5 {
        scene.send(&mut wire, End::Client, ACK, 1000, &[]);
        scene.send(&mut wire, End::Server, ACK, 0, &[]);
    }
    for _ in 0..5 {
        scene.send_at(&wire, End::Client, ACK, wire.next.client.wrapping_sub(1000), 1000, &[]);
        scene.send_at(&wire, End::Server, ACK, wire.next.server.wrapping_sub(1), 0, &[]);
    }
    assert_eq!((fallbacks(&mut scene), scene.only().fallback), (vec![], None));
    // On one of two subflows: the subflow has to go, the connection stays.
    let (mut scene, _, _, mut other) = joined();
    for _ in 0..10 {
        scene.bare_data(&mut other, End::Client, 100);
    }
    assert_eq!(fallbacks(&mut scene), []);
    // The acknowledgement of the SYN alone.
    let (mut scene, _, mut wire) = connected();
    for _ in 0..5 {
        scene.send(&mut wire, End::Server, ACK, 0, &[]);
    }
    assert_eq!(fallbacks(&mut scene), []);
}

#[test]
fn a_checksum_fails_on_the_only_subflow() {
    let (mut scene, talk, mut wire) = talking();
    scene.send(&mut wire, End::Server, ACK, 0, &[talk.ack(End::Server), fail(&talk)]);
    scene.send(&mut wire, End::Client, ACK, 0, &[fail(&talk)]);
    scene.send(&mut wire, End::Server, ACK, 10, &[infinite(&talk)]);
    assert_eq!(fallbacks(&mut scene), [FallbackReason::Checksum]);
}

#[test]
fn a_checksum_fails_on_one_of_two_subflows() {
    let (mut scene, talk, _, mut other) = joined();
    scene.send(&mut other, End::Server, RST, 0, &[fail(&talk), reset(6)]);
    assert_eq!(fallbacks(&mut scene), []);
    let facts = scene.only();
    assert_eq!((facts.fallback, facts.end, facts.subflows[1].state.as_str()), (None, None, "reset"));
}

#[test]
fn an_infinite_mapping_says_that_it_is_one() {
    let (mut scene, talk, mut wire) = talking();
    scene.send(&mut wire, End::Server, ACK, 10, &[infinite(&talk)]);
    assert_eq!(fallbacks(&mut scene), [FallbackReason::InfiniteMapping]);
}
