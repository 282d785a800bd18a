use super::*;
use crate::crypto;
use crate::track::connection::lower;
use crate::track::scene::{ACK, SYN, SYN_ACK};
use crate::wire::mptcp::{DataSeq, Dss, DssMap, MptcpOption};

#[test]
fn bytes_are_counted_once_by_subflow_and_direction() {
    let (mut scene, mut talk, mut wire, mut other) = joined();
    scene.data(&mut talk, &mut wire, End::Client, 1000);
    scene.data(&mut talk, &mut other, End::Client, 300);
    scene.data(&mut talk, &mut other, End::Server, 200);
    // TCP sends again, in whole and in part.
    let (ssn, dsn) = (wire.ssn(End::Client) - 1000, talk.dsn.client - 1300);
    let map = talk.map(End::Client, dsn, ssn, 1000);
    let seq = wire.next.client.wrapping_sub(1000);
    scene.send_at(&wire, End::Client, ACK, seq, 1000, &[map]);
    let facts = scene.only();
    assert_eq!(
        (facts.bytes, facts.retransmitted),
        (Ends { client: 1301, server: 201 }, Ends { client: 1000, server: 0 })
    );
    assert_eq!(facts.subflows[0].bytes, Ends { client: 1001, server: 1 });
    assert_eq!(facts.subflows[1].bytes, Ends { client: 300, server: 200 });
    assert_eq!(facts.subflows[0].retransmitted.client, 1000);
    assert_eq!(facts.delivered, Ends { client: Some(1301), server: Some(201) });
    assert_eq!((facts.data_retransmitted.sum(), facts.data_reordered.sum()), (0, 0), "TCP did, not MPTCP");
}

#[test]
fn one_mapping_on_many_segments_is_one_mapping() {
    let (mut scene, talk, mut wire) = talking();
    let map = talk.map(End::Client, talk.dsn.client, wire.ssn(End::Client), 4000);
    for _ in 0..4 {
        scene.send(&mut wire, End::Client, ACK, 1000, &[map]);
    }
    let facts = scene.only();
    assert_eq!((facts.bytes.client, facts.data_retransmitted.client, facts.data_reordered.client), (4001, 0, 0));
}

#[test]
fn the_first_write_repeats_mp_capable() {
    let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::new(7), first());
    scene.connect(&talk, &mut wire);
    for len in [1424, 1424, 152] {
        scene.send(&mut wire, End::Client, ACK, len, &[talk.capable(End::Client, true, Some(3000))]);
    }
    talk.dsn.client += 3000;
    scene.send(&mut wire, End::Server, ACK, 0, &[talk.ack(End::Server)]);
    let facts = scene.only();
    assert_eq!((facts.bytes.client, facts.delivered.client, facts.data_retransmitted.client), (3000, Some(3000), 0));
    scene.data(&mut talk, &mut wire, End::Client, 10);
    assert_eq!((scene.only().data_retransmitted.client, scene.only().data_reordered.client), (0, 0));
}

#[test]
fn data_sent_again_on_another_subflow_is_told_from_data_out_of_order() {
    let (mut scene, mut talk, mut wire, mut other) = joined();
    let start = talk.dsn.client;
    let mut on = |scene: &mut Scene, wire: &mut Wire, offset: u64, len: u16| {
        let map = talk.map(End::Client, start + offset, wire.ssn(End::Client), len);
        scene.send(wire, End::Client, ACK, u32::from(len), &[map]);
        talk.dsn.client = start;
        let facts = scene.only();
        (facts.data_retransmitted.client, facts.data_reordered.client)
    };
    assert_eq!(on(&mut scene, &mut wire, 0, 100), (0, 0));
    assert_eq!(on(&mut scene, &mut other, 300, 100), (0, 0));
    assert_eq!(on(&mut scene, &mut wire, 100, 100), (0, 100), "it fills a hole");
    assert_eq!(on(&mut scene, &mut wire, 200, 100), (0, 200), "and the rest of it");
    assert_eq!(on(&mut scene, &mut wire, 300, 100), (100, 200), "that was there");
    assert_eq!(on(&mut scene, &mut other, 350, 100), (150, 200), "half of that was");
    assert_eq!(on(&mut scene, &mut wire, 450, 50), (150, 200));
    let facts = scene.only();
    assert_eq!((facts.subflows[0].data_retransmitted.client, facts.subflows[1].data_retransmitted.client), (100, 50));
}

