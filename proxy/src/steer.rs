//! The steering side of the process: the witnesses, and one table of facts about connections and subflows.
//!
//! It lives on a thread of its own, or in a process of its own (`anabranch run --role steer`), so that whoever parses HTTP
//! needs no capability; the two talk over the link ([`crate::link`]). A witness that cannot be had (no capability, no such
//! interface, an old kernel) is said once with the fix, and the others go on. Invariant: nothing here ever waits for the
//! proxy, and the proxy never waits for anything here.

mod commands;
mod doors;
mod engine;
mod guard;
mod kernel;
mod metrics;
mod orders;
mod ownership;
mod proxies;
mod rehearsal;
mod report;
mod usage;
mod view;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anabranch_config::{Config, Role};
use anabranch_sniffer::facts::{FactLimits, FactsTable};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::link::{Directive, End, Listening, News};
use crate::manager::Turns;
use crate::origin::own;

use engine::{Engine, Wake};
pub use guard::keep as guard;
pub use metrics::Metrics;
pub use orders::{Answered, Order, Refused};
use proxies::Proxies;
pub use report::{ConnectionLine, Interface, Witnesses};
pub(crate) use view::view_of_capture;

/// What is known, and who knows it.
#[derive(Debug)]
pub struct Desk {
    /// Both witnesses' facts.
    facts: Mutex<FactsTable>,
    /// Who carries the connections, and what they told of their sessions.
    proxies: Mutex<Proxies>,
    /// How the witnesses are.
    witnesses: Mutex<Witnesses>,
    /// The kernel tells of what happens, as it happens.
    kernel_tells: AtomicBool,
    /// How often sockets are looked at.
    interval: Interval,
    /// When they were last, in milliseconds since the Unix epoch.
    looked: AtomicU64,
    /// Connections of others that pass are steered: this is a router.
    passing: bool,
    /// The engine has been told that there are news, and has not looked yet.
    poked: AtomicBool,
    /// Where the engine hears of news and orders.
    engine: Mutex<Option<SyncSender<Wake>>>,
}

/// How often sockets are looked at: as often as the configuration says, and more often while policies need it.
#[derive(Debug)]
struct Interval {
    configured: Duration,
    /// Milliseconds; 0 while nobody needs it more often.
    wanted: AtomicU64,
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
    turns: Turns,
}

/// How long one witness may be behind the other before that is a disagreement: longer than two looks at the sockets.
const GRACE: Duration = Duration::from_secs(5);

/// How long a start waits for the engine.
const OPENING: Duration = Duration::from_secs(5);

/// News and orders that wait for the engine.
const ORDERS: usize = 64;

/// News taken in at once.
const HEARD: usize = 256;

/// How often disagreements are looked for, and this machine's addresses read again.
const BEAT: Duration = Duration::from_secs(3);

impl Desk {
    fn new(config: &Config) -> Self {
        let grace = GRACE.max(config.sniffer.interval * 3);
        Self {
            facts: Mutex::new(FactsTable::new(FactLimits::default(), grace)),
            proxies: Mutex::default(),
            witnesses: Mutex::default(),
            kernel_tells: AtomicBool::new(false),
            interval: Interval { configured: config.sniffer.interval, wanted: AtomicU64::new(0) },
            looked: AtomicU64::new(0),
            passing: config.process.role == Role::Steer && !config.sniffer.interfaces.is_empty(),
            poked: AtomicBool::new(false),
            engine: Mutex::default(),
        }
    }

    /// Whether the kernel tells of what happens, as it happens.
    fn kernel_tells(&self) -> bool {
        self.kernel_tells.load(Ordering::Acquire)
    }

