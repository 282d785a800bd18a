//! Basic proxy credentials (RFC 7617) against a file of argon2 hashes; the name is the subscriber.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordHash, PasswordVerifier as _};
use base64::Engine as _;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::body::ReplyBody;
use super::refusal::{Accepts, Refusal};

/// How long a verified pair is believed without hashing again.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Verified pairs kept.
const MOST_REMEMBERED: usize = 4096;

/// Hashes computed at once: each takes tens of milliseconds and megabytes on purpose.
const HASHING: usize = 2;

/// A credentials file that cannot be used.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("credentials file {} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// A line is not `name:hash`.
    #[error("{}:{line}: expected NAME:HASH with an argon2 hash in PHC form such as $argon2id$v=19$..., found {found}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, never the hash itself.
        found: &'static str,
    },
}

/// Proven credentials by two keyed hashes of what was sent: whose they are, and until when that is believed.
type Remembered = HashMap<(u64, u64), (Arc<str>, Instant)>;

/// The names and hashes of one file.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// The file as it was read.
    text: Box<str>,
    hashes: HashMap<Box<str>, Box<str>>,
    /// Hashed for unknown names, so that the time taken does not tell which names exist.
    decoy: Box<str>,
    remembered: Mutex<Remembered>,
    keys: (RandomState, RandomState),
    hashing: Arc<Semaphore>,
}

impl Credentials {
    /// Reads a file of `name:hash` lines; empty lines and lines that start with `#` are skipped.
    ///
    /// Errors: [`CredentialsError`]; the running credentials stay.
    pub(crate) fn read(path: &Path) -> Result<Self, CredentialsError> {
        Self::parse(path, &read_file(path)?)
    }

    /// Reads the file again; unchanged, the former credentials stay with all they remember.
    pub(crate) fn read_again(former: &Arc<Self>, path: &Path) -> Result<Arc<Self>, CredentialsError> {
        let text = read_file(path)?;
        if *former.text == *text { Ok(former.clone()) } else { Self::parse(path, &text).map(Arc::new) }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, CredentialsError> {
        let mut hashes = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |found| CredentialsError::Line { path: path.to_owned(), line: number + 1, found };
            let (name, hash) = line.split_once(':').ok_or_else(|| wrong("no colon"))?;
            if name.is_empty() || name.len() > 128 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(wrong("a name that is not 1 to 128 printable ASCII characters"));
            }
            let parsed = PasswordHash::new(hash).map_err(|_| wrong("something else after the name"))?;
            if !parsed.algorithm.as_str().starts_with("argon2") {
                return Err(wrong("a hash that is not argon2"));
            }
            if hashes.insert(name.into(), hash.into()).is_some() {
                return Err(wrong("a name that is in the file already"));
            }
        }
        let decoy = hashes.values().next().cloned().ok_or_else(|| CredentialsError::Line {
            path: path.to_owned(),
            line: 1,
            found: "no name at all",
        })?;
        let keys = (RandomState::new(), RandomState::new());
        let hashing = Arc::new(Semaphore::new(HASHING));
        Ok(Self { text: text.into(), hashes, decoy, remembered: Mutex::default(), keys, hashing })
    }

    /// The subscriber the request's `Proxy-Authorization` proves, or `None`.
    pub(crate) async fn subscriber(&self, fields: &HeaderMap) -> Option<Arc<str>> {
        let value = fields.get(header::PROXY_AUTHORIZATION)?;
        let key = (self.keys.0.hash_one(value.as_bytes()), self.keys.1.hash_one(value.as_bytes()));
        if let Some((name, until)) = self.remembered.lock().get(&key)
            && *until > Instant::now()
        {
            return Some(name.clone());
        }
        let (name, password) = decode(value)?;
        let known = self.hashes.get(name.as_str());
        let hash = known.unwrap_or(&self.decoy).clone();
        let turn = self.hashing.clone().acquire_owned().await.ok()?;
        let verified = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            PasswordHash::new(&hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        if !verified.await.unwrap_or(false) || known.is_none() {
            return None;
        }
        let name: Arc<str> = name.into();
        let mut remembered = self.remembered.lock();
        if remembered.len() >= MOST_REMEMBERED {
            let now = Instant::now();
            remembered.retain(|_, (_, until)| *until > now);
        }
        if remembered.len() >= MOST_REMEMBERED {
            // Anyone makes room: who is forgotten is hashed once more, who is never remembered would be at every request.
            let anyone = remembered.keys().next().copied();
            anyone.map(|anyone| remembered.remove(&anyone));
        }
        remembered.insert(key, (name.clone(), Instant::now() + REMEMBERED));
        Some(name)
    }
}

fn read_file(path: &Path) -> Result<String, CredentialsError> {
    std::fs::read_to_string(path).map_err(|source| CredentialsError::Read { path: path.to_owned(), source })
}

/// Name and password of a Basic credential; the name ends at the first colon (RFC 7617 §2).
fn decode(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(token.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// 407, with the challenge (RFC 9110 §15.5.8).
pub(crate) fn challenge(fields: &HeaderMap, pseudonym: &str) -> Response<ReplyBody> {
    let refusal = Refusal::new(
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        "http_request_denied",
        "this proxy wants a name and a password (Proxy-Authorization: Basic)",
    );
    let mut response = refusal.response(&Accepts::of(fields), pseudonym);
    let challenge = HeaderValue::from_static("Basic realm=\"anabranch\", charset=\"UTF-8\"");
    response.headers_mut().insert(header::PROXY_AUTHENTICATE, challenge);
    response
}

#[cfg(test)]
mod tests;
