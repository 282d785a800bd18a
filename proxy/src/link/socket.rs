//! The link over a Unix socket: one line of JSON a message.
//!
//! The steering process listens, for it is the one with something to protect: only root, its own user and the members of
//! its group get through, by the socket's permissions and by the credentials the kernel reports.

use std::io;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::{Directive, End, News, ROOM};
use crate::control::{ControlError, Guard, Incumbent, open_socket};

/// The longest line: a host name has 255 bytes, and every one of them may need six to escape.
const LINE: u64 = 8 * 1024;

/// A link that cannot be opened.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The listening side cannot open it.
    #[error("the link between proxy and steer (process.link)")]
    Listen(#[source] ControlError),
    /// Nobody listens.
    #[error("nobody who steers listens on {}", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// The steering side's listening socket, on any thread.
#[derive(Debug)]
pub struct Listening {
    listener: StdUnixListener,
    open_to_group: bool,
    file: Guard,
}

/// The same, on the runtime that waits for it.
#[derive(Debug)]
pub struct Accept {
    listener: UnixListener,
    open_to_group: bool,
    _file: Guard,
}

/// Where the link is when nobody says: beside the control socket.
#[must_use]
pub fn default_path(control: &Path) -> PathBuf {
    control.with_file_name("link.sock")
}

/// Opens the listening side.
///
/// Errors: [`LinkError::Listen`]
pub fn listen(path: &Path, group: Option<&str>) -> Result<Listening, LinkError> {
    let (listener, file) = open_socket(path, group, Incumbent::Stays).map_err(LinkError::Listen)?;
    Ok(Listening { listener, open_to_group: group.is_some(), file })
}

impl Listening {
    /// Begins to wait on the runtime of the calling thread.
    ///
    /// Errors: the kernel's
    pub fn accept(self) -> io::Result<Accept> {
        let Self { listener, open_to_group, file } = self;
        Ok(Accept { listener: UnixListener::from_std(listener)?, open_to_group, _file: file })
    }
}

/// Connects the proxy's side.
///
/// Errors: [`LinkError::Connect`]
pub async fn connect(path: &Path) -> Result<End<News, Directive>, LinkError> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(converse(stream)),
        Err(source) => Err(LinkError::Connect { path: path.to_owned(), source }),
    }
}

impl Accept {
    /// The next proxy that connects and may.
    ///
    /// Cancel: nothing is lost.
    pub async fn next(&self) -> End<Directive, News> {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if crate::control::may_ask(&stream, self.open_to_group) => return converse(stream),
                Ok(_) => tracing::warn!("link: refused; only root, our own user and the group may connect"),
                Err(error) => {
                    tracing::warn!(%error, "link: accept fails");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }
}

/// Turns a stream into an end: one task writes, one reads; the end's channels close with the stream.
fn converse<Out, In>(stream: UnixStream) -> End<Out, In>
where
    Out: Serialize + Send + 'static,
    In: DeserializeOwned + Send + 'static,
{
    let (read, write) = stream.into_split();
    let (to, outbox) = mpsc::channel(ROOM);
    let (inbox, from) = mpsc::channel(ROOM);
    tokio::spawn(async move {
        if let Err(error) = write_all(write, outbox).await {
            tracing::debug!(%error, "link: writing ended");
        }
    });
    tokio::spawn(async move {
        if let Err(error) = read_all(read, &inbox).await {
            tracing::warn!(%error, "link: what the other side says cannot be read; the link ends");
        }
    });
    End { to, from }
}

async fn write_all<Out: Serialize>(write: OwnedWriteHalf, mut outbox: mpsc::Receiver<Out>) -> io::Result<()> {
    let mut write = BufWriter::new(write);
    while let Some(message) = outbox.recv().await {
        let mut line = serde_json::to_vec(&message)?;
        line.push(b'\n');
        write.write_all(&line).await?;
        if outbox.is_empty() {
            write.flush().await?;
        }
    }
    Ok(())
}

async fn read_all<In: DeserializeOwned>(read: OwnedReadHalf, inbox: &mpsc::Sender<In>) -> io::Result<()> {
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = (&mut read).take(LINE).read_until(b'\n', &mut line).await?;
        if length == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line that is too long, or cut off"));
        }
        if inbox.send(serde_json::from_slice(&line)?).await.is_err() {
            return Ok(());
        }
    }
}
