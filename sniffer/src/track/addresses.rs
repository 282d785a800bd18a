//! What the ends announce: addresses, and which subflows they want as backups.

use super::Tracker;
use super::connection::{Announcement, Connection};
use super::flow::Options;
use crate::crypto;
use crate::event::{End, Forgery, SubflowId, Verified, What};
use crate::id::AddrId;
use crate::wire::mptcp::{AddAddr, Prio};

/// Addresses remembered per connection: a Linux host announces no more than 8.
const ANNOUNCEMENTS: usize = 16;

impl Tracker {
    pub(super) fn on_addresses(&mut self, slot: u32, from: End, options: &Options<'_>) {
        for announced in options.add_addr.iter().flatten() {
            if announced.echo {
                self.on_echo(slot, from, announced.addr_id);
            } else {
                self.on_add_addr(slot, from, announced);
            }
        }
        for &id in options.remove_addr.iter().flat_map(|removed| removed.ids) {
            self.on_remove_addr(slot, from, AddrId(id));
        }
        if let Some(prio) = options.prio {
            self.on_prio(slot, from, prio);
        }
    }

    fn owner(&mut self, slot: u32) -> Option<(u32, &mut Connection)> {
        let owner = self.subflows.get(slot)?.connection;
        Some((owner, self.connections.get_mut(owner)?))
    }

    fn on_add_addr(&mut self, slot: u32, by: End, announced: &AddAddr) {
        let now = self.now;
        let Some((owner, connection)) = self.owner(slot) else { return };
        let AddAddr { addr_id, address, port, .. } = *announced;
        let verified = match (connection.key_pair(by), announced.hmac) {
            (Some((own, peer)), Some(hmac)) => {
                Verified::from(crypto::add_addr_hmac(own, peer, addr_id, address, port) == hmac.0)
            }
            _ => Verified::Unknown,
        };
        if verified == Verified::No {
            if let Some(flow) = self.subflows.get(slot).map(|subflow| subflow.flow) {
                self.say_forged(owner, flow, by, Forgery::AddAddr);
            }
            return;
        }
        let news = Announcement { by, addr_id, address, port, verified, echoed: false, withdrawn: false, at: now };
        let known = connection.addresses.iter_mut().find(|known| known.by == by && known.addr_id == addr_id);
        match known {
            Some(known) if !known.withdrawn && (known.address, known.port) == (address, port) => return,
            // A number is not used again before it is withdrawn: who proved less than the one before is not believed.
            Some(known) if !known.withdrawn && known.verified == Verified::Yes && verified != Verified::Yes => return,
            Some(known) => *known = news,
            None => {
                if connection.addresses.len() >= ANNOUNCEMENTS {
                    let Some(gone) = connection.addresses.iter().position(|known| known.withdrawn) else { return };
                    connection.addresses.remove(gone);
                }
                connection.addresses.push(news);
            }
        }
        let connection = connection.id;
        self.emit(What::Announced { connection, by, addr_id, address, port, verified });
    }

    fn on_echo(&mut self, slot: u32, by: End, addr_id: AddrId) {
        let Some((_, connection)) = self.owner(slot) else { return };
        let mut announced = connection.addresses.iter_mut().filter(|known| known.by != by && !known.withdrawn);
        let Some(known) = announced.find(|known| known.addr_id == addr_id && !known.echoed) else { return };
        known.echoed = true;
        let connection = connection.id;
        self.emit(What::Echoed { connection, by, addr_id });
    }

    fn on_remove_addr(&mut self, slot: u32, by: End, addr_id: AddrId) {
        let Some((_, connection)) = self.owner(slot) else { return };
        let known = connection.addresses.iter_mut().find(|known| known.by == by && known.addr_id == addr_id);
        match known {
            Some(known) if known.withdrawn => return,
            Some(known) => known.withdrawn = true,
            // Addresses need not be announced: that of the initial subflow never is.
            None => {}
        }
        let connection = connection.id;
        self.emit(What::Withdrawn { connection, by, addr_id });
    }

    fn on_prio(&mut self, slot: u32, by: End, prio: Prio) {
        let Some(target) = self.prio_target(slot, by, prio) else { return };
        let Some(subflow) = self.subflows.get_mut(target) else { return };
        if std::mem::replace(&mut subflow.backup[by], prio.backup) == prio.backup {
            return;
        }
        let (owner, number) = (subflow.connection, subflow.number);
        let Some(connection) = self.connections.get(owner).map(|connection| connection.id) else { return };
        self.emit(What::Priority { subflow: SubflowId { connection, number }, by, backup: prio.backup });
    }

    /// The subflow an MP_PRIO is about: the one it came on, or in version 0 the one with the address it names.
    fn prio_target(&self, slot: u32, by: End, prio: Prio) -> Option<u32> {
        let Some(named) = prio.addr_id else { return Some(slot) };
        let connection = self.connections.get(self.subflows.get(slot)?.connection)?;
        let mut subflows = self.subflows_of(connection).filter(|(_, subflow)| subflow.ended.is_none());
        subflows.find(|(_, subflow)| subflow.addr_ids[by] == Some(named)).map(|(slot, _)| slot)
    }
}
