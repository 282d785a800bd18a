//! The kernel's doors through which steering acts, opened while there is a policy and closed again.
//!
//! Each is optional: what cannot be had is said with its reason, and the planner makes do with the rest. What may not be
//! (somebody else's table or device under our name, another process that steers) closes all of them. Invariant: after
//! [`Doors::close`] the kernel is as it was found.

mod apply;
mod management;

use std::sync::Arc;

use anabranch_config::Steering;
use anabranch_kernel::bpf::Pacer;
use anabranch_kernel::link::Links;
use anabranch_kernel::shaper::{Names, Options, Shaper, ShaperError};
use anabranch_kernel::sock_diag::SockDiag;
use anabranch_throttle::op::Abilities;
use anabranch_throttle::view::{SubflowKey, View};
use thiserror::Error;

use super::guard::{Guard, release_sockets, restore};
use super::ownership::Ownership;
use super::{Desk, kernel, now};
use crate::http::chain;
pub(super) use apply::{joins, of, spec, way};

use apply::socket;
use management::{Management, take_over};

/// Why nothing can be done.
#[derive(Debug, Clone, Error)]
pub(super) enum Closed {
    /// There is nothing to be done.
    #[error("no policy is in force")]
    NoPolicy,
    /// Somebody else steers here.
    #[error("{0}")]
    NotOurs(Arc<str>),
    /// The kernel's objects of our names are somebody else's, or cannot be had for another reason than a missing ability.
    #[error("{0}")]
    Taken(Arc<str>),
}

/// What of the kernel is open.
pub(super) struct Doors {
    /// The path manager's, for as long as the doors are open.
    manager: Result<Management, String>,
    diag: Option<SockDiag>,
    guard: Option<Guard>,
    /// Classes and paces, while there is a policy.
    shaping: Option<Shaping>,
    /// Last: nobody else may begin before everything else is closed.
    _ownership: Ownership,
}

/// What limits rates.
struct Shaping {
    shaper: Result<Shaper, String>,
    pacer: Result<Pacer, String>,
    links: Option<Links>,
}

impl Doors {
    /// Opens what every policy needs, and tidies up what a predecessor that was killed has left.
    ///
    /// Errors: [`Closed`] — what may not be; nothing is left open
    pub(super) fn open(steering: &Steering, desk: &Desk) -> Result<Self, Closed> {
        let ownership =
            Ownership::claim(steering.table.as_str()).map_err(|error| Closed::NotOurs(chain(&error).into()))?;
        let noted = Shaper::observe(&names(steering)).ok().and_then(|found| found.device?.note);
        release_sockets(Pacer::open().ok().as_mut());
        let manager = take_over(steering, desk, noted.as_deref())?;
        let former = manager.as_ref().ok().map(|manager| &manager.former);
        let guard = Guard::start(steering, former)
            .map_err(|error| tracing::warn!(%error, "nobody tidies up should this process be killed"))
            .ok();
        Ok(Self { manager, diag: SockDiag::open().ok(), guard, shaping: None, _ownership: ownership })
    }

    /// Opens what limits rates, if it is not open.
    ///
    /// Errors: [`Closed`] — table or device are somebody else's
    pub(super) fn begin_shaping(&mut self, steering: &Steering) -> Result<(), Closed> {
        if self.shaping.is_some() {
            return Ok(());
        }
        refuse_absent(steering)?;
        let options = Options { subflows: steering.subflows, lease: steering.lease, adopt: steering.adopt };
        let shaper = match Shaper::open(&names(steering), options) {
            Ok(mut shaper) => {
                if let Ok(manager) = &self.manager
                    && let Err(error) = shaper.note(Some(manager.former.as_str()))
                {
                    tracing::debug!(why = %chain(&error), "the former path manager is not noted");
                }
                Ok(shaper)
            }
            Err(error) if is_lack(&error) => Err(chain(&error)),
            Err(error) => return Err(Closed::Taken(chain(&error).into())),
        };
        self.shaping =
            Some(Shaping { shaper, pacer: Pacer::open().map_err(|error| chain(&error)), links: Links::open().ok() });
        self.tend(steering, &View::default());
        for reason in self.cannot() {
            tracing::warn!(%reason, "not possible here; policies make do with the rest");
        }
        Ok(())
    }

    /// Closes what limits rates; nothing of it is left.
    pub(super) fn end_shaping(&mut self) {
        if let Some(Shaping { shaper: Ok(shaper), .. }) = self.shaping.take()
            && let Err(error) = shaper.clear()
        {
            tracing::warn!(why = %chain(&error), "something of ours stays in the kernel");
        }
    }

    fn shaper(&mut self) -> Option<&mut Shaper> {
        self.shaping.as_mut().and_then(|shaping| shaping.shaper.as_mut().ok())
    }

