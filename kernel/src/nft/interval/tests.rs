use proptest::prelude::*;

use super::*;

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
}

/// Borders as text: an end in brackets.
fn text(v6: bool, prefixes: &[&str]) -> String {
    let prefixes: Vec<_> = prefixes.iter().map(|text| prefix(text)).collect();
    let border = |border: &Border| {
        let address: IpAddr = match *border.key.as_slice() {
            [a, b, c, d] => IpAddr::from([a, b, c, d]),
            ref octets => IpAddr::from(<[u8; 16]>::try_from(octets).unwrap()),
        };
        if border.end { format!("({address})") } else { address.to_string() }
    };
    borders(v6, &prefixes).iter().map(border).collect::<Vec<_>>().join(" ")
}

#[test]
fn prefixes_are_merged_into_intervals() {
    assert_eq!(text(false, &["10.0.0.0/8"]), "(0.0.0.0) 10.0.0.0 (11.0.0.0)");
    assert_eq!(text(false, &["10.1.2.3/8", "10.9.0.0/16", "11.0.0.0/8"]), "(0.0.0.0) 10.0.0.0 (12.0.0.0)");
    assert_eq!(text(false, &["0.0.0.0/0", "1.2.3.4/32"]), "0.0.0.0");
    assert_eq!(text(false, &["0.0.0.0/8", "255.255.255.255/32"]), "0.0.0.0 (1.0.0.0) 255.255.255.255");
    assert_eq!(text(true, &["::/0"]), "::");
    assert_eq!(text(true, &["fd00::/8", "::/128"]), ":: (::1) fd00:: (fe00::)");
    // Of the other family, and none.
    assert_eq!(text(true, &["10.0.0.0/8"]), "");
}

#[test]
fn a_prefix_is_written_with_its_first_address() {
    assert_eq!(prefix("10.1.2.3/16").to_string(), "10.1.0.0/16");
    assert_eq!(prefix("10.1.2.3/99").to_string(), "10.1.2.3/32");
    assert_eq!(prefix("fd00::17/8").to_string(), "fd00::/8");
    assert_eq!(prefix("fd00::17/128").to_string(), "fd00::17/128");
}

proptest! {
    #[test]
    fn borders_cover_what_the_prefixes_cover(
        prefixes in prop::collection::vec((any::<u32>(), 0..=32_u8), 0..12),
        others in prop::collection::vec(any::<u32>(), 20),
    ) {
        let all: Vec<_> =
            prefixes.iter().map(|&(bits, length)| Prefix { address: Ipv4Addr::from_bits(bits).into(), length }).collect();
        let borders = borders(false, &all);
        prop_assert!(borders.windows(2).all(|pair| pair[0].key < pair[1].key && pair[0].end != pair[1].end));
        for bits in others.into_iter().chain(prefixes.iter().map(|&(bits, _)| bits)) {
            let covered = all.iter().any(|prefix| (prefix.range().0..=prefix.range().1).contains(&u128::from(bits)));
            let last = borders.iter().take_while(|border| border.key.as_slice() <= bits.to_be_bytes().as_slice()).last();
            prop_assert_eq!(last.is_some_and(|border| !border.end), covered);
        }
    }
}
