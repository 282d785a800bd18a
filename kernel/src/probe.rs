//! What this kernel can do, found out by doing it.
//!
//! What lives here: trials in a network namespace of their own, which ends with them. What does not: which of it is needed.
//! Called by whoever checks a machine. Invariant: nothing of it happens in the caller's namespace, or is left behind.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::link::{Ifb, Links};
use crate::mptcp_pm::{Events, PathManager, SubflowAddresses};
use crate::netns::{NetNs, NetNsError};
use crate::shaper::{Names, Options, Shaper};
use crate::sockopt::mptcp_info;
use crate::sysctl::{PathManagerKind, set_path_manager};
use crate::tc::TrafficControl;

/// How a trial went; if not well, why.
pub type Trial = Result<(), String>;

/// What came of the trials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trials {
    /// The userspace path manager can be switched on, and its events listened to.
    pub userspace: Trial,
    /// The userspace path manager sends MP_PRIO on one subflow.
    pub priority: Trial,
    /// It closes one subflow.
    pub destroy: Trial,
    /// There are intermediate functional blocks, with a hierarchical token bucket on them.
    pub ifb: Trial,
    /// nftables meets outgoing packets of a device, with all that a shaper says to it.
    pub egress: Trial,
}

/// No packet of a trial travels farther than the loopback.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the kernel makes MPTCP sockets, here.
pub fn mptcp_socket() -> io::Result<()> {
    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP)).map(drop)
}

/// Tries, in a network namespace of its own, what steering takes.
///
/// Errors: no namespace could be made: it takes CAP_SYS_ADMIN.
pub fn steering() -> Result<Trials, NetNsError> {
    NetNs::new()?.run(|| {
        // Loopback is number 1 in every namespace.
        let up = Links::open().and_then(|mut links| links.set_up(1));
        let userspace = up.map_err(|error| words(&error)).and_then(|()| userspace());
        let (priority, destroy) = match &userspace {
            Ok(events) => commands(events),
            Err(why) => (Err(why.clone()), Err(why.clone())),
        };
        Trials { userspace: userspace.map(drop), priority, destroy, ifb: ifb(), egress: egress() }
    })
}

fn userspace() -> Result<Events, String> {
    set_path_manager(&PathManagerKind::Userspace).map_err(|error| words(&error))?;
    Events::open().map_err(|error| words(&error))
}

/// A connection over loopback, whose only subflow is made a backup and then closed. The listener to events is kept for as long.
fn commands(_events: &Events) -> (Trial, Trial) {
    let (ends, mut manager) = match connection().map_err(|error| words(&error)) {
        Ok(ends) => (ends, PathManager::open()),
        Err(why) => return (Err(why.clone()), Err(why)),
    };
    let mut attempt = |destroy: bool| {
        let manager = manager.as_mut().map_err(|error| words(error))?;
        let (token, subflow) = (ends.token, ends.subflow);
        let done =
            if destroy { manager.subflow_destroy(token, subflow) } else { manager.set_flags(token, subflow, true) };
        done.map_err(|error| words(&error))
    };
    (attempt(false), attempt(true))
}

/// Both ends of a connection, and how the server's end is called.
struct Ends {
    _open: (Socket, Socket, Socket),
    token: u32,
    subflow: SubflowAddresses,
}

fn connection() -> io::Result<Ends> {
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP));
    let listener = socket()?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(1)?;
    let client = socket()?;
    client.connect_timeout(&listener.local_addr()?, PATIENCE)?;
    listener.set_read_timeout(Some(PATIENCE))?;
    let (server, from) = listener.accept()?;
    // The server's end is fully established with the first bytes.
    client.send(b"x")?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.recv(&mut [std::mem::MaybeUninit::uninit()])?;
    let info = mptcp_info(server.as_fd()).map_err(|error| error.source)?;
    let missing = || io::Error::other("the connection fell back to TCP");
    let token = info.filter(|info| !info.fallback).ok_or_else(missing)?.token;
    let local = server.local_addr()?.as_socket().ok_or_else(missing)?;
    let remote = from.as_socket().ok_or_else(missing)?;
    Ok(Ends { _open: (listener, client, server), token, subflow: SubflowAddresses { local, remote } })
}

fn ifb() -> Trial {
    let made = || {
        let mut links = Links::open()?;
        links.create_ifb(&Ifb { name: TRIAL, address: [2, 0, 0, 0, 0, 1], queue: 1 })?;
        let index = links.find(TRIAL)?.map_or(0, |link| link.index);
        TrafficControl::open()?.add_htb(index, 0)
    };
    made().map_err(|error| words(&error))
}

/// The name of an IFB made only to see that it can be.
const TRIAL: &str = "trial0";

fn egress() -> Trial {
    let names = Names { table: "anabranch".to_owned(), device: "anabranch0".to_owned() };
    let options = Options { subflows: 1, lease: Duration::from_secs(1), adopt: false };
    let watched = Shaper::open(&names, options).and_then(|mut shaper| shaper.watch(&[1]));
    watched.map(drop).map_err(|error| words(&error))
}

/// An error and what is behind it, on one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        // Writing to a string does not fail.
        write!(out, ": {error}").unwrap_or_default();
        behind = error.source();
    }
    out
}

#[cfg(test)]
mod tests;
