//! The origin of flows: it knows each by the number its client sends first.
//!
//! Called by `flow` and by experiments. Owned by the experiment: dropping it ends the accepting thread.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{CONNECT, Ticket};
use crate::client::{Protocol, Way};
use crate::netns::Namespace;

/// An origin of flows.
#[derive(Debug)]
pub struct Source {
    ns: Namespace,
    port: u16,
    expected: Arc<Expected>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Flows whose connection has not come yet, by their numbers.
#[derive(Debug, Default)]
struct Expected {
    next: AtomicU64,
    tickets: Mutex<BTreeMap<u64, Arc<Ticket>>>,
}

impl Source {
    /// Listens on `port` of every address in `ns`; over MPTCP, plain TCP is served as well.
    pub fn start(ns: &Namespace, port: u16, protocol: Protocol) -> Result<Self> {
        let listener = ns
            .run(|| protocol.listen(port))?
            .with_context(|| format!("cannot listen on port {port} of {}", ns.name()))?;
        let (expected, stop) = (Arc::new(Expected::default()), Arc::new(AtomicBool::new(false)));
        let (tickets, ended) = (Arc::clone(&expected), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name(format!("source {port}"))
            .spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let tickets = Arc::clone(&tickets);
                    // A flow that fails ends alone; what is missing shows in what was delivered.
                    let serve = move || serve(stream, &tickets);
                    if std::thread::Builder::new().name("source".into()).spawn(serve).is_err() {
                        break;
                    }
                }
            })
            .context("cannot start the source's thread")?;
        Ok(Self { ns: ns.clone(), port, expected, stop, thread: Some(thread) })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number with which a client asks for this flow.
    pub(super) fn expect(&self, ticket: &Arc<Ticket>) -> u64 {
        let number = self.expected.next.fetch_add(1, Ordering::Relaxed);
        self.expected.tickets.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(ticket));
        number
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // One more connection wakes the accepting thread; if it cannot be made, the thread is gone already.
        let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), self.port);
        let woken = self.ns.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(1)));
        // Another source may listen on the port as soon as this one is gone.
        if woken.is_ok_and(|connected| connected.is_ok())
            && let Some(thread) = self.thread.take()
        {
            drop(thread.join());
        }
    }
}

fn serve(mut stream: TcpStream, expected: &Expected) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(CONNECT))?;
    let mut number = [0; 8];
    stream.read_exact(&mut number)?;
    let number = u64::from_be_bytes(number);
    let ticket = expected.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    let ticket = ticket.ok_or(io::ErrorKind::InvalidData)?;
    match ticket.way {
        Way::Download => {
            ticket.send(&stream)?;
            // Until the client has read everything: closing earlier could reset what is under way.
            super::wait_for_end(stream)
        }
        Way::Upload => ticket.receive(stream),
    }
}
