//! How far an origin may send ahead of a client that takes its time.
//!
//! The kernel sizes a receive buffer by what is read in a round trip. The first burst of an answer goes into the client's send buffer as fast
//! as it can be copied, so a buffer of megabytes is what a client gets that is slower than its origin, and it stays full to the end. Behind
//! 200 of them TCP's memory came under pressure (`tcp_mem`) on a machine of 24 GB that was origin and client too; then everybody stalls.
//! So a buffer is of one size until the client is seen to wait for the origin although a part of it that counts is under way; then it is
//! doubled, as often as that is so. Whoever is served fast for long is left to the kernel.
//!
//! Lives here: the judgement and the calls. Does not live here: the reading (`origin::leg`).

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use anabranch_kernel::sockopt::{SockoptError, lock_receive_buffer, tcp_info, widen_receive_window};

/// A connection that has brought so much may bring more; most bring less, and cost one system call.
const EARLY: usize = 32 << 10;

/// What an origin may then send ahead. A sender that doubles its rate in every round trip has been judged before it needs more.
const BEGINNING: u32 = 384 << 10;

/// The kernel does as it likes with more than this: it is for long and fast paths.
const MOST: u32 = 16 << 20;

/// Who takes so much at such a rate (bytes a second) is no slow client, and reads of a megabyte cost less than many.
const MUCH: usize = 4 << 20;
const FAST: u128 = 100_000_000;

/// Rounds in a row of waiting most of the time after which more is given, whatever the round trip is said to be: who answers a handshake may
/// be nearer than who sends the data.
const THIRSTY: u8 = 8;

/// An origin that is silent for so long has nothing to say, and that tells of no rate.
const SILENCE: Duration = Duration::from_secs(1);

/// An absence is looked into from here on; the kernel's clock may be no finer.
const TICK: Duration = Duration::from_millis(4);

/// What is seen of one connection to an origin.
#[derive(Debug)]
pub(super) enum Ahead {
    /// So many bytes have come; the buffer is as it was when the connection was made.
    Early(usize),
    /// It is judged.
    Judged(Round),
    /// The kernel sizes the buffer.
    Free,
}

/// What is seen since the last judgement.
#[derive(Debug)]
pub(super) struct Round {
    begun: Instant,
    read: usize,
    /// Since when the origin is waited for.
    dry: Option<Instant>,
    /// How long it was.
    waited: Duration,
    /// What the origin may send ahead, in bytes.
    window: u32,
    /// Rounds in a row in which the client waited most of the time and nothing was found to be under way.
    thirsty: u8,
}

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// The client waits for the origin; if the round trip is long, its window may be why.
    Starving,
    /// It takes much, and fast.
    Fast,
}

impl Round {
    const fn new(now: Instant, window: u32) -> Self {
        Self { begun: now, read: 0, dry: None, waited: Duration::ZERO, window, thirsty: 0 }
    }

    /// The next one of the same window; who is waited for is so still.
    const fn again(&mut self, now: Instant) {
        (self.begun, self.read, self.waited) = (now, 0, Duration::ZERO);
    }

    /// `stood` tells for how long nothing has come.
    fn took(&mut self, bytes: usize, now: Instant, stood: impl FnOnce() -> Duration) {
        if let Some(since) = self.dry.take() {
            let away = now.duration_since(since);
            // hyper does not read what has come before its own reader wants it: that is no wait for the origin.
            let waited = if away < TICK { away } else { away.saturating_sub(stood()) };
            if waited > SILENCE {
                self.again(now);
            } else {
                self.waited += waited;
            }
        }
        self.read += bytes;
    }

    /// Half a window tells who waits: the client, if it did for an eighth of the time, for what it has in its send buffer bridges most of a
    /// round trip.
    fn verdict(&self, now: Instant) -> Verdict {
        let all = now.duration_since(self.begun);
        if self.read >= MUCH && self.read as u128 * 1_000_000 >= FAST * all.as_micros() {
            Verdict::Fast
        } else if self.read >= self.window as usize / 2 && self.waited * 8 >= all {
            Verdict::Starving
        } else {
            Verdict::Keep
        }
    }

