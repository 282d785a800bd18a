//! The operator's vocabulary: numbers with units, names, prefixes, ports.
//!
//! Every type here is checked when it is made: by [`FromStr`](std::str::FromStr), which every one of them has, and printed back by `Display`
//! so that `text → value → text → value` ends where it began. No section and no default lives here.

mod allow;
mod name;
mod number;
mod port;
mod prefix;
mod quantity;
mod secret;

use std::borrow::Cow;

pub use allow::Allow;
pub use name::{Congestion, IfaceName, Name, PacDomain, PacHop, Pseudonym, SubscriberId, TableName};
pub use number::{BitRate, ByteSize, Percent, Timeout};
pub use port::PortSet;
pub use prefix::Prefix;
pub use secret::Secret;

/// Why a text is not a value of the type asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; expected {expected}")]
pub struct Invalid {
    /// What is wrong with the text.
    pub what: Cow<'static, str>,
    /// What would have been right, with an example.
    pub expected: Cow<'static, str>,
}

impl Invalid {
    /// An error made of its two halves.
    pub(crate) fn new(what: impl Into<Cow<'static, str>>, expected: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into(), expected: expected.into() }
    }
}

/// A text made fit for a one-line message: control characters escaped, at most 80 characters.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == MOST {
            out.push('…');
            break;
        }
        // Format characters (such as the right-to-left override) could disguise a message as well as control characters do.
        if c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests;
