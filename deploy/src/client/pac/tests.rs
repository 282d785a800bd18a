use super::*;

fn hop(text: &str) -> PacHop {
    text.parse().unwrap()
}

#[test]
fn rules_become_lines_and_the_chain_their_end() {
    let pac = Pac {
        direct_domains: vec!["intranet.example".parse().unwrap()],
        direct_networks: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        chain: vec![hop("PROXY edge.example:3128"), hop("DIRECT")],
    };
    let text = script(&pac, &hop("PROXY 192.0.2.1:3128"));
    assert!(text.contains("host == \"intranet.example\" || dnsDomainIs(host, \".intranet.example\")"), "{text}");
    assert!(text.contains("isInNet(host, \"10.0.0.0\", \"255.0.0.0\")"), "{text}");
    assert!(text.contains("bits(host).indexOf(\"11111101\") == 0"), "{text}");
    assert!(text.contains("return \"PROXY edge.example:3128; DIRECT\";") && text.contains("function bits"), "{text}");
    let bare = script(&Pac::default(), &hop("PROXY 192.0.2.1:3128"));
    assert!(bare.contains("return \"PROXY 192.0.2.1:3128; DIRECT\";") && !bare.contains("function bits"), "{bare}");
}

#[test]
fn here_is_what_the_client_called_us_unless_that_says_nothing() {
    let reached = "[::ffff:192.0.2.1]:3128".parse().unwrap();
    for (host, expected) in [
        (None, "PROXY 192.0.2.1:3128"),
        (Some("Edge.Example:3128"), "PROXY edge.example:3128"),
        (Some("edge.example"), "PROXY edge.example:3128"),
        (Some("[2001:db8::1]"), "PROXY [2001:db8::1]:3128"),
        (Some("[2001:db8::1]:80"), "PROXY [2001:db8::1]:80"),
        (Some("wpad"), "PROXY 192.0.2.1:3128"),
        (Some("wpad.home.example"), "PROXY 192.0.2.1:3128"),
        (Some("x\";alert(1)//:80"), "PROXY 192.0.2.1:3128"),
        (Some("a:b:c"), "PROXY 192.0.2.1:3128"),
        (Some(""), "PROXY 192.0.2.1:3128"),
    ] {
        assert_eq!(here(host, reached).as_str(), expected, "{host:?}");
    }
    assert_eq!(here(None, "[2001:db8::1]:3128".parse().unwrap()).as_str(), "PROXY [2001:db8::1]:3128");
}
