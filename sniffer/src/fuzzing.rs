//! What must hold for any bytes at all: the bodies of the fuzz targets.
//!
//! What lives here: one function for each target, from bytes to a panic where a promise is broken. What does not: where the bytes
//! come from. Called by `fuzz/`, and by a test that runs every committed seed. Invariant: what a run does follows from its bytes alone.

mod codec;
mod filter;
mod input;
mod pcap;
#[cfg(test)]
mod tests;
mod tracker;

pub use codec::codec;
pub use filter::filter;
pub use pcap::pcap;
pub use tracker::tracker;

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a value as JSON and reads it back: the second time the text is the same. The values may differ by what JSON does not
/// hold, such as nanoseconds.
fn there_and_back<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    let text = to_json(value);
    match serde_json::from_str::<T>(&text) {
        Ok(read) => assert_eq!(to_json(&read), text, "{value:?}"),
        Err(error) => panic!("{error}: {text}"),
    }
}

fn to_json<T: Serialize + Debug>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| panic!("{error}: {value:?}"))
}

/// Text for a terminal: one line of it, that leaves the terminal as it is.
fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
