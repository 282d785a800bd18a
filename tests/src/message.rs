//! HTTP/1.1 messages read to the letter of RFC 9112, without any of the tolerance it allows.

use std::fmt;

/// A message as it was on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Request line or status line.
    pub start: String,
    /// Fields in their order, names as they were written.
    pub fields: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The trailer fields.
    pub trailers: Vec<(String, String)>,
    /// Whether the body was chunked.
    pub chunked: bool,
}

/// What has to be known to find the end of a message (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// The answer to a request that is neither HEAD nor CONNECT.
    Answer,
    /// The answer to HEAD, or a successful one to CONNECT: no body, whatever the fields say.
    Bodiless,
}

impl Message {
    /// The values of a field, joined as a list.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let of_name = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let values: Vec<_> = of_name.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The status code; 0 for a request.
    #[must_use]
    pub fn status(&self) -> u16 {
        let code = self.start.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// The error token of the last member of `Proxy-Status` (RFC 9209 §2.1.1).
    #[must_use]
    pub fn error(&self) -> Option<String> {
        let field = self.field("proxy-status")?;
        let (_, rest) = field.split_once("; error=")?;
        Some(rest.split(';').next().unwrap_or(rest).to_owned())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.start)?;
        for (name, value) in &self.fields {
            writeln!(f, "{name}: {value}")?;
        }
        writeln!(f, "\n{}", self.text())
    }
}

/// Reads one message from the front of `bytes`: the message and its length, or `None` while it is not whole.
///
/// `ended` says that no more bytes will come, which ends an answer that has no framing.
/// Errors:  what is wrong, in a sentence.
pub fn parse(bytes: &[u8], kind: Kind, ended: bool) -> Result<Option<(Message, usize)>, String> {
    let Some((head, mut at)) = section(bytes, 0)? else { return Ok(None) };
    let mut lines = head.into_iter();
    let start = lines.next().ok_or("an empty line before the message")?;
    check_start(&start, kind)?;
    let fields = lines.map(|line| field(&line)).collect::<Result<Vec<_>, _>>()?;
    let mut message = Message { start, fields, ..Message::default() };
    match framing(&message, kind)? {
        Framing::Length(length) => {
            let Some(body) = bytes.get(at..at + length) else { return Ok(None) };
            message.body = body.to_vec();
            at += length;
        }
        Framing::Chunked => {
            message.chunked = true;
            let Some(end) = chunks(bytes, at, &mut message)? else { return Ok(None) };
            at = end;
        }
        Framing::UntilClose if !ended => return Ok(None),
        Framing::UntilClose => {
            message.body = bytes[at..].to_vec();
            at = bytes.len();
        }
    }
    Ok(Some((message, at)))
}

enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

fn framing(message: &Message, kind: Kind) -> Result<Framing, String> {
    let of = |wanted: &str| {
        let named = message.fields.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted));
        named.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    let (lengths, codings) = (of("content-length"), of("transfer-encoding"));
    let length = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => None,
        ([], ["chunked"]) if message.start.contains("HTTP/1.1") => None,
        ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(length.parse::<usize>().map_err(|error| format!("Content-Length {length}: {error}"))?)
        }
        _ => return Err(format!("Content-Length {lengths:?} with Transfer-Encoding {codings:?}")),
    };
    let status = message.status();
    if kind == Kind::Bodiless || (100..200).contains(&status) || status == 204 || status == 304 {
        return Ok(Framing::Length(0));
    }
    Ok(match length {
        Some(length) => Framing::Length(length),
        None if !codings.is_empty() => Framing::Chunked,
        None if kind == Kind::Request => Framing::Length(0),
        None => Framing::UntilClose,
    })
}

fn chunks(bytes: &[u8], mut at: usize, message: &mut Message) -> Result<Option<usize>, String> {
    loop {
        let Some((size, data)) = line(bytes, at)? else { return Ok(None) };
        if size.is_empty() || size.len() > 15 || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("chunk size {size:?}"));
        }
        let size = usize::from_str_radix(&size, 16).map_err(|error| error.to_string())?;
        if size == 0 {
            let Some((lines, end)) = section(bytes, data)? else { return Ok(None) };
            message.trailers = lines.iter().map(|line| field(line)).collect::<Result<_, _>>()?;
            return Ok(Some(end));
        }
        let Some(chunk) = bytes.get(data..data + size + 2) else { return Ok(None) };
        if !chunk.ends_with(b"\r\n") {
            return Err("chunk data without CRLF behind it".to_owned());
        }
        message.body.extend_from_slice(&chunk[..size]);
        at = data + size + 2;
    }
}

/// Lines up to the empty one, and the position behind it.
fn section(bytes: &[u8], mut at: usize) -> Result<Option<(Vec<String>, usize)>, String> {
    let mut lines = Vec::new();
    loop {
        let Some((text, next)) = line(bytes, at)? else { return Ok(None) };
        if text.is_empty() {
            return Ok(Some((lines, next)));
        }
        lines.push(text);
        at = next;
    }
}

/// One line, ended by CRLF; nothing in it that could end it for another reader.
fn line(bytes: &[u8], at: usize) -> Result<Option<(String, usize)>, String> {
    let rest = bytes.get(at..).unwrap_or_default();
    let end = rest.windows(2).position(|pair| pair == b"\r\n");
    let text = &rest[..end.unwrap_or(rest.len())];
    // The last byte of an unfinished line may be the CR of its end.
    let checked = if end.is_none() { text.strip_suffix(b"\r").unwrap_or(text) } else { text };
    if let Some(bad) = checked.iter().find(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(format!("byte {bad:#04x} in a line: {:?}", String::from_utf8_lossy(text)));
    }
    Ok(end.map(|end| (String::from_utf8_lossy(text).into_owned(), at + end + 2)))
}

fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon in {line:?}"))?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("field name {name:?}"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

fn check_start(start: &str, kind: Kind) -> Result<(), String> {
    let parts: Vec<_> = start.split(' ').collect();
    let good = match kind {
        Kind::Request => {
            matches!(parts.as_slice(), [method, target, "HTTP/1.1"] if !method.is_empty() && !target.is_empty())
        }
        Kind::Answer | Kind::Bodiless => {
            matches!(parts.as_slice(), ["HTTP/1.1" | "HTTP/1.0", code, ..]
                if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()))
                && parts.len() > 2
        }
    };
    if good { Ok(()) } else { Err(format!("start line {start:?}")) }
}

#[cfg(test)]
mod tests;
