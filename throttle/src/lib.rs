//! Who, and which subflow, may send how fast.
//!
//! Pure: facts, policies and `now` in; intents, then desired kernel state, then ordered operations out. What lives here so
//! far: the rungs of the actuator ladder and the names of tc objects. What does not: learning facts (`sniffer`), talking to
//! the kernel (`kernel`). Called by `proxy`. Invariant: an operation names only objects that are anabranch's own.

mod rung;
mod tc;

pub use rung::Rung;
pub use tc::{NotATcHandle, TcHandle};
