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
