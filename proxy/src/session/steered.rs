//! What whoever steers wants of client legs, carried out: bounds on unsent data, rates of whole connections.
//!
//! All of it is taken back when the link ends: nobody would be there to do it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use anabranch_config::BitRate;
use anabranch_sniffer::Token;
use anabranch_throttle::intent::Direction;
use parking_lot::Mutex;

use crate::leg::{Bucket, Leg};
use crate::link::Directive;

/// No bound on what a connection holds unsent.
const UNBOUND: u32 = u32::MAX;

/// Every leg over MPTCP, by its token, and what is wanted of all of them.
#[derive(Debug)]
pub(super) struct Steered {
    legs: Mutex<HashMap<Token, Weak<Leg>>>,
    buckets: Mutex<HashMap<u32, Weak<Bucket>>>,
    from_accept: AtomicU32,
}

impl Steered {
    pub(super) fn new() -> Self {
        Self { legs: Mutex::default(), buckets: Mutex::default(), from_accept: AtomicU32::new(UNBOUND) }
    }

    /// Takes a leg in, under the bound that holds for new ones.
    pub(super) fn enter(&self, token: Token, leg: &Arc<Leg>) {
        self.legs.lock().insert(token, Arc::downgrade(leg));
        let bytes = self.from_accept.load(Ordering::Relaxed);
        if bytes != UNBOUND {
            bound(token, leg, Some(bytes));
        }
    }

    /// Forgets a leg, unless its token is another one's by now.
    pub(super) fn leave(&self, token: Token, leg: &Weak<Leg>) {
        let mut legs = self.legs.lock();
        if legs.get(&token).is_some_and(|known| known.ptr_eq(leg)) {
            legs.remove(&token);
        }
    }

    pub(super) fn obey(&self, directive: Directive) {
        // A connection may have ended while the directive was on its way.
        let leg = |token| self.legs.lock().get(&token).and_then(Weak::upgrade);
        match directive {
            Directive::BoundFromAccept { bytes } => {
                self.from_accept.store(bytes.unwrap_or(UNBOUND), Ordering::Relaxed);
            }
            Directive::BoundUnsent { token, bytes } => {
                if let Some(leg) = leg(token) {
                    bound(token, &leg, bytes);
                }
            }
            Directive::Total { token, direction, bucket } => {
                let bucket = bucket.and_then(|(number, rate)| self.bucket(number, rate));
                if let Some(leg) = leg(token) {
                    leg.limit(direction, bucket);
                }
            }
        }
    }

    /// Takes everything back.
    pub(super) fn release(&self) {
        self.from_accept.store(UNBOUND, Ordering::Relaxed);
        let legs: Vec<_> = self.legs.lock().iter().filter_map(|(token, leg)| Some((*token, leg.upgrade()?))).collect();
        for (token, leg) in legs {
            bound(token, &leg, None);
            leg.limit(Direction::Upload, None);
            leg.limit(Direction::Download, None);
        }
        self.buckets.lock().clear();
    }

    /// The bucket of a number, at this rate from now on.
    fn bucket(&self, number: u32, rate: u64) -> Option<Arc<Bucket>> {
        let rate = BitRate::from_bits_per_second(rate)?;
        let mut buckets = self.buckets.lock();
        if let Some(bucket) = buckets.get(&number).and_then(Weak::upgrade) {
            bucket.set(rate);
            return Some(bucket);
        }
        buckets.retain(|_, bucket| bucket.strong_count() > 0);
        let bucket = Bucket::new(rate);
        buckets.insert(number, Arc::downgrade(&bucket));
        Some(bucket)
    }
}

fn bound(token: Token, leg: &Leg, bytes: Option<u32>) {
    if let Err(error) = leg.bound_unsent(bytes) {
        tracing::warn!(%token, %error, "what a connection holds unsent cannot be bounded");
    }
}

#[cfg(test)]
mod tests;
