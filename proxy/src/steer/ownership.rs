//! Who steers a network namespace: one process at a time.
//!
//! An abstract Unix socket belongs to its network namespace (unix(7)), as everything does that steering touches, and it goes with the
//! last process that holds it, however that ends.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// How long a predecessor may take to tidy up: it does so in a fraction of this, or not at all.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often it is looked for.
const STEP: Duration = Duration::from_millis(20);

/// The right to steer, for as long as it is held.
#[derive(Debug)]
pub(super) struct Ownership {
    _held: UnixDatagram,
}

/// Somebody else has it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOurs {
    /// Another process steers.
    #[error("another anabranch steers in this network namespace; stop it, or give this one another steering.table")]
    Taken,
    /// The kernel refused.
    #[error("the right to steer cannot be claimed")]
    Os(#[from] std::io::Error),
}

impl Ownership {
    /// Claims the right, and waits for a predecessor that is on its way out.
    #[allow(clippy::disallowed_methods, reason = "a thread of its own, before anything is steered: nobody waits")]
    pub(super) fn claim(table: &str) -> Result<Self, NotOurs> {
        let begun = Instant::now();
        loop {
            match Self::try_claim(table) {
                Err(NotOurs::Taken) if begun.elapsed() < PATIENCE => std::thread::sleep(STEP),
                claimed => return claimed,
            }
        }
    }

    /// The same without waiting.
    pub(super) fn try_claim(table: &str) -> Result<Self, NotOurs> {
        let address = SocketAddr::from_abstract_name(format!("anabranch/steers/{table}"))?;
        match UnixDatagram::bind_addr(&address) {
            Ok(held) => Ok(Self { _held: held }),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(NotOurs::Taken),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the test's own thread")]
    fn one_has_it_until_it_lets_go_and_tables_are_apart() {
        let table = format!("t{}", std::process::id());
        let held = Ownership::try_claim(&table).unwrap();
        assert!(matches!(Ownership::try_claim(&table), Err(NotOurs::Taken)));
        Ownership::try_claim(&format!("{table}x")).unwrap();
        let waits = std::thread::spawn({
            let table = table.clone();
            move || Ownership::claim(&table).map(|_| ())
        });
        std::thread::sleep(STEP * 3);
        drop(held);
        waits.join().unwrap().unwrap();
    }
}
