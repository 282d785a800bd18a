//! Our own answers: short, typed (`Proxy-Status`, RFC 9209), HTML or plain text as the client accepts.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::body::ReplyBody;

/// `Proxy-Status` (RFC 9209).
pub(crate) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// An answer of ours instead of the origin's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The error type of RFC 9209 §2.3; also the outcome's label.
    pub error: &'static str,
    /// What was wrong, what was expected, in one sentence; may quote the request (it is escaped).
    pub detail: Cow<'static, str>,
    /// The request's framing cannot be trusted: the connection ends after the answer.
    pub close: bool,
}

impl Refusal {
    /// An answer after which the connection may go on.
    #[must_use]
    pub fn new(status: StatusCode, error: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error, detail: detail.into(), close: false }
    }

    /// 400, and the end of the connection: what follows on it cannot be told apart from the request.
    #[must_use]
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { close: true, ..Self::new(StatusCode::BAD_REQUEST, "http_request_error", detail) }
    }

    /// 403: understood, and not done.
    #[must_use]
    pub fn denied(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "http_request_denied", detail)
    }

    /// Makes the response. `pseudonym` names us.
    pub(crate) fn response(&self, accepted: &Accepts, pseudonym: &str) -> Response<ReplyBody> {
        let html = accepted.html();
        let text = if html { self.html() } else { format!("{}: {}\n", self.status, self.detail) };
        let mut response = Response::new(ReplyBody::fixed(text));
        *response.status_mut() = self.status;
        let kind = if html { "text/html; charset=utf-8" } else { "text/plain; charset=utf-8" };
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(value) = HeaderValue::from_str(&self.proxy_status(pseudonym)) {
            fields.insert(PROXY_STATUS, value);
        }
        if self.close {
            fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The bytes of a response for a client whose request is not even read.
    #[must_use]
    pub fn bare(&self, pseudonym: &str) -> Vec<u8> {
        let body = format!("{}: {}\n", self.status, self.detail);
        format!(
            "HTTP/1.1 {}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nproxy-status: {}\r\n\
             cache-control: no-store\r\nconnection: close\r\n\r\n{body}",
            self.status,
            body.len(),
            self.proxy_status(pseudonym),
        )
        .into_bytes()
    }

    fn proxy_status(&self, pseudonym: &str) -> String {
        let mut details = String::new();
        // An sf-string (RFC 8941 §3.3.3) holds printable ASCII only.
        for c in self.detail.chars().take(256) {
            match c {
                '"' | '\\' => details.extend(['\\', c]),
                ' '..='~' => details.push(c),
                _ => details.push('?'),
            }
        }
        format!("{pseudonym}; error={}; details=\"{details}\"", self.error)
    }

    fn html(&self) -> String {
        let mut detail = String::new();
        for c in self.detail.chars() {
            match c {
                '<' => detail.push_str("&lt;"),
                '>' => detail.push_str("&gt;"),
                '&' => detail.push_str("&amp;"),
                '"' => detail.push_str("&quot;"),
                c if c.is_control() => write!(detail, "{}", c.escape_default()).unwrap_or_default(),
                c => detail.push(c),
            }
        }
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{0}</title>\
             <h1>{0}</h1><p>{detail}</p><p><small>anabranch: {1}</small></p></html>\n",
            self.status, self.error
        )
    }
}

/// What a request accepts, for when it has been given away.
#[derive(Debug)]
pub(crate) struct Accepts(Vec<HeaderValue>);

impl Accepts {
    /// The `Accept` lines of a request.
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        Self(fields.get_all(header::ACCEPT).iter().cloned().collect())
    }

    /// Whether the client names `text/html` with a weight above zero (RFC 9110 §12.5.1).
    fn html(&self) -> bool {
        let lines = self.0.iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
            named && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts_html(lines: &[&'static str]) -> bool {
        let line = |line: &&'static str| (header::ACCEPT, HeaderValue::from_static(line));
        Accepts::of(&lines.iter().map(line).collect()).html()
    }

    #[test]
    fn html_only_for_who_asks_for_it() {
        assert!(accepts_html(&["text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"]));
        assert!(accepts_html(&["image/png", "text/html"]));
        assert!(!accepts_html(&["*/*"]));
        assert!(!accepts_html(&["text/html;q=0, text/plain"]));
        assert!(!accepts_html(&[]));
    }

    #[test]
    fn a_quoted_request_can_break_out_of_neither_html_nor_field() {
        let refusal = Refusal::denied("<script>\"\\\r\n\u{e9}");
        assert!(!refusal.html().contains("<script>"));
        let field = refusal.proxy_status("me");
        assert_eq!(field, "me; error=http_request_denied; details=\"<script>\\\"\\\\???\"");
        HeaderValue::from_str(&field).unwrap();
    }
}
