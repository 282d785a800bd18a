//! `Expect: 100-continue` (RFC 9110 §10.1.1): the body waits until the origin asks for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{self, HeaderMap};
use http::{Request, StatusCode};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use super::fields::tokens;

/// How long the origin is waited for; an origin that knows no 100 never answers, and clients wait no longer either.
const PATIENCE: Duration = Duration::from_secs(1);

/// Opens when the origin answers 100, or when patience ends; never once the origin has answered for good.
#[derive(Debug)]
pub(crate) struct Gate {
    asked: oneshot::Receiver<()>,
    patience: Pin<Box<Sleep>>,
    /// The answer is there, so nobody wants the body any more.
    shut: bool,
    /// The answer has been passed on.
    over: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// The origin answered without the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unwanted;

impl Gate {
    /// A gate for this request, if it expects one. The 100 itself reaches the client when the body is first read.
    ///
    /// The guard goes with the answer: when it is dropped, a gate still shut ends the connection, which waits for a
    /// body that will not come.
    pub(crate) fn of<B>(request: &mut Request<B>) -> Option<(Self, DropGuard)> {
        if !expects_continue(request.headers()) {
            return None;
        }
        let (open, asked) = oneshot::channel();
        let open = parking_lot::Mutex::new(Some(open));
        // hyper drops the callback, and the sender in it, when the final answer has come.
        hyper::ext::on_informational(request, move |response| {
            if response.status() == StatusCode::CONTINUE
                && let Some(open) = open.lock().take()
            {
                // The receiver is gone once the body has been given up: then there is nothing left to release.
                open.send(()).unwrap_or_default();
            }
        });
        let answer = CancellationToken::new();
        let over = Box::pin(answer.clone().cancelled_owned());
        Some((Self { asked, patience: Box::pin(sleep(PATIENCE)), shut: false, over }, answer.drop_guard()))
    }
}

impl Future for Gate {
    type Output = Result<(), Unwanted>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.shut {
            match Pin::new(&mut self.asked).poll(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(_)) => self.shut = true,
                Poll::Pending => return self.patience.as_mut().poll(cx).map(Ok),
            }
        }
        self.over.as_mut().poll(cx).map(|()| Err(Unwanted))
    }
}

/// Whether the request waits for a 100, and expects nothing else on any line.
pub(crate) fn expects_continue(fields: &HeaderMap) -> bool {
    let mut expected = tokens(fields, &header::EXPECT).peekable();
    expected.peek().is_some() && expected.all(|token| token.eq_ignore_ascii_case("100-continue"))
}
