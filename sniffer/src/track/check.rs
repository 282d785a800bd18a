//! What must hold between any two segments, looked for by tests and by the fuzz targets.

use super::{Entry, Tracker, list};
use crate::event::Verified;

impl Tracker {
    /// Looks through all tables.
    ///
    /// Panics:  where they do not agree with one another or hold more than they may
    pub(crate) fn check(&self) {
        let (held, limits) = (self.held(), self.limits);
        assert!(held.connections <= limits.connections && held.subflows <= limits.subflows, "{held:?}");
        assert!(held.half_open <= limits.half_open && held.plain_flows <= limits.plain_flows, "{held:?}");
        assert!(held.events <= limits.events, "{held:?}");
        assert_eq!(self.by_id.len(), held.connections);
        for entry in self.flows.values() {
            let known = match *entry {
                Entry::Subflow(slot) => self.subflows.get(slot).is_some(),
                Entry::HalfOpen(slot) => self.half_open.get(slot).is_some(),
                Entry::Plain(slot) => self.plain.get(slot).is_some(),
            };
            assert!(known, "{entry:?} leads nowhere");
        }
        self.check_connections();
        for &token in self.tokens.keys() {
            for (slot, end) in self.holders(token) {
                let holder = self.connections.get(slot);
                assert_eq!(holder.and_then(|holder| holder.tokens[end]), Some(token), "{token} leads elsewhere");
            }
        }
    }

    /// Whether nothing is left of what it held, nor of what that was found by.
    pub(crate) fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.tokens.is_empty() && self.by_id.is_empty()
    }

    fn check_connections(&self) {
        let mut subflows = 0;
        for (slot, connection) in self.connections.iter() {
            assert_eq!(self.by_id.get(&connection.id), Some(&slot));
            let own: Vec<_> = self.subflows_of(connection).collect();
            subflows += own.len();
            assert_eq!(own.len(), usize::from(connection.count));
            assert!(connection.count <= self.limits.subflows_per_connection, "{connection:#?}");
            assert_eq!(own.last().map(|&(slot, _)| slot), (connection.count > 0).then_some(connection.last));
            let live = own.iter().filter(|(_, one)| one.ended.is_none() && one.verified() != Verified::No);
            assert_eq!(live.count(), usize::from(connection.live), "{connection:#?}");
            // What nothing keeps alive does not wait as long as what talks, nor refuse to make room.
            let kept = self.connections.list(slot) == Some(list::CONFIRMED);
            assert!(connection.live > 0 || !kept, "{connection:#?}");
        }
        assert_eq!(subflows, self.held().subflows);
    }
}
