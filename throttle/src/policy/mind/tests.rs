use super::*;

const DWELL: Duration = Duration::from_secs(2);
const OVER: Thresholds = Thresholds { load: None, rtt: Some(15_000), loss: None };

/// Judged every 100 ms from `from` to `to`; when it changed, in milliseconds.
fn changes(mind: &mut Mind, (from, to): (u64, u64), rtt: impl Fn(u64, bool) -> Option<u64>) -> Vec<u64> {
    let mut changes = Vec::new();
    for millis in (from..to).step_by(100) {
        let now = Duration::from_millis(millis);
        let (held, measure) = (mind.holds, rtt(millis, mind.holds));
        // Without a measure, what was measured last is old.
        let measured = if measure.is_some() { now } else { Duration::ZERO };
        let gauges = Gauges { rtt: measure.or(Some(40_000)), measured, ..Gauges::default() };
        if mind.judge(&gauges, &OVER, DWELL, now) != held {
            changes.push(millis);
        }
    }
    changes
}

/// Held by 40 ms at 10 s.
fn held() -> Mind {
    let mut mind = Mind::default();
    assert_eq!(changes(&mut mind, (0, 10_001), |at, _| Some(if at < 10_000 { 5_000 } else { 40_000 })), [10_000]);
    mind
}

#[test]
fn what_is_measured_while_it_is_held_lets_it_go_after_the_dwell() {
    assert_eq!(changes(&mut held(), (10_100, 30_000), |_, _| Some(5_000)), [12_000]);
}

/// A backup carries nothing: it is let go every 3, 6, 12 s, and held again as soon as the path has shown what it is like.
#[test]
fn without_a_measure_it_is_tried_ever_less_often_and_held_again_at_once() {
    let times = changes(&mut held(), (10_100, 40_000), |_, held| (!held).then_some(40_000));
    assert_eq!(times, [13_000, 13_200, 19_200, 19_400, 31_400, 31_600]);
    let times = changes(&mut held(), (10_100, 40_000), |_, held| (!held).then_some(5_000));
    assert_eq!(times, [13_000]);
}

/// Its own limit may make what is measured.
#[test]
fn a_measure_above_the_threshold_is_doubted() {
    let times = changes(&mut held(), (10_100, 60_000), |_, held| Some(if held { 40_000 } else { 5_000 }));
    assert_eq!(times, [13_000]);
}
