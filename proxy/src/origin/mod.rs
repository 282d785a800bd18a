//! Origins: everything between a request's target and a connected plain-TCP socket.
//!
//! Lives here: may this address be dialled ([`guard`]), is it ourselves ([`own`]), which addresses has this name
//! ([`resolve`]), which of them answers first ([`connect`]), the connection itself ([`leg`]), and may it be used again ([`pool`]).
//! Does not live here: reading the target (`http::authority`) and what the bytes mean.
//! Invariant: an address is dialled only after [`guard::Guard::judge`] let exactly this address pass; nothing is
//! looked up a second time in between.

mod ahead;
pub mod connect;
pub mod guard;
pub mod leg;
pub mod own;
pub mod pool;
pub mod resolve;
