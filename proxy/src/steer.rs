//! The steering side of the process: the witnesses, and one table of facts about connections and subflows.
//!
//! It lives on a thread of its own, or in a process of its own (`anabranch run --role steer`), so that whoever parses HTTP
//! needs no capability; the two talk over the link ([`crate::link`]). A witness that cannot be had (no capability, no such
//! interface, an old kernel) is said once with the fix, and the others go on. Invariant: nothing here ever waits for the
//! proxy, and the proxy never waits for anything here.

mod kernel;
mod report;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anabranch_config::Sniffer;
use anabranch_sniffer::facts::{FactLimits, FactsTable};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::link::{Directive, End, Listening, News, SessionFacts};
use crate::origin::own;

pub use report::{ConnectionLine, Interface, Witnesses};

/// What is known, and who knows it.
#[derive(Debug)]
pub struct Desk {
    /// Both witnesses' facts.
    facts: Mutex<FactsTable>,
    /// What the proxy told of its sessions, by their number.
    sessions: Mutex<HashMap<u64, SessionFacts>>,
    /// How the witnesses are.
    witnesses: Mutex<Witnesses>,
}

/// Where the proxy is.
#[derive(Debug)]
pub enum Proxy {
    /// In this process.
    Here(End<Directive, News>),
    /// In another one that connects.
    Elsewhere(Listening),
}

/// The running steering side.
#[derive(Debug)]
pub struct Steer {
    desk: Arc<Desk>,
    stop: Arc<AtomicBool>,
    wake: mpsc::Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

/// How long one witness may be behind the other before that is a disagreement: longer than two looks at the sockets.
const GRACE: Duration = Duration::from_secs(5);

/// News taken in at once.
const HEARD: usize = 256;

/// How often disagreements are looked for, and this machine's addresses read again.
const BEAT: Duration = Duration::from_secs(3);

impl Desk {
    fn new(config: &Sniffer) -> Self {
        let grace = GRACE.max(config.interval * 3);
        Self {
            facts: Mutex::new(FactsTable::new(FactLimits::default(), grace)),
            sessions: Mutex::default(),
            witnesses: Mutex::default(),
        }
    }

    /// Looks for disagreements again and again.
    async fn compare(&self, kernel: bool) {
        let mut beat = tokio::time::interval(BEAT);
        loop {
            beat.tick().await;
            let reports: Vec<_> = {
                let mut facts = self.facts.lock();
                // Without its word the kernel cannot be missed.
                if kernel
                    && self.witnesses.lock().kernel.is_none()
                    && let Ok(addresses) = own::addresses()
                {
                    facts.expect_kernel(addresses);
                }
                facts.handle_timeout(now());
                std::iter::from_fn(|| facts.poll_disagreement()).collect()
            };
            reports.iter().for_each(|report| self.disagree(report));
        }
    }
}

/// Starts the witnesses and listens to the proxy.
///
/// Errors:  the kernel gives no thread or no epoll descriptor; a witness that cannot be had is no error
pub fn start(config: &Sniffer, proxy: Proxy) -> std::io::Result<Steer> {
    let desk = Arc::new(Desk::new(config));
    let stop = Arc::new(AtomicBool::new(false));
    let (wake, mut woken) = mpsc::channel(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut threads = Vec::new();
    if !config.interfaces.is_empty() {
        let (interfaces, desk, stop) = (config.interfaces.clone(), desk.clone(), stop.clone());
        let watch = move || wire::run(&interfaces, &desk, &stop);
        threads.push(std::thread::Builder::new().name("witness".into()).spawn(watch)?);
    }
    if config.kernel {
        let (interval, desk, stop) = (config.interval, desk.clone(), stop.clone());
        let watch = move || kernel::run(&desk, interval, &stop);
        threads.push(std::thread::Builder::new().name("kernel".into()).spawn(watch)?);
    }
    let (kernel, shared) = (config.kernel, desk.clone());
    let live = move || {
        runtime.block_on(async {
            tokio::select! {
                () = listen(proxy, &shared) => {}
                () = shared.compare(kernel) => {}
                _ = woken.recv() => {}
            }
        });
    };
    threads.push(std::thread::Builder::new().name("steer".into()).spawn(live)?);
    Ok(Steer { desk, stop, wake, threads })
}

impl Steer {
    /// Where questions are answered.
    #[must_use]
    pub fn desk(&self) -> Arc<Desk> {
        self.desk.clone()
    }

    /// Ends the witnesses.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.wake);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a witness panicked");
            }
        }
    }
}

/// Hears what the proxy tells, now and after every new beginning.
async fn listen(proxy: Proxy, desk: &Desk) {
    match proxy {
        Proxy::Here(end) => {
            hear(end, desk).await;
            // The proxy ends before this thread does: there is nothing more to hear.
            std::future::pending().await
        }
        Proxy::Elsewhere(listening) => {
            let accept = match listening.accept() {
                Ok(accept) => accept,
                Err(error) => {
                    tracing::error!(%error, "the link cannot be watched: no proxy is heard");
                    return std::future::pending().await;
                }
            };
            loop {
                let end = accept.next().await;
                tracing::info!("a proxy is linked");
                hear(end, desk).await;
                desk.sessions.lock().clear();
                tracing::info!("the proxy is gone; its sessions are forgotten");
            }
        }
    }
}

async fn hear(mut end: End<Directive, News>, desk: &Desk) {
    let mut batch = Vec::new();
    while end.from.recv_many(&mut batch, HEARD).await > 0 {
        let mut sessions = desk.sessions.lock();
        for news in batch.drain(..) {
            match news {
                News::Forget => sessions.clear(),
                News::Session(facts) => drop(sessions.insert(facts.session, facts)),
                News::Ended(session) => drop(sessions.remove(&session)),
            }
        }
    }
}

/// The time facts are told in.
///
/// Units:  since the Unix epoch
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
