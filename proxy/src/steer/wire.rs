//! The wire as a witness: a ring on each interface, one tracker over all of them.
//!
//! On a thread of its own, because frames come faster than a runtime wakes. An interface that is not there, or goes away, is
//! tried again: its subflows are then missing from this witness's word, and it says so.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anabranch_config::IfaceName;
use anabranch_kernel::packet::ring::PacketRing;
use anabranch_kernel::packet::wait_readable;
use anabranch_sniffer::track::Tracker;
use anabranch_sniffer::wire::{self, LinkType};

use super::report::Interface;
use super::{Desk, now};
use crate::capture::{Merge, Seen, open_ring};
use crate::http::chain;

/// How long to wait for frames before looking at the clock.
const WAIT: Duration = Duration::from_millis(50);

/// How often the table gets a snapshot of every connection, and an interface that failed is tried again.
const BEAT: Duration = Duration::from_secs(1);

/// No frame waits longer between being seen and being told of.
const HOLD: Duration = Duration::from_millis(200);

/// Blocks of each ring taken before the clock is looked at again.
const TURN: usize = 64;

/// An interface under watch, or the lack of it.
struct Watch {
    name: IfaceName,
    ring: Option<(PacketRing, LinkType)>,
}

/// Watches until it is told to stop.
pub(super) fn run(interfaces: &[IfaceName], desk: &Desk, stop: &AtomicBool) {
    let mut watches: Vec<_> = interfaces.iter().map(|name| Watch { name: name.clone(), ring: None }).collect();
    let (mut tracker, mut merge) = (Tracker::default(), Merge::default());
    let (mut due, mut told) = (Instant::now(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let at = now();
        if Instant::now() >= due {
            beat(&mut watches, &mut tracker, desk);
            (due, told) = (Instant::now() + BEAT, at);
        } else if desk.steers_what_passes() && at.saturating_sub(told) >= desk.interval() {
            let mut facts = desk.facts.lock();
            // Who has moved nothing since is as was told; what was seen may have waited for older frames.
            for connection in tracker.connections().filter(|one| one.last_seen + HOLD >= told) {
                facts.observe_wire(connection, at);
            }
            told = at;
        }
        let sockets: Vec<&PacketRing> =
            watches.iter().filter_map(|watch| watch.ring.as_ref().map(|(ring, _)| ring)).collect();
        if let Err(error) = wait_readable(&sockets, merge.wait(WAIT)) {
            tracing::error!(%error, "the wire witness cannot wait for frames, and ends");
            return;
        }
        for _ in 0..TURN {
            let rings = watches.iter_mut().map(|watch| watch.ring.as_mut());
            let taken = merge.take(rings, now(), &mut |seen| observe(&mut tracker, seen));
            if !taken.unwrap_or(false) {
                break;
            }
        }
        tell(&mut tracker, desk);
    }
}

fn observe(tracker: &mut Tracker, (link, at, captured, wire_len): Seen<'_>) -> Result<(), Infallible> {
    if let Ok(segment) = wire::parse(link, captured, wire_len) {
        tracker.on_segment(&segment, segment.mptcp().filter_map(Result::ok), at);
    }
    Ok(())
}

/// Hands events on as they come.
fn tell(tracker: &mut Tracker, desk: &Desk) {
    while let Some(event) = tracker.poll_event() {
        tracing::debug!(event = %event.what, "wire");
        desk.facts.lock().on_wire(&event);
    }
}

/// What is done once a second: rings are mended, drops counted, the table told how every connection is.
fn beat(watches: &mut [Watch], tracker: &mut Tracker, desk: &Desk) {
    let mut interfaces = BTreeMap::new();
    for watch in watches {
        mend(watch, desk);
        let mut state = desk.witnesses.lock().interfaces.get(watch.name.as_str()).cloned().unwrap_or_default();
        state.watched = watch.ring.is_some();
        if let Some((ring, _)) = &watch.ring {
            match ring.take_statistics() {
                Ok(statistics) => {
                    state.frames += u64::from(statistics.packets);
                    state.dropped += u64::from(statistics.drops);
                }
                Err(error) => {
                    tracing::warn!(interface = %watch.name, why = %chain(&error), "the interface is gone");
                    watch.ring = None;
                }
            }
        }
        interfaces.insert(watch.name.to_string(), state);
    }
    let at = now();
    tracker.handle_timeout(at);
    let mut facts = desk.facts.lock();
    facts.expect_wire(interfaces.values().all(|interface: &Interface| interface.watched));
    for connection in tracker.connections() {
        facts.observe_wire(connection, at);
    }
    drop(facts);
    desk.witnesses.lock().interfaces = interfaces;
}

fn mend(watch: &mut Watch, desk: &Desk) {
    if watch.ring.is_some() && nix::net::if_::if_nametoindex(watch.name.as_str()).is_ok() {
        return;
    }
    let before = watch.ring.take().is_some();
    let first = !desk.witnesses.lock().interfaces.contains_key(watch.name.as_str());
    match open_ring(watch.name.as_str(), 0) {
        Ok(Some(ring)) => {
            tracing::info!(interface = %watch.name, "the wire is a witness");
            watch.ring = Some(ring);
        }
        // Said once, not every second.
        Ok(None) if first || before => {
            tracing::warn!(interface = %watch.name, "cannot be watched: neither Ethernet nor raw IP");
        }
        Err(error) if first || before => {
            tracing::warn!(interface = %watch.name, why = %chain(&error), "cannot be watched; it is tried again");
        }
        Ok(None) | Err(_) => {}
    }
}
