//! The kernel door: every `unsafe` block and every kernel structure of anabranch.
//!
//! Here live thin, typed calls (socket options, netlink, network namespaces, packet sockets) whose errors name the call
//! and its object. Nothing here decides anything: no policy, no retry, no configuration. Every other room that
//! needs Linux for more than a plain socket comes through here. Invariant: a value returned was written by the
//! kernel; what the kernel did not write is `None`, never zero.

#![allow(unsafe_code, reason = "the one room that may talk to the kernel by pointer; each block says why it holds")]

pub mod abi;
pub mod bpf;
pub mod clock;
mod fields;
pub mod flow;
pub mod link;
pub mod memory;
mod mptcp_info;
pub mod mptcp_pm;
pub mod netlink;
pub mod netns;
pub mod netstat;
mod nft;
pub mod packet;
pub mod probe;
pub mod route;
pub mod shaper;
pub mod sock_diag;
pub mod sockopt;
pub mod sysctl;
pub mod tc;
pub mod tcp_info;
#[cfg(test)]
mod testing;
