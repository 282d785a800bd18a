//! The asking side of the control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::UnixStream;

/// The answer takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// A question that got no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody listens, or we may not ask.
    #[error("no anabranch answers on {}: is it running, and as whom? (--socket names another)", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The conversation broke off.
    #[error("the conversation over {} broke off", .path.display())]
    Talk {
        /// The socket.
        path: PathBuf,
        /// How.
        #[source]
        source: hyper::Error,
    },
    /// It took too long.
    #[error("{} does not answer within 10 s", .0.display())]
    Slow(PathBuf),
    /// It answered something else.
    #[error("{} answered {status}: {text}", .path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// The status.
        status: StatusCode,
        /// The body.
        text: String,
    },
}

/// Asks a running anabranch; `what` is a path such as `/status`.
///
/// Errors: [`AskError`].
pub async fn ask(socket: &Path, what: &str) -> Result<Bytes, AskError> {
    tokio::time::timeout(PATIENCE, talk(socket, what)).await.unwrap_or_else(|_| Err(AskError::Slow(socket.to_owned())))
}

async fn talk(socket: &Path, what: &str) -> Result<Bytes, AskError> {
    let broke_off = |source| AskError::Talk { path: socket.to_owned(), source };
    let stream =
        UnixStream::connect(socket).await.map_err(|source| AskError::Connect { path: socket.to_owned(), source })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broke_off)?;
    tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = http::Uri::try_from(what).unwrap_or_default();
    request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("anabranch"));
    let response = sender.send_request(request).await.map_err(broke_off)?;
    let status = response.status();
    let bytes = response.into_body().collect().await.map_err(broke_off)?.to_bytes();
    if status == StatusCode::OK {
        return Ok(bytes);
    }
    let text = String::from_utf8_lossy(&bytes).trim().escape_debug().to_string();
    Err(AskError::Refused { path: socket.to_owned(), status, text })
}
