//! The request stack: hyper parses, we judge, forward or open a tunnel.
//!
//! A client leg carries requests until one of them turns it into a tunnel; [`serve`](mod@serve) ends with what comes next. Pure
//! decisions live in [`authority`], [`fields`] and [`framing`]; [`forward`] and [`connect`] do.

pub mod authority;
pub(crate) mod body;
pub(crate) mod connect;
pub(crate) mod credentials;
mod doctor;
mod expect;
pub(crate) mod fields;
mod forward;
pub(crate) mod framing;
#[doc(hidden)]
pub mod hot;
mod local;
mod pac;
pub mod refusal;
mod serve;
pub(crate) mod via;

pub(crate) use connect::Tunnel;
pub(crate) use serve::{Handover, Next, chain, serve};
