//! Which MPTCP connections and subflows there are, and how they do.
//!
//! Pure: frames, kernel events and `now` in; facts out. A frame becomes a segment with its options (`wire`), segments become
//! connections and subflows (`track`), both witnesses' words become one table (`facts`); `pcap`, `filter`, `show` and `story`
//! serve who reads a capture. What does not live here: reading packets (`kernel`), deciding anything (`throttle`). Called by
//! `throttle` and `proxy`. Invariant: two witnesses of one subflow, the wire and the kernel, name it by equal values.

pub mod crypto;
pub mod event;
pub mod facts;
pub mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod id;
pub mod pcap;
pub mod show;
pub mod story;
pub mod track;
pub mod wire;

pub use id::{AddrId, FourTuple, MixedFamilies, NotAToken, SubflowKind, Token};
