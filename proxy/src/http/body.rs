//! Bodies on their way through: streamed, counted, watched, never buffered whole.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use thiserror::Error;
use tokio_util::sync::DropGuard;

use super::expect::Gate;
use super::forward::GiveBack;
use super::serve::Busy;
use crate::outcome::Outcome;
use crate::record::{Record, Upload};
use crate::watchdog::Watchdog;

/// A body that broke off.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    /// The side it comes from failed, or framed it wrongly.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
    /// Nothing came for too long.
    #[error("nothing of the body came for {} s", .0.as_secs())]
    Silent(Duration),
    /// The origin answered before it asked for it.
    #[error("the origin answered without the body")]
    Unwanted,
}

impl From<Infallible> for BodyError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Watches an incoming body for silence; the timer exists only while something is awaited.
#[derive(Debug)]
struct Watched {
    incoming: Incoming,
    limit: Duration,
    watchdog: Option<Watchdog>,
}

impl Watched {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(watchdog) = &mut self.watchdog {
                    watchdog.progressed();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => {
                let watchdog = self.watchdog.get_or_insert_with(|| Watchdog::new(self.limit));
                watchdog.poll_expired(cx).map(|()| Some(Err(BodyError::Silent(self.limit))))
            }
        }
    }
}

/// A request's body, from the client to the origin.
#[derive(Debug)]
pub(crate) struct RequestBody {
    /// `None` = empty.
    watched: Option<Watched>,
    /// Counts what is carried, and is told of the end: the time for the answer runs from there.
    sending: Option<Sending>,
    gate: Option<Gate>,
}

/// Tells an upload, by its own end, that it has ended.
#[derive(Debug)]
struct Sending(Arc<Upload>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl RequestBody {
    /// `gate` holds the body back until the origin asks for it (`Expect: 100-continue`).
    pub(crate) fn new(incoming: Incoming, limit: Duration, record: &mut Record, gate: Option<Gate>) -> Self {
        let sending = (!incoming.is_end_stream()).then(|| Sending(record.begin_upload()));
        Self { watched: Some(Watched { incoming, limit, watchdog: None }), sending, gate }
    }

    /// What counts the body, if there is one.
    pub(crate) fn upload(&self) -> Option<Arc<Upload>> {
        self.sending.as_ref().map(|sending| sending.0.clone())
    }

    /// No body.
    pub(crate) fn empty() -> Self {
        Self { watched: None, sending: None, gate: None }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(gate) = &mut self.gate {
            if ready!(Pin::new(gate).poll(cx)).is_err() {
                return Poll::Ready(Some(Err(BodyError::Unwanted)));
            }
            self.gate = None;
        }
        let Some(watched) = &mut self.watched else { return Poll::Ready(None) };
        let frame = ready!(watched.poll_frame(cx));
        if let (Some(Ok(frame)), Some(Sending(upload))) = (&frame, &self.sending)
            && let Some(data) = frame.data_ref()
        {
            upload.count(data.len() as u64);
        }
        if frame.is_none() || self.is_end_stream() {
            self.sending = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.watched.as_ref().is_none_or(|watched| watched.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.watched.as_ref().map_or_else(|| SizeHint::with_exact(0), |watched| watched.incoming.size_hint())
    }
}

/// A response's body: ours, or the origin's.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    kind: Kind,
    /// The connection is busy until this is dropped.
    busy: Option<Busy>,
    /// The request's body is held back until this is dropped.
    gate: Option<DropGuard>,
}

#[derive(Debug)]
enum Kind {
    Fixed(Full<Bytes>),
    Origin(Box<OriginBody>),
    /// A line of ours, and so many bytes that mean nothing.
    Filled {
        line: Bytes,
        left: u64,
    },
}

/// Bytes to measure by: of no order that somebody on the way could shorten.
static FILLER: [u8; 16_384] = {
    let mut bytes = [0; 16_384];
    let (mut at, mut state) = (0, 0x2545_f491_u32);
    while at < bytes.len() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes[at] = state.to_be_bytes()[0];
        at += 1;
    }
    bytes
};

#[derive(Debug)]
struct OriginBody {
    watched: Watched,
    record: Record,
    give_back: Option<GiveBack>,
}

impl ReplyBody {
    /// A body of our own.
    pub(crate) fn fixed(text: impl Into<Bytes>) -> Self {
        Self { kind: Kind::Fixed(Full::new(text.into())), busy: None, gate: None }
    }

    /// A line of our own, and so many bytes to measure by.
    pub(crate) fn filled(line: impl Into<Bytes>, bytes: u64) -> Self {
        Self { kind: Kind::Filled { line: line.into(), left: bytes }, busy: None, gate: None }
    }

    /// The origin's body. The record is written, and the connection to the origin given back, when it has ended.
    pub(crate) fn origin(incoming: Incoming, limit: Duration, record: Record, give_back: Option<GiveBack>) -> Self {
        let mut body = OriginBody { watched: Watched { incoming, limit, watchdog: None }, record, give_back };
        body.finish_if_ended();
        Self { kind: Kind::Origin(Box::new(body)), busy: None, gate: None }
    }

    /// Lets go of the request's body when this body is gone.
    pub(crate) fn release(mut self, gate: Option<DropGuard>) -> Self {
        self.gate = gate;
        self
    }

    /// Keeps the connection marked busy until the body is gone.
    pub(crate) fn hold(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }
}

impl OriginBody {
    fn finish_if_ended(&mut self) {
        if self.watched.incoming.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.record.outcome = Outcome::Completed;
        if let Some(give_back) = self.give_back.take() {
            give_back.now();
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.watched.poll_frame(cx));
        match &frame {
            None => self.finish(),
            Some(Ok(frame)) => {
                self.record.count_to_client(frame.data_ref().map_or(0, |data| data.len() as u64));
                self.finish_if_ended();
            }
            Some(Err(BodyError::Silent(_) | BodyError::Unwanted)) => self.record.outcome = Outcome::Idle,
            Some(Err(BodyError::Broken(error))) => {
                self.record.outcome = Outcome::ServerFailed(super::forward::error_kind(error));
            }
        }
        Poll::Ready(frame)
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.kind {
            Kind::Fixed(full) => Pin::new(full).poll_frame(cx).map_err(BodyError::from),
            Kind::Origin(body) => body.poll_frame(cx),
            Kind::Filled { line, left } => Poll::Ready(filled_frame(line, left).map(|data| Ok(Frame::data(data)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Fixed(full) => full.is_end_stream(),
            Kind::Origin(body) => body.watched.incoming.is_end_stream(),
            Kind::Filled { line, left } => line.is_empty() && *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Fixed(full) => full.size_hint(),
            Kind::Origin(body) => body.watched.incoming.size_hint(),
            Kind::Filled { line, left } => SizeHint::with_exact(line.len() as u64 + left),
        }
    }
}

/// The next piece of a line and of the bytes behind it.
fn filled_frame(line: &mut Bytes, left: &mut u64) -> Option<Bytes> {
    if !line.is_empty() {
        return Some(std::mem::take(line));
    }
    let piece = usize::try_from(*left).unwrap_or(usize::MAX).min(FILLER.len());
    *left -= piece as u64;
    (piece > 0).then(|| Bytes::from_static(&FILLER[..piece]))
}
