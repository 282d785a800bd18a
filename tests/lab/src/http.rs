//! The little HTTP/1.1 that the lab's own client and servers speak.
//!
//! What lives here: reading a head, byte by buffered byte. What does not: policy. Called by client, origin, floor.
//! Invariant: bytes read beyond the head are kept for the body.

use std::io::{self, Read};

/// Longest head accepted.
const LONGEST: usize = 64 * 1024;

/// A request's or response's head, and the bytes that came with it.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// First line and fields, without the empty line.
    pub text: String,
    /// First bytes of the body.
    pub rest: Vec<u8>,
}

impl Head {
    /// Reads up to the end of a head, starting with what is left of an earlier read; `None` when the peer closed
    /// before the first byte.
    ///
    /// Errors: the reader's; `InvalidData` for a head that is too long or breaks off.
    pub fn read(reader: &mut impl Read, mut seen: Vec<u8>) -> io::Result<Option<Self>> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = seen.split_off(end + 4);
                seen.truncate(end);
                let text = String::from_utf8(seen).map_err(io::Error::other)?;
                return Ok(Some(Self { text, rest }));
            }
            let got = reader.read(&mut buffer)?;
            match got {
                0 if seen.is_empty() => return Ok(None),
                _ if got == 0 || seen.len() > LONGEST => return Err(io::ErrorKind::InvalidData.into()),
                _ => seen.extend_from_slice(&buffer[..got]),
            }
        }
    }

    /// The first line's words.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.text.lines().next().unwrap_or_default().split(' ')
    }

    /// A response's status, 0 when there is none.
    pub fn status(&self) -> u16 {
        self.words().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// The value of a field, its name compared without regard to case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.text.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The value of Content-Length.
    pub fn content_length(&self) -> Option<u64> {
        self.field("content-length")?.parse().ok()
    }
}

#[cfg(test)]
mod tests;
