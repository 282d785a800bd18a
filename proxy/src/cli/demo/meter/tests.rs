use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// 8 Mbit/s on the first link throughout, and on the second from 1 s on; samples every 100 ms, up to 2 s.
fn meter() -> Meter {
    let mut meter = Meter::new(vec![7, 9], 4_000_000);
    for n in 1..=20_u64 {
        let second = 100_000 * n.saturating_sub(10);
        meter.push(ms(100 * n), &[7 + 100_000 * n, 9 + second], 100_000 * n + second);
    }
    meter
}

fn close(rates: &[f64], expected: &[f64]) -> bool {
    rates.len() == expected.len() && rates.iter().zip(expected).all(|(rate, wanted)| (rate - wanted).abs() < 1.0)
}

#[test]
fn now_is_the_last_moments_and_the_average_is_all() {
    assert!(close(&meter().now(), &[8e6, 8e6]), "{:?}", meter().now());
    assert!(close(&meter().average(), &[8e6, 4e6]), "{:?}", meter().average());
}

#[test]
fn parts_of_the_past_have_their_own_rates() {
    let whole = meter().whole(4);
    let expected = [[8e6, 0.0], [8e6, 0.0], [8e6, 8e6], [8e6, 8e6]];
    assert!(whole.iter().zip(&expected).all(|(rates, wanted)| close(rates, wanted)) && whole.len() == 4, "{whole:?}");
    let last = meter().last(3, ms(300));
    // Steps end at 1.2, 1.5 and 1.8 s; the one under way is not shown.
    let expected = [[8e6, 8e6 * 2.0 / 3.0], [8e6, 8e6], [8e6, 8e6]];
    assert!(last.iter().zip(&expected).all(|(rates, wanted)| close(rates, wanted)) && last.len() == 3, "{last:?}");
    assert_eq!(meter().last(20, ms(300)).len(), 6, "not before the start");
}

#[test]
fn time_left_is_what_is_missing_at_the_rate_of_now() {
    // 1 MB of 4 MB is missing, at 16 Mbit/s.
    let left = meter().left().expect("it moves");
    assert!((left.as_secs_f64() - 0.5).abs() < 1e-3, "{left:?}");
    assert_eq!(meter().progress(), (3_000_000, 4_000_000));
}

#[test]
fn a_meter_that_has_seen_nothing_says_nothing() {
    let meter = Meter::new(vec![5], 10);
    assert_eq!((meter.now(), meter.average(), meter.left()), (vec![0.0], vec![0.0], None));
    assert_eq!(meter.last(9, ms(300)), Vec::<Vec<f64>>::new());
    assert_eq!(meter.whole(2), [[0.0], [0.0]]);
}

#[test]
fn counters_that_stand_still_or_fall_are_no_rate() {
    let mut meter = Meter::new(vec![100], 10);
    meter.push(ms(100), &[90], 0);
    assert_eq!(meter.now(), [0.0]);
}

#[test]
fn a_last_count_taken_late_changes_no_history() {
    // The reader's own clock stopped before the last picture was taken.
    let mut meter = meter();
    meter.push(ms(1990), &[7 + 2_000_000, 9 + 1_000_000], 4_000_000);
    assert!(close(&meter.average(), &[8e6, 4e6]), "{:?}", meter.average());
    assert!(close(&meter.now(), &[8e6, 8e6]), "{:?}", meter.now());
}

#[test]
fn the_lowest_is_the_poorest_window_of_all_links_and_of_what_was_read() {
    let (mut meter, mut count) = (Meter::new(vec![0, 0], 4_000_000), 0);
    for n in 1..=20_u64 {
        count += if (11..=15).contains(&n) { 25_000 } else { 100_000 };
        // The reader hears of the first second at its end.
        let got = if n < 10 { 0 } else { 2 * count };
        meter.push(ms(100 * n), &[count, count], got);
    }
    let (whole, window) = (ms(2_000), ms(300));
    assert!((meter.lowest(ms(0), whole, window).expect("fits") - 4e6).abs() < 1e3);
    assert!((meter.lowest(ms(0), ms(900), window).expect("fits") - 16e6).abs() < 1e3);
    assert_eq!(meter.lowest_read(ms(0), whole, window), Some(0.0));
    assert_eq!(meter.lowest(ms(1_800), ms(9_000), window), None, "nothing fits behind the end");
}
