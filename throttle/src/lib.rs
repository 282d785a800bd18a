//! Who, and which subflow, may send how fast.
//!
//! Pure: facts, policies and `now` in; intents, then desired kernel state, then ordered operations out. What lives here: what is
//! known (`view`, `rate`), what policies want (`policy`, `usage`, `intent`), what is done about it (`plan`, `op`), the rungs
//! of the actuator ladder and the names of tc objects. What does not: learning facts (`sniffer`), talking to the kernel (`kernel`).
//! Called by `proxy`. Invariant: an operation names only objects that are anabranch's own.

pub mod intent;
pub mod op;
pub mod plan;
pub mod policy;
pub mod rate;
mod rung;
mod tc;
pub mod usage;
pub mod view;

pub use rung::Rung;
pub use tc::{NotATcHandle, TcHandle};
