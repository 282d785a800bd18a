//! `[timeouts]`: how long anything may take.

use std::time::Duration;

use crate::read::Section;
use crate::read::value::OrOff;
use crate::unit::Timeout;

/// How long anything may take. Every time is 1 ms ..= 7 d.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// The TLS handshake with a client.
    pub handshake: Duration,
    /// A request's head, from its first byte.
    pub request_head: Duration,
    /// An idle client connection between two requests.
    pub keep_alive: Duration,
    /// The answer to a name.
    pub dns: Duration,
    /// The connection to a server, over all of its addresses.
    pub connect: Duration,
    /// A response's head, from the end of the request.
    pub response_head: Duration,
    /// A body without a byte.
    pub body_idle: Duration,
    /// A tunnel without a byte. `None`: no limit.
    pub tunnel_idle: Option<Duration>,
    /// A tunnel as a whole. `None`: no limit.
    pub tunnel_lifetime: Option<Duration>,
    /// A tunnel of which one direction has ended, without a byte in the other.
    pub half_closed: Duration,
    /// Sessions still running when the process is asked to stop.
    pub drain: Duration,
    /// The same, when another process has taken over and nobody waits for the end of this one.
    pub handover: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            handshake: seconds(10),
            request_head: seconds(10),
            keep_alive: seconds(60),
            dns: seconds(5),
            connect: seconds(10),
            response_head: seconds(120),
            body_idle: seconds(300),
            tunnel_idle: Some(seconds(3600)),
            tunnel_lifetime: None,
            half_closed: seconds(120),
            drain: seconds(30),
            handover: seconds(3600),
        }
    }
}

impl Timeouts {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let time = |section: &mut Section<'_>, key, default| section.get::<Timeout>(key).map_or(default, Timeout::get);
        let time_or_off = |section: &mut Section<'_>, key, default| {
            let time = section.get::<OrOff<Timeout>>(key);
            time.map_or(default, |time| time.into_option().map(Timeout::get))
        };
        Self {
            handshake: time(section, "handshake", default.handshake),
            request_head: time(section, "request_head", default.request_head),
            keep_alive: time(section, "keep_alive", default.keep_alive),
            dns: time(section, "dns", default.dns),
            connect: time(section, "connect", default.connect),
            response_head: time(section, "response_head", default.response_head),
            body_idle: time(section, "body_idle", default.body_idle),
            tunnel_idle: time_or_off(section, "tunnel_idle", default.tunnel_idle),
            tunnel_lifetime: time_or_off(section, "tunnel_lifetime", default.tunnel_lifetime),
            half_closed: time(section, "half_closed", default.half_closed),
            drain: time(section, "drain", default.drain),
            handover: time(section, "handover", default.handover),
        }
    }
}
