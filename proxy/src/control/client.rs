//! The asking side of the control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::UnixStream;

/// The answer takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// A question that got no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// We may not ask.
    #[error("this user may not ask the anabranch on {}: be root, or a member of its control.group", .path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// Nobody listens.
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
    #[error("{text} ({status} from {})", .path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// The status.
        status: StatusCode,
        /// The body.
        text: String,
    },
}

/// Asks a running anabranch: a method, a path such as `/status`, and what goes with it.
///
/// Errors: [`AskError`].
pub async fn ask(socket: &Path, method: Method, what: &str, body: Bytes) -> Result<Bytes, AskError> {
    let talk = talk(socket, method, what, body);
    tokio::time::timeout(PATIENCE, talk).await.unwrap_or_else(|_| Err(AskError::Slow(socket.to_owned())))
}

async fn talk(socket: &Path, method: Method, what: &str, body: Bytes) -> Result<Bytes, AskError> {
    let broke_off = |source| AskError::Talk { path: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).await.map_err(|source| refused(socket.to_owned(), source))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broke_off)?;
    tokio::spawn(connection);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = http::Uri::try_from(what).unwrap_or_default();
    request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("anabranch"));
    let response = sender.send_request(request).await.map_err(broke_off)?;
    let status = response.status();
    let bytes = response.into_body().collect().await.map_err(broke_off)?.to_bytes();
    if status == StatusCode::OK {
        return Ok(bytes);
    }
    let text = printable(&String::from_utf8_lossy(&bytes));
    Err(AskError::Refused { path: socket.to_owned(), status, text })
}

fn refused(path: PathBuf, source: std::io::Error) -> AskError {
    match source.kind() {
        std::io::ErrorKind::PermissionDenied => AskError::Denied { path, source },
        _ => AskError::Connect { path, source },
    }
}

/// The text without what would steer a terminal.
fn printable(text: &str) -> String {
    text.trim().chars().map(|char| if char.is_control() && char != '\n' { '\u{fffd}' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn who_may_not_ask_is_told_apart_from_where_nobody_answers() {
        let said = |kind| refused(PathBuf::from("/run/x.sock"), Error::from(kind)).to_string();
        assert!(said(ErrorKind::PermissionDenied).contains("control.group"));
        assert!(said(ErrorKind::NotFound).contains("is it running"));
    }
}