#[test]
fn short_numbers_are_those_close_to_what_was_seen() {
    // Keys whose numbers are about to leave the lower half.
    let close = |key: &crate::wire::mptcp::Key| lower(crypto::idsn(*key, 1)) > u32::MAX - (1 << 20);
    let mut keys = (0u64..).map(|n| crate::wire::mptcp::Key(n.to_be_bytes()));
    let key = keys.find(close).unwrap();
    let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::new(7), first());
    talk.keys.client = key;
    talk.dsn.client = crypto::idsn(key, 1).wrapping_add(1);
    scene.connect(&talk, &mut wire);
    let mut sent = 0;
    for _ in 0..40 {
        let map = DssMap {
            dsn: DataSeq::Short(lower(talk.dsn.client)),
            ssn: wire.ssn(End::Client),
            len: 60_000,
            checksum: None,
        };
        let dss = Dss { data_fin: false, data_ack: None, map: Some(map) };
        scene.send(&mut wire, End::Client, ACK, 60_000, &[MptcpOption::Dss(dss)]);
        talk.dsn.client = talk.dsn.client.wrapping_add(60_000);
        sent += 60_000;
        let ack = Dss { data_fin: false, data_ack: Some(DataSeq::Short(lower(talk.dsn.client))), map: None };
        scene.send(&mut wire, End::Server, ACK, 0, &[MptcpOption::Dss(ack)]);
        let facts = scene.only();
        assert_eq!(
            (facts.bytes.client, facts.delivered.client, facts.data_retransmitted.client),
            (sent, Some(sent), 0)
        );
    }
}

#[test]
fn numbers_from_nowhere_are_not_believed() {
    let (mut scene, mut talk, mut wire) = talking();
    let before = scene.only().delivered;
    let far = talk.dsn.client.wrapping_add(1 << 40);
    let map = talk.map(End::Client, far, wire.ssn(End::Client), 10);
    scene.send(&mut wire, End::Client, ACK, 10, &[map]);
    let ack = Dss { data_fin: false, data_ack: Some(DataSeq::Long(far)), map: None };
    scene.send(&mut wire, End::Server, ACK, 0, &[MptcpOption::Dss(ack)]);
    assert_eq!((scene.only().delivered, scene.tracker.counters().implausible), (before, 2));
    // Nor are those of TCP, and what comes then counts as before.
    scene.send_at(&wire, End::Client, ACK, wire.next.client.wrapping_add(1 << 31), 500, &[]);
    assert_eq!(scene.tracker.counters().implausible, 3);
    scene.data(&mut talk, &mut wire, End::Client, 20);
    assert_eq!(scene.only().bytes.client, 31);
}

#[test]
fn what_the_capture_missed_does_not_stop_the_count() {
    let (mut scene, mut talk, mut wire) = talking();
    scene.missed = Some(End::Client);
    scene.data(&mut talk, &mut wire, End::Client, 1000);
    scene.missed = None;
    scene.data(&mut talk, &mut wire, End::Client, 10);
    let facts = scene.only();
    assert_eq!((facts.bytes.client, facts.delivered.client), (11, Some(1011)));
}

#[test]
fn checksums_and_the_wish_for_no_joins_are_known_by_their_flags() {
    let (mut scene, talk, mut wire) = (Scene::default(), Talk::new(7), first());
    let with = |end: End, both: bool, flags: u8| {
        let mut option = talk.capable(end, both, None);
        if let MptcpOption::Capable(capable) = &mut option {
            capable.flags = flags;
        }
        option
    };
    scene.send(&mut wire, End::Client, SYN, 0, &[with(End::Client, false, 0x01)]);
    scene.send(&mut wire, End::Server, SYN_ACK, 0, &[with(End::Server, false, 0xa1)]);
    scene.send(&mut wire, End::Client, ACK, 0, &[with(End::Client, true, 0x81)]);
    let facts = scene.only();
    assert!(facts.checksum);
    assert_eq!(facts.keep_off_initial, Ends { client: false, server: true });
}

#[test]
fn what_tcp_sends_again_brings_its_old_mapping_along() {
    let (mut scene, mut talk, mut wire) = talking();
    let (dsn, ssn, seq) = (talk.dsn.client, wire.ssn(End::Client), wire.next.client);
    scene.data(&mut talk, &mut wire, End::Client, 100);
    scene.data(&mut talk, &mut wire, End::Client, 200);
    let map = talk.map(End::Client, dsn, ssn, 100);
    scene.send_at(&wire, End::Client, ACK, seq, 100, &[map]);
    let facts = scene.only();
    assert_eq!((facts.retransmitted.client, facts.data_retransmitted.client), (100, 0));
}
