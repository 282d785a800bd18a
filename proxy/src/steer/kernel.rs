//! The kernel as a witness: its path manager's events as they come, and a look at every subflow's socket now and then.
//!
//! Events tell at once what begins and ends; sockets tell what events do not carry. When events are lost, and at the
//! start, the sockets tell all there is. Looking costs as much as there are sockets, so it is done the less often the
//! longer it takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anabranch_kernel::mptcp_pm::{ConnectionEvent, Event, Events, MptcpPmError, Notice, SubflowEvent};
use anabranch_kernel::netlink::NetlinkError;
use anabranch_kernel::packet::wait_readable;
use anabranch_kernel::sock_diag::{self, AddressFamily, MptcpSocket, Query, SockDiag, States, TcpSocket};
use anabranch_kernel::tcp_info::TcpState;
use anabranch_sniffer::facts::{KernelConnection, KernelEvent, KernelSubflow};
use anabranch_sniffer::wire::mptcp::ResetReason;
use anabranch_sniffer::{AddrId, FourTuple, SubflowKind, Token};

use super::{Desk, now};
use crate::http::chain;

/// At most one part in so many of a core's time goes into looking.
const SHARE: u32 = 50;

/// Events taken before others have their turn.
const TURN: usize = 1024;

/// How long to let events gather once some have come.
const BATCH: Duration = Duration::from_millis(5);

/// The same while a policy waits for who joins: what a subflow carries until then it carries unsteered.
const BATCH_STEERED: Duration = Duration::from_millis(1);

/// How long to wait for events before looking at the clock.
const WAIT: Duration = Duration::from_millis(50);

/// What is asked and listened to.
pub(super) struct Opened(Events, SockDiag);

/// Opens what tells, or says why that cannot be had.
pub(super) fn open(desk: &Desk) -> Option<Opened> {
    match try_open() {
        Ok((events, diag)) => {
            desk.kernel_tells.store(true, Ordering::Release);
            Some(Opened(events, diag))
        }
        Err(why) => {
            tracing::warn!(%why, "the kernel is no witness: subflows are not told");
            desk.witnesses.lock().kernel = Some(why);
            None
        }
    }
}

