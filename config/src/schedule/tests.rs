use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

/// A moment, from a time on the wall with its offset.
fn at(text: &str) -> Duration {
    let timestamp: Timestamp = text.parse().unwrap();
    Duration::try_from(timestamp.as_duration()).unwrap()
}

fn schedule(windows: &[&str], zone: &str) -> Schedule {
    Schedule::new(windows.iter().map(|window| window.parse().unwrap()).collect(), zone.parse().unwrap())
}

#[test]
fn a_window_holds_on_its_days_and_at_its_times_and_past_midnight() {
    let evening = schedule(&["mon-fri 18:00-23:00"], "Europe/Berlin");
    // 2026-11-26 is a Thursday.
    for (text, holds) in [
        ("2026-11-26T17:59:59+01:00", false),
        ("2026-11-26T18:00:00+01:00", true),
        ("2026-11-26T22:59:59+01:00", true),
        ("2026-11-26T23:00:00+01:00", false),
        ("2026-11-28T19:00:00+01:00", false),
    ] {
        assert_eq!(evening.contains(at(text)), holds, "{text}");
    }
    let night = schedule(&["fri 22:00-06:00"], "UTC");
    for (text, holds) in [
        ("2026-11-27T21:59:59Z", false),
        ("2026-11-27T22:00:00Z", true),
        ("2026-11-28T05:59:59Z", true),
        ("2026-11-28T06:00:00Z", false),
        ("2026-11-28T23:00:00Z", false),
    ] {
        assert_eq!(night.contains(at(text)), holds, "{text}");
    }
    assert!(schedule(&["sat,sun 00:00-24:00"], "UTC").contains(at("2026-11-29T23:59:59Z")));
    assert!(!schedule(&["sat,sun 00:00-24:00"], "UTC").contains(at("2026-11-30T00:00:00Z")));
    assert!(
        schedule(&["sat-mon 10:00-11:00"], "UTC").contains(at("2026-11-30T10:30:00Z")),
        "round the end of the week"
    );
}

#[test]
fn the_next_change_is_the_next_edge() {
    let evening = schedule(&["mon-fri 18:00-23:00"], "Europe/Berlin");
    assert_eq!(evening.next_change(at("2026-11-26T12:00:00+01:00")), Some(at("2026-11-26T18:00:00+01:00")));
    assert_eq!(evening.next_change(at("2026-11-26T18:00:00+01:00")), Some(at("2026-11-26T23:00:00+01:00")));
    assert_eq!(evening.next_change(at("2026-11-27T23:00:00+01:00")), Some(at("2026-11-30T18:00:00+01:00")));
    assert_eq!(
        schedule(&["thu 10:00-11:00"], "UTC").next_change(at("2026-11-26T11:00:00Z")),
        Some(at("2026-12-03T10:00:00Z"))
    );
}

#[test]
fn a_schedule_says_what_the_clock_on_the_wall_says_when_clocks_are_put_forward() {
    // On 2026-03-29 the clock goes from 01:59:59 to 03:00:00.
    for (window, holds) in [
        ("02:30-04:00", ["01:59:59+01:00 no", "03:00:00+02:00 yes", "03:59:59+02:00 yes", "04:00:00+02:00 no"]),
        ("02:30-03:15", ["01:59:59+01:00 no", "03:00:00+02:00 yes", "03:14:59+02:00 yes", "03:15:00+02:00 no"]),
        ("01:00-02:30", ["00:59:59+01:00 no", "01:00:00+01:00 yes", "01:59:59+01:00 yes", "03:00:00+02:00 no"]),
        ("02:15-02:45", ["01:59:59+01:00 no", "03:00:00+02:00 no", "03:15:00+02:00 no", "03:44:59+02:00 no"]),
    ] {
        let schedule = schedule(&[window], "Europe/Berlin");
        for (time, expected) in holds.map(|hold| hold.split_once(' ').unwrap()) {
            assert_eq!(schedule.contains(at(&format!("2026-03-29T{time}"))), expected == "yes", "{window} at {time}");
        }
    }
    let early = schedule(&["02:30-04:00"], "Europe/Berlin");
    assert_eq!(early.next_change(at("2026-03-29T01:00:00+01:00")), Some(at("2026-03-29T03:00:00+02:00")));
}

