//! What of a capture an operator wants to see: a small language in the words of pcap-filter(7).
//!
//! ```text
//! expression := term { "or" term }            term := factor { ["and"] factor }
//! factor     := "not" factor | "(" expression ")" | test
//! test       := ["src" | "dst"] ("host" ADDRESS | "net" PREFIX | "port" NUMBER)
//!             | "subtype" NAME | "token" HEX | "connection" NUMBER | "syn" | "fin" | "rst" | "malformed"
//! ```
//!
//! What lives here: parsing and judging. What does not: reading packets. Called by `sniff`. Invariant: what parses can be
//! judged without error, and a text that does not parse names the word that is wrong and what was expected.

use std::iter::Peekable;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::id::Token;
use crate::wire::mptcp::Subtype;
use crate::wire::tcp::{Flags, Segment};

/// A filter expression, checked.
///
/// Shape:   the default lets everything through
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter(Option<Expression>);

/// What a filter may know of a segment besides the segment itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The MPTCP options it carries, in order.
    pub subtypes: &'a [Subtype],
    /// One of its options is malformed.
    pub malformed: bool,
    /// The tokens of the connection it belongs to, of both ends where they are known.
    pub tokens: [Option<Token>; 2],
    /// The number of that connection in this capture.
    pub connection: Option<u64>,
}

/// A text that is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter: {found} where {expected} was expected")]
pub struct BadFilter {
    found: String,
    expected: String,
}

/// How deep an expression may be nested: it is judged by recursion, and comes from a command line.
const DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    End(Side, EndTest),
    Subtype(Subtype),
    Token(Token),
    Connection(u64),
    Flag(Flags),
    Malformed,
}

/// Which end of a segment a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
    Either,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndTest {
    Net(IpNet),
    Port(u16),
}

impl Filter {
    /// Whether a segment is wanted.
    #[must_use]
    pub fn matches(&self, segment: &Segment<'_>, context: &Context<'_>) -> bool {
        self.0.as_ref().is_none_or(|expression| expression.matches(segment, context))
    }

    /// Whether it lets everything through.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Expression {
    fn matches(&self, segment: &Segment<'_>, context: &Context<'_>) -> bool {
        match self {
            Self::Any(parts) => parts.iter().any(|part| part.matches(segment, context)),
            Self::All(parts) => parts.iter().all(|part| part.matches(segment, context)),
            Self::Not(part) => !part.matches(segment, context),
            Self::End(side, test) => {
                let (source, destination) = (segment.flow.source(), segment.flow.destination());
                match side {
                    Side::Source => test.matches(source),
                    Side::Destination => test.matches(destination),
                    Side::Either => test.matches(source) || test.matches(destination),
                }
            }
            Self::Subtype(subtype) => context.subtypes.contains(subtype),
            Self::Token(token) => context.tokens.contains(&Some(*token)),
            Self::Connection(number) => context.connection == Some(*number),
            Self::Flag(flag) => segment.flags.has(*flag),
            Self::Malformed => context.malformed,
        }
    }
}

impl EndTest {
    fn matches(self, end: SocketAddr) -> bool {
        match self {
            Self::Net(net) => net.contains(&end.ip()),
            Self::Port(port) => end.port() == port,
        }
    }
}

impl FromStr for Filter {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Self, BadFilter> {
        let mut words = Words::of(text).peekable();
        if words.peek().is_none() {
            return Ok(Self(None));
        }
        let expression = parse_any(&mut words, 0)?;
        match words.next() {
            None => Ok(Self(Some(expression))),
            Some(word) => Err(bad(Some(word), "\"and\", \"or\" or the end")),
        }
    }
}

fn bad(found: Option<&str>, expected: impl Into<String>) -> BadFilter {
    // Bounded: the text is somebody's, the message goes to a terminal.
    let found =
        found.map_or_else(|| "the end".to_owned(), |word| format!("{:?}", word.chars().take(40).collect::<String>()));
    BadFilter { found, expected: expected.into() }
}

