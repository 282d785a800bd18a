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
fn clocks_that_are_put_forward_or_back_move_the_edges_on_the_wall_only() {
    let early = schedule(&["02:30-04:00"], "Europe/Berlin");
    // Forward on 2026-03-29: 02:30 does not exist, and stands for 03:30.
    assert!(!early.contains(at("2026-03-29T01:59:59+01:00")));
    assert!(!early.contains(at("2026-03-29T03:29:59+02:00")));
    assert!(early.contains(at("2026-03-29T03:30:00+02:00")));
    // Back on 2026-10-25: 02:30 comes twice, and the first counts.
    assert!(early.contains(at("2026-10-25T02:30:00+02:00")));
    assert!(early.contains(at("2026-10-25T02:30:00+01:00")));
    assert!(!early.contains(at("2026-10-25T04:00:00+01:00")));
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
    assert!("Europe/Nowhere".parse::<Zone>().is_err());
}
