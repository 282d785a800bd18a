use super::super::facts::Trial;
use super::super::judge::tests::{CONFIG, config, well};
use super::super::{Facts, Feature, judge};
use super::*;

fn ill() -> Facts {
    let mut facts = well();
    facts.sysctls.insert(Key::new("net/mptcp/enabled"), "0".to_owned());
    facts.sysctls.insert(Key::new("net/ipv4/tcp_rmem"), "4096 131072 262144".to_owned());
    facts.sysctls.insert(Key::new("net/mptcp/path_manager"), "userspace".to_owned());
    facts.descriptors.hard = 1024;
    facts.subflow_limit = Ok(0);
    facts
}

fn planned(facts: &Facts, journal: &Journal) -> Plan {
    plan(&judge(&config(CONFIG), facts), journal)
}

#[test]
fn where_all_is_well_nothing_is_planned() {
    let nothing = planned(&well(), &Journal::default());
    assert!(nothing.is_empty() && nothing.by_hand.is_empty());
    assert_eq!(nothing.text("/"), "# nothing to set up\n");
}

#[test]
fn what_nobody_here_can_change_is_not_left_to_anybody() {
    let mut facts = well();
    facts.features.insert(Feature::UpdateSocketProtocol, Trial::Refused("EPERM".to_owned()));
    assert_eq!(planned(&facts, &Journal::default()).text("/"), "# nothing to set up\n");
}

#[test]
fn what_is_to_last_is_in_a_file_and_what_is_not_is_not() {
    let plan = planned(&ill(), &Journal::default());
    let keys: Vec<_> = plan.settings.iter().map(|setting| (setting.key.to_string(), setting.lasting)).collect();
    let expected = [("net.mptcp.enabled", true), ("net.mptcp.path_manager", false), ("net.ipv4.tcp_rmem", true)];
    assert_eq!(keys, expected.map(|(key, lasting)| (key.to_owned(), lasting)));
    let paths: Vec<_> = plan.files.iter().map(|file| file.path.as_str()).collect();
    let units =
        ["anabranch-proxy", "anabranch"].map(|unit| format!("etc/systemd/system/{unit}.service.d/60-edge-setup.conf"));
    assert_eq!(paths, ["etc/sysctl.d/60-anabranch.conf", &units[0], &units[1]]);
    assert!(paths.iter().all(|path| is_ours(path)) && !is_ours("etc/passwd"));
    let text = &plan.files[0].text;
    assert!(
        text.contains("\nnet.mptcp.enabled = 1\n") && text.contains("\nnet.ipv4.tcp_rmem = 4096 131072 2097152\n"),
        "{text}"
    );
    // Written at boot it would be undone by the program that owns it, or undo that program's own.
    assert!(!text.contains("path_manager"), "{text}");
    // Every line has its reason above it.
    let lines: Vec<_> = text.lines().collect();
    let settings = lines.windows(2).filter(|pair| pair[1].contains(" = ")).collect::<Vec<_>>();
    assert!(settings.len() == 2 && settings.iter().all(|pair| pair[0].starts_with("# ")), "{text}");
    assert!(plan.files[1].text.ends_with("\nLimitNOFILE=32768\n"));
    assert_eq!(
        plan.by_hand,
        [("mptcp-limits".to_owned(), "ip mptcp limits set subflows 8 add_addr_accepted 8".to_owned())]
    );
}

#[test]
fn a_dry_run_says_every_step() {
    let text = planned(&ill(), &Journal::default()).text("/");
    let elsewhere = planned(&ill(), &Journal::default()).text("/elsewhere");
    assert!(elsewhere.contains("/dev/stdin /elsewhere/etc/sysctl.d/"), "{elsewhere}");
    for words in [
        "\nsysctl -w net.mptcp.enabled=1\n",
        "\nsysctl -w net.mptcp.path_manager=kernel\n",
        "\ninstall -D -m 644 /dev/stdin /etc/sysctl.d/60-anabranch.conf <<'END'\n# Written by",
        "\nLimitNOFILE=32768\nEND\n",
        "\nsystemctl daemon-reload",
        "\n# left to you, mptcp-limits: ip mptcp limits",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

#[test]
fn a_second_run_plans_nothing_and_a_later_one_keeps_what_is_set() {
    let first = planned(&ill(), &Journal::default());
    let mut journal = Journal::default();
    for setting in &first.settings {
        journal.keep_sysctl(setting, "before");
    }
    first.files.iter().for_each(|file| journal.keep_file(&file.path, None, &file.text));
    // The sysctls are as they should be; the service has not been started anew, so its limit is not.
    let mut facts = well();
    facts.descriptors.hard = 1024;
    assert!(planned(&facts, &journal).is_empty());
    // Another fault later: the file still says what the first run has set.
    facts.sysctls.insert(Key::new("net/core/somaxconn"), "128".to_owned());
    let later = planned(&facts, &journal);
    let [file] = &later.files[..] else { panic!("{later:?}") };
    for line in ["net.mptcp.enabled = 1", "net.ipv4.tcp_rmem = 4096 131072 2097152", "net.core.somaxconn = 4096"] {
        assert!(file.text.contains(line), "{line} is not in {}", file.text);
    }
    assert!(!file.text.contains("path_manager"));
}