    /// Has the sockets looked at so often at least; `None`: as often as the configuration says.
    fn look_every(&self, interval: Option<Duration>) {
        let millis = interval.map_or(0, |interval| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX));
        self.interval.wanted.store(millis, Ordering::Relaxed);
    }

    /// Whether a policy is in force.
    fn is_steered(&self) -> bool {
        self.interval.wanted.load(Ordering::Relaxed) > 0
    }

    /// Whether a policy is in force for connections that merely pass: then the wire alone tells how they are.
    fn steers_what_passes(&self) -> bool {
        self.passing && self.is_steered()
    }

    /// How often the sockets are to be looked at.
    fn interval(&self) -> Duration {
        match self.interval.wanted.load(Ordering::Relaxed) {
            0 => self.interval.configured,
            wanted => self.interval.configured.min(Duration::from_millis(wanted)),
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
pub fn start(config: &Config, proxy: Proxy, metrics: Metrics) -> std::io::Result<Steer> {
    let desk = Arc::new(Desk::new(config));
    let (engine, inbox) = std::sync::mpsc::sync_channel(ORDERS);
    *desk.engine.lock() = Some(engine);
    let sniffer = &config.sniffer;
    let stop = Arc::new(AtomicBool::new(false));
    let (wake, mut woken) = mpsc::channel(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut threads = Vec::new();
    if !sniffer.interfaces.is_empty() {
        let (interfaces, desk, stop) = (sniffer.interfaces.clone(), desk.clone(), stop.clone());
        let watch = move || wire::run(&interfaces, &desk, &stop);
        threads.push(std::thread::Builder::new().name("witness".into()).spawn(watch)?);
    }
    if sniffer.kernel {
        let opened = kernel::open(&desk);
        let (desk, stop) = (desk.clone(), stop.clone());
        if let Some(opened) = opened {
            let watch = move || kernel::run(&desk, opened, &stop);
            threads.push(std::thread::Builder::new().name("kernel".into()).spawn(watch)?);
        }
    }
    let (config, shared) = (config.clone(), desk.clone());
    let kernel = config.sniffer.kernel;
    let (opened, ready) = std::sync::mpsc::sync_channel(1);
    let turns = Turns::default();
    let counted = turns.clone();
    let steers = move || {
        let engine = Engine::new(&shared, &config, metrics);
        // Whoever started us may have gone on.
        if opened.try_send(()).is_err() {
            tracing::debug!("nobody waits for the engine");
        }
        engine.run(&inbox, &counted);
    };
    threads.push(std::thread::Builder::new().name(ENGINE.into()).spawn(steers)?);
    // Connections obey from their beginning or not at all, so the first one must not come before the path manager is ours.
    if ready.recv_timeout(OPENING).is_err() {
        tracing::warn!("policies are not carried out yet: opening what that takes lasts longer than usual");
    }
    let shared = desk.clone();
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
    Ok(Steer { desk, stop, wake, threads, turns })
}

impl Steer {
    /// Where questions are answered.
    #[must_use]
    pub fn desk(&self) -> Arc<Desk> {
        self.desk.clone()
    }

    /// Goes up for as long as the thread that acts is not stuck.
    #[must_use]
    pub fn turns(&self) -> Turns {
        self.turns.clone()
    }

    /// Ends the witnesses.
    pub fn stop(self) {
        // The engine first: it takes back what it has done while the witnesses still tell.
        self.desk.send(Wake::Stop);
        let (engine, witnesses): (Vec<_>, Vec<_>) =
            self.threads.into_iter().partition(|thread| thread.thread().name() == Some(ENGINE));
        join(engine);
        self.stop.store(true, Ordering::Relaxed);
        drop(self.wake);
        join(witnesses);
    }
}

/// The thread that acts.
const ENGINE: &str = "throttle";

fn join(threads: Vec<JoinHandle<()>>) {
    {
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a witness panicked");
            }
        }
    }
}

/// Hears what the proxy tells, now and after every new beginning.
async fn listen(proxy: Proxy, desk: &Arc<Desk>) {
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
                let desk = desk.clone();
                // Its successor comes before it goes.
                tokio::spawn(async move {
                    hear(end, &desk).await;
                    tracing::info!("the proxy is gone; its sessions are forgotten");
                });
            }
        }
    }
}

async fn hear(mut end: End<Directive, News>, desk: &Desk) {
    let number = desk.proxies.lock().enter(end.to.clone());
    let mut batch = Vec::new();
    while end.from.recv_many(&mut batch, HEARD).await > 0 {
        let mut proxies = desk.proxies.lock();
        batch.drain(..).for_each(|news| proxies.hear(number, news));
        drop(proxies);
        desk.poke();
    }
    desk.proxies.lock().leave(number);
}

/// The time facts are told in.
///
/// Units:  since the Unix epoch
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
