use super::*;
use crate::event::{ConnectionEnd, Forgery, SubflowEnd, SubflowId, SubflowState, What};
use crate::track::scene::{ACK, FIN, RST, fast_close, reset};
use crate::wire::mptcp::ResetReason;
use std::time::Duration;

#[test]
fn a_connection_finishes_with_its_data_and_its_subflows() {
    let (mut scene, mut talk, mut wire, mut other) = joined();
    scene.end_data(&mut talk, &mut wire);
    assert_eq!(scene.only().data_fin, Ends { client: true, server: true });
    let connection = scene.only().connection;
    scene.send(&mut wire, End::Client, FIN, 0, &[]);
    assert_eq!(scene.only().subflows[0].state, SubflowState::Closing);
    scene.send(&mut wire, End::Server, FIN, 0, &[]);
    scene.send(&mut wire, End::Client, ACK, 0, &[]);
    assert_eq!(scene.only().subflows[0].state, SubflowState::Closed);
    assert_eq!(scene.only().end, None);
    scene.finish(&mut other);
    let closed = |number| What::SubflowClosed { subflow: SubflowId { connection, number }, end: SubflowEnd::Finished };
    let end = ConnectionEnd::Finished;
    assert_eq!(scene.whats(), [closed(0), closed(1), What::ConnectionClosed { connection, end }]);
    // It can be asked about for a while.
    scene.wait(Duration::from_secs(59));
    assert_eq!(scene.tracker.held().connections, 1);
    scene.wait(Duration::from_secs(2));
    assert_eq!(scene.tracker.held(), crate::track::Held::default());
}

#[test]
fn delivered_bytes_do_not_count_the_end_of_the_data() {
    let (mut scene, mut talk, mut wire) = talking();
    scene.end_data(&mut talk, &mut wire);
    scene.send(&mut wire, End::Client, ACK, 0, &[talk.ack(End::Client)]);
    assert_eq!(scene.only().delivered, Ends { client: Some(1), server: Some(1) });
}

#[test]
fn a_fast_close_ends_it_at_once() {
    for by in End::BOTH {
        let (mut scene, talk, mut wire, mut other) = joined();
        let options = [fast_close(talk.keys[by.other()]), reset(0)];
        scene.send(&mut wire, by, RST, 0, &options);
        scene.send(&mut other, by, RST, 0, &options);
        let connection = scene.only().connection;
        let first = SubflowEnd::Reset { by, reason: Some(ResetReason(0)) };
        let expected = [
            What::SubflowClosed { subflow: SubflowId { connection, number: 0 }, end: first },
            What::ConnectionClosed { connection, end: ConnectionEnd::FastClose { by } },
        ];
        assert_eq!(scene.whats(), expected);
        assert_eq!(scene.only().subflows[1].end, Some(SubflowEnd::WithConnection));
    }
}

#[test]
fn a_fast_close_on_an_ack_needs_the_key() {
    let (mut scene, talk, mut wire) = talking();
    scene.events();
    scene.send(&mut wire, End::Client, ACK, 0, &[fast_close(talk.keys.client)]);
    let [What::Forged { what: Forgery::FastClose, by: End::Client, .. }] = scene.whats()[..] else {
        panic!("not told")
    };
    assert_eq!(scene.only().end, None);
    scene.send(&mut wire, End::Client, ACK, 0, &[fast_close(talk.keys.server)]);
    assert_eq!(scene.only().end, Some(ConnectionEnd::FastClose { by: End::Client }));
}

#[test]
fn a_reset_says_why_and_by_whom() {
    for by in End::BOTH {
        let (mut scene, _, _, mut other) = joined();
        scene.send(&mut other, by, RST, 0, &[reset(6)]);
        let subflow = SubflowId { connection: scene.only().connection, number: 1 };
        let end = SubflowEnd::Reset { by, reason: Some(ResetReason(6)) };
        assert_eq!(scene.whats(), [What::SubflowClosed { subflow, end }]);
        assert_eq!((scene.only().subflows[1].state, scene.only().end), (SubflowState::Reset, None));
    }
}

#[test]
fn a_reset_from_nowhere_is_not_believed() {
    let (mut scene, _, wire) = talking();
    for by in End::BOTH {
        scene.send_at(&wire, by, RST, wire.next[by].wrapping_add(1 << 28), 0, &[]);
    }
    assert_eq!((scene.only().subflows[0].state, scene.tracker.counters().implausible), (SubflowState::Established, 2));
}

#[test]
fn a_connection_may_be_without_a_subflow_for_a_moment() {
    // Break before make: the only subflow goes, another joins.
    let (mut scene, talk, mut wire) = talking();
    scene.send(&mut wire, End::Client, RST, 0, &[]);
    scene.wait(Duration::from_secs(9));
    assert_eq!(scene.only().end, None);
    let mut other = second();
    scene.join(&talk, &mut other, End::Client, false);
    scene.wait(Duration::from_secs(20));
    assert_eq!((scene.only().end, scene.only().subflows[1].state), (None, SubflowState::Established));
    // Nobody joins in time.
    scene.send(&mut other, End::Client, RST, 0, &[]);
    scene.wait(Duration::from_secs(10));
    assert_eq!(scene.only().end, Some(ConnectionEnd::NoSubflowLeft));
}

#[test]
fn silence_ends_what_is_not_told_to_end() {
    let (mut scene, mut talk, mut wire) = talking();
    for _ in 0..5 {
        scene.wait(Duration::from_secs(3500));
        scene.data(&mut talk, &mut wire, End::Client, 1);
    }
    assert_eq!(scene.only().end, None);
    let deadline = scene.tracker.next_deadline().unwrap();
    assert!(deadline > scene.now && deadline <= scene.now + Duration::from_secs(3600));
    scene.tracker.handle_timeout(deadline);
    assert_eq!(scene.only().end, Some(ConnectionEnd::Idle));
    let deadline = scene.tracker.next_deadline().unwrap();
    scene.tracker.handle_timeout(deadline);
    assert_eq!((scene.tracker.held().connections, scene.tracker.next_deadline()), (0, None));
}

#[test]
fn what_comes_after_the_end_is_no_news() {
    let (mut scene, mut talk, mut wire) = talking();
    scene.end_data(&mut talk, &mut wire);
    scene.finish(&mut wire);
    scene.events();
    scene.send_at(&wire, End::Client, RST, wire.next.client, 0, &[]);
    scene.send_at(&wire, End::Server, FIN, wire.next.server.wrapping_sub(1), 0, &[]);
    assert_eq!((scene.whats(), scene.tracker.held().connections), (vec![], 1));
}

#[test]
fn where_the_key_was_not_seen_only_a_reset_is_believed_to_close() {
    let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::new(7), first());
    scene.data(&mut talk, &mut wire, End::Client, 10);
    scene.send(&mut wire, End::Client, ACK, 0, &[fast_close(talk.keys.server)]);
    assert_eq!(scene.only().end, None);
    scene.send(&mut wire, End::Client, RST, 0, &[fast_close(talk.keys.server)]);
    assert_eq!(scene.only().end, Some(ConnectionEnd::FastClose { by: End::Client }));
}
