//! Another program in this one's place: no connection is refused and none is cut off.
//!
//! On SIGUSR2 the running process starts the program that lies where its own lay, hands it its listening sockets and waits
//! until that one serves from them. Then the service manager hears who the main process is, and this one finishes what it
//! carries. A successor that cannot start changes nothing. Reasons: `docs/decisions/0002-upgrade.md`.
//!
//! The two talk over the successor's standard input, a Unix socket: [`SOCKET`] with a descriptor for each listening socket, [`ALL`];
//! back comes [`SERVING`] with a process number; then [`YOURS`]. Invariant: until the last of these the predecessor is in charge.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use thiserror::Error;
use tokio::task::JoinHandle;

/// A listening socket comes with this byte.
const SOCKET: u8 = b'S';
/// No further one.
const ALL: u8 = b'A';
/// The successor serves; its process number follows, four bytes, the lowest first.
const SERVING: u8 = b'R';
/// The predecessor has let go.
const YOURS: u8 = b'Y';

/// How long a successor may take to serve: it reads a file, opens what is new and starts its threads.
const PATIENCE: Duration = Duration::from_secs(30);

/// The argument that makes a program a successor.
const ARGUMENT: &str = "--succeed";

/// How far a successor has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Stage {
    /// Starts the next stage and ends, so that the successor is no child of its predecessor: the service manager would not
    /// hear of its end.
    Detach,
    /// Takes over.
    Take,
}

/// A successor that did not take over.
#[derive(Debug, Error)]
pub enum Failed {
    /// The program cannot be started.
    #[error("{} cannot be started", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It ended, or was silent for too long.
    #[error("the new program does not serve; its own log lines say why")]
    Talk(#[source] io::Error),
    /// The other side says something else than it should.
    #[error("the other program speaks another protocol")]
    Protocol,
}

/// A successor that serves and waits for the word that it is in charge.
#[derive(Debug)]
pub struct Successor {
    /// Its process number.
    pub process: u32,
    talk: UnixStream,
}

impl Successor {
    /// Says that it is in charge.
    ///
    /// Errors: [`Failed::Talk`], when it has ended by now
    pub fn appoint(mut self) -> Result<(), Failed> {
        self.talk.write_all(&[YOURS]).map_err(Failed::Talk)
    }
}

/// An attempt to be succeeded, if there is one.
#[derive(Debug, Default)]
pub struct Attempt(Option<JoinHandle<Result<Successor, Failed>>>);

impl Attempt {
    /// Starts `program` with this process's own arguments and these sockets; while it starts, nothing changes here.
    pub fn begin(&mut self, program: PathBuf, sockets: Vec<TcpListener>) {
        self.0 = Some(tokio::task::spawn_blocking(move || start(&program, &arguments(Stage::Detach), &sockets)));
    }

    /// Whether one goes on.
    #[must_use]
    pub const fn goes_on(&self) -> bool {
        self.0.is_some()
    }

    /// What came of it. Cancel: nothing is lost.
    pub async fn outcome(&mut self) -> Result<Successor, Failed> {
        let Some(attempt) = &mut self.0 else { return std::future::pending().await };
        let joined = attempt.await;
        self.0 = None;
        joined.unwrap_or_else(|panicked| Err(Failed::Talk(panicked.into())))
    }
}

/// Our own arguments, as those of the next stage.
fn arguments(stage: Stage) -> Vec<OsString> {
    let word = match stage {
        Stage::Detach => "detach",
        Stage::Take => "take",
    };
    let ours = std::env::args_os().skip(1);
    let kept = ours.filter(|one| !one.to_string_lossy().starts_with(ARGUMENT));
    kept.chain([OsString::from(format!("{ARGUMENT}={word}"))]).collect()
}

fn start(program: &Path, arguments: &[OsString], sockets: &[TcpListener]) -> Result<Successor, Failed> {
    let fail = |source| Failed::Start { program: program.to_owned(), source };
    let (mut talk, theirs) = UnixStream::pair().map_err(fail)?;
    talk.set_read_timeout(Some(PATIENCE)).map_err(fail)?;
    talk.set_write_timeout(Some(PATIENCE)).map_err(fail)?;
    // Who is watched by process number is another process soon.
    let mut command = Command::new(program);
    command.args(arguments).env_remove("WATCHDOG_PID").stdin(Stdio::from(OwnedFd::from(theirs)));
    let mut first = command.spawn().map_err(fail)?;
    // It holds the other end of the socket: once it is gone, an end of the successor is an end of file here.
    drop(command);
    first.wait().map_err(fail)?;
    for socket in sockets {
        send(&talk, socket.as_fd()).map_err(Failed::Talk)?;
    }
    talk.write_all(&[ALL]).map_err(Failed::Talk)?;
    let mut said = [0; 5];
    talk.read_exact(&mut said).map_err(Failed::Talk)?;
    let [SERVING, process @ ..] = said else { return Err(Failed::Protocol) };
    Ok(Successor { process: u32::from_le_bytes(process), talk })
}

fn send(talk: &UnixStream, socket: BorrowedFd<'_>) -> io::Result<()> {
    let sockets = [socket];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    control.push(SendAncillaryMessage::ScmRights(&sockets));
    rustix::net::sendmsg(talk, &[IoSlice::new(&[SOCKET])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The successor's side.
#[derive(Debug)]
pub struct Heir(UnixStream);

impl Heir {
    /// Takes over standard input, which is a socket to the predecessor.
    ///
    /// Errors: the kernel's
    pub fn of_standard_input() -> io::Result<Self> {
        let talk = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        talk.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(talk))
    }

    /// The predecessor's listening sockets.
    ///
    /// Errors: [`Failed`]
    pub fn sockets(&self) -> Result<Vec<TcpListener>, Failed> {
        let mut sockets = Vec::new();
        loop {
            match receive(&self.0).map_err(Failed::Talk)? {
                (SOCKET, Some(socket)) => sockets.push(TcpListener::from(socket)),
                (ALL, None) => return Ok(sockets),
                _ => return Err(Failed::Protocol),
            }
        }
    }

    /// Says that we serve, and waits until we are in charge.
    ///
    /// Errors: [`Failed`]; the predecessor has changed its mind
    pub fn take_over(mut self) -> Result<(), Failed> {
        let mut said = vec![SERVING];
        said.extend(std::process::id().to_le_bytes());
        self.0.write_all(&said).map_err(Failed::Talk)?;
        let mut word = [0];
        self.0.read_exact(&mut word).map_err(Failed::Talk)?;
        if word == [YOURS] { Ok(()) } else { Err(Failed::Protocol) }
    }
}

fn receive(talk: &UnixStream) -> io::Result<(u8, Option<OwnedFd>)> {
    let mut byte = [0];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let got = rustix::net::recvmsg(talk, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let socket = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    Ok((byte[0], socket))
}

/// The first stage: starts the second, which keeps our standard input, and leaves it to itself.
///
/// Errors: the kernel's
pub fn detach() -> io::Result<()> {
    let program = std::env::current_exe()?;
    Command::new(program).args(arguments(Stage::Take)).spawn().map(drop)
}

#[cfg(test)]
mod tests;
