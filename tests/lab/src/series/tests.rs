use super::*;

const MEGABIT: f64 = 1e6;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A series that carries, from each time on, so many Mbit/s.
fn steps(steps: &[(u64, u64)], end: u64) -> Series {
    let mut series = Series::default();
    for at in (0..end).step_by(10) {
        let rate = steps.iter().rev().find(|step| step.0 <= at).map_or(0, |step| step.1);
        series.add(ms(at), rate * 1_000_000 / 8 / 100);
    }
    series
}

#[test]
fn bytes_fall_into_the_bin_of_their_time() {
    let mut series = Series::default();
    series.add(ms(9), 1);
    series.add(ms(10), 2);
    series.add(ms(25), 4);
    assert_eq!([series.bytes(ms(0), ms(10)), series.bytes(ms(10), ms(20)), series.bytes(ms(20), ms(90))], [1, 2, 4]);
    assert_eq!((series.total(), series.first(), Series::default().first()), (7, Some(ms(0)), None));
}

#[test]
fn windows_lie_wholly_within_the_span() {
    let series = steps(&[(0, 40)], 1_000);
    let windows = series.windows(ms(100), ms(500));
    assert_eq!((windows.len(), windows[0].0, windows[15].0), (16, ms(100), ms(250)));
    assert!(windows.iter().all(|(_, rate)| (rate - 40.0 * MEGABIT).abs() < 1.0), "{windows:?}");
    assert!(series.windows(ms(100), ms(340)).is_empty());
    // A beginning within a bin leaves that bin out.
    assert_eq!(series.windows(ms(101), ms(500))[0].0, ms(110));
    assert_eq!(series.poorest(ms(0), ms(200)), None);
}

#[test]
fn where_nothing_was_noted_nothing_came() {
    let series = steps(&[(0, 40)], 1_000);
    assert_eq!(series.poorest(ms(0), ms(2_000)), Some(0.0));
    assert_eq!(series.poorest(ms(0), ms(1_000)), Some(40.0 * MEGABIT));
    // A hole of 100 ms takes its part of the poorest window, and no more.
    let hole = steps(&[(0, 40), (500, 0), (600, 40)], 1_000);
    assert_eq!(hole.poorest(ms(0), ms(1_000)), Some(24.0 * MEGABIT));
}

#[test]
fn it_has_settled_when_no_window_is_above_any_more() {
    let limit = 2.2 * MEGABIT;
    let fall = steps(&[(0, 40), (3_120, 2)], 8_000);
    // The window from 3.11 s on holds one bin of 40 Mbit/s among 24 of 2 Mbit/s.
    assert_eq!(fall.settled(ms(3_000), ms(8_000), limit), Some(ms(120)));
    assert_eq!(fall.settled(ms(3_500), ms(8_000), limit), Some(ms(0)));
    // A peak later on counts.
    let peak = steps(&[(0, 40), (3_120, 2), (6_000, 40), (6_050, 2)], 8_000);
    assert_eq!(peak.settled(ms(3_000), ms(8_000), limit), Some(ms(3_050)));
    let never = steps(&[(0, 40)], 8_000);
    assert_eq!(never.settled(ms(3_000), ms(8_000), limit), None);
}

#[test]
fn a_wide_window_forgives_the_shape_of_a_burst_and_not_its_bytes() {
    // Every 100 ms a burst of 10 ms: 2 Mbit/s over any second, 2.4 Mbit/s over some 250 ms.
    let mut series = Series::default();
    (0..80).for_each(|number| series.add(ms(number * 100), 25_000));
    let second = Duration::from_secs(1);
    assert_eq!(series.richest(ms(0), ms(8_000)), Some(2.4 * MEGABIT));
    assert_eq!(series.settled_over(second, ms(0), ms(8_000), 2.1 * MEGABIT), Some(ms(0)));
    assert_eq!(series.richest_over(second, ms(0), ms(8_000)), Some(2.0 * MEGABIT));
    series.add(ms(5_050), 25_000);
    assert_eq!(series.settled_over(second, ms(0), ms(8_000), 2.1 * MEGABIT), Some(ms(5_060)));
}

#[test]
fn it_is_back_when_a_window_reaches_it() {
    let back = steps(&[(0, 40), (8_300, 80)], 11_000);
    assert_eq!(back.reached(ms(8_000), ms(11_000), 80.0 * MEGABIT), Some(ms(300)));
    assert_eq!(back.reached(ms(8_000), ms(11_000), 81.0 * MEGABIT), None);
    assert_eq!(back.reached(ms(8_000), ms(8_500), 80.0 * MEGABIT), None);
}

#[test]
fn a_sum_is_as_long_as_its_longest() {
    let sum = Series::sum([&steps(&[(0, 40)], 500), &steps(&[(0, 2)], 1_000)]);
    assert_eq!(sum.rate(ms(0), ms(500)), 42.0 * MEGABIT);
    assert_eq!(sum.rate(ms(500), ms(1_000)), 2.0 * MEGABIT);
    assert_eq!(Series::sum([]), Series::default());
}

#[test]
fn excess_is_what_no_bucket_would_have_let_through() {
    let within = steps(&[(0, 2)], 2_000);
    assert!(within.excess(ms(0), 2.0 * MEGABIT) < 1.0);
    // 100 ms of 40 Mbit/s are 500 000 bytes, of which 25 000 were allowed; what comes later stays below.
    let burst = steps(&[(0, 0), (1_000, 40), (1_100, 1)], 2_000);
    assert!((burst.excess(ms(1_000), 2.0 * MEGABIT) - 475_000.0).abs() < 1.0);
}

#[test]
fn a_curve_stands_at_the_middles_of_windows() {
    let curve = steps(&[(0, 40)], 500).curve(ms(500));
    assert_eq!((curve.len(), curve[0], curve[1].0), (6, (0.125, 40.0), 0.175));
}

#[test]
fn crossings_are_counted_between_two_levels_and_not_within_them() {
    let count = |steps_of: &[(u64, u64)]| steps(steps_of, 6_000).crossings(ms(0), ms(6_000), 1e6, 4e6);
    assert_eq!(count(&[(0, 0), (1_000, 8), (3_000, 0)]), 2);
    assert_eq!(count(&[(0, 0), (1_000, 8), (2_000, 3), (3_000, 8), (4_000, 0)]), 2, "3 is neither");
    assert_eq!(count(&[(0, 0), (1_000, 8), (2_000, 0), (3_000, 8), (4_000, 0)]), 4);
    assert_eq!(count(&[(0, 3)]), 0);
}
