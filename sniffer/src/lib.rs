//! Which MPTCP connections and subflows there are, and how they do.
//!
//! Pure: segments, kernel events and `now` in; facts out. What lives here so far: the identities that facts are about, with
//! the words of RFC 8684. What does not: reading packets (`kernel`), deciding anything (`throttle`). Called by `throttle`
//! and `proxy`. Invariant: two witnesses of one subflow, the wire and the kernel, name it by equal values.

pub mod crypto;
pub mod event;
pub mod facts;
pub mod filter;
mod id;
pub mod pcap;
pub mod show;
pub mod story;
pub mod track;
pub mod wire;

pub use id::{AddrId, FourTuple, MixedFamilies, NotAToken, SubflowKind, Token};
