use super::*;
use crate::{Family, Link, Topology};

const PORT: u16 = 7100;

fn run(topology: &Topology, spec: FlowSpec, time: Duration) -> Delivered {
    let source = Source::start(&topology.edge, PORT, Protocol::Tcp).expect("listens");
    let origin = (topology.edge_address(1, Family::V4), PORT).into();
    let clock = Clock::start();
    let flow = Flow::start(&topology.client, &source, origin, spec, clock).expect("starts");
    clock.sleep_until(time);
    flow.finish(Duration::from_secs(5)).expect("finishes")
}

fn spec(way: Way, demand: u64, bytes: Option<u64>) -> FlowSpec {
    FlowSpec { protocol: Protocol::Tcp, via: Via::Direct, from: None, way, demand, bytes }
}

#[test]
fn both_ways_everything_sent_arrives_and_is_noted_over_time() {
    let topology = Topology::builder().link(Link::new("one").mbit(40)).build().expect("builds");
    for way in [Way::Download, Way::Upload] {
        let delivered = run(&topology, spec(way, ALL_THERE_IS, None), Duration::from_millis(800));
        assert!(delivered.intact(), "{way:?}: {} of {}", delivered.checker.bytes, delivered.sent);
        assert_eq!(delivered.series.total(), delivered.sent);
        let rate = delivered.series.rate(Duration::from_millis(300), Duration::from_millis(800));
        assert!((34e6..41e6).contains(&rate), "{way:?}: {rate}");
    }
}

#[test]
fn a_bounded_demand_is_offered_and_no_more() {
    let topology = Topology::builder().link(Link::new("one").mbit(40)).build().expect("builds");
    let delivered = run(&topology, spec(Way::Download, 8_000_000, None), Duration::from_millis(1_000));
    let rate = delivered.series.rate(Duration::from_millis(300), Duration::from_millis(1_000));
    assert!((7e6..9e6).contains(&rate), "{rate}");
}

#[test]
fn a_flow_of_a_known_size_ends_by_itself() {
    let topology = Topology::builder().link(Link::new("one").mbit(40)).build().expect("builds");
    let delivered = run(&topology, spec(Way::Download, ALL_THERE_IS, Some(500_000)), Duration::from_millis(500));
    assert!(delivered.intact());
    assert_eq!(delivered.sent, 500_000);
    assert!(delivered.ended.expect("an end") < Duration::from_millis(400), "{:?}", delivered.ended);
}

#[test]
fn what_broke_off_is_not_intact() {
    let mut delivered = Delivered { sent: 3, ended: Some(Duration::ZERO), ..Delivered::default() };
    delivered.checker.push(crate::stream::window(0, 2));
    assert!(!delivered.intact());
    delivered.checker.push(crate::stream::window(2, 1));
    assert!(delivered.intact());
    assert!(!Delivered { ended: None, ..delivered }.intact());
}
