//! Which fields pass, which stay, which are added (RFC 9110 §7.6, RFC 9112 §7 and §9).

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");

/// Fields that end here whether `Connection` names them or not.
static HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    PROXY_CONNECTION,
    KEEP_ALIVE,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    // Ours to consume, ours to ask: never shown to an origin, never believed from one.
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
];

/// Fields `Connection` may not take away: routing, framing and meaning hang on them (RFC 9110 §7.6.1 forbids naming
/// end-to-end fields; some do it to strip a check out of a request).
static END_TO_END: [HeaderName; 12] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::COOKIE,
    header::SET_COOKIE,
    header::EXPECT,
    header::RANGE,
    header::VIA,
];

/// The members of a comma-separated field, over all its lines; a line that is not text counts as one odd member.
pub(crate) fn tokens<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = fields.get_all(name).iter().map(|value| value.to_str().unwrap_or("\u{fffd}"));
    lines
        .flat_map(|line| line.split(','))
        .map(|token| token.trim_matches([' ', '\t']))
        .filter(|token| !token.is_empty())
}

/// A bit of a request made fit for a message.
pub(crate) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(64).collect();
    format!("\"{}\"", cut.escape_debug())
}

/// The protocol the client wants to change to, if it asks properly: HTTP/1.1, `Connection: upgrade` and one Upgrade.
pub(crate) fn wanted_upgrade(version: Version, fields: &HeaderMap) -> Option<HeaderValue> {
    let asked = tokens(fields, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    if version != Version::HTTP_11 || !asked {
        return None;
    }
    fields.get(header::UPGRADE).cloned()
}

/// Whether every protocol an origin switches to is one that was asked for (RFC 9110 §7.8).
pub(crate) fn offers(asked: &HeaderValue, chosen: &HeaderValue) -> bool {
    let (Ok(asked), Ok(chosen)) = (asked.to_str(), chosen.to_str()) else { return false };
    chosen.split(',').all(|one| asked.split(',').any(|offer| offer.trim().eq_ignore_ascii_case(one.trim())))
}

/// Whether the client takes trailers (RFC 9110 §10.1.4).
pub(crate) fn takes_trailers(fields: &HeaderMap) -> bool {
    tokens(fields, &header::TE).any(|token| token.eq_ignore_ascii_case("trailers"))
}

/// Whether a field proves, or asks for, an identity that then belongs to the connection (NTLM and Negotiate do, against
/// RFC 9110 §11.1): such a connection must not serve anybody else.
pub(crate) fn authenticates_connection(fields: &HeaderMap, name: &HeaderName) -> bool {
    tokens(fields, name).any(|challenge| {
        let scheme = challenge.split(' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case("ntlm") || scheme.eq_ignore_ascii_case("negotiate")
    })
}

/// Removes what belongs to one hop only.
pub(crate) fn strip_hop_by_hop(fields: &mut HeaderMap) {
    if fields.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> =
            tokens(fields, &header::CONNECTION).filter_map(|token| token.parse().ok()).collect();
        for name in named {
            if !END_TO_END.contains(&name) {
                fields.remove(&name);
            }
        }
    }
    // Few messages have more than one or two: to look at the names that are there costs half as much as eight searches.
    while let Some(name) = fields.keys().find(|name| HOP_BY_HOP.contains(name)).cloned() {
        fields.remove(name);
    }
}

/// What `Max-Forwards` says of TRACE and OPTIONS (RFC 9110 §7.6.2); elsewhere it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forwards {
    /// Pass it on as it is.
    Unlimited,
    /// Pass it on; the field was counted down.
    Counted,
    /// We are the last hop: answer.
    Exhausted,
    /// Not a number.
    Malformed,
}

/// Counts `Max-Forwards` down.
pub(crate) fn count_forwards(method: &Method, fields: &mut HeaderMap) -> Forwards {
    if method != Method::TRACE && method != Method::OPTIONS {
        return Forwards::Unlimited;
    }
    let Some(value) = fields.get(&MAX_FORWARDS) else { return Forwards::Unlimited };
    match value.to_str().ok().and_then(|text| text.parse::<u32>().ok()) {
        None => Forwards::Malformed,
        Some(0) => Forwards::Exhausted,
        Some(left) => {
            fields.insert(MAX_FORWARDS, HeaderValue::from(left - 1));
            Forwards::Counted
        }
    }
}

#[cfg(test)]
mod tests;
