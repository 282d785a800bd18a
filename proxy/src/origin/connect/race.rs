//! The race between the addresses of a name: Happy Eyeballs version 2 (RFC 8305).
//!
//! Lives here: when which address is tried, and which failure is told. Time comes from `tokio::time`, lookups and
//! attempts are given, so that the tests run on a paused clock without a socket.
//! Losers are dropped with the race, their sockets with them.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::DialError;
use crate::origin::guard::Forbidden;
use crate::origin::resolve::{Answer, Answers, DnsError};

/// How long A waits for AAAA (RFC 8305 §3).
pub(super) const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// How long an attempt has before the next begins (RFC 8305 §5).
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Attempts under way at the same time: bounds what one request can make us send.
pub(super) const MAX_ATTEMPTS: usize = 8;

/// The first attempt that stood.
pub(super) struct Won<T> {
    pub(super) prize: T,
    pub(super) address: SocketAddr,
    pub(super) dns: Duration,
    pub(super) connect: Duration,
    pub(super) forbidden: usize,
}

/// Runs the race: `judge` turns an answer into an address to dial or refuses it, `dial` makes one attempt.
///
/// Cancel:  safe; attempts under way are dropped.
pub(super) async fn run<T, F: Future<Output = Result<T, DialError>>>(
    mut answers: Answers,
    judge: impl Fn(IpAddr) -> Result<SocketAddr, Forbidden>,
    mut dial: impl FnMut(SocketAddr) -> F,
    connect_timeout: Duration,
) -> Result<Won<T>, DialError> {
    let begun = Instant::now();
    let mut field = Field::default();
    let mut attempts = Attempts(Vec::new());
    // When the first attempt began, and when the next one may.
    let mut first: Option<Instant> = None;
    let mut next: Option<Instant> = None;
    loop {
        let now = Instant::now();
        if attempts.0.len() < MAX_ATTEMPTS
            && next.is_some_and(|at| at <= now)
            && let Some(address) = field.pop()
        {
            attempts.0.push((address, Box::pin(dial(address))));
            first.get_or_insert(now);
            next = Some(now + ATTEMPT_DELAY);
        }
        if answers.is_done() && field.is_empty() && attempts.0.is_empty() {
            return Err(field.failure());
        }
        let deadline = first.map(|at| at + connect_timeout);
        let start = next.filter(|_| attempts.0.len() < MAX_ATTEMPTS && !field.is_empty());
        let wake = [deadline, start].into_iter().flatten().min();
        tokio::select! {
            biased;
            (address, result) = attempts.next(), if !attempts.0.is_empty() => match result {
                Ok(prize) => {
                    let first = first.unwrap_or(begun);
                    let (dns, connect) = (first - begun, first.elapsed());
                    return Ok(Won { prize, address, dns, connect, forbidden: field.forbidden });
                }
                // The failed one needs no head start any more.
                Err(error) => {
                    field.failed(error);
                    next = Some(Instant::now());
                }
            },
            Some(answer) = answers.next(), if !answers.is_done() => {
                field.admit(answer, &judge);
                if first.is_none() && !field.is_empty() {
                    let delay = if answers.awaits_v6() { RESOLUTION_DELAY } else { Duration::ZERO };
                    next = Some(Instant::now() + delay);
                }
            }
            () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => {
                if deadline.is_some_and(|at| at <= Instant::now()) {
                    return Err(DialError::TimedOut);
                }
            }
        }
    }
}

/// The addresses not yet tried, and what has been learnt about the others.
#[derive(Default)]
struct Field {
    v6: VecDeque<SocketAddr>,
    v4: VecDeque<SocketAddr>,
    /// Whether the last address handed out was IPv6.
    was_v6: bool,
    forbidden: usize,
    reason: Option<Forbidden>,
    failure: Option<DialError>,
    dns: Option<DnsError>,
}

impl Field {
    fn admit(&mut self, answer: Answer, judge: impl Fn(IpAddr) -> Result<SocketAddr, Forbidden>) {
        match answer {
            Answer::V6(Ok(found)) => found.into_iter().for_each(|ip| self.enter(ip.into(), &judge)),
            Answer::V4(Ok(found)) => found.into_iter().for_each(|ip| self.enter(ip.into(), &judge)),
            Answer::V6(Err(error)) | Answer::V4(Err(error)) => {
                self.dns.get_or_insert(error);
            }
        }
    }

    /// A v4-mapped AAAA is an IPv4 address: judged, queued and dialled as one.
    fn enter(&mut self, ip: IpAddr, judge: impl Fn(IpAddr) -> Result<SocketAddr, Forbidden>) {
        match judge(ip.to_canonical()) {
            Ok(address @ SocketAddr::V6(_)) => self.v6.push_back(address),
            Ok(address) => self.v4.push_back(address),
            Err(reason) => {
                self.forbidden += 1;
                self.reason.get_or_insert(reason);
            }
        }
    }

    /// Alternates between the families, IPv6 first (RFC 8305 §4 with a First Address Family Count of 1).
    fn pop(&mut self) -> Option<SocketAddr> {
        let (one, other) = if self.was_v6 { (&mut self.v4, &mut self.v6) } else { (&mut self.v6, &mut self.v4) };
        let address = one.pop_front().or_else(|| other.pop_front())?;
        self.was_v6 = address.is_ipv6();
        Some(address)
    }

    fn is_empty(&self) -> bool {
        self.v6.is_empty() && self.v4.is_empty()
    }

    /// Keeps the first failure; but "unreachable" (often just no IPv6 here) yields to whatever says more.
    fn failed(&mut self, error: DialError) {
        if matches!(self.failure, None | Some(DialError::Unreachable)) {
            self.failure = Some(error);
        }
    }

    /// What to tell when nothing is left to try: an attempt that failed, a refusal of ours, a failed lookup.
    fn failure(self) -> DialError {
        self.failure
            .or_else(|| self.reason.map(DialError::Forbidden))
            .or_else(|| self.dns.map(DialError::Dns))
            .unwrap_or(DialError::NoAddress)
    }
}

/// Attempts under way.
struct Attempts<F>(Vec<(SocketAddr, Pin<Box<F>>)>);

impl<T, F: Future<Output = Result<T, DialError>>> Attempts<F> {
    /// The next one that ends. Cancel: safe.
    async fn next(&mut self) -> (SocketAddr, F::Output) {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(SocketAddr, F::Output)> {
        for at in 0..self.0.len() {
            if let Poll::Ready(result) = self.0[at].1.as_mut().poll(cx) {
                return Poll::Ready((self.0.swap_remove(at).0, result));
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
