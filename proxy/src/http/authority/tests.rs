//! Tables of what is read and what is refused, and properties over arbitrary input.

use proptest::prelude::*;

use super::*;

fn absolute(uri: &str) -> Result<Target, BadAuthority> {
    Target::from_absolute(&uri.parse().expect("the http crate takes this URI"))
}

#[test]
fn connect_targets_are_read_in_canonical_form() {
    let long_label = "a".repeat(63);
    let long_name = format!("{0}.{0}.{0}.{1}", long_label, "b".repeat(61));
    let rows = [
        ("example.com:443", "example.com:443"),
        ("EXAMPLE.Com:443", "example.com:443"),
        ("example.com.:443", "example.com:443"),
        ("a_b.example.com:8443", "a_b.example.com:8443"),
        ("_dmarc.example.com:1", "_dmarc.example.com:1"),
        ("r3---sn-x.example.com:443", "r3---sn-x.example.com:443"),
        ("1.2.3.4.example.com:443", "1.2.3.4.example.com:443"),
        ("0x7f.example:80", "0x7f.example:80"),
        ("1.0xg:80", "1.0xg:80"),
        ("xn--bcher-kva.example:443", "xn--bcher-kva.example:443"),
        ("notlocalhost.example:80", "notlocalhost.example:80"),
        ("local.example:80", "local.example:80"),
        ("arpa.home:80", "arpa.home:80"),
        ("192.0.2.1:80", "192.0.2.1:80"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("0.0.0.0:80", "0.0.0.0:80"),
        ("255.255.255.255:65535", "255.255.255.255:65535"),
        ("[::1]:443", "[::1]:443"),
        ("[2001:DB8:0:0::1]:443", "[2001:db8::1]:443"),
        ("[::ffff:10.0.0.1]:443", "[::ffff:10.0.0.1]:443"),
        ("[0:0:0:0:0:0:0:1]:1", "[::1]:1"),
    ];
    for (text, canonical) in rows {
        let target = Target::from_connect(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(target.to_string(), canonical);
    }
    assert_eq!(long_name.len(), 253);
    assert!(Target::from_connect(&format!("{long_name}:443")).is_ok());
    assert!(Target::from_connect(&format!("{long_name}.:443")).is_ok(), "the trailing dot is not counted");
}

#[test]
fn connect_targets_are_refused_with_their_reason() {
    use BadAuthority as B;
    let long_label = format!("{}.com:443", "a".repeat(64));
    let long_name = format!("{0}.{0}.{0}.{1}:443", "a".repeat(63), "b".repeat(62));
    let rows: &[(&str, B)] = &[
        ("", B::NoPort),
        (":443", B::NoHost),
        (".:443", B::NoHost),
        ("example.com", B::NoPort),
        ("[::1]", B::NoPort),
        ("example.com:", B::Port),
        ("example.com:0", B::Port),
        ("example.com:00", B::Port),
        ("example.com:080", B::Port),
        ("example.com:65536", B::Port),
        ("example.com:99999999999", B::Port),
        ("example.com:+443", B::Port),
        ("example.com:-443", B::Port),
        ("example.com: 443", B::Port),
        ("example.com:443 ", B::Port),
        ("example.com:443/", B::Port),
        ("example.com:0x50", B::Port),
        ("example.com:٤٤٣", B::Port),
        ("[::1]:", B::Port),
        ("[::1]:+1", B::Port),
        ("user@example.com:443", B::UserInfo),
        ("user:pw@example.com:443", B::UserInfo),
        ("@example.com:443", B::UserInfo),
        ("ex%61mple.com:443", B::Percent),
        ("[fe80::1%25eth0]:443", B::Percent),
        ("[fe80::1%eth0]:443", B::Percent),
        ("::1:443", B::Brackets),
        ("2001:db8::1", B::Brackets),
        ("[::1:443", B::Brackets),
        ("[::1]443", B::Brackets),
        ("[::1]x:443", B::Brackets),
        ("[[::1]]:443", B::Brackets),
        ("[]:443", B::Ipv6),
        ("[127.0.0.1]:443", B::Ipv6),
        ("[v1.x]:443", B::Ipv6),
        ("[example.com]:443", B::Ipv6),
        ("[1::2::3]:443", B::Ipv6),
        ("[::1.2.3]:443", B::Ipv6),
        ("::1]:443", B::Brackets),
        ("127.1:80", B::NumericName),
        ("127.0.1:80", B::NumericName),
        ("127.0.0.1.:80", B::NumericName),
        ("2130706433:80", B::NumericName),
        ("0177.0.0.1:80", B::NumericName),
        ("0x7f.1:80", B::NumericName),
        ("0x7f.0x1:80", B::NumericName),
        ("0x7f000001:80", B::NumericName),
        ("127.0.0.0x1:80", B::NumericName),
        ("127.0.0.0X1:80", B::NumericName),
        ("127.0.0.0x:80", B::NumericName),
        ("0x:80", B::NumericName),
        ("1.2.3.256:80", B::NumericName),
        ("1.2.3.4.5:80", B::NumericName),
        ("example.123:80", B::NumericName),
        ("example.123.:80", B::NumericName),
        ("localhost:80", B::SiteName),
        ("LOCALHOST.:80", B::SiteName),
        ("a.localhost:80", B::SiteName),
        ("printer.local:80", B::SiteName),
        ("local:80", B::SiteName),
        ("metadata.google.internal:80", B::SiteName),
        ("home.arpa:80", B::SiteName),
        ("nas.Home.Arpa:80", B::SiteName),
        ("intranet:80", B::SingleLabel),
        ("com:80", B::SingleLabel),
        ("com.:80", B::SingleLabel),
        ("a..b:80", B::EmptyLabel),
        (".example.com:80", B::EmptyLabel),
        ("example.com..:80", B::EmptyLabel),
        ("-a.example:80", B::Hyphen),
        ("a-.example:80", B::Hyphen),
        ("-:80", B::Hyphen),
        ("a b.example:80", B::Character),
        ("a\0.example:80", B::Character),
        ("bücher.example:80", B::Character),
        ("a/b.example:80", B::Character),
        ("http://example.com:80", B::Brackets),
        ("a*.example:80", B::Character),
        ("127。0。0。1:80", B::Character),
        (&long_label, B::LabelTooLong),
        (&long_name, B::NameTooLong),
    ];
    for (text, reason) in rows {
        assert_eq!(Target::from_connect(text), Err(*reason), "{text:?}");
    }
}

#[test]
fn absolute_targets_default_to_port_80() {
    let rows = [
        ("http://example.com/", "example.com:80"),
        ("HTTP://Example.com", "example.com:80"),
        ("http://example.com:/x", "example.com:80"),
        ("http://example.com:8080/x?y", "example.com:8080"),
        ("http://[2001:db8::1]/", "[2001:db8::1]:80"),
        ("http://[2001:db8::1]:81/", "[2001:db8::1]:81"),
        ("http://192.0.2.1/", "192.0.2.1:80"),
    ];
    for (uri, canonical) in rows {
        assert_eq!(absolute(uri).unwrap_or_else(|e| panic!("{uri}: {e}")).to_string(), canonical);
    }
}

#[test]
fn absolute_targets_are_refused_with_their_reason() {
    use BadAuthority as B;
    let rows = [
        ("https://example.com/", B::Https),
        ("HTTPS://example.com/", B::Https),
        ("https://user@localhost/", B::Https),
        ("ftp://example.com/", B::Scheme),
        ("ws://example.com/", B::Scheme),
        ("/path", B::NotAbsolute),
        ("*", B::NotAbsolute),
        ("example.com:80", B::NotAbsolute),
        ("http://user@example.com/", B::UserInfo),
        ("http://u:p@example.com/", B::UserInfo),
        ("http://localhost/", B::SiteName),
        ("http://0x7f.1/", B::NumericName),
        ("http://example.com:0/", B::Port),
        ("http://example.com:00080/", B::Port),
    ];
    for (uri, reason) in rows {
        assert_eq!(absolute(uri), Err(reason), "{uri}");
    }
}

#[test]
fn host_header_leaves_out_the_default_port() {
    let header = |text: &str, default| Target::from_connect(text).unwrap().host_header(default);
    assert_eq!(header("Example.com.:80", 80), "example.com");
    assert_eq!(header("example.com:80", 443), "example.com:80");
    assert_eq!(header("[::1]:80", 80), "[::1]");
    assert_eq!(header("[::1]:8080", 80), "[::1]:8080");
}

#[test]
fn a_host_header_stays_only_if_it_is_the_one_that_would_be_made() {
    for target in ["example.com:80", "example.com:8080", "192.0.2.1:80", "192.0.2.1:81", "[2001:db8::1]:80"] {
        let target = Target::from_connect(target).unwrap();
        let made = target.host_header(80);
        for said in [
            "example.com",
            "example.com:80",
            "example.com:8080",
            "Example.com",
            "example.com.",
            "example.com:080",
            "example.net",
        ]
        .into_iter()
        .chain([
            "192.0.2.1",
            "192.0.2.1:80",
            "192.0.2.1:81",
            "192.0.2.2",
            "u@192.0.2.1",
            "192.0.2.1:",
            "[2001:db8::1]",
            "",
            "\u{e9}",
        ]) {
            let said = HeaderValue::from_str(said).unwrap();
            let address = matches!(target.host, Host::V6(_));
            assert_eq!(target.is_spelt(&said, 80), said == made && !address, "{target} {said:?}");
        }
        assert!(matches!(target.host, Host::V6(_)) || target.is_spelt(&made, 80), "{target}");
    }
}

#[test]
fn labels_and_messages_are_distinct_and_short() {
    use BadAuthority as B;
    let all = [
        B::NotAbsolute,
        B::Https,
        B::Scheme,
        B::UserInfo,
        B::Percent,
        B::NoPort,
        B::Port,
        B::NoHost,
        B::Brackets,
        B::Ipv6,
        B::NameTooLong,
        B::LabelTooLong,
        B::EmptyLabel,
        B::Character,
        B::Hyphen,
        B::NumericName,
        B::SingleLabel,
        B::SiteName,
    ];
    let labels: std::collections::HashSet<_> = all.iter().map(|b| b.as_label()).collect();
    assert_eq!(labels.len(), all.len());
    for bad in all {
        let message = bad.to_string();
        assert!(message.len() < 64 && message.starts_with(|c: char| c.is_ascii_lowercase()), "{message}");
    }
}

/// What the C library would make of a host: the reader that must never see an address where we saw a name.
fn is_inet_aton(host: &str) -> bool {
    let parts: Vec<_> = host.split('.').collect();
    let number = |p: &str| {
        let hex = p.strip_prefix("0x").or_else(|| p.strip_prefix("0X"));
        hex.map_or_else(
            || !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()),
            |h| h.bytes().all(|b| b.is_ascii_hexdigit()),
        )
    };
    parts.len() <= 4 && parts.iter().all(|p| number(p))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_and_the_canonical_form_is_stable(text in "\\PC{0,40}") {
        if let Ok(target) = Target::from_connect(&text) {
            let again = Target::from_connect(&target.to_string());
            prop_assert_eq!(again.as_ref(), Ok(&target));
            prop_assert!(target.host_header(80).to_str().is_ok());
        }
    }

    #[test]
    fn a_name_is_never_an_address_to_another_reader(host in "(0[xX])?[0-9a-fA-F]{0,4}(\\.(0[xX])?[0-9a-fA-F]{0,4}){0,4}\\.?") {
        if let Ok(Target { host: Host::Name(name), .. }) = Target::from_connect(&format!("{host}:80")) {
            prop_assert!(!is_inet_aton(name.as_str()), "{}", name);
        }
    }

    #[test]
    fn a_name_has_the_shape_it_promises(host in "[-a-zA-Z0-9_.]{1,260}") {
        if let Ok(name) = DnsName::parse(&host) {
            let name = name.as_str();
            prop_assert!(name.len() <= 253 && name.split('.').count() >= 2 && !name.ends_with('.'));
            prop_assert!(name.split('.').all(|l| (1..=63).contains(&l.len())));
            prop_assert_eq!(name.to_ascii_lowercase(), name);
        }
    }
}
