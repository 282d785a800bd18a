//! Filter expressions: what parses judges, and "not" of it judges the other way.

use std::net::SocketAddr;

use super::is_one_line;
use crate::event::ConnId;
use crate::filter::{Context, Filter};
use crate::id::{FourTuple, Token};
use crate::wire::Segment;
use crate::wire::mptcp::Subtype;
use crate::wire::tcp::Flags;

/// Reads a filter expression, and judges a few segments by it.
///
/// Panics:  where it contradicts itself, or refuses with something other than one short line
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let filter = match text.parse::<Filter>() {
        Ok(filter) => filter,
        Err(refusal) => {
            let words = refusal.to_string();
            // Forty characters of the text, each of which may be escaped as \u{10ffff}.
            assert!(words.len() < 600 && is_one_line(&words), "{words:?}");
            return;
        }
    };
    // An empty one has nothing to negate; a deep one may not become deeper.
    let opposite = format!("not ({text})").parse::<Filter>();
    let alike = format!("({text}) or ({text})").parse::<Filter>();
    for (client, server) in [("10.1.0.2:40000", "10.0.0.1:80"), ("[fd01::2]:40000", "[fd01::1]:80")] {
        let ends = (client.parse::<SocketAddr>(), server.parse::<SocketAddr>());
        let (Ok(client), Ok(server)) = ends else { panic!("{client} and {server} are addresses") };
        for flags in [Flags::SYN, Flags::ACK, Flags(Flags::FIN.0 | Flags::RST.0)] {
            judge(&filter, client, server, flags, |segment, context, wanted| {
                if let (Ok(opposite), false) = (&opposite, filter.is_empty()) {
                    assert_ne!(opposite.matches(segment, context), wanted, "{filter:?}");
                }
                if let Ok(alike) = &alike {
                    assert_eq!(alike.matches(segment, context), wanted, "{filter:?}");
                }
            });
        }
    }
}

fn judge(
    filter: &Filter,
    client: SocketAddr,
    server: SocketAddr,
    flags: Flags,
    compare: impl Fn(&Segment<'_>, &Context<'_>, bool),
) {
    let flow = match FourTuple::new(client, server) {
        Ok(flow) => flow,
        Err(error) => panic!("{error}"),
    };
    let segment =
        Segment { flow, seq: 1, ack: 1, flags, window: 0, options: &[], options_len: 0, payload: &[], payload_len: 0 };
    let context = Context {
        subtypes: &[Subtype::Join, Subtype::Dss],
        malformed: flags == Flags::ACK,
        tokens: [Some(Token(0x7bd9_6dc8)), None],
        connection: Some(ConnId(3).0),
    };
    compare(&segment, &context, filter.matches(&segment, &context));
}
