//! anabranch beside the proxies users would take instead, and beside the bare kernel: the same load on each, in turn.
//!
//! What lives here: the loads ([`load`], [`origin`]), the scenarios ([`scenario`]), the rounds
//! ([`run`](mod@run)) and the table ([`table`]). What does not: namespaces, links, the peers as values, plots, statistics (the lab's). Called by the
//! `bench` binary. Invariant: what is compared ran in the same round, and whoever could not run is named.

pub mod load;
pub mod origin;
pub mod run;
pub mod sample;
pub mod scenario;
pub mod settle;
pub mod table;
pub mod world;