fn parse_any<'a>(words: &mut Peekable<Words<'a>>, depth: usize) -> Result<Expression, BadFilter> {
    let mut parts = vec![parse_all(words, depth)?];
    while words.next_if(|word| matches!(*word, "or" | "||")).is_some() {
        parts.push(parse_all(words, depth)?);
    }
    Ok(one_or(parts, Expression::Any))
}

fn parse_all<'a>(words: &mut Peekable<Words<'a>>, depth: usize) -> Result<Expression, BadFilter> {
    let mut parts = vec![parse_factor(words, depth)?];
    loop {
        match words.peek() {
            None | Some(&("or" | "||" | ")")) => return Ok(one_or(parts, Expression::All)),
            Some(&("and" | "&&")) => drop(words.next()),
            Some(_) => {}
        }
        parts.push(parse_factor(words, depth)?);
    }
}

fn one_or(mut parts: Vec<Expression>, several: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            several(parts)
        }
    }
}

fn parse_factor<'a>(words: &mut Peekable<Words<'a>>, depth: usize) -> Result<Expression, BadFilter> {
    const TEST: &str = "host, net, port, subtype, token, connection, syn, fin, rst, malformed, not or (";
    if depth > DEPTH {
        return Err(bad(words.next(), format!("an expression nested no deeper than {DEPTH}")));
    }
    match words.next() {
        Some("not" | "!") => Ok(Expression::Not(Box::new(parse_factor(words, depth + 1)?))),
        Some("(") => {
            let inside = parse_any(words, depth + 1)?;
            match words.next() {
                Some(")") => Ok(inside),
                word => Err(bad(word, "\")\"")),
            }
        }
        Some("src") => parse_end(words, Side::Source),
        Some("dst") => parse_end(words, Side::Destination),
        Some(word @ ("host" | "net" | "port")) => parse_end_test(word, words, Side::Either),
        Some("subtype") => value(words, "a subtype such as MP_JOIN or DSS").map(Expression::Subtype),
        Some("token") => value(words, "a token such as 7bd96dc8").map(Expression::Token),
        Some("connection") => value(words, "the number of a connection").map(Expression::Connection),
        Some("syn") => Ok(Expression::Flag(Flags::SYN)),
        Some("fin") => Ok(Expression::Flag(Flags::FIN)),
        Some("rst") => Ok(Expression::Flag(Flags::RST)),
        Some("malformed") => Ok(Expression::Malformed),
        word => Err(bad(word, TEST)),
    }
}

fn parse_end(words: &mut Peekable<Words<'_>>, side: Side) -> Result<Expression, BadFilter> {
    match words.next() {
        Some(word @ ("host" | "net" | "port")) => parse_end_test(word, words, side),
        word => Err(bad(word, "host, net or port")),
    }
}

fn parse_end_test(kind: &str, words: &mut Peekable<Words<'_>>, side: Side) -> Result<Expression, BadFilter> {
    let test = match kind {
        "host" => EndTest::Net(value::<IpAddr>(words, "an IPv4 or IPv6 address")?.to_canonical().into()),
        "net" => EndTest::Net(value(words, "a prefix such as 10.1.0.0/16")?),
        _ => EndTest::Port(value(words, "a port from 0 to 65535")?),
    };
    Ok(Expression::End(side, test))
}

fn value<T: FromStr>(words: &mut Peekable<Words<'_>>, expected: &str) -> Result<T, BadFilter> {
    let word = words.next();
    word.and_then(|word| word.parse().ok()).ok_or_else(|| bad(word, expected))
}

/// Words are set apart by blanks; parentheses and exclamation marks stand for themselves.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    const fn of(text: &'a str) -> Self {
        Self(text)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start();
        let first = rest.chars().next()?;
        let end = if matches!(first, '(' | ')' | '!') {
            1
        } else {
            rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')')).unwrap_or(rest.len())
        };
        let (word, rest) = rest.split_at(end);
        self.0 = rest;
        Some(word)
    }
}

#[cfg(test)]
mod tests;
