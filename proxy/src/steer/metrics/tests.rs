use super::*;

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

fn begun(policy: &str) -> Tally {
    Tally::from([((policy.into(), Happened::Begun), 2)])
}

#[test]
fn every_family_has_its_documented_name() {
    let mut registry = Registry::with_prefix("anabranch");
    let mut metrics = Metrics::register(&mut registry);
    metrics.name(["lte \"off\"".into()].into_iter());
    metrics.happen(&begun("lte \"off\""));
    metrics.moved("lte \"off\"".into(), 7);
    metrics.fail("class");
    metrics.turn(Duration::from_millis(1_700_000_000_500), None);
    metrics.hold(Held { connections: 3, demoted: 1, paced: 2, capped: 4, closed: 5, totals: 6 });
    let text = text(&registry);
    let expected = [
        "anabranch_steering_connections 3",
        "anabranch_steering_held{action=\"demoted\"} 1",
        "anabranch_steering_held{action=\"paced\"} 2",
        "anabranch_steering_held{action=\"capped\"} 4",
        "anabranch_steering_held{action=\"closed\"} 5",
        "anabranch_steering_held{action=\"total\"} 6",
        "anabranch_steering_holds_total{policy=\"lte \\\"off\\\"\",event=\"begun\"} 2",
        "anabranch_steering_holds_total{policy=\"lte \\\"off\\\"\",event=\"rolled-back\"} 0",
        "anabranch_steering_held_payload_bytes_total{policy=\"lte \\\"off\\\"\"} 7",
        "anabranch_steering_failed_operations_total{object=\"class\"} 1",
        "anabranch_steering_last_turn_timestamp_seconds 1700000000.5",
        "anabranch_steering_late_turns_total 0",
    ];
    for line in expected {
        assert!(text.lines().any(|is| is == line), "{line} in {text}");
    }
}

#[test]
fn names_do_not_pile_up() {
    let mut registry = Registry::default();
    let mut metrics = Metrics::register(&mut registry);
    for number in 0..100 {
        let name: Arc<str> = format!("number {number}").into();
        metrics.name([name.clone(), "stays".into()].into_iter());
        metrics.happen(&begun("stays"));
        metrics.moved(name, number);
    }
    // What the last but one held is let go now; what nobody has named is not counted.
    metrics.happen(&begun("number 98"));
    metrics.happen(&begun("number 3"));
    let text = text(&registry);
    for said in
        ["\"number 98\",event=\"begun\"} 2", "\"number 99\",event=\"begun\"} 0", "\"stays\",event=\"begun\"} 200"]
    {
        assert!(text.contains(said), "{said} in {text}");
    }
    assert_eq!(text.matches("event=\"ended\"").count(), 3, "{text}");
    assert_eq!(text.matches("bytes_total{").count(), 2, "{text}");
}

#[test]
fn a_turn_is_late_only_under_a_policy() {
    let mut registry = Registry::default();
    let mut metrics = Metrics::register(&mut registry);
    let interval = Some(Duration::from_millis(100));
    let at = |millis: u64| Duration::from_millis(1_000_000 + millis);
    let turns = [
        (0, None, 0),
        (5000, interval, 0),
        (5150, interval, 0),
        (5400, interval, 1),
        (5500, None, 1),
        (9000, interval, 1),
    ];
    for (millis, interval, late) in turns {
        metrics.turn(at(millis), interval);
        assert_eq!(metrics.late_turns.get(), late, "after {millis} ms");
    }
}