#[test]
fn of_a_time_that_comes_twice_the_first_counts() {
    // On 2026-10-25 the clock goes from 02:59:59 back to 02:00:00.
    let late = schedule(&["02:30-04:00"], "Europe/Berlin");
    for (time, holds) in [
        ("02:29:59+02:00", false),
        ("02:30:00+02:00", true),
        ("02:00:00+01:00", true),
        ("02:30:00+01:00", true),
        ("03:59:59+01:00", true),
        ("04:00:00+01:00", false),
    ] {
        assert_eq!(late.contains(at(&format!("2026-10-25T{time}"))), holds, "{time}");
    }
    let early = schedule(&["01:00-02:30"], "Europe/Berlin");
    assert!(early.contains(at("2026-10-25T02:29:59+02:00")));
    assert!(!early.contains(at("2026-10-25T02:00:00+01:00")), "it has ended, and does not begin again");
}

#[test]
fn what_has_begun_lasts_when_clocks_are_put_back_over_midnight() {
    // In Newfoundland the clock went from 00:00:59 on 2009-11-01 back to 23:01:00 on the day before.
    let night = schedule(&["sun 00:00-06:00"], "America/St_Johns");
    for (time, holds) in [
        ("2009-10-31T23:59:59-02:30", false),
        ("2009-11-01T00:00:00-02:30", true),
        ("2009-10-31T23:30:00-03:30", true),
        ("2009-11-01T05:59:59-03:30", true),
        ("2009-11-01T06:00:00-03:30", false),
    ] {
        assert_eq!(night.contains(at(time)), holds, "{time}");
    }
    let day = Period::new(UsedPer::Day, "America/St_Johns".parse().unwrap()).unwrap();
    let (began, again) = (at("2009-11-01T00:00:00-02:30"), at("2009-10-31T23:30:00-03:30"));
    assert_eq!((day.start(again), day.end(again)), (began, at("2009-11-02T00:00:00-03:30")));
    let month = Period::new(UsedPer::Month, "America/St_Johns".parse().unwrap()).unwrap();
    assert_eq!((month.start(again), month.end(again)), (began, at("2009-12-01T00:00:00-03:30")));
}

#[test]
fn a_day_that_a_calendar_leaves_out_is_no_day() {
    // Samoa went from 2011-12-29 to 2011-12-31.
    let day = Period::new(UsedPer::Day, "Pacific/Apia".parse().unwrap()).unwrap();
    let before = at("2011-12-29T12:00:00-10:00");
    let change = at("2011-12-31T00:00:00+14:00");
    assert_eq!((day.start(before), day.end(before)), (at("2011-12-29T00:00:00-10:00"), change));
    assert_eq!((day.start(change), day.end(change)), (change, at("2012-01-01T00:00:00+14:00")));
    assert!(!schedule(&["fri 00:00-24:00"], "Pacific/Apia").contains(change), "the Friday left out");
}

#[test]
fn at_the_ends_of_the_calendar_nothing_breaks() {
    for moment in [Duration::ZERO, Duration::from_secs(253_402_300_799), Duration::MAX] {
        for zone in ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"] {
            let night = schedule(&["22:00-06:00"], zone);
            let next = night.next_change(moment);
            assert!(next.is_none_or(|next| next > moment), "{next:?} after {moment:?}");
            if moment == Duration::ZERO {
                assert_eq!(night.contains(moment), zone == "UTC", "midnight, 14:00 and 16:00 on the wall");
            }
            for per in [UsedPer::Day, UsedPer::Week, UsedPer::Month] {
                let period = Period::new(per, zone.parse().unwrap()).unwrap();
                let (start, end) = (period.start(moment), period.end(moment));
                assert!(start <= moment && moment <= end, "{per} of {moment:?}: {start:?} to {end:?}");
            }
        }
    }
}

#[test]
fn zones_are_named_as_the_database_names_them() {
    let zone = |name: &str| name.parse::<Zone>();
    assert_eq!(zone("europe/BERLIN").unwrap(), zone("Europe/Berlin").unwrap());
    assert_eq!(zone("utc").unwrap(), Zone::utc());
    for name in ["Europe/Nowhere", "", "Etc/Unknown", "+01:00", "CET-1CEST", "../etc/passwd", "localtime"] {
        assert!(zone(name).is_err(), "{name:?}");
    }
}

