//! Clashes, open doors and warnings.

use std::path::Path;

use super::{clash, is_world};
use crate::{Listener, Prefix, parse};

fn listener(address: &str, ipv6_only: bool) -> Listener {
    Listener { ipv6_only, ..Listener::new("x".parse().unwrap(), address.parse().unwrap()) }
}

#[test]
fn listeners_clash_where_the_kernel_would_refuse() {
    for (a, b, clashes) in [
        ("127.0.0.1:1", "127.0.0.1:1", true),
        ("127.0.0.1:1", "127.0.0.1:2", false),
        ("127.0.0.1:1", "127.0.0.2:1", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
        ("[::]:1", "0.0.0.0:1", true),
        ("[::]:1", "192.0.2.1:1", true),
        ("[::]:1", "[2001:db8::1]:1", true),
        ("0.0.0.0:1", "192.0.2.1:1", true),
        ("0.0.0.0:1", "[::1]:1", false),
        ("[::1]:1", "127.0.0.1:1", false),
    ] {
        let (a, b) = (listener(a, false), listener(b, false));
        assert_eq!((clash(&a, &b), clash(&b, &a)), (clashes, clashes), "{} {}", a.address, b.address);
    }
    let only = listener("[::]:1", true);
    assert!(!clash(&only, &listener("0.0.0.0:1", false)) && !clash(&listener("192.0.2.1:1", false), &only));
    assert!(clash(&only, &listener("[::1]:1", false)));
}

#[test]
fn the_world_is_seen_in_pieces_too() {
    for (prefixes, world) in [
        (&["0.0.0.0/0"][..], true),
        (&["::/0"], true),
        (&["0.0.0.0/1", "128.0.0.0/1"], true),
        (&["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3"], true),
        (&["8000::/1", "::/1"], true),
        (&["2000::/3"], true),
        (&["0.0.0.0/1"], false),
        (&["128.0.0.0/1", "64.0.0.0/2"], false),
        (&["2000::/4"], false),
        (&["10.0.0.0/8", "fd00::/8"], false),
        (&[], false),
    ] {
        let prefixes: Vec<Prefix> = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
        assert_eq!(is_world(&prefixes), world, "{prefixes:?}");
    }
}

#[test]
fn warnings_say_what_is_allowed_but_unwise() {
    let warnings = |text: &str| -> Vec<String> {
        parse(text, Path::new("f.toml")).unwrap().warnings().iter().map(ToString::to_string).collect()
    };
    let base = "[[listener]]\nname = 'a'\nclients = ['10.0.0.0/8']\n";
    let plain = warnings(&format!("{base}address = '[::]:1'\ncredentials = 'users'\n"));
    assert_eq!(plain.len(), 1);
    assert!(plain[0].starts_with("listener \"a\": passwords cross the network in the clear;"), "{plain:?}");
    let tls = "tls = { certificate = 'c', key = 'k' }\n";
    assert!(warnings(&format!("{base}address = '[::]:1'\ncredentials = 'users'\n{tls}")).is_empty());
    assert!(warnings(&format!("{base}address = '[::1]:1'\ncredentials = 'users'\n")).is_empty());

    let alone = warnings("[[listener]]\nname = 'a'\naddress = '[::]:1'\n");
    assert!(matches!(alone.as_slice(), [one] if one.contains("lets only this machine in")), "{alone:?}");
    assert!(warnings("[[listener]]\nname = 'a'\naddress = '[::1]:1'\n").is_empty());

    let nobody = warnings("[[subscriber]]\nname = 's'\n");
    assert!(matches!(nobody.as_slice(), [one] if one.starts_with("subscriber \"s\": matches nobody")), "{nobody:?}");
    assert!(warnings("[[subscriber]]\nname = 's'\nclient = ['10.0.0.0/24']\n").is_empty());
    let known = format!("{base}address = '[::1]:1'\ncredentials = 'users'\n[[subscriber]]\nname = 's'\n");
    assert!(warnings(&known).is_empty());
}

/// What is warned of these sections, on two paths.
fn policy_warnings(sections: &str) -> Vec<String> {
    let text = format!(
        "{sections}\n[[path]]\nname = 'dsl'\nclient = ['10.1.0.0/16']\n[[path]]\nname = 'lte'\nclient = ['10.2.0.0/16']\ncost = 10\n"
    );
    let config = parse(&text, Path::new("f.toml")).unwrap_or_else(|error| panic!("{text}\n{error}"));
    config.warnings().iter().map(ToString::to_string).collect()
}

fn policy(name: &str, keys: &str) -> String {
    format!("[[policy]]\nname = '{name}'\n{keys}\n")
}

#[test]
fn a_policy_that_can_never_apply_is_named_with_what_hides_it() {
    let limit = "path = 'lte'\naction = 'limit'\nrate = '2 Mbit/s'\nenforce = 'always'\n";
    let (up, down) = (format!("{limit}direction = 'upload'"), format!("{limit}direction = 'download'"));
    let backup = "path = 'lte'\naction = 'backup'";
    let total = "action = 'limit'\nrate = '2 Mbit/s'";
    let night = format!("{backup}\nwhen = '22:00-06:00'\nzone = 'UTC'");
    let quota = format!("{backup}\nused_above = '1 GB'\nused_per = 'connection'");
    let hidden = |policies: &[&str]| -> Vec<String> {
        let named = policies.iter().zip(["a", "b", "c"]).map(|(keys, name)| policy(name, keys));
        let warnings = policy_warnings(&named.collect::<String>()).into_iter();
        warnings.filter(|warning| warning.contains("never applies")).collect()
    };
    for (policies, by) in [
        (&[backup, backup][..], "\"b\": never applies: \"a\" before it takes all"),
        (&[backup, &night], "\"b\": never applies: \"a\" before it takes all"),
        (&[backup, &quota], "\"b\": never applies: \"a\" before it takes all"),
        (&[&night, &night], "\"b\": never applies: \"a\" before it takes all"),
        (&[backup, &down], "\"b\": never applies: \"a\" before it takes all"),
        (&[total, total], "\"b\": never applies: \"a\" before it takes all"),
        (&[&up, &down, backup], "\"c\": never applies: \"b\" and \"a\" before it take all"),
    ] {
        let warnings = hidden(policies);
        assert!(matches!(warnings.as_slice(), [one] if one.contains(by)), "{policies:?}: {warnings:?}");
    }
    for policies in [
        &[&night, backup][..],
        &[&quota, backup],
        &[&up, &down],
        &[&down, backup],
        &[total, &down],
        &[backup, total],
        &[backup, "path = ['lte', 'dsl']\naction = 'limit'\nrate = '2 Mbit/s'"],
    ] {
        assert_eq!(hidden(policies), [""; 0], "{policies:?}");
    }
}

#[test]
fn what_a_policy_lacks_is_warned_of() {
    let quota = policy("p", "path = 'lte'\naction = 'backup'\nused_above = '1 GB'\nused_per = 'month'");
    let warnings = policy_warnings(&quota);
    assert!(matches!(warnings.as_slice(), [one] if one.contains("steering.usage")), "{warnings:?}");
    assert!(policy_warnings(&format!("[steering]\nusage = 'u.redb'\n{quota}")).is_empty());
    assert!(policy_warnings(&quota.replace("month", "connection")).is_empty(), "it ends with the connection anyway");

    let upload = "path = 'lte'\naction = 'limit'\nrate = '2 Mbit/s'\nenforce = 'always'\ndirection = ";
    let warnings = policy_warnings(&policy("p", &format!("{upload}'both'")));
    assert!(matches!(warnings.as_slice(), [one] if one.contains("hold up the whole")), "{warnings:?}");
    let warnings = policy_warnings(&policy("p", &format!("{upload}'upload'")));
    assert!(matches!(warnings.as_slice(), [one] if one.contains("while no other is free")), "{warnings:?}");
    assert!(policy_warnings(&policy("p", &format!("{upload}'download'"))).is_empty());
    assert!(policy_warnings(&policy("p", "action = 'limit'\nrate = '2 Mbit/s'\ndirection = 'upload'")).is_empty());
}

#[test]
fn what_the_kernels_path_manager_cannot_is_warned_of() {
    for (keys, said) in [
        ("path = 'lte'\naction = 'overflow'", "never carried out"),
        ("path = 'lte'\naction = 'backup'", "never carried out"),
        ("path = 'lte'\naction = 'share'\npercent = 30", "never carried out"),
        ("path = 'lte'\naction = 'close'", "closes nothing"),
        ("path = 'lte'\naction = 'limit'\nrate = '2 Mbit/s'", "no less than half"),
        ("path = 'lte'\naction = 'limit'\nrate = '2 Mbit/s'\nenforce = 'always'", ""),
        ("action = 'limit'\nrate = '2 Mbit/s'", ""),
    ] {
        let with =
            |manager: &str| policy_warnings(&format!("[steering]\npath_manager = '{manager}'\n{}", policy("p", keys)));
        let warnings = with("kernel");
        assert_eq!(warnings.len(), usize::from(!said.is_empty()), "{keys}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains(said)), "{keys}: {warnings:?}");
        assert!(with("auto").is_empty() && with("userspace").is_empty(), "{keys}");
    }
}
