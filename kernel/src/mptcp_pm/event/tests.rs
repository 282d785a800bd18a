use proptest::prelude::*;

use super::*;
use crate::netlink::Request;
use crate::netlink::message::Messages;
use crate::testing::lines;

/// Every event of a scripted pair of connections, both ends on one host, as Linux 6.18 sent them.
fn captured() -> Vec<Event> {
    let datagrams = lines(include_str!("../../../tests/data/mptcp_pm_events.hex"));
    let decode = |datagram: &Vec<u8>| {
        let (event, attributes) = Messages::new(datagram).next().unwrap().generic().unwrap();
        Event::parse(event, attributes).unwrap()
    };
    datagrams.iter().map(decode).collect()
}

fn ends(local: &str, remote: &str) -> (SocketAddr, SocketAddr) {
    (local.parse().unwrap(), remote.parse().unwrap())
}

const CLIENT: u32 = 0x4461_ce08;
const SERVER: u32 = 0xa956_5556;

#[test]
fn what_the_kernel_sent_is_understood() {
    let events = captured();
    assert_eq!(events.len(), 30);
    assert_eq!(events[0], Event::ListenerCreated("10.1.0.1:5001".parse().unwrap()));
    let (local, remote) = ends("10.1.0.1:42396", "10.1.0.1:5001");
    let client = ConnectionEvent {
        token: CLIENT,
        local,
        remote,
        local_id: Some(0),
        remote_id: Some(0),
        server_side: None,
        deny_join_id0: None,
        flags: None,
    };
    assert_eq!(events[1], Event::Created(client.clone()));
    let server = ConnectionEvent {
        token: SERVER,
        local: remote,
        remote: local,
        server_side: Some(true),
        deny_join_id0: Some(false),
        flags: Some(2),
        ..client.clone()
    };
    assert_eq!(events[2], Event::Created(server.clone()));
    assert_eq!(events[3], Event::Established(server));
    assert_eq!(events[4], Event::Established(client));
}

#[test]
fn subflows_are_understood() {
    let events = captured();
    let (local, remote) = ends("10.2.0.1:50541", "10.1.0.1:5001");
    let joined = SubflowEvent {
        token: CLIENT,
        local,
        remote,
        local_id: Some(1),
        remote_id: Some(0),
        backup: Some(false),
        error: None,
        timeout: None,
        interface: Some(1),
        reset_reason: None,
        reset_flags: None,
    };
    assert_eq!(events[5], Event::SubflowEstablished(joined.clone()));
    let seen_by_server = SubflowEvent {
        token: SERVER,
        local: remote,
        remote: local,
        local_id: Some(0),
        remote_id: Some(1),
        interface: None,
        ..joined
    };
    assert_eq!(events[6], Event::SubflowEstablished(seen_by_server.clone()));
    let backup = SubflowEvent { backup: Some(true), ..seen_by_server };
    assert_eq!(events[7], Event::SubflowPriority(backup.clone()));
    assert_eq!(events[14], Event::SubflowClosed(backup));
    // A join that was refused: ECONNREFUSED.
    assert!(matches!(&events[24], Event::SubflowClosed(SubflowEvent { error: Some(111), .. })));
    let Event::SubflowEstablished(v6) = &events[25] else { panic!("{:?}", events[25]) };
    assert_eq!((v6.local, v6.remote), ends("[fd02::1]:45711", "[fd01::1]:5001"));
    assert_eq!(v6.local_id, Some(9));
}

#[test]
fn addresses_closes_and_listeners_are_understood() {
    let events = captured();
    let address = "10.1.0.1".parse().unwrap();
    let announced = Event::Announced { token: SERVER, remote_id: 0, address, port: Some(42396) };
    assert_eq!(events[8], announced);
    assert_eq!(events[10], Event::Removed { token: SERVER, remote_id: 0 });
    assert_eq!(events[16], Event::Closed { token: CLIENT });
    assert_eq!(events[18], Event::ListenerClosed("10.1.0.1:5001".parse().unwrap()));
    assert_eq!(events[29], Event::ListenerClosed("[fd01::1]:5001".parse().unwrap()));
    let tokens: Vec<_> = events[16..19].iter().map(Event::token).collect();
    assert_eq!(tokens, [Some(CLIENT), Some(SERVER), None]);
}

#[test]
fn the_side_is_read_from_the_attribute_or_from_the_flag() {
    let side = |extra: fn(Request) -> Request| {
        let base = Request::new(28, 0).u32(attr::TOKEN, 1).u16(attr::SPORT, 1).u16(attr::DPORT, 1);
        let base = base.ip(attr::SADDR4, attr::SADDR6, [1; 4].into()).ip(attr::DADDR4, attr::DADDR6, [2; 4].into());
        let bytes = extra(base).finish(0).unwrap().split_off(16);
        match Event::parse(kind::CREATED, Attributes::new(&bytes)).unwrap() {
            Event::Created(of) => (of.server_side, of.deny_join_id0),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(side(|r| r), (None, None));
    assert_eq!(side(|r| r.u8(attr::SERVER_SIDE, 1)), (Some(true), None));
    assert_eq!(side(|r| r.u8(attr::SERVER_SIDE, 0)), (Some(false), None));
    assert_eq!(side(|r| r.u16(attr::FLAGS, 3)), (Some(true), Some(true)));
    assert_eq!(side(|r| r.u16(attr::FLAGS, 0)), (Some(false), Some(false)));
}

#[test]
fn what_is_missing_is_named() {
    let nothing = Attributes::default();
    let missing = |event| Event::parse(event, nothing).map_err(|error| error.attribute);
    for event in [kind::CREATED, kind::ESTABLISHED, kind::CLOSED, kind::ANNOUNCED, kind::REMOVED] {
        assert_eq!(missing(event), Err("token"));
    }
    for event in [kind::SUB_ESTABLISHED, kind::SUB_CLOSED, kind::SUB_PRIORITY] {
        assert_eq!(missing(event), Err("token"));
    }
    for event in [kind::LISTENER_CREATED, kind::LISTENER_CLOSED] {
        assert_eq!(missing(event), Err("saddr or sport"));
    }
    assert_eq!(missing(200), Ok(Event::Unknown(200)));
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_or_an_error(
        event in 0..20_u8,
        parts in proptest::collection::vec((0..25_u16, proptest::collection::vec(any::<u8>(), 0..20)), 0..20),
        cut in 0..400_usize,
    ) {
        let request = parts.iter().fold(Request::new(28, 0), |r, (kind, payload)| r.attribute(*kind, payload));
        let bytes = request.finish(0).unwrap().split_off(16);
        let attributes = Attributes::new(&bytes[..cut.min(bytes.len())]);
        match Event::parse(event, attributes) {
            Ok(event) => prop_assert_eq!(event.token().is_some(), !matches!(
                event,
                Event::ListenerCreated(_) | Event::ListenerClosed(_) | Event::Unknown(_)
            )),
            Err(error) => prop_assert_eq!(error.event, event),
        }
    }
}
