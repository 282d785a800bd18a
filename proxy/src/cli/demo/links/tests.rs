use super::*;

fn read(text: &str) -> Links {
    text.parse().expect("reads")
}

#[test]
fn links_are_named_from_the_fastest_on() {
    let links = read("20 Mbit/s 50 ms, 40 Mbit/s 20 ms,1 Mbit/s");
    let told: Vec<_> = links.iter().map(|link| (link.name, link.words())).collect();
    let expected = [("DSL", "40 Mbit/s, 20 ms"), ("LTE", "20 Mbit/s, 50 ms"), ("5G", "1 Mbit/s")];
    assert_eq!(told, expected.map(|(name, words)| (name, words.to_owned())));
    assert_eq!(links.best().name, "DSL");
}

#[test]
fn half_a_round_trip_is_spent_each_way() {
    let links = read(super::super::LINKS);
    let hops: Vec<_> = links.iter().map(|link| link.lab().hops).collect();
    let delays: Vec<_> = hops
        .iter()
        .map(|hops| match &hops[..] {
            [anabranch_lab::link::Hop::Emulator(impairment)] => impairment.delay.as_millis(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(delays, [10, 25]);
    assert!(read("2 Mbit/s,1 Mbit/s").iter().all(|link| link.lab().hops.is_empty()), "no delay, no emulator");
}

#[test]
fn what_cannot_be_built_is_refused_in_words() {
    for (text, why) in [
        ("40 Mbit/s", "1 links; expected 2 to 4"),
        ("1 Mbit/s,1 Mbit/s,1 Mbit/s,1 Mbit/s,1 Mbit/s", "5 links"),
        ("40 Mbps,20 Mbit/s", "write \"Mbit/s\""),
        ("1 Gbit/s,20 Mbit/s", "at most 500 Mbit/s"),
        ("40 Mbit/s fast,20 Mbit/s", "40 Mbit/s fast"),
        ("40 Mbit/s 2 s,20 Mbit/s", "at most 1 s"),
        ("", "no number"),
    ] {
        let error = text.parse::<Links>().expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
}