    fn pacer(&mut self) -> Option<&mut Pacer> {
        self.shaping.as_mut().and_then(|shaping| shaping.pacer.as_mut().ok())
    }
}

impl Doors {
    /// What can be done, with the proxy that is linked now or without one.
    pub(super) fn abilities(&self, desk: &Desk) -> Abilities {
        let shaping = self.shaping.as_ref();
        Abilities {
            demote: self.manager.is_ok(),
            pace: shaping.is_some_and(|shaping| shaping.pacer.is_ok()),
            cap: shaping.is_some_and(|shaping| shaping.shaper.is_ok()),
            proxy: desk.proxies.lock().is_any_linked(),
        }
    }

    /// Whether what holds subflows to rates was opened, or tried.
    pub(super) const fn shapes(&self) -> bool {
        self.shaping.is_some()
    }

    /// What cannot be done, and why.
    pub(super) fn cannot(&self) -> Vec<String> {
        let shaping = self.shaping.as_ref();
        let each = [
            ("demote", self.manager.as_ref().err()),
            ("pace", shaping.and_then(|shaping| shaping.pacer.as_ref().err())),
            ("cap", shaping.and_then(|shaping| shaping.shaper.as_ref().err())),
        ];
        each.into_iter().filter_map(|(rung, why)| Some(format!("{rung}: {}", why?))).collect()
    }
}

/// Refuses to begin at an interface that is not there: a name spelt wrong would leave everything behind it as it is. One that goes away
/// later is waited for.
fn refuse_absent(steering: &Steering) -> Result<(), Closed> {
    let Ok(there) = Links::open().and_then(|mut links| links.list()) else { return Ok(()) };
    let absent = steering.interfaces.iter().find(|name| !there.iter().any(|link| link.name == name.as_str()));
    absent.map_or(Ok(()), |name| {
        let known: Vec<_> = there.iter().map(|link| link.name.as_str()).collect();
        let known = known.join(", ");
        Err(Closed::Taken(
            format!("interface {name} (steering.interfaces) is not there; expected some of: {known}").into(),
        ))
    })
}

/// Has packets met at the interfaces that are named, or at every one with an address.
fn watch(shaper: &mut Shaper, links: &mut Links, steering: &Steering) -> Result<(), ShaperError> {
    let Ok(all) = links.list() else { return Ok(()) };
    let named = |name: &str| steering.interfaces.iter().any(|wanted| wanted.as_str() == name);
    let wanted = all.iter().filter(|link| {
        let chosen = if steering.interfaces.is_empty() { !link.addresses.is_empty() } else { named(&link.name) };
        chosen && link.up && !link.loopback && link.name != steering.device.as_str()
    });
    let wanted: Vec<_> = wanted.map(|link| link.index).collect();
    shaper.watch(&wanted).map(drop)
}

/// Whether something is missing that policies can do without.
const fn is_lack(error: &ShaperError) -> bool {
    matches!(error, ShaperError::Missing { .. } | ShaperError::NotPermitted(_))
}

impl Doors {
    /// Asks about subflows on their way to another state; the table of facts hears of it.
    pub(super) fn refresh(&mut self, moving: &[SubflowKey], desk: &Desk) {
        let Some(diag) = &mut self.diag else { return };
        for subflow in moving {
            let asked = diag.tcp_exact(socket(*subflow), |socket| kernel::subflow(&socket));
            // One that is gone is told by an event.
            if let Ok(Some(Some((token, known)))) = asked {
                desk.facts.lock().observe_subflow(token, known, now());
            }
        }
    }

    /// Sees to what comes and goes by itself: interfaces under watch, connections that are to be told our addresses.
    pub(super) fn tend(&mut self, steering: &Steering, view: &View) {
        if let Some(Shaping { shaper: Ok(shaper), links: Some(links), .. }) = &mut self.shaping {
            let tended = watch(shaper, links, steering).and_then(|()| shaper.renew_joins());
            if let Err(error) = tended {
                tracing::warn!(why = %chain(&error), "traffic control and nftables are not as they should be");
            }
        }
        if let Ok(manager) = &mut self.manager {
            manager.greet(view);
        }
    }

    /// Leaves the kernel as it was found.
    pub(super) fn close(mut self) {
        self.end_shaping();
        self.leave();
    }

    /// Leaves everything in place for a successor, but for the path manager: nobody could join.
    pub(super) fn leave(self) {
        if let Ok(manager) = self.manager {
            restore(&manager.former);
        }
        if let Some(guard) = self.guard {
            guard.dismiss();
        }
    }
}

pub(super) fn names(steering: &Steering) -> Names {
    Names { table: steering.table.to_string(), device: steering.device.to_string() }
}
