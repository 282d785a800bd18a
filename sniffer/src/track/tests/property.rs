//! Whatever the segments are: no panic, nothing beyond the limits, and the tables agree with one another.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use crate::event::End;
use crate::id::{AddrId, FourTuple, Token};
use crate::track::scene::{Talk, join_options};
use crate::track::{Limits, Timeouts, Tracker};
use crate::wire::mptcp::*;
use crate::wire::tcp::{Flags, Segment};

#[derive(Debug, Clone)]
struct Sent {
    source: u8,
    destination: u8,
    flags: u8,
    seq: u32,
    ack: u32,
    len: u32,
    options: Vec<MptcpOption<'static>>,
    wait: u64,
}

/// Mostly numbers that fit one another, sometimes any.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..4u32, 2 => 0..5_000u32, 1 => any::<u32>()]
}

fn option() -> impl Strategy<Value = MptcpOption<'static>> {
    let talk = (0..3u8).prop_map(Talk::new);
    let end = prop_oneof![Just(End::Client), Just(End::Server)];
    let seq = prop_oneof![any::<u64>().prop_map(DataSeq::Long), any::<u32>().prop_map(DataSeq::Short)];
    let near = |talk: &Talk, end, offset: u32| DataSeq::Long(talk.dsn[end].wrapping_add(u64::from(offset)));
    prop_oneof![
        4 => (talk.clone(), end.clone(), any::<bool>(), proptest::option::of(any::<u16>()), any::<bool>()).prop_map(
            |(talk, end, both, len, key)| {
                let MptcpOption::Capable(mut capable) = talk.capable(end, both, len) else { unreachable!() };
                capable.sender_key = capable.sender_key.filter(|_| key || both);
                MptcpOption::Capable(capable)
            }
        ),
        4 => (talk.clone(), end.clone(), 0..3usize).prop_map(|(talk, end, which)| join_options(&talk, end, false)[which]),
        1 => (any::<u32>(), any::<u32>()).prop_map(|(token, nonce)| {
            MptcpOption::Join(Join::Syn { backup: true, addr_id: AddrId(1), token: Token(token), nonce })
        }),
        6 => (talk.clone(), end.clone(), 0..100_000u32, number(), any::<u16>(), any::<bool>()).prop_map(
            move |(talk, end, offset, ssn, len, data_fin)| {
                let dsn = near(&talk, end, offset);
                let map = Some(DssMap { dsn, ssn, len, checksum: None });
                MptcpOption::Dss(Dss { data_fin, data_ack: Some(near(&talk, end.other(), offset)), map })
            }
        ),
        1 => (seq.clone(), seq).prop_map(|(dsn, ack)| {
            let map = Some(DssMap { dsn, ssn: 1, len: 9, checksum: None });
            MptcpOption::Dss(Dss { data_fin: true, data_ack: Some(ack), map })
        }),
        1 => (talk.clone(), end.clone(), any::<u8>()).prop_map(|(talk, end, id)| {
            MptcpOption::AddAddr(talk.add_addr(end, id, "10.0.0.7", None))
        }),
        1 => Just(MptcpOption::RemoveAddr(RemoveAddr { ids: &[1, 2, 3] })),
        1 => (any::<bool>(), proptest::option::of(0..9u8)).prop_map(|(backup, id)| {
            MptcpOption::Prio(Prio { backup, addr_id: id.map(AddrId) })
        }),
        1 => any::<u64>().prop_map(|dsn| MptcpOption::Fail(Fail { dsn })),
        1 => (talk, end).prop_map(|(talk, end)| MptcpOption::FastClose(FastClose { receiver_key: talk.keys[end] })),
        1 => any::<u8>().prop_map(|reason| {
            MptcpOption::TcpRst(TcpRst { transient: false, flags: 0, reason: ResetReason(reason) })
        }),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let flags = prop_oneof![6 => Just(0x10u8), 4 => Just(0x02), 4 => Just(0x12), 2 => Just(0x11), 1 => Just(0x14), 1 => any::<u8>()];
    let wait = prop_oneof![20 => 0..1_000u64, 1 => 0..4_000_000u64];
    let options = proptest::collection::vec(option(), 0..3);
    (0..5u8, 0..3u8, flags, number(), number(), 0..2_000u32, options, wait).prop_map(
        |(source, destination, flags, seq, ack, len, options, wait)| Sent {
            source,
            destination,
            flags,
            seq,
            ack,
            len,
            options,
            wait,
        },
    )
}

fn limits() -> Limits {
    Limits { connections: 3, subflows: 5, subflows_per_connection: 3, half_open: 2, plain_flows: 2, events: 8 }
}

proptest! {
    #[test]
    fn any_segments_leave_the_tables_whole(all in proptest::collection::vec(sent(), 1..200)) {
        let mut tracker = Tracker::new(limits(), Timeouts::default());
        let mut now = Duration::from_secs(1);
        for (place, sent) in all.iter().enumerate() {
            now += Duration::from_millis(sent.wait);
            let address = |last| IpAddr::from([10, 0, 0, last]);
            let (source, destination) = ((address(sent.source), 1000), (address(sent.destination), 1000));
            let segment = Segment {
                flow: FourTuple::new(source.into(), destination.into()).unwrap(),
                seq: sent.seq,
                ack: sent.ack,
                flags: Flags(sent.flags),
                window: 0,
                options: &[],
                options_len: 0,
                payload: &[],
                payload_len: sent.len,
            };
            tracker.on_segment(&segment, sent.options.iter().copied(), now);
            tracker.check();
            if sent.wait > 900 {
                tracker.handle_timeout(now);
                tracker.check();
            }
            if place % 7 == 0 {
                tracker.poll_event();
            }
        }
        tracker.handle_timeout(now + Duration::from_secs(4_000));
        tracker.handle_timeout(now + Duration::from_secs(8_000));
        tracker.check();
        prop_assert_eq!((tracker.held().connections, tracker.held().half_open, tracker.flows.len()), (0, 0, 0));
    }
}
