use super::*;

fn setting(value: &str) -> Setting {
    Setting { key: Key::new("net/a"), value: value.to_owned(), why: "why".to_owned(), lasting: true }
}

fn now(value: Option<&str>) -> BTreeMap<Key, String> {
    value.map(|value| (Key::new("net/a"), value.to_owned())).into_iter().collect()
}

const FILE: &str = "etc/sysctl.d/60-anabranch.conf";

fn text(value: Option<&str>) -> BTreeMap<String, String> {
    value.map(|value| (FILE.to_owned(), value.to_owned())).into_iter().collect()
}

/// A journal after each of these values was set, found as it was left before each but the first.
fn after(values: &[&str]) -> Journal {
    let mut journal = Journal::default();
    let mut found = "4096\t5\n".to_owned();
    for value in values {
        journal.keep_sysctl(&setting(value), &found);
        found = (*value).to_owned();
    }
    journal
}

#[test]
fn a_sysctl_goes_back_to_what_the_first_run_found() {
    let back = |journal: &Journal, value| undo(journal, &now(value), &BTreeMap::new());
    for journal in [after(&["1 2"]), after(&["7", "1 2"])] {
        // The kernel prints a tab between.
        assert_eq!(back(&journal, Some("1\t2\n")).sysctls, [(Key::new("net/a"), "4096\t5".to_owned())]);
        // Set back by somebody already, or never set because something failed.
        assert_eq!(back(&journal, Some("4096 5")), Undo::default());
        let changed = back(&journal, Some("9"));
        assert!(changed.sysctls.is_empty() && changed.left == ["net.a is 9: somebody has set it since"], "{changed:?}");
        let gone = back(&journal, None);
        assert!(gone.sysctls.is_empty() && gone.left.len() == 1, "{gone:?}");
    }
}

#[test]
fn what_somebody_set_between_two_runs_is_what_there_is_to_go_back_to() {
    let mut journal = after(&["1"]);
    journal.keep_sysctl(&setting("2"), "77");
    assert_eq!(undo(&journal, &now(Some("2")), &BTreeMap::new()).sysctls, [(Key::new("net/a"), "77".to_owned())]);
}

#[test]
fn sysctls_go_back_in_the_reverse_order() {
    let mut journal = after(&["1"]);
    journal.keep_sysctl(&Setting { key: Key::new("net/b"), ..setting("1") }, "0");
    let both = [("net/a", "1"), ("net/b", "1")].map(|(key, value)| (Key::new(key), value.to_owned())).into();
    let keys: Vec<_> =
        undo(&journal, &both, &BTreeMap::new()).sysctls.into_iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["net.b", "net.a"]);
}

#[test]
fn a_file_goes_back_to_what_it_was_or_away() {
    for former in [None, Some("theirs\n".to_owned())] {
        let mut journal = Journal::default();
        journal.keep_file(FILE, former.clone(), "one\n");
        journal.keep_file(FILE, Some("one\n".to_owned()), "ours\n");
        let back = |value| undo(&journal, &BTreeMap::new(), &text(value));
        assert_eq!(back(Some("ours\n")).files, [(FILE.to_owned(), former.clone())]);
        assert_eq!(back(former.as_deref()), Undo::default());
        let changed = back(Some("ours\nand more\n"));
        assert!(changed.files.is_empty() && changed.left == [format!("/{FILE} has been changed since")], "{changed:?}");
        assert_eq!(back(None).left.len(), usize::from(former.is_some()));
    }
}

#[test]
fn a_state_file_names_nothing_that_is_not_ours_to_change() {
    let sound = |change: fn(&mut Journal)| {
        let mut journal = after(&["1"]);
        journal.keep_file(FILE, None, "ours");
        journal.directories.push("var/lib/anabranch".to_owned());
        change(&mut journal);
        journal.is_sound()
    };
    assert!(sound(|_| {}));
    assert!(!sound(|journal| journal.files[0].path = "etc/passwd".to_owned()));
    assert!(!sound(|journal| journal.files[0].path = "../etc/sysctl.d/60-anabranch.conf".to_owned()));
    assert!(!sound(|journal| journal.sysctls[0].key = Key::new("../etc/passwd")));
    assert!(!sound(|journal| journal.sysctls[0].key = Key::new("/etc/passwd")));
    assert!(!sound(|journal| journal.directories[0] = "var/../home".to_owned()));
}
