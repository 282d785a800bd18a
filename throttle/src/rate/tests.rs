use super::*;
use proptest::prelude::*;

const CONSTANT: Duration = Duration::from_millis(250);

#[test]
fn a_counter_gives_its_growth_once() {
    let mut counter = Counter::default();
    assert_eq!([7, 7, 10, 3, 3, 8].map(|value| counter.advance(value)), [0, 0, 3, 0, 0, 5]);
}

#[test]
fn a_rate_settles_and_dies_down() {
    let mut meter = Meter::new(CONSTANT);
    for _ in 0..20 {
        meter.push(500_000, Duration::from_millis(100));
    }
    assert!((39_900_000..=40_000_000).contains(&meter.rate()), "{}", meter.rate());
    for _ in 0..200 {
        meter.push(0, Duration::from_millis(100));
    }
    assert_eq!(meter.rate(), 0);
}

#[test]
fn looks_between_the_counts_do_not_make_it_tremble() {
    let mut meter = Meter::new(Duration::from_millis(150));
    let mut step = 0;
    for tick in 1..2_000 {
        step += 5;
        // Counted every 100 ms, looked at every 5.
        let bytes = if tick % 20 == 0 { 500_000 } else { 0 };
        meter.push(bytes, Duration::from_millis(5));
        if step > 2_000 {
            assert!((39_500_000..40_500_000).contains(&meter.rate()), "{} at {tick}", meter.rate());
        }
    }
    for _ in 0..200 {
        meter.push(0, Duration::from_millis(5));
    }
    assert!(meter.rate() < 1_000_000, "{} a second later", meter.rate());
}

#[test]
fn a_look_without_time_between_moves_it_by_what_it_saw() {
    let (mut once, mut twice) = (Meter::new(CONSTANT), Meter::new(CONSTANT));
    once.push(100_000, Duration::from_millis(100));
    twice.push(40_000, Duration::ZERO);
    twice.push(60_000, Duration::from_millis(100));
    assert!(once.rate().abs_diff(twice.rate()) <= 1);
}

#[test]
fn loss_is_told_once_enough_was_sent_and_forgotten_when_nothing_is() {
    let mut loss = Loss::default();
    let step = Duration::from_millis(100);
    let (mut sent, mut again) = (0, 0);
    loss.push(sent, again, step);
    for _ in 0..9 {
        (sent, again) = (sent + 10_000, again + 300);
        loss.push(sent, again, step);
    }
    assert_eq!(loss.per_mille(), Some(30));
    for _ in 0..25 {
        sent += 10_000;
        loss.push(sent, again, step);
    }
    assert_eq!(loss.per_mille(), Some(0));
    // Ten packets a second: a window takes longer, and says so by saying nothing new.
    let mut slow = Loss::default();
    let mut sent = 0;
    slow.push(0, 0, step);
    for _ in 0..30 {
        sent += 1_400;
        slow.push(sent, 0, step);
        assert_eq!(slow.per_mille(), None);
    }
    for _ in 0..1_200 {
        loss.push(sent, again, step);
    }
    assert_eq!(loss.per_mille(), None);
}

proptest! {
    #[test]
    fn a_steady_rate_is_shown_whatever_the_ticks(
        rate in 1_000_000u64..1_000_000_000,
        steps in prop::collection::vec(20u64..=1_000, 40..80),
    ) {
        let mut meter = Meter::new(CONSTANT);
        let mut counter = Counter::default();
        let (mut at, mut bytes) = (0, 0);
        counter.advance(bytes);
        for step in steps.into_iter().chain([1000; 8]) {
            at += step;
            bytes = rate / 8 * at / 1000;
            meter.push(counter.advance(bytes), Duration::from_millis(step));
            prop_assert!(meter.rate() <= rate + rate / 100 + 100, "never above");
        }
        prop_assert!(meter.rate() >= rate - rate / 50, "{} of {rate}", meter.rate());
    }

    #[test]
    fn parts_add_up(ticks in prop::collection::vec((any::<[u32; 3]>(), 0u64..1_000), 1..50)) {
        let mut parts = [Meter::new(CONSTANT); 3];
        let mut whole = Meter::new(CONSTANT);
        for (bytes, step) in &ticks {
            let step = Duration::from_millis(*step);
            let bytes = bytes.map(|bytes| bytes.max(1));
            whole.push(bytes.iter().map(|bytes| u64::from(*bytes)).sum(), step);
            for (part, bytes) in parts.iter_mut().zip(bytes) {
                part.push(u64::from(bytes), step);
            }
        }
        let sum: u64 = parts.iter().map(Meter::rate).sum();
        // Rounding loses less than one bit/s a push, of each.
        prop_assert!(whole.rate().abs_diff(sum) <= 4 * ticks.len() as u64);
    }

    #[test]
    fn nothing_overflows(values in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..40)) {
        let (mut meter, mut counter, mut loss) = (Meter::new(CONSTANT), Counter::default(), Loss::default());
        for (a, b, step) in values {
            let step = Duration::from_micros(step);
            meter.push(counter.advance(a), step);
            loss.push(a, b, step);
            prop_assert!(loss.per_mille().is_none_or(|share| share <= 1000));
        }
    }
}