#[test]
fn periods_begin_and_end_with_the_calendar_of_their_zone() {
    let period = |per, zone: &str| Period::new(per, zone.parse().unwrap()).unwrap();
    let month = period(UsedPer::Month, "Europe/Berlin");
    let now = at("2026-03-31T23:30:00+02:00");
    assert_eq!(month.start(now), at("2026-03-01T00:00:00+01:00"));
    assert_eq!(month.end(now), at("2026-04-01T00:00:00+02:00"));
    let week = period(UsedPer::Week, "UTC");
    assert_eq!(week.start(at("2026-11-29T12:00:00Z")), at("2026-11-23T00:00:00Z"));
    assert_eq!(week.end(at("2026-11-29T12:00:00Z")), at("2026-11-30T00:00:00Z"));
    let day = period(UsedPer::Day, "Europe/Berlin");
    let (start, end) = (day.start(at("2026-10-25T12:00:00+01:00")), day.end(at("2026-10-25T12:00:00+01:00")));
    assert_eq!(end - start, Duration::from_secs(25 * 3600));
    assert_eq!(Period::new(UsedPer::Connection, Zone::utc()), None);
}

#[test]
fn what_is_printed_is_read_again_as_the_same() {
    for text in ["mon,tue,wed,thu,fri 18:00-23:00", "22:00-06:00", "sat,sun 00:00-24:00"] {
        let window: Window = text.parse().unwrap();
        assert_eq!(window.to_string(), text);
    }
    for text in [
        "",
        "mon",
        "mon 18:00",
        "18:00-18:00",
        "24:00-06:00",
        "mo 1:00-2:00",
        "12:60-13:00",
        "12:00-25:00",
        "mon 1:00-2:00",
    ] {
        assert!(text.parse::<Window>().is_err(), "{text:?}");
    }
}

/// Moments of 2005 to 2030, near clock changes too.
fn moment() -> impl Strategy<Value = Duration> {
    let change = |text: &'static str| (-100_000_i64..100_000).prop_map(move |by| near(text, by));
    prop_oneof![
        (1_104_537_600_u64..1_900_000_000).prop_map(Duration::from_secs),
        change("2009-11-01T02:31:00Z"),
        change("2011-12-30T10:00:00Z"),
        change("2026-03-29T01:00:00Z"),
        change("2026-10-25T01:00:00Z"),
        // Lord Howe Island: half an hour.
        change("2026-10-03T15:30:00Z"),
        // Cairo: at midnight.
        change("2026-04-23T22:00:00Z"),
    ]
}

fn near(text: &str, by: i64) -> Duration {
    Duration::from_secs(at(text).as_secs().saturating_add_signed(by))
}

fn zone() -> impl Strategy<Value = Zone> {
    let names = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Cairo"];
    prop::sample::select(names.to_vec()).prop_map(|name| name.parse().unwrap())
}

fn window() -> impl Strategy<Value = Window> {
    let time = || (0_u8..24, prop::sample::select(vec![0_u8, 1, 15, 30, 59]));
    let days = prop::sample::select(vec!["", "mon-fri ", "sat,sun ", "thu ", "sun ", "fri-mon "]);
    let differ = (time(), time()).prop_filter("an end of its own", |(from, to)| from != to);
    (days, differ).prop_map(|(days, (from, to))| {
        format!("{days}{:02}:{:02}-{:02}:{:02}", from.0, from.1, to.0, to.1).parse().unwrap()
    })
}

proptest! {
    #[test]
    fn between_two_changes_nothing_changes(
        windows in prop::collection::vec(window(), 1..3),
        zone in zone(),
        at in moment(),
        part in 0.0..1.0_f64,
    ) {
        let schedule = Schedule::new(windows, zone);
        let next = schedule.next_change(at).unwrap();
        prop_assert!(next > at);
        let between = at + (next - at).mul_f64(part).min(next - at - Duration::from_nanos(1));
        prop_assert_eq!(schedule.contains(at), schedule.contains(between), "{} at {:?} and {:?}", schedule, at, between);
    }

    #[test]
    fn periods_follow_each_other_without_a_gap(
        per in prop::sample::select(vec![UsedPer::Day, UsedPer::Week, UsedPer::Month]),
        zone in zone(),
        at in moment(),
    ) {
        let period = Period::new(per, zone).unwrap();
        let (start, end) = (period.start(at), period.end(at));
        prop_assert!(start <= at && at < end, "{} {:?}: {:?} to {:?}", period, at, start, end);
        prop_assert_eq!((period.start(start), period.end(start)), (start, end));
        prop_assert_eq!(period.start(end), end);
        prop_assert_eq!(period.end(end - Duration::from_nanos(1)), end);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,20}|[a-z,-]{0,9} ?[0-9:-]{0,12}") {
        if let Ok(window) = text.parse::<Window>() {
            prop_assert_eq!(window.to_string().parse::<Window>(), Ok(window));
        }
        if let Ok(zone) = text.parse::<Zone>() {
            prop_assert_eq!(zone.to_string().parse::<Zone>(), Ok(zone));
        }
    }
}
