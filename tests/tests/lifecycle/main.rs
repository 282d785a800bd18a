//! What an operator does to a running anabranch, against the binary itself: start, reload, drain, crash, restart, ask.
//!
//! One file is one promise. Every test has a scratch directory and loopback addresses of its own, so all run at once.

#![allow(clippy::print_stderr, reason = "a failed test has to say what the process wrote")]

mod activation;
mod admission;
mod control;
mod delivery;
mod dns;
mod drain;
mod log;
mod memory;
mod no_mptcp;
mod reload;
mod restart;
mod roles;
mod succession;
mod support;
mod tls;
