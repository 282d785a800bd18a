use super::*;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn time_lived_through_never_falls_and_never_jumps() {
    let mut clock = Clock::default();
    let start = secs(1_000_000);
    // The wall, then what has been lived through, the step, and whether that is not known.
    for (wall, now, step, gap) in [
        (0, 0, 0, true),
        (1, 1, 1, false),
        (1, 1, 0, false),
        (6, 6, 5, false),
        // Set forward by an hour; set back by a day.
        (3_606, 6, 0, true),
        (3_607, 7, 1, false),
        (0, 7, 0, true),
        (2, 9, 2, false),
    ] {
        let moment = clock.advance(start + secs(wall));
        assert_eq!((moment.now, moment.step, moment.gap), (secs(now), secs(step), gap), "{wall}");
        assert_eq!(moment.wall_of(moment.now + secs(3)), moment.wall + secs(3));
    }
}

#[test]
fn a_short_lapse_is_none() {
    let mut since = Since::new();
    let grace = Duration::from_millis(300);
    let at = Duration::from_millis;
    assert_eq!(since.update(false, at(0), grace), None);
    assert_eq!(since.update(true, at(100), grace), Some(at(0)));
    assert_eq!(since.update(false, at(300), grace), Some(at(200)));
    assert_eq!(since.update(true, at(399), grace), Some(at(299)));
    assert_eq!(since.due(at(1_000)), Some(at(1_100)));
    assert_eq!(since.update(false, at(699), grace), None);
    assert_eq!(since.update(true, at(700), grace), Some(at(0)));
}