/// Watches until it is told to stop, or the kernel can be a witness no more.
pub(super) fn run(desk: &Desk, Opened(mut events, mut diag): Opened, stop: &AtomicBool) {
    tracing::info!("the kernel is a witness: path manager events and sockets");
    let mut sockets = Look::default();
    let (mut looked, mut rest) = (None::<Instant>, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        // Asked anew each time: a policy that has just come wants to know more often.
        let mut due = looked.map_or(now, |looked| looked + desk.interval().max(rest));
        if now >= due {
            if let Err(error) = sockets.again(desk, &mut diag) {
                tracing::debug!(why = %chain(&error), "the sockets cannot be asked");
                // The socket is of no use after an error; the next look has another.
                diag = SockDiag::open().unwrap_or(diag);
            }
            (looked, rest) = (Some(now), now.elapsed() * SHARE);
            due = now + desk.interval().max(rest);
            desk.looked.store(millis(super::now()), Ordering::Release);
            desk.poke();
        }
        if let Err(error) = wait_readable(&[&events], WAIT.min(due.saturating_duration_since(now))) {
            tracing::error!(%error, "the kernel witness cannot wait for events, and ends");
            return;
        }
        match take(desk, &mut events) {
            Taken::Nothing => {}
            // More come soon where there are many: one wake for all of them.
            Taken::Some => {
                desk.poke();
                gather(if desk.is_steered() { BATCH_STEERED } else { BATCH });
            }
            Taken::Lost => {
                desk.witnesses.lock().events_lost += 1;
                looked = None;
            }
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(super) fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

#[allow(clippy::disallowed_methods, reason = "a thread of its own: nobody else waits")]
fn gather(batch: Duration) {
    std::thread::sleep(batch);
}

fn try_open() -> Result<(Events, SockDiag), String> {
    let events = Events::open().map_err(|error| match error {
        MptcpPmError::NotPermitted(_) => "CAP_NET_ADMIN is missing; run as root, or give the capability".to_owned(),
        other => chain(&other),
    })?;
    let diag = SockDiag::open().map_err(|error| chain(&error))?;
    Ok((events, diag))
}

/// How far the waiting events were read.
enum Taken {
    /// There was none.
    Nothing,
    /// All of them, or as many as one turn takes.
    Some,
    /// Some never came.
    Lost,
}

fn take(desk: &Desk, events: &mut Events) -> Taken {
    for turn in 0..TURN {
        match events.recv() {
            Ok(Some(Notice::Event(event))) => {
                if let Some(event) = translate(event) {
                    desk.facts.lock().on_kernel(&event, now());
                }
            }
            Ok(Some(Notice::Lost)) => return Taken::Lost,
            Ok(None) if turn == 0 => return Taken::Nothing,
            Ok(None) => return Taken::Some,
            Err(error) => {
                tracing::debug!(why = %chain(&error), "an event of the kernel's cannot be read");
                if !matches!(error, MptcpPmError::Event(_)) {
                    return Taken::Nothing;
                }
            }
        }
    }
    Taken::Some
}

/// An event in the words of the facts; `None` for one that is not about a connection, or not of this room's interest.
fn translate(event: Event) -> Option<KernelEvent> {
    let flow = |local, remote| FourTuple::new(local, remote).ok();
    let begun = |of: &ConnectionEvent| Some((Token(of.token), flow(of.local, of.remote)?));
    let ids = |of: &SubflowEvent| (of.local_id.map(AddrId), of.remote_id.map(AddrId));
    let subflow = |of: &SubflowEvent| Some((Token(of.token), flow(of.local, of.remote)?));
    Some(match event {
        Event::Created(of) => begun(&of).map(|(token, flow)| KernelEvent::Created { token, flow })?,
        Event::Established(of) => begun(&of).map(|(token, flow)| KernelEvent::Established { token, flow })?,
        Event::Closed { token } => KernelEvent::Closed { token: Token(token) },
        Event::SubflowEstablished(of) => {
            let ((token, flow), (local_id, remote_id)) = (subflow(&of)?, ids(&of));
            KernelEvent::SubflowEstablished { token, flow, local_id, remote_id, backup: of.backup }
        }
        Event::SubflowClosed(of) => {
            let (token, flow) = subflow(&of)?;
            let reason = of.reset_reason.and_then(|reason| u8::try_from(reason).ok()).map(ResetReason);
            KernelEvent::SubflowClosed { token, flow, error: of.error.map(u32::from), reason }
        }
        Event::SubflowPriority(of) => {
            let (token, flow) = subflow(&of)?;
            KernelEvent::Priority { token, flow, backup: of.backup? }
        }
        Event::Announced { token, remote_id, address, port } => {
            KernelEvent::Announced { token: Token(token), addr_id: AddrId(remote_id), address, port }
        }
        Event::Removed { token, remote_id } => KernelEvent::Removed { token: Token(token), addr_id: AddrId(remote_id) },
        Event::ListenerCreated(_) | Event::ListenerClosed(_) | Event::Unknown(_) => return None,
    })
}

/// What one look at the sockets saw, and the tokens of the one before.
#[derive(Default)]
struct Look {
    /// Subflows with the token of their connection, sorted by it.
    subflows: Vec<(Token, KernelSubflow)>,
    /// Connections as they are without their subflows, sorted by token.
    connections: Vec<KernelConnection>,
    /// The tokens of the look before.
    before: Vec<Token>,
}

impl Look {
    /// Asks the sockets for all there is, and closes what they told of before and tell of no more.
    fn again(&mut self, desk: &Desk, diag: &mut SockDiag) -> Result<(), NetlinkError> {
        for family in [AddressFamily::V4, AddressFamily::V6] {
            let query = Query { family, states: alive(), local_port: None };
            diag.tcp(query, |socket| self.subflows.extend(subflow(&socket)))?;
            diag.mptcp(query, |socket| self.connections.extend(connection(&socket)))?;
        }
        self.subflows.sort_by_key(|(token, _)| *token);
        self.connections.sort_by_key(|connection| connection.token);
        self.tell(desk);
        // As large as everything that lives: not kept until the next look.
        (self.subflows, self.connections) = Default::default();
        Ok(())
    }

    fn tell(&mut self, desk: &Desk) {
        let at = now();
        let mut facts = desk.facts.lock();
        let mut seen = Vec::with_capacity(self.before.len());
        for one in self.subflows.chunk_by(|(a, _), (b, _)| a == b) {
            let Some(&(token, _)) = one.first() else { continue };
            seen.push(token);
            let known = self.connections.binary_search_by_key(&token, |connection| connection.token).ok();
            let known = known.and_then(|index| self.connections.get(index)).cloned();
            let mut connection = known.unwrap_or_else(|| KernelConnection::new(token));
            connection.subflows = one.iter().map(|(_, subflow)| subflow.clone()).collect();
            // A dump is not of one moment: a socket can come twice.
            connection.subflows.dedup_by_key(|subflow| subflow.flow);
            facts.observe_kernel(connection, at);
        }
        for token in self.before.iter().filter(|token| seen.binary_search(token).is_err()) {
            facts.on_kernel(&KernelEvent::Closed { token: *token }, at);
        }
        self.before = seen;
    }
}

fn connection(socket: &MptcpSocket<'_>) -> Option<KernelConnection> {
    let info = socket.info()?;
    Some(KernelConnection {
        fallback: Some(info.fallback),
        checksum: info.checksum,
        bytes_sent: info.bytes_sent,
        bytes_received: info.bytes_received,
        bytes_retransmitted: info.bytes_retrans,
        waiting: info.waiting(),
        ..KernelConnection::new(Token(info.token))
    })
}

/// States in which a subflow carries, or may yet carry, data.
pub(super) const fn alive() -> States {
    States::of(TcpState::Established)
        .and(TcpState::SynSent)
        .and(TcpState::SynReceived)
        .and(TcpState::FinWait1)
        .and(TcpState::FinWait2)
        .and(TcpState::CloseWait)
        .and(TcpState::LastAck)
        .and(TcpState::Closing)
}

/// A subflow and the token of its connection, if the socket is one.
pub(super) fn subflow(socket: &TcpSocket<'_>) -> Option<(Token, KernelSubflow)> {
    let told = socket.subflow()?;
    let flow = FourTuple::new(socket.head.local, socket.head.remote).ok()?;
    let info = socket.info();
    let info = info.as_ref();
    let kind = told.flags.kind().map(|kind| match kind {
        sock_diag::SubflowKind::Initial => SubflowKind::Initial,
        sock_diag::SubflowKind::Joined => SubflowKind::Joined,
    });
    let subflow = KernelSubflow {
        flow,
        local_id: told.local_id.map(AddrId),
        remote_id: told.remote_id.map(AddrId),
        kind,
        established: matches!(socket.head.state, TcpState::Established | TcpState::CloseWait),
        backup_by_local: Some(told.flags.backup_by_us()),
        backup_by_remote: Some(told.flags.backup_by_peer()),
        rtt: info.map(|info| info.rtt).filter(|rtt| !rtt.is_zero()),
        bytes_sent: info.and_then(|info| info.bytes_sent),
        bytes_received: info.and_then(|info| info.bytes_received),
        bytes_acked: info.and_then(|info| info.bytes_acked),
        bytes_retransmitted: info.and_then(|info| info.bytes_retrans),
        delivery_rate: info.and_then(|info| info.delivery_rate),
        congestion_window: info.map(|info| info.snd_cwnd),
        // Without measurements it is no full socket, and these are no queues.
        queued: info.map(|_| socket.head.send_queue.into()),
        heard: info.map(|info| info.last_ack_recv),
        timeouts: info.map(|info| info.retransmits.into()),
    };
    Some((Token(told.local_token), subflow))
}
