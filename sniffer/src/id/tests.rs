use super::*;

fn tuple(source: &str, destination: &str) -> Result<FourTuple, MixedFamilies> {
    FourTuple::new(source.parse().unwrap(), destination.parse().unwrap())
}

#[test]
fn a_token_is_printed_and_read_as_the_tools_do() {
    for (text, token) in [("7bd96dc8", 0x7bd9_6dc8), ("0000002a", 42), ("00000000", 0), ("ffffffff", u32::MAX)] {
        assert_eq!(Token(token).to_string(), text);
        assert_eq!(text.parse(), Ok(Token(token)));
    }
    for (text, token) in [("2a", 42), ("0x2a", 42), ("2A", 42), ("0", 0)] {
        assert_eq!(text.parse(), Ok(Token(token)), "{text}");
    }
    for text in ["", "0x", "+2a", "-1", "2g", "123456789", "0x0x1", " 2a", "2a "] {
        assert_eq!(text.parse::<Token>(), Err(NotAToken), "{text:?}");
    }
}

#[test]
fn both_witnesses_name_a_flow_alike() {
    let wire = tuple("10.0.0.1:40000", "10.0.0.2:3128").unwrap();
    assert_eq!(tuple("[::ffff:10.0.0.1]:40000", "[::ffff:10.0.0.2]:3128"), Ok(wire));
    assert_eq!(tuple("[::ffff:10.0.0.1]:40000", "10.0.0.2:3128"), Ok(wire));
    assert_ne!(tuple("10.0.0.1:40001", "10.0.0.2:3128"), Ok(wire));
    let scoped = tuple("[fe80::1%3]:40000", "[fe80::2%4]:3128").unwrap();
    assert_eq!(tuple("[fe80::1]:40000", "[fe80::2]:3128"), Ok(scoped));
}

#[test]
fn a_flow_has_two_directions_and_one_family() {
    let there = tuple("[fd00::1]:40000", "[fd00::2]:3128").unwrap();
    let back = tuple("[fd00::2]:3128", "[fd00::1]:40000").unwrap();
    assert_ne!(there, back);
    assert_eq!(there.reversed(), back);
    assert_eq!(there.reversed().reversed(), there);
    assert_eq!((there.source().port(), there.destination().port()), (40000, 3128));
    assert_eq!(there.to_string(), "[fd00::1]:40000 > [fd00::2]:3128");
    assert!(tuple("10.0.0.1:1", "[fd00::2]:1").is_err());
    assert!(tuple("[::ffff:10.0.0.1]:1", "[fd00::2]:1").is_err());
}

#[test]
fn words() {
    assert_eq!(SubflowKind::Initial.to_string(), "initial");
    assert_eq!(SubflowKind::Joined.to_string(), "joined");
    assert_eq!(AddrId::INITIAL.to_string(), "0");
}
