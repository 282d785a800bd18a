//! The lab: client–edge–origin topologies in private network namespaces, with shaped and impaired links, middleboxes,
//! real clients and origins, and experiments over them.
//!
//! What lives here: everything that stands around the proxy, and the experiments as values. What does not: the proxy,
//! which is started as a child process, and the others beside it. Called by the `lab` binary, by integration tests and by the demo.
//! Invariant: nothing outside the namespaces made here is changed, and nothing of them outlives the process.

pub mod capture;
pub mod client;
pub mod emulator;
pub mod experiment;
pub mod floor;
pub mod flow;
pub mod http;
pub mod link;
pub mod meter;
pub mod middlebox;
pub mod netns;
pub mod origin;
pub mod peer;
pub mod plot;
pub mod proxy;
pub mod report;
pub mod series;
pub mod stats;
pub mod stream;
pub mod topology;
pub mod wire;

pub use experiment::{Experiment, Options};
pub use link::Link;
pub use netns::{Namespace, re_enter_if_unprivileged};
pub use proxy::{Proxy, ProxyConfig};
pub use report::Report;
pub use topology::{Cut, Family, Topology};
