use super::*;

fn links(text: &str) -> Links {
    text.parse().expect("reads")
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// 24 and 8 Mbit/s for 2 s; then 24 and 2 for 2 s, with a dip of the first to 8 in the first half second; then as before.
fn meter() -> Meter {
    let (mut meter, mut counts) = (Meter::new(vec![0, 0], 20_000_000), [0, 0]);
    for n in 1..=60_u64 {
        let rates: [u64; 2] = match n {
            21..=25 => [8, 2],
            26..=40 => [24, 2],
            _ => [24, 8],
        };
        counts = [counts[0] + rates[0] * 12_500, counts[1] + rates[1] * 12_500];
        meter.push(ms(100 * n), &counts, counts[0] + counts[1]);
    }
    meter
}

fn course(told: u64, in_force: u64, cleared: u64) -> Course {
    Course { told: ms(told), in_force: ms(in_force), cleared: ms(cleared), cannot: Vec::new() }
}

#[test]
fn the_rule_is_little_for_its_link_and_a_configuration() {
    for (text, rate) in [("40 Mbit/s,20 Mbit/s", 2_000_000), ("40 Mbit/s,4 Mbit/s 20 ms,1 Mbit/s", 1_000_000)] {
        let links = links(text);
        let rule = Rule::of(&links);
        assert_eq!((rule.link, rule.free, rule.rate.bits_per_second()), ("LTE", "DSL", rate));
        let file = Path::new("/demo.toml");
        let config = anabranch_config::parse(&rule.text(&links), file).expect("a configuration");
        assert_eq!((config.paths.len(), config.policies.len()), (links.len(), 1));
        anabranch_config::parse(&Rule::steering(&links), file).expect("a configuration without policies");
    }
}

#[test]
fn what_was_held_is_measured_once_it_settled_and_the_lowest_total_from_the_start() {
    let held = Held::of(course(2_000, 2_050, 4_000), &meter());
    assert!((held.carried.expect("long enough") - 2e6).abs() < 1e3, "{held:?}");
    assert!((held.lowest.expect("long enough") - 10e6).abs() < 1e3, "the dip at the start counts: {held:?}");
    assert_eq!(held.lowest, held.lowest_read);
    assert_eq!(held.time, ms(1_950));
}

#[test]
fn a_rule_kept_too_shortly_is_not_measured() {
    let held = Held::of(course(2_000, 2_050, 2_300), &meter());
    assert_eq!((held.carried, held.lowest), (None, None));
    assert_eq!(Rule::of(&links("40 Mbit/s,20 Mbit/s")).kept(&held), None);
}

#[test]
fn harm_and_excess_are_no_success() {
    let rule = Rule::of(&links("40 Mbit/s,20 Mbit/s"));
    let held = |carried, lowest| Held {
        time: ms(4_000),
        carried: Some(carried),
        lowest: Some(lowest),
        lowest_read: None,
        cannot: Vec::new(),
    };
    assert_eq!(rule.kept(&held(1.9e6, 39e6)), Some(true));
    assert_eq!(rule.kept(&held(2.5e6, 39e6)), Some(false), "it carried more than it may");
    assert_eq!(rule.kept(&held(1.9e6, 30e6)), Some(false), "the free link was not full");
}

#[test]
fn whoever_steers_stops_waiting_when_the_download_is_over() {
    let (got, over, held) = (AtomicU64::new(0), AtomicBool::new(true), AtomicBool::new(false));
    let progress = Progress { started: Instant::now(), got: &got, bytes: 3_000_000, over: &over };
    assert!(!progress.wait_for(1));
    progress.steer(Path::new("/none.toml"), Path::new("/none.sock"), &held).expect_err("there is nothing to hold");
    got.store(1_000_000, Ordering::Relaxed);
    assert!(progress.wait_for(1) && !progress.wait_for(2));
    assert!(!held.load(Ordering::Relaxed));
}

#[test]
fn reasons_come_from_the_list() {
    let answer = serde_json::json!({"policies": [], "cannot": ["pace: no BPF"]});
    assert_eq!(cannot(&answer), ["pace: no BPF"]);
    assert!(cannot(&serde_json::json!({})).is_empty());
}
