//! The reference holds what reading knows: no key more, no key less.

use std::collections::BTreeSet;

use super::*;

/// A key that nobody has, and none is near to: reading then names all that it knows.
const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqq";

/// The keys of a section, or of the file itself, by reading.
fn known(header: &str) -> BTreeSet<String> {
    let line = format!("{UNKNOWN} = 1");
    let list = if header.is_empty() {
        let error = parse(&line, Path::new("probe.toml")).unwrap_err();
        error.problems()[0].expected.clone()
    } else {
        complaints(header, &line, UNKNOWN).remove(0)
    };
    list.trim_start_matches("expected ").trim_start_matches("one of: ").split(", ").map(str::to_owned).collect()
}

#[test]
fn every_section_that_is_read_is_there() {
    let sections = sections();
    let there: Vec<_> = sections.iter().map(|section| section.header.trim_matches(['[', ']']).to_owned()).collect();
    assert_eq!(there.len(), there.iter().collect::<BTreeSet<_>>().len(), "{there:?}");
    assert_eq!(there.into_iter().collect::<BTreeSet<_>>(), known(""));
}

#[test]
fn every_key_that_is_read_is_there_once() {
    let mut keys = 0;
    for section in sections() {
        let there: Vec<_> = section.keys.iter().map(|key| key.name.clone()).collect();
        assert_eq!(there.len(), there.iter().collect::<BTreeSet<_>>().len(), "{}: {there:?}", section.header);
        assert_eq!(there.iter().cloned().collect::<BTreeSet<_>>(), known(&section.header), "{}", section.header);
        keys += there.len();
    }
    assert!(keys >= 90, "only {keys}");
}

#[test]
fn every_key_says_what_it_takes_and_what_it_means() {
    for section in sections() {
        assert!(!section.about.is_empty(), "{}", section.header);
        for Key { name, value, about, .. } in &section.keys {
            let here = format!("{} {name}", section.header);
            assert!(!about.is_empty(), "{here}: no meaning");
            assert!(!value.is_empty() && !value.contains("one of: "), "{here}: {value:?} is no answer");
        }
    }
}

#[test]
fn what_a_value_has_to_be_is_what_reading_says() {
    let sections = sections();
    let value = |header: &str, name: &str| {
        let section = sections.iter().find(|section| section.header == header).unwrap();
        section.keys.iter().find(|key| key.name == name).unwrap().value.clone()
    };
    assert_eq!(value("[steering]", "subflows"), "a whole number from 1 to 60000");
    assert_eq!(value("[steering]", "mode"), "\"act\" or \"observe\"");
    assert!(value("[[policy]]", "rate").contains("Mbit/s"), "{}", value("[[policy]]", "rate"));
}

#[test]
fn what_may_be_left_out_is_told() {
    let sections = sections();
    let key = |header: &str, name: &str| {
        let section = sections.iter().find(|section| section.header == header).unwrap();
        section.keys.iter().find(|key| key.name == name).unwrap()
    };
    assert_eq!(key("[limits]", "headers").default, Absence::Default("100".to_owned()));
    assert_eq!(key("[[listener]]", "name").default, Absence::Default("the address".to_owned()));
    let refused = sections.iter().flat_map(|section| section.keys.iter().map(move |key| (&section.header, key)));
    let refused = refused.filter(|(_, key)| key.default == Absence::Refused);
    let refused: Vec<_> = refused.map(|(header, key)| format!("{header} {}", key.name)).collect();
    let expected =
        ["[[listener]] address", "[[path]] name", "[[subscriber]] name", "[[policy]] name", "[[policy]] action"];
    assert_eq!(refused, expected);
}

#[test]
fn a_key_of_one_action_says_which() {
    let sections = sections();
    let policy = sections.iter().find(|section| section.header == "[[policy]]").unwrap();
    let of = |action: &str| {
        let keys = policy.keys.iter().filter(|key| key.action == action);
        keys.map(|key| key.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of("limit"), ["rate", "burst", "ceil", "per", "direction"]);
    assert_eq!(of("share"), ["percent"]);
    assert_eq!(of("overflow"), ["limit", "after", "hold"]);
    assert!(
        sections
            .iter()
            .filter(|section| section.header != "[[policy]]")
            .all(|section| { section.keys.iter().all(|key| key.action.is_empty()) })
    );
}
