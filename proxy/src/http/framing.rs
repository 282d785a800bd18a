//! Is the request framed and addressed so that nobody after us can read it differently? (RFC 9112 §3.2, §6, §11.2)
//!
//! hyper already refuses what it cannot parse. This refuses what it parses but shows: codings other than one `chunked`,
//! a missing, repeated or invalid Host. What is not refused here leaves us re-serialised. Of two framings at once hyper
//! shows only Transfer-Encoding, the one RFC 9112 §6.1 says to use, and closes after the answer; equal Content-Length
//! lines it shows as one. Both are judged here all the same, for the day it shows them.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode, Version};

use super::fields::tokens;
use super::refusal::Refusal;

/// Judges a request's framing and Host.
///
/// Errors: the [`Refusal`] to answer; those about framing end the connection.
pub(crate) fn judge(method: &Method, version: Version, fields: &HeaderMap) -> Result<(), Refusal> {
    let lengths = fields.get_all(header::CONTENT_LENGTH).iter().count();
    if fields.contains_key(header::TRANSFER_ENCODING) {
        if lengths > 0 {
            return Err(Refusal::malformed(
                "the request has both Content-Length and Transfer-Encoding; expected one of them",
            ));
        }
        judge_coding(version, fields)?;
    }
    if lengths > 1 {
        return Err(Refusal::malformed("the request has Content-Length more than once; expected it once"));
    }
    if let Some(length) = fields.get(header::CONTENT_LENGTH)
        && !length.as_bytes().iter().all(u8::is_ascii_digit)
    {
        return Err(Refusal::malformed("Content-Length is not a number"));
    }
    let has_body = fields.contains_key(header::TRANSFER_ENCODING)
        || fields.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if has_body && (method == Method::CONNECT || method == Method::TRACE) {
        return Err(Refusal::malformed(format!("a {method} request has no body (RFC 9110 section 9.3)")));
    }
    judge_host(version, fields)
}

/// Only one `chunked`, alone, in HTTP/1.1.
fn judge_coding(version: Version, fields: &HeaderMap) -> Result<(), Refusal> {
    if version < Version::HTTP_11 {
        return Err(Refusal::malformed("Transfer-Encoding in an HTTP/1.0 request"));
    }
    let mut codings = tokens(fields, &header::TRANSFER_ENCODING);
    let first = codings.next();
    let only = codings.next().is_none();
    match first {
        Some(coding) if only && coding.eq_ignore_ascii_case("chunked") => Ok(()),
        Some(coding) if !coding.eq_ignore_ascii_case("chunked") => Err(Refusal {
            close: true,
            ..Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "http_request_error",
                format!("transfer coding {} is not known; expected chunked", super::fields::shown(coding)),
            )
        }),
        _ => Err(Refusal::malformed("Transfer-Encoding must be chunked, once and alone")),
    }
}

/// Judges the framing of an answer: an error token of RFC 9209 and what is wrong.
///
/// hyper takes an answer for chunked when its last coding is, and reads until the end of the connection when it is not;
/// without its other codings, which end here with the field, the body would mean something else (RFC 9112 §6.1).
pub(crate) fn judge_answer(fields: &HeaderMap) -> Result<(), (&'static str, &'static str)> {
    if !fields.contains_key(header::TRANSFER_ENCODING) {
        return Ok(());
    }
    if fields.contains_key(header::CONTENT_LENGTH) {
        return Err(("http_protocol_error", "it has both Content-Length and Transfer-Encoding"));
    }
    let mut codings = tokens(fields, &header::TRANSFER_ENCODING);
    match (codings.next(), codings.next()) {
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(()),
        _ => Err(("http_response_transfer_coding", "its transfer coding is not chunked, once and alone")),
    }
}

/// Leaves of Content-Length the number, once: `0005`, `5, 5` and two equal lines mean different things to different
/// readers (RFC 9112 §6.3 item 5). What hyper could not read never comes here.
pub(crate) fn spell_length(fields: &mut HeaderMap) {
    let mut lines = fields.get_all(header::CONTENT_LENGTH).iter();
    let plain = |line: &HeaderValue| match line.as_bytes() {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if lines.next().is_none_or(plain) && lines.next().is_none() {
        return;
    }
    let length = tokens(fields, &header::CONTENT_LENGTH).next().and_then(|length| length.parse::<u64>().ok());
    if let Some(length) = length {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// HTTP/1.1 has exactly one Host, and it is a host (RFC 9112 §3.2).
fn judge_host(version: Version, fields: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = fields.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version >= Version::HTTP_11 => {
            Err(Refusal::malformed("the request has no Host field; HTTP/1.1 demands one"))
        }
        (Some(_), Some(_)) => Err(Refusal::malformed("the request has more than one Host field")),
        (Some(host), None) if !is_host(host) => Err(Refusal::malformed("the Host field is not a host and port")),
        _ => Ok(()),
    }
}

/// `uri-host [ ":" port ]`, or empty (RFC 9110 §7.2, RFC 3986 §3.2.2).
fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let (host, port) = match bytes.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !bytes[colon..].contains(&b']') => (&bytes[..colon], &bytes[colon + 1..]),
        _ => (bytes, &b""[..]),
    };
    let literal = host.first() == Some(&b'[') && host.last() == Some(&b']') && host.len() > 2;
    let inside = if literal { &host[1..host.len() - 1] } else { host };
    port.iter().all(u8::is_ascii_digit)
        && inside.iter().all(|byte| match byte {
            b':' => literal,
            byte => byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte),
        })
}

#[cfg(test)]
mod tests;
