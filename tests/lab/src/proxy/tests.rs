use super::*;

#[test]
fn access_entries_are_found_flat_and_nested_and_nothing_else_is() {
    let flat = r#"{"client":"10.1.0.2:1","outcome":"completed","bytes_to_client":3,"mptcp":true}"#;
    let nested = format!(r#"{{"level":"INFO","fields":{flat}}}"#);
    assert_eq!(access_entry(flat).expect("an entry")["mptcp"], true);
    assert_eq!(access_entry(&nested), access_entry(flat));
    assert_eq!(access_entry(r#"{"level":"INFO","message":"listening"}"#), None);
    assert_eq!(access_entry("plain words"), None);
}

#[test]
fn usage_of_this_process_is_plausible() {
    let usage = usage(std::process::id()).expect("reads");
    assert!(usage.descriptors >= 3 && usage.threads >= 1, "{usage:?}");
    assert!(usage.rss_kib > 100 && usage.pss_kib > 100 && usage.pss_kib <= usage.rss_kib * 2, "{usage:?}");
}

#[test]
fn private_directories_differ() {
    let (one, two) = (private_directory("t").expect("makes"), private_directory("t").expect("makes"));
    assert_ne!(one, two);
    for path in [one, two] {
        fs::remove_dir(path).expect("removes");
    }
}

#[test]
fn only_directories_of_dead_runs_are_swept() {
    let place = private_directory("sweep").expect("makes");
    // Process numbers end far below this one.
    let dead = place.join(format!("{PREFIX}4294967295-proxy-0"));
    let living = place.join(format!("{PREFIX}{}-proxy-0", std::process::id()));
    let foreign = place.join("something-else-4294967295");
    for path in [&dead, &living, &foreign] {
        fs::create_dir(path).expect("makes");
    }
    sweep(&place).expect("sweeps");
    assert_eq!([&dead, &living, &foreign].map(|path| path.exists()), [false, true, true]);
    fs::remove_dir_all(place).expect("removes");
}
