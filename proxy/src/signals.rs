//! What a process is told from outside.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// SIGTERM and SIGINT: let finish what runs, and end.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR2: let another program take over.
    BeSucceeded,
}

/// The signals that mean something.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    succeed: Signal,
}

impl Signals {
    /// Begins to listen; from now on none of them ends the process by itself.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            succeed: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next word. Cancel: nothing is lost.
    pub(crate) async fn next(&mut self) -> Word {
        tokio::select! {
            _ = self.terminate.recv() => Word::Stop,
            _ = self.interrupt.recv() => Word::Stop,
            _ = self.hangup.recv() => Word::Reload,
            _ = self.succeed.recv() => Word::BeSucceeded,
        }
    }
}
