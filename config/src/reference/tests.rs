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
        complaint(header, &line, UNKNOWN).unwrap()
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
        for Key { name, value, about } in &section.keys {
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
