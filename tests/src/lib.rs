//! What the tests of promises stand on: a proxy as a child process, an origin and a client that know every byte.
//!
//! Lives here: [`Proxy`], [`Origin`], [`Client`], the strict parser of [`message`] and a name server with few answers.
//! Does not live here: any promise; those are in `tests/`, one file each.
//! Nothing here uses an HTTP library: what such a library tolerates, a test would not see.

mod client;
mod dns;
pub mod message;
mod origin;
mod proxy;

pub use client::{Client, End};
pub use dns::NameServer;
pub use message::Message;
pub use origin::{Conversation, Origin};
pub use proxy::Proxy;

/// How long anything that must happen may take; long, because the machine may be busy, and never waited out in vain.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);
