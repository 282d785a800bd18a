use super::*;
use crate::id::FourTuple;

fn segment(flags: Flags) -> Segment<'static> {
    Segment {
        flow: FourTuple::new("10.1.0.2:40000".parse().unwrap(), "10.9.0.1:3128".parse().unwrap()).unwrap(),
        seq: 1,
        ack: 0,
        flags,
        window: 1000,
        options: &[],
        options_len: 0,
        payload: &[],
        payload_len: 0,
    }
}

fn context() -> Context<'static> {
    Context {
        subtypes: &[Subtype::Dss, Subtype::Prio],
        malformed: false,
        tokens: [Some(Token(0x7bd9_6dc8)), None],
        connection: Some(3),
    }
}

#[test]
fn each_test_says_yes_and_no() {
    let table = [
        ("", true),
        ("  ", true),
        ("host 10.1.0.2", true),
        ("host ::ffff:10.1.0.2", true),
        ("host 10.1.0.3", false),
        ("src host 10.1.0.2", true),
        ("dst host 10.1.0.2", false),
        ("net 10.9.0.0/16", true),
        ("src net 10.9.0.0/16", false),
        ("port 3128", true),
        ("src port 3128", false),
        ("dst port 3128", true),
        ("subtype DSS", true),
        ("subtype mp_prio", true),
        ("subtype MP_JOIN", false),
        ("token 7bd96dc8", true),
        ("token 0x7bd96dc8", true),
        ("token 0", false),
        ("connection 3", true),
        ("connection 4", false),
        ("syn", true),
        ("rst", false),
        ("fin", false),
        ("malformed", false),
        ("not malformed", true),
        ("!malformed", true),
        ("syn and port 3128", true),
        ("syn port 3128", true),
        ("syn and port 80", false),
        ("syn or port 80", true),
        ("port 80 or port 81 or syn", true),
        ("rst or port 80", false),
        // "and" binds closer than "or".
        ("syn or rst and rst", true),
        ("(syn or rst) and rst", false),
        ("not (rst or fin)", true),
        ("not rst and not fin", true),
        ("((syn))", true),
        ("(not(syn))", false),
    ];
    for (text, wanted) in table {
        let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(filter.matches(&segment(Flags::SYN), &context()), wanted, "{text}");
    }
}

#[test]
fn a_wrong_word_is_named() {
    let table = [
        ("host", "filter: the end where an IPv4 or IPv6 address was expected"),
        ("host dsl", "filter: \"dsl\" where an IPv4 or IPv6 address was expected"),
        ("port 70000", "filter: \"70000\" where a port from 0 to 65535 was expected"),
        ("net 10.0.0.0/33", "filter: \"10.0.0.0/33\" where a prefix such as 10.1.0.0/16 was expected"),
        ("subtype JOIN_MP", "filter: \"JOIN_MP\" where a subtype such as MP_JOIN or DSS was expected"),
        ("src syn", "filter: \"syn\" where host, net or port was expected"),
        ("(syn", "filter: the end where \")\" was expected"),
        ("syn)", "filter: \")\" where \"and\", \"or\" or the end was expected"),
        (
            "syn and",
            "filter: the end where host, net, port, subtype, token, connection, syn, fin, rst, malformed, not or ( was \
             expected",
        ),
    ];
    for (text, wanted) in table {
        assert_eq!(text.parse::<Filter>().unwrap_err().to_string(), wanted, "{text}");
    }
}

#[test]
fn a_deep_or_long_text_is_refused_and_not_a_crash() {
    for text in ["(".repeat(100_000), "not ".repeat(100_000), "!".repeat(100_000)] {
        let error = text.parse::<Filter>().unwrap_err().to_string();
        assert!(error.len() < 200, "{error}");
    }
    assert!("x".repeat(100_000).parse::<Filter>().unwrap_err().to_string().len() < 300);
    assert!("syn ".repeat(100_000).parse::<Filter>().is_ok());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9().! /:]{0,80}") {
        if let Ok(filter) = text.parse::<Filter>() {
            // Judged twice the same: nothing is remembered.
            let judged = || filter.matches(&segment(Flags::SYN), &context());
            proptest::prop_assert_eq!(judged(), judged());
        }
    }
}
