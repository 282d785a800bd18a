//! Thousands of tunnels that carry nothing: memory of each, and what they cost while nothing happens.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::resource::{Resource, getrlimit};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinSet, LocalSet};

use crate::load::{Way, runtime};
use crate::sample::{Look, Metric, Sample, count, sample};
use crate::world::{Client, FIRST_PORT, Subject, World};
use anabranch_lab::peer::{Peer, Place, Running, Unusable};

pub(super) const METRICS: &[Metric] = &[
    Metric::less("memory", "KiB/tunnel"),
    Metric::less("memory without tunnels", "MiB"),
    Metric::less("idle CPU", "ms/s"),
    Metric::more("tunnels", ""),
];

/// Tunnels opened at once.
const AT_ONCE: usize = 64;
/// The ports of proxies started anew lie so far above the others.
const ANEW: u16 = 100;
/// So many tunnels first, so that what is there once is there before.
const WARM: usize = 200;

/// Runs it once, on a proxy of its own: what the others have carried before has left its marks in their memory.
pub(super) fn run(world: &World, peer: &Peer, index: usize) -> Result<Sample> {
    let port = FIRST_PORT + ANEW + u16::try_from(index)?;
    let place = Place { edge: &world.topology.edge, port, origin: world.origin_of(index), threads: world.threads };
    let mut running = Running::start(peer, &world.built, place).map_err(|error| match error {
        Unusable::Missing(words) => anyhow!(words),
        Unusable::Broken(error) => error,
    })?;
    ensure!(running.mptcp, "its listener is not an MPTCP one");
    let tree = running.tree;
    let way = world.way(&Subject { index, port: Some(port), tree: Some(tree) }, Client::One);
    // Two descriptors here for each tunnel, and some for everything else.
    let (_, descriptors) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = world.pick(9000, 500).min(usize::try_from(descriptors.saturating_sub(1500) / 2)?);
    with_tunnels(world, way, WARM, || Ok(()))?;
    std::thread::sleep(Duration::from_millis(world.pick(2000, 300)));
    let before = count(tree.memory()?);
    let figures = with_tunnels(world, way, wanted, || {
        std::thread::sleep(Duration::from_millis(500));
        let full = count(tree.memory()?);
        let from = Look::now(Some(tree))?;
        std::thread::sleep(Duration::from_millis(world.pick(1000, 300)));
        let (seconds, cpu) = from.until(Look::now(Some(tree))?);
        Ok(sample([
            ("memory", Some((full - before) / 1024.0 / count(wanted as u64))),
            ("memory without tunnels", Some(before / 1_048_576.0)),
            ("idle CPU", cpu.map(|cpu| cpu * 1e3 / seconds)),
            ("tunnels", Some(count(wanted as u64))),
        ]))
    })?;
    running.expect_alive()?;
    Ok(figures)
}

/// Does `work` while `wanted` tunnels are open.
fn with_tunnels<T>(world: &World, way: Way, wanted: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let ((ready, opened), (done, let_go)) = (std::sync::mpsc::channel(), oneshot::channel::<()>());
    std::thread::scope(|scope| {
        let hold = || -> io::Result<()> {
            runtime()?.block_on(async {
                let tunnels = open(way, wanted).await;
                let count =
                    tunnels.as_ref().map(Vec::len).map_err(|error| io::Error::new(error.kind(), error.to_string()));
                // Either end may be gone already; then there is nothing to wait for.
                drop(ready.send(count));
                drop(let_go.await);
                drop(tunnels);
                Ok(())
            })
        };
        let client = scope.spawn(|| world.topology.client.run(hold));
        let worked = match opened.recv().context("the tunnels' thread ended")? {
            Ok(_) => work(),
            Err(error) => Err(error).with_context(|| format!("cannot open {wanted} tunnels")),
        };
        drop(done);
        client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))??;
        worked
    })
}

async fn open(way: Way, wanted: usize) -> io::Result<Vec<TcpStream>> {
    let local = LocalSet::new();
    local
        .run_until(async {
            let (gate, mut opening) = (Rc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
            for _ in 0..wanted {
                let gate = Rc::clone(&gate);
                opening.spawn_local(async move {
                    let _turn = gate.acquire().await.map_err(io::Error::other)?;
                    way.tunnel().await
                });
            }
            let mut tunnels = Vec::with_capacity(wanted);
            while let Some(opened) = opening.join_next().await {
                tunnels.push(opened.map_err(io::Error::other)??);
            }
            Ok(tunnels)
        })
        .await
}
