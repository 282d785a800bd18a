use super::*;

const MBIT: u64 = 1_000_000;
const STEP: Duration = Duration::from_millis(100);

struct Watch {
    lane: Lane,
    now: Duration,
}

impl Watch {
    fn new() -> Self {
        Self { lane: Lane::new(), now: Duration::ZERO }
    }

    fn run(&mut self, rate: u64, pressed: bool, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.now += STEP;
            self.lane.add(rate / 80);
            self.lane.settle(pressed, self.now, STEP);
        }
    }

    fn flat(&self) -> Duration {
        self.lane.learned().flat_for(self.now)
    }
}

#[test]
fn the_highest_rate_with_data_waiting_is_learned() {
    let mut watch = Watch::new();
    watch.run(50 * MBIT, false, 5);
    assert_eq!((watch.lane.learned().peak(), watch.flat()), (0, Duration::ZERO), "nobody waited");
    watch.run(30 * MBIT, true, 5);
    let peak = watch.lane.learned().peak();
    assert!((30 * MBIT..=46 * MBIT).contains(&peak), "{peak}");
    assert!((3_000..5_000).contains(&watch.flat().as_millis()), "{:?}", watch.flat());
}

#[test]
fn what_it_no_longer_carries_is_unlearned_after_a_while() {
    let mut watch = Watch::new();
    watch.run(40 * MBIT, true, 5);
    watch.lane.learned_mut().prove(40 * MBIT);
    watch.run(12 * MBIT, true, 2);
    assert!(watch.lane.learned().peak() > 39 * MBIT, "a moment proves nothing");
    watch.run(12 * MBIT, true, 3);
    let (peak, proven) = (watch.lane.learned().peak(), watch.lane.learned().proven());
    assert!(peak < 15 * MBIT && proven.is_none(), "{peak} {proven:?}");
    // Without data waiting, little is moved since little is wanted.
    let mut watch = Watch::new();
    watch.run(40 * MBIT, true, 5);
    watch.run(12 * MBIT, false, 60);
    assert!(watch.lane.learned().peak() > 39 * MBIT);
}

#[test]
fn what_was_proven_is_disproved_by_more() {
    let mut watch = Watch::new();
    watch.run(12 * MBIT, true, 5);
    watch.lane.learned_mut().prove(12 * MBIT);
    watch.run(13 * MBIT, true, 5);
    assert!(watch.lane.learned().proven().is_some(), "a tenth more is the same");
    watch.run(20 * MBIT, true, 2);
    assert_eq!(watch.lane.learned().proven(), None);
}

#[test]
fn a_rising_rate_is_not_flat() {
    let mut watch = Watch::new();
    for second in 1..10 {
        watch.run(second * second * MBIT, true, 1);
        assert!(watch.flat() < Duration::from_secs(1), "{:?}", watch.flat());
    }
    watch.run(81 * MBIT, true, 3);
    assert!(watch.flat() > Duration::from_secs(2));
}

#[test]
fn knowledge_ages() {
    let mut watch = Watch::new();
    watch.run(40 * MBIT, true, 5);
    watch.run(0, false, 3_600);
    let peak = watch.lane.learned().peak();
    assert!((14 * MBIT..15 * MBIT).contains(&peak), "a third after an hour: {peak}");
}
