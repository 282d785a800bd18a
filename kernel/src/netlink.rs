//! Netlink: the transport of every question to the kernel that is neither a socket option nor a file.
//!
//! What lives here: a socket with requests, acknowledgements, dumps and multicast groups; messages and attributes, read
//! and written; families of generic netlink. What does not: what any family means.
//! Called by `mptcp_pm`, `sock_diag`, `link`, `tc` and `nft`.
//! Invariant: bytes that are shorter than they claim are never read past their end and never lead to a panic; a lost
//! notice is a value, not an error.
//! Source: netlink(7), RFC 3549.

pub mod attribute;
mod batch;
mod error;
pub mod generic;
pub mod message;
mod request;
mod socket;

pub use batch::Step;
pub use error::NetlinkError;
pub use request::Request;
pub use socket::{Dump, NetlinkSocket, Protocol, Received};
