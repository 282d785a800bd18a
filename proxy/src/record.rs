//! The access log: one record a request or tunnel, written when it ends, however it ends.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anabranch_config::{Access, LogFormat};
use http::Response;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;
use tracing_appender::non_blocking::NonBlocking;

use crate::arrival::Fallback;
use crate::http::body::ReplyBody;
use crate::http::refusal::{Accepts, Refusal};
use crate::metrics::Metrics;
use crate::outcome::Outcome;
use crate::session::Session;

/// Where records go: a writer thread behind a bounded queue, so that a stopped reader of our output stops no transfer.
#[derive(Debug, Clone)]
pub struct AccessLog {
    out: NonBlocking,
    format: LogFormat,
}

impl AccessLog {
    /// A log over a non-blocking writer.
    #[must_use]
    pub fn new(out: NonBlocking, format: LogFormat) -> Self {
        Self { out, format }
    }

    fn write(&self, line: &Fields) {
        let text = match self.format {
            LogFormat::Json => serde_json::to_string(line).map(|mut text| {
                text.push('\n');
                ascii(text)
            }),
            LogFormat::Text => Ok(line.text()),
        };
        if let Ok(text) = text {
            // A full queue drops the line; the appender counts it.
            drop(self.out.clone().write(text.as_bytes()));
        }
    }
}

/// What one request or tunnel did, filled while it runs; its line is written when it is dropped, or when its upload has ended, if that goes
/// on after the answer.
#[derive(Debug)]
pub struct Record {
    session: Arc<Session>,
    metrics: Arc<Metrics>,
    log: AccessLog,
    access: Access,
    started: Instant,
    method: String,
    target: String,
    /// Path and query, told only by `access = "full"`.
    path: Option<String>,
    /// The origin's address, once connected.
    pub origin: Option<SocketAddr>,
    /// The status answered.
    pub status: Option<u16>,
    /// What the session had carried before: answers of a session follow one another, so what it carries meanwhile is this one's.
    before: (u64, u64),
    /// Its body, if it has one: that may reach the origin when the next request has begun.
    upload: Option<Arc<Upload>>,
    /// Time the name took.
    pub dns: Option<Duration>,
    /// Time the connection to the origin took.
    pub connect: Option<Duration>,
    /// From the request to the origin's response head, or to the tunnel's being open.
    pub answered: Option<Duration>,
    /// How it ended; stays `Abandoned` if nobody says.
    pub outcome: Outcome,
}

impl Record {
    /// Starts a record; `target` is what the client asked for, `path` the rest of an absolute-form target.
    #[must_use]
    pub fn new(
        session: &Arc<Session>,
        metrics: &Arc<Metrics>,
        log: &AccessLog,
        access: Access,
        (method, target, path): (String, String, Option<String>),
    ) -> Self {
        session.requests.fetch_add(1, Ordering::Relaxed);
        Self {
            session: session.clone(),
            metrics: metrics.clone(),
            log: log.clone(),
            access,
            started: Instant::now(),
            method: bounded(method),
            target: bounded(target),
            path: path.map(bounded),
            origin: None,
            status: None,
            before: session.carried.read(),
            upload: None,
            dns: None,
            connect: None,
            answered: None,
            outcome: Outcome::Abandoned,
        }
    }

    /// The body of the request, to be counted on its way to the origin.
    pub(crate) fn begin_upload(&mut self) -> Arc<Upload> {
        let (session, bytes, state) = (self.session.clone(), AtomicU64::new(0), Mutex::default());
        self.upload.insert(Arc::new(Upload { session, bytes, state })).clone()
    }

