//! anabranch: a Transport Converter that carries bytes from Multipath TCP to TCP.
//!
//! The life of a connection is [`stack`](self): [`accept`] → [`admit`] → requests ([`http`]) → [`origin`] → [`relay`].
//! [`app`] puts the process together; [`cli`] is what an operator types.

mod accept;
pub mod admit;
pub mod app;
pub mod arrival;
mod capture;
pub mod cli;
pub mod control;
pub mod crew;
pub mod door;
pub mod http;
pub mod leg;
pub mod link;
pub mod listen;
pub mod manager;
pub mod metrics;
pub mod origin;
pub mod outcome;
mod pipe;
pub mod record;
pub mod relay;
pub mod reload;
pub mod session;
mod signals;
mod stack;
pub mod steer;
pub mod succession;
mod watchdog;
pub mod worker;
