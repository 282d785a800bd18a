//! Ourselves, as seen from the network: the addresses of our interfaces and the connections we dialled.
//!
//! Both serve one rule: never forward to oneself unprotected (RFC 9110 §7.6). The addresses go into
//! [`Guard`](super::guard::Guard) and stop the plain case before a socket exists; [`Outgoing`] recognises what comes
//! back all the same, over an allowed own address or a rewriting firewall.
//!
//! **When to ask.** A connection may be accepted before [`Outgoing::register`] has run: over loopback the whole
//! handshake happens inside `connect`. So ask once the first bytes of the accepted connection have been read, not at
//! accept. That cannot miss: no byte is written to a dialled connection before `Connector::connect` has returned, and
//! that is after the registration. Losing attempts of a race are closed without a byte and need no registration.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use nix::ifaddrs::getifaddrs;
use parking_lot::Mutex;

/// Locks are held for a map operation only; 16 keep two workers apart nearly always.
const SHARDS: usize = 16;

/// The addresses of the interfaces in our network namespace, as they are now; the caller asks again when they change.
///
/// Shape:   sorted, no duplicates, loopback included, v4-mapped ones as IPv4.
/// Errors:  [`OwnError`] - keep the former list.
pub fn addresses() -> Result<Vec<IpAddr>, OwnError> {
    let interfaces = getifaddrs().map_err(|errno| OwnError { source: errno.into() })?;
    let addresses: BTreeSet<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip()).to_canonical()))
        })
        .collect();
    Ok(addresses.into_iter().collect())
}

/// The interfaces could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("getifaddrs failed")]
pub struct OwnError {
    /// What the kernel said.
    pub source: io::Error,
}

/// Local and remote address of a connection, and how often it is registered.
type Shard = Mutex<HashMap<(SocketAddr, SocketAddr), u32>>;

/// The plain-TCP connections that we dialled and that still live. One for the process, shared by all workers.
///
/// The kernel gives one local port to several connections with different remotes, so it takes both addresses to name one.
/// It is counted: a port may serve the same remote again before the registration of the connection that had it is gone.
#[derive(Debug, Default)]
pub struct Outgoing {
    shards: [Shard; SHARDS],
}

impl Outgoing {
    /// An empty registry.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Notes a connection that we dialled, until the returned value is dropped.
    pub fn register(self: &Arc<Self>, local: SocketAddr, remote: SocketAddr) -> Registration {
        let (local, remote) = (canonical(local), canonical(remote));
        *self.shard(local).lock().entry((local, remote)).or_default() += 1;
        Registration { registry: Arc::clone(self), local, remote }
    }

    /// Whether an accepted connection, from `peer` to our `local`, is one that we dialled: exact.
    ///
    /// `local` is what was dialled: the local address of the accepted socket, or its original destination
    /// (`SO_ORIGINAL_DST`) where a firewall redirects. Ask after the first bytes were read (module documentation).
    pub fn is_loop(&self, peer: SocketAddr, local: SocketAddr) -> bool {
        let (peer, local) = (canonical(peer), canonical(local));
        self.shard(peer).lock().contains_key(&(peer, local))
    }

    /// How many connections are registered.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().values().map(|count| *count as usize).sum::<usize>()).sum()
    }

    /// Whether none is registered.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().is_empty())
    }

    fn shard(&self, local: SocketAddr) -> &Shard {
        // Local ports are handed out evenly enough to be their own hash.
        &self.shards[usize::from(local.port()) / 2 % SHARDS]
    }
}

/// One entry of [`Outgoing`]; dropping it removes the entry. It lives as long as the socket.
#[derive(Debug)]
#[must_use = "dropping it forgets the connection"]
pub struct Registration {
    registry: Arc<Outgoing>,
    local: SocketAddr,
    remote: SocketAddr,
}

impl Registration {
    /// The local address of the connection, v4-mapped ones as IPv4.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.registry.shard(self.local).lock().entry((self.local, self.remote)) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// Address and port only: v4-mapped unwrapped, flow label and scope dropped, so that both ends agree.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