    /// Counts payload on its way to the client.
    pub(crate) fn count_to_client(&self, bytes: u64) {
        self.session.carried.to_client.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes a refusal and makes its response.
    pub(crate) fn refuse(&mut self, refusal: &Refusal, accepted: &Accepts, pseudonym: &str) -> Response<ReplyBody> {
        self.outcome = Outcome::Refused(refusal.error);
        self.answer(refusal.status.as_u16());
        refusal.response(accepted, pseudonym)
    }

    /// Notes that the answer (or the open tunnel) is there.
    pub fn answer(&mut self, status: u16) {
        self.status = Some(status);
        self.answered = Some(self.started.elapsed());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.outcome == Outcome::Abandoned && self.session.cut_off.load(Ordering::Relaxed) {
            self.outcome = Outcome::Drained;
        }
        Metrics::count(&self.metrics.outcomes, self.outcome.as_label());
        let carried = self.session.carried.read();
        let carried = (carried.0.saturating_sub(self.before.0), carried.1.saturating_sub(self.before.1));
        // Now, for later the connection may be gone.
        let fields = (self.access != Access::Off).then(|| self.fields(carried));
        match self.upload.take() {
            None => tell(&self.metrics, &self.log, carried, fields),
            Some(upload) => {
                let (metrics, log, started) = (self.metrics.clone(), self.log.clone(), self.started);
                upload.leave(Ending { metrics, log, started, carried, fields });
            }
        }
    }
}

impl Record {
    fn fields(&mut self, (bytes_to_origin, bytes_to_client): (u64, u64)) -> Fields {
        let facts = self.session.facts();
        let took = self.started.elapsed();
        // By the clock of now: one that was set meanwhile is right now.
        let began = SystemTime::now().checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH);
        Fields {
            time: humantime::format_rfc3339_micros(began).to_string(),
            session: self.session.id,
            listener: self.session.listener.to_shared(),
            client: self.session.client,
            subscriber: self.session.subscriber(),
            method: std::mem::take(&mut self.method),
            target: std::mem::take(&mut self.target),
            path: self.path.take().filter(|_| self.access == Access::Full),
            origin: self.origin,
            status: self.status,
            outcome: self.outcome.as_label(),
            error: self.outcome.error().map(|kind| kind.to_string()),
            bytes_to_origin,
            bytes_to_client,
            dns_us: self.dns.map(micros),
            connect_us: self.connect.map(micros),
            answered_us: self.answered.map(micros),
            total_us: micros(took),
            mptcp: facts.fallback.map_or("yes", Fallback::as_label),
            subflows: facts.subflows,
            token: facts.token.map(|token| format!("{token:08x}")),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Counts what a request or tunnel has carried, and writes its line, if there is to be one.
fn tell(metrics: &Metrics, log: &AccessLog, (to_origin, to_client): (u64, u64), fields: Option<Fields>) {
    metrics.bytes_to_origin.inc_by(to_origin);
    metrics.bytes_to_client.inc_by(to_client);
    if let Some(fields) = fields {
        log.write(&fields);
    }
}

/// The body of a request on its way to the origin. An origin may answer before it has all of it, and a last piece may still be on its way when
/// the client's next request has begun: so it is counted by itself, and the record's line waits for its end.
///
/// Shape:   a record and a body share it; whoever ends last has the line written
#[derive(Debug)]
pub(crate) struct Upload {
    session: Arc<Session>,
    bytes: AtomicU64,
    state: Mutex<UploadState>,
}

#[derive(Debug, Default)]
struct UploadState {
    ended: bool,
    left: Option<Box<Ending>>,
}

/// What is left of a record whose answer has ended.
#[derive(Debug)]
struct Ending {
    metrics: Arc<Metrics>,
    log: AccessLog,
    started: Instant,
    carried: (u64, u64),
    fields: Option<Fields>,
}

impl Upload {
    /// Counts what is handed on.
    pub(crate) fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.session.uploaded.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether more may come.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.state.lock().ended
    }

    /// No more will come, or no more is waited for: the line is written, if it has been left here.
    pub(crate) fn end(&self) {
        let left = {
            let mut state = self.state.lock();
            state.ended = true;
            state.left.take()
        };
        if let Some(left) = left {
            left.tell(self.bytes.load(Ordering::Relaxed));
        }
    }

    /// The answer has ended: its line is written now, or when the upload has ended too; at the latest when the session ends.
    fn leave(self: &Arc<Self>, ending: Ending) {
        let mut state = self.state.lock();
        if state.ended {
            drop(state);
            return ending.tell(self.bytes.load(Ordering::Relaxed));
        }
        state.left = Some(Box::new(ending));
        drop(state);
        self.session.set_late(self);
    }
}

impl Ending {
    fn tell(self, uploaded: u64) {
        let carried = (self.carried.0.saturating_add(uploaded), self.carried.1);
        let total_us = micros(self.started.elapsed());
        let fields = self.fields.map(|fields| Fields { bytes_to_origin: carried.0, total_us, ..fields });
        tell(&self.metrics, &self.log, carried, fields);
    }
}

/// One line, in the order it is printed.
#[derive(Debug, Serialize)]
struct Fields {
    time: String,
    session: u64,
    listener: Arc<str>,
    client: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriber: Option<Arc<str>>,
    method: String,
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    origin: Option<SocketAddr>,
    status: Option<u16>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    bytes_to_origin: u64,
    bytes_to_client: u64,
    dns_us: Option<u64>,
    connect_us: Option<u64>,
    answered_us: Option<u64>,
    total_us: u64,
    mptcp: &'static str,
    subflows: u8,
    token: Option<String>,
}

impl Fields {
    /// `key=value` pairs in one line; everything a client sent is quoted and escaped.
    fn text(&self) -> String {
        let mut line = Line(String::with_capacity(384));
        line.0.push_str(&self.time);
        line.pair("session", Some(self.session));
        line.pair("listener", Some(&self.listener));
        line.pair("client", Some(self.client));
        line.pair("method", Some(Quoted(&self.method)));
        line.pair("target", Some(Quoted(&self.target)));
        line.pair("path", self.path.as_deref().map(Quoted));
        line.pair("subscriber", self.subscriber.as_deref().map(Quoted));
        line.pair("origin", self.origin);
        line.pair("status", self.status);
        line.pair("outcome", Some(self.outcome));
        line.pair("error", self.error.as_deref().map(Quoted));
        line.pair("to_origin", Some(self.bytes_to_origin));
        line.pair("to_client", Some(self.bytes_to_client));
        line.pair("dns_us", self.dns_us);
        line.pair("connect_us", self.connect_us);
        line.pair("answered_us", self.answered_us);
        line.pair("total_us", Some(self.total_us));
        line.pair("mptcp", Some(self.mptcp));
        line.pair("subflows", Some(self.subflows));
        line.pair("token", self.token.as_deref());
        line.0.push('\n');
        line.0
    }
}

/// A line of text that grows by pairs, in one allocation.
struct Line(String);

impl Line {
    fn pair(&mut self, key: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            // A string takes whatever is written to it.
            write!(self.0, " {key}={value}").unwrap_or_default();
        }
    }
}

/// A client's text with every character that could move a cursor or end a line escaped.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
            return f.write_str(self.0);
        }
        write!(f, "\"{}\"", self.0.escape_default())
    }
}

/// The same JSON in ASCII: JSON allows the C1 control characters as they are, terminals obey them.
fn ascii(json: String) -> String {
    if json.is_ascii() && !json.contains('\x7f') {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if c.is_ascii() && c != '\x7f' {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").unwrap_or_default();
            }
        }
    }
    escaped
}

/// Keeps a client's text at a length a log can carry.
fn bounded(text: String) -> String {
    const MOST: usize = 2048;
    if text.len() <= MOST {
        return text;
    }
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_cannot_forge_a_line_or_move_a_cursor() {
        let quoted = |text| Quoted(text).to_string();
        assert_eq!(quoted("example.org:443"), "example.org:443");
        assert_eq!(quoted("a\r\nfake=1\u{1b}[2J"), "\"a\\r\\nfake=1\\u{1b}[2J\"");
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("\u{202e}"), "\"\\u{202e}\"");
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let cut = bounded("é".repeat(5000));
        assert_eq!(cut.chars().count(), 2049);
        assert!(cut.ends_with('…'));
    }
}