    /// What was long ago says nothing of now: a client that has been slow may be so no more.
    fn expire(&mut self, now: Instant) {
        if self.read >= self.window as usize / 2 && now.duration_since(self.begun) >= SILENCE {
            self.again(now);
            self.thirsty = 0;
        }
    }

    /// Counts a round; the client has waited most of the time in so many that it is no slow one.
    fn is_thirsty(&mut self, now: Instant) -> bool {
        self.thirsty = if self.waited * 2 >= now.duration_since(self.begun) { self.thirsty + 1 } else { 0 };
        self.thirsty >= THIRSTY
    }

    /// A part of the window that counts is under way from an origin at this distance, at the rate of this round.
    fn fills_window(&self, now: Instant, distance: Duration) -> bool {
        let all = now.duration_since(self.begun).as_micros().max(1);
        self.read as u128 * distance.as_micros() / all >= u128::from(self.window / 8)
    }
}

impl Ahead {
    /// Of a connection that has brought nothing yet. A buffer that has grown by then cannot be made smaller: what the origin was allowed to
    /// send would be dropped.
    pub(super) fn new(socket: BorrowedFd<'_>) -> Self {
        let mut ahead = Self::Early(0);
        ahead.done(socket, lock_receive_buffer(socket, true));
        ahead
    }

    /// Notes a read.
    pub(super) fn took(&mut self, socket: BorrowedFd<'_>, bytes: usize) {
        let done = match self {
            Self::Free => return,
            Self::Early(read) => {
                *read += bytes;
                if *read < EARLY {
                    return;
                }
                *self = Self::Judged(Round::new(Instant::now(), BEGINNING));
                widen(socket, BEGINNING)
            }
            Self::Judged(round) => {
                let now = Instant::now();
                round.took(bytes, now, || idle(socket));
                match round.verdict(now) {
                    Verdict::Keep => return round.expire(now),
                    Verdict::Fast => self.free(socket),
                    Verdict::Starving => match distance(socket) {
                        Ok(distance) if round.fills_window(now, distance) || round.is_thirsty(now) => {
                            self.feed(socket, now)
                        }
                        Ok(_) => return round.again(now),
                        Err(error) => Err(error),
                    },
                }
            }
        };
        self.done(socket, done);
    }

    /// Notes that the origin has sent no more than was read.
    pub(super) fn emptied(&mut self) {
        if let Self::Judged(round) = self {
            round.dry.get_or_insert_with(Instant::now);
        }
    }

    fn feed(&mut self, socket: BorrowedFd<'_>, now: Instant) -> Result<(), SockoptError> {
        let Self::Judged(round) = self else { return Ok(()) };
        let window = round.window * 2;
        if window > MOST {
            return self.free(socket);
        }
        *round = Round::new(now, window);
        widen(socket, window)
    }

    /// Twice as much first: the kernel goes on from the most that was read in a round trip, which the window itself has bounded.
    fn free(&mut self, socket: BorrowedFd<'_>) -> Result<(), SockoptError> {
        let window = if let Self::Judged(round) = self { round.window * 2 } else { BEGINNING };
        *self = Self::Free;
        lock_receive_buffer(socket, false)?;
        widen_receive_window(socket, window)
    }

    fn done(&mut self, socket: BorrowedFd<'_>, result: Result<(), SockoptError>) {
        if let Err(error) = result {
            tracing::debug!(%error, "the receive buffer of an origin's connection is left to the kernel");
            // Where there is no such lock there is none to take away.
            drop(self.free(socket));
        }
    }
}

/// Makes room for so much, and keeps the kernel from making more.
fn widen(socket: BorrowedFd<'_>, window: u32) -> Result<(), SockoptError> {
    lock_receive_buffer(socket, false)?;
    widen_receive_window(socket, window)?;
    lock_receive_buffer(socket, true)
}

/// The round trip, without what queues add to it.
fn distance(socket: BorrowedFd<'_>) -> Result<Duration, SockoptError> {
    Ok(tcp_info(socket)?.and_then(|info| info.min_rtt).unwrap_or(SILENCE))
}

/// For how long nothing has come.
fn idle(socket: BorrowedFd<'_>) -> Duration {
    tcp_info(socket).ok().flatten().map_or(Duration::ZERO, |info| info.last_data_recv)
}

#[cfg(test)]
mod tests;
