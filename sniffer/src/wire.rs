//! Bytes on the wire, as borrowed views: link layer, IP, TCP, and the options of RFC 8684 and RFC 6824.
//!
//! What lives here: decoding and encoding, nothing remembered between two frames. What does not: state (`track`), where the
//! frames come from (`port`). Called by the wire witness and by `sniff`. Invariants: no input makes it panic, nothing is
//! allocated, and a length is believed only as far as bytes were captured.

pub mod mptcp;
pub mod tcp;
