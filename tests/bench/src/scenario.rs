//! The scenarios as values: what a load is, whom it fits, what is told of it.
//!
//! What lives here: the list, and the choice of what runs. What does not: how each is measured (one file a kind). Called by `run`.
//! Invariant: figures of a scenario are taken between two looks at the same moment's counters, start and end of a load left out.

mod bulk;
mod crowd;
mod delay;
mod exchange;
mod idle;
mod mixed;

use anabranch_lab::client::Way;
use anyhow::{Result, ensure};

use crate::load::exchange::Kind as Exchange;
use crate::sample::{Metric, Sample};
use crate::world::{Client, Subject, World};
use anabranch_lab::peer::{Kind, Peer};

pub use crowd::Crowd;

/// Something that is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name, from which `--scenario` chooses.
    pub name: String,
    /// What the client speaks.
    pub client: Client,
    /// Its figures; the first one is the one that counts.
    pub metrics: &'static [Metric],
    load: Load,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Load {
    Bulk {
        way: Way,
        streams: usize,
    },
    Exchange {
        kind: Exchange,
        size: u64,
        clients: u32,
    },
    /// At 70 % of the reference's rate, or of its own.
    Offered {
        its_own: bool,
        size: u64,
        clients: u32,
    },
    Delay,
    Idle,
    Mixed,
    Crowd,
}

/// Where scenarios run.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The network.
    pub world: &'a World,
    /// Clients of their own, built when first needed.
    pub crowd: &'a mut Option<Crowd>,
    /// Whose rate is the measure of an offered load.
    pub reference: Subject,
}

/// All of them, in the order of the table.
pub fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut add = |name: String, client, metrics, load| all.push(Scenario { name, client, metrics, load });
    for client in Client::ALL {
        for (way, words) in [(Way::Download, "down"), (Way::Upload, "up")] {
            for streams in [1, 8, 64] {
                let name = format!("bulk {words} x{streams}, {}", client.words());
                add(name, client, bulk::METRICS, Load::Bulk { way, streams });
            }
        }
    }
    for client in [Client::One, Client::Tcp] {
        let words = client.words();
        for (size, name) in [(1 << 10, "1 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")] {
            let load = Load::Exchange { kind: Exchange::KeepAlive, size, clients: 32 };
            add(format!("keep-alive GET {name}, {words}"), client, exchange::METRICS, load);
        }
        for (its_own, name) in [(false, "load"), (true, "of its own")] {
            let load = Load::Offered { its_own, size: 1 << 10, clients: 32 };
            add(format!("GET 1 KiB at 70 % {name}, {words}"), client, exchange::OFFERED, load);
        }
        for (kind, name) in
            [(Exchange::NewConnection, "new connection, GET 1 KiB"), (Exchange::NewTunnel, "new CONNECT, 1 KiB")]
        {
            let load = Load::Exchange { kind, size: 1 << 10, clients: 16 };
            add(format!("{name}, {words}"), client, exchange::METRICS_NEW, load);
        }
    }
    let mut once = |name: &str, client, metrics, load| add(name.to_owned(), client, metrics, load);
    once("conversion delay", Client::One, delay::METRICS, Load::Delay);
    once("idle tunnels", Client::One, idle::METRICS, Load::Idle);
    once("mixed, 200 slow and 8 fast", Client::One, mixed::METRICS, Load::Mixed);
    once("many clients, two shaped links each", Client::Two, crowd::METRICS, Load::Crowd);
    all
}

impl Scenario {
    /// Why a peer has no part in it.
    pub fn excludes(&self, peer: &Peer) -> Option<&'static str> {
        let serves = peer.serves;
        let direct = peer.kind == Kind::Direct;
        match self.load {
            Load::Delay | Load::Idle if direct => Some("nothing stands between"),
            Load::Bulk { .. } | Load::Delay | Load::Idle | Load::Crowd if !serves.tunnels => Some("no CONNECT"),
            Load::Exchange { kind: Exchange::NewTunnel, .. } if !serves.tunnels => Some("no CONNECT"),
            Load::Exchange { kind: Exchange::NewTunnel, .. } => None,
            Load::Exchange { .. } | Load::Offered { .. } | Load::Mixed if !serves.requests => Some("CONNECT only"),
            Load::Exchange { kind: Exchange::KeepAlive, .. } | Load::Offered { .. } | Load::Mixed
                if !serves.keep_alive =>
            {
                Some("no keep-alive")
            }
            _ => None,
        }
    }

    /// Measures `subject` once.
    ///
    /// Errors: what failed, in the client's words; or that the client did not get the MPTCP it asked for.
    pub fn run(&self, stage: &mut Stage<'_>, peer: &Peer, subject: &Subject) -> Result<Sample> {
        let world = stage.world;
        world.use_links(self.client)?;
        let before = world.handshakes()?;
        let way = world.way(subject, self.client);
        let (sample, connections) = match self.load {
            Load::Bulk { way: direction, streams } => (bulk::run(world, subject, way, direction, streams)?, streams),
            Load::Exchange { kind, size, clients } => {
                (exchange::run(world, subject, way, (kind, size, clients, None))?, 1)
            }
            Load::Offered { its_own: true, size, clients } => {
                (exchange::offered_its_own(world, subject, way, size, clients)?, 1)
            }
            Load::Offered { size, clients, .. } => {
                let reference = world.way(&stage.reference, self.client);
                (exchange::offered(world, subject, way, (&stage.reference, reference), size, clients)?, 1)
            }
            Load::Delay => (delay::run(world, peer, way)?, 1),
            Load::Idle => (idle::run(world, peer, subject.index)?, 1),
            Load::Mixed => (mixed::run(world, subject, way)?, 1),
            // Its clients are others, who look for themselves.
            Load::Crowd => return crowd::run(stage, subject, way),
        };
        let after = world.handshakes()?;
        let wanted = u64::try_from(connections)?;
        let (capable, joined) = (after.0 - before.0, after.1 - before.1);
        ensure!(self.client == Client::Tcp || capable >= wanted, "{capable} of {wanted} connections were MPTCP");
        ensure!(
            self.client != Client::Two || joined >= wanted,
            "{joined} of {wanted} connections got a second subflow"
        );
        Ok(sample)
    }
}

#[cfg(test)]
mod tests;
