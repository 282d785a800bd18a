//! The kernel's doors through which steering acts, opened while there is a policy and closed again.
//!
//! Each is optional: what cannot be had is said with its reason, and the planner makes do with the rest. What may not be
//! (somebody else's table or device under our name, another process that steers) closes all of them. Invariant: after
//! [`Doors::close`] the kernel is as it was found.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anabranch_config::{PathManagement, Steering};
use anabranch_kernel::bpf::{self, Pace, Pacer};
use anabranch_kernel::link::Links;
use anabranch_kernel::mptcp_pm::{Announcement, EndpointFlags, MptcpPmError, PathManager, SubflowAddresses};
use anabranch_kernel::shaper::{
    self, ClassSpec, Join, Names, Options, Prefix, Shaper, ShaperError, Slot as Class, Then,
};
use anabranch_kernel::sock_diag::SockDiag;
use anabranch_kernel::sysctl::{self, PathManagerKind};
use anabranch_sniffer::Token;
use anabranch_throttle::intent::{Armed, Arming, Direction};
use anabranch_throttle::op::{Abilities, Op, Slot};
use anabranch_throttle::plan::Failure;
use anabranch_throttle::view::{ConnectionKey, SubflowKey, View};
use thiserror::Error;

use super::guard::{Guard, release_sockets, restore};
use super::ownership::Ownership;
use super::{Desk, kernel, now};
use crate::http::chain;
use crate::link::Directive;

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

/// The namespace's path manager, taken over.
struct Management {
    commands: PathManager,
    /// What the in-kernel one would announce, and we do in its place.
    announced: Vec<Announcement>,
    /// What it was before.
    former: PathManagerKind,
    greeted: HashSet<u32>,
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
            proxy: desk.directives.lock().is_some(),
        }
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

    /// Does what the planner says, in its order, and tells of each how it went.
    ///
    /// Shape:   operations of one kind that follow each other are one transaction, or one pass
    pub(super) fn apply(&mut self, ops: &[Op], desk: &Desk, mut done: impl FnMut(&Op, Result<(), Failure>)) {
        for run in ops.chunk_by(|a, b| kind(a) == kind(b)) {
            match kind(&run[0]) {
                Kind::Classes => self.classes(run, &mut done),
                Kind::Puts => self.puts(run, &mut done),
                Kind::Removals => self.removals(run, &mut done),
                Kind::Paces => self.paces(run, &mut done),
                Kind::Single => run.iter().for_each(|op| done(op, self.single(op, desk))),
            }
        }
    }
}

/// Operations that can be done together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Classes,
    Puts,
    Removals,
    Paces,
    Single,
}

const fn kind(op: &Op) -> Kind {
    match op {
        Op::SetClass { .. } => Kind::Classes,
        Op::Put { .. } => Kind::Puts,
        Op::Remove { .. } => Kind::Removals,
        Op::Pace { .. } | Op::Unpace(_) => Kind::Paces,
        _ => Kind::Single,
    }
}

/// Tells of every operation of a run that it went the same way.
fn all(run: &[Op], result: Result<(), Failure>, done: &mut impl FnMut(&Op, Result<(), Failure>)) {
    run.iter().for_each(|op| done(op, result.clone()));
}

fn lacking(what: &str) -> Failure {
    Failure { message: format!("{what} is not open"), gone: false }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure { message: chain(error), gone: false }
}

impl Doors {
    fn classes(&mut self, run: &[Op], done: &mut impl FnMut(&Op, Result<(), Failure>)) {
        let Some(shaper) = self.shaper() else { return all(run, Err(lacking("traffic control")), done) };
        let class = |op: &Op| match op {
            Op::SetClass { slot, ceiling } => Some((
                Class(slot.0),
                ClassSpec {
                    rate: ceiling.rate.bits_per_second(),
                    ceil: Some(ceiling.ceil.unwrap_or(ceiling.rate).bits_per_second()),
                    burst: ceiling.burst.map(|burst| burst.bytes()),
                },
            )),
            _ => None,
        };
        let classes: Vec<_> = run.iter().filter_map(class).collect();
        all(run, shaper.set_classes(&classes).map_err(|error| failed(&error)), done);
    }

    fn puts(&mut self, run: &[Op], done: &mut impl FnMut(&Op, Result<(), Failure>)) {
        let Some(shaper) = self.shaper() else { return all(run, Err(lacking("nftables")), done) };
        let put = |op: &Op| match op {
            Op::Put { subflow, direction, slot } => Some((way(*direction), of(*subflow), Class(slot.0))),
            _ => None,
        };
        let puts: Vec<_> = run.iter().filter_map(put).collect();
        all(run, shaper.put(&puts).map_err(|error| failed(&error)), done);
    }

    fn removals(&mut self, run: &[Op], done: &mut impl FnMut(&Op, Result<(), Failure>)) {
        let Some(shaper) = self.shaper() else { return all(run, Err(lacking("nftables")), done) };
        let remove = |op: &Op| match op {
            Op::Remove { subflow, direction } => Some((way(*direction), of(*subflow))),
            _ => None,
        };
        let removals: Vec<_> = run.iter().filter_map(remove).collect();
        all(run, shaper.remove(&removals).map_err(|error| failed(&error)), done);
    }

    fn paces(&mut self, run: &[Op], done: &mut impl FnMut(&Op, Result<(), Failure>)) {
        let Some(pacer) = self.pacer() else { return all(run, Err(lacking("BPF")), done) };
        let pace = |op: &Op| match op {
            Op::Pace { subflow, rate, unsent } => {
                Some((socket(*subflow), Some(Pace { bytes_per_s: rate.bits_per_second() / 8, unsent: *unsent })))
            }
            Op::Unpace(subflow) => Some((socket(*subflow), None)),
            _ => None,
        };
        let paces: Vec<_> = run.iter().filter_map(pace).collect();
        // A socket that is not there any more needs no pace.
        all(run, pacer.apply(&paces).map(drop).map_err(|error| failed(&error)), done);
    }

    fn single(&mut self, op: &Op, desk: &Desk) -> Result<(), Failure> {
        match op {
            Op::Demote(subflow) => self.set_backup(*subflow, true),
            Op::Promote(subflow) => self.set_backup(*subflow, false),
            Op::Close(subflow) => self.close_subflow(*subflow),
            Op::Arm(armed) => match self.shaper() {
                Some(shaper) => arm(shaper, armed).map_err(|error| failed(&error)),
                None => Err(lacking("nftables")),
            },
            Op::BoundUnsent { connection, bytes } => {
                direct(desk, *connection, |token| Directive::BoundUnsent { token, bytes: *bytes })
            }
            Op::BoundFromAccept { bytes } => tell(desk, Directive::BoundFromAccept { bytes: *bytes }),
            Op::Total { connection, direction, bucket } => direct(desk, *connection, |token| Directive::Total {
                token,
                direction: *direction,
                bucket: bucket.map(|(number, rate)| (number, rate.bits_per_second())),
            }),
            // Done in runs.
            Op::SetClass { .. } | Op::Put { .. } | Op::Remove { .. } | Op::Pace { .. } | Op::Unpace(_) => Ok(()),
        }
    }

    fn set_backup(&mut self, subflow: SubflowKey, backup: bool) -> Result<(), Failure> {
        self.command(subflow, |pm, token, ends| pm.set_flags(token, ends, backup))
    }

    fn close_subflow(&mut self, subflow: SubflowKey) -> Result<(), Failure> {
        let destroy = |pm: &mut PathManager, token, ends| pm.subflow_destroy(token, ends);
        match self.command(subflow, destroy) {
            // What came through a dual-stack listener is an IPv6 socket, and this command compares addresses as sockets have them.
            Err(failure) if failure.gone && subflow.flow.source().is_ipv4() => self.command(subflow, |pm, token, ends| {
                destroy(pm, token, SubflowAddresses { local: mapped(ends.local), remote: mapped(ends.remote) })
            }),
            done => done,
        }
    }

    fn command(
        &mut self,
        subflow: SubflowKey,
        command: impl FnOnce(&mut PathManager, u32, SubflowAddresses) -> Result<(), MptcpPmError>,
    ) -> Result<(), Failure> {
        let ConnectionKey::Ours(token) = subflow.connection else { return Err(lacking("a connection of others")) };
        let manager = self.manager.as_mut().map_err(|_| lacking("the path manager"))?;
        let ends = SubflowAddresses { local: subflow.flow.source(), remote: subflow.flow.destination() };
        command(&mut manager.commands, token.0, ends)
            .map_err(|error| Failure { gone: error.is_gone(), message: chain(&error) })
    }
}

/// An IPv4 address as IPv6 sockets have it.
fn mapped(end: SocketAddr) -> SocketAddr {
    match end.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), end.port()),
        IpAddr::V6(_) => end,
    }
}

const fn way(direction: Direction) -> shaper::Direction {
    match direction {
        Direction::Download => shaper::Direction::Download,
        Direction::Upload => shaper::Direction::Upload,
    }
}

/// A subflow as packets have it.
const fn of(subflow: SubflowKey) -> shaper::Flow {
    shaper::Flow { client: subflow.flow.destination(), server: subflow.flow.source() }
}

/// A subflow as its socket here has it.
const fn socket(subflow: SubflowKey) -> bpf::Flow {
    bpf::Flow { local: subflow.flow.source(), remote: subflow.flow.destination() }
}

/// Says what holds for subflows to come.
fn arm(shaper: &mut Shaper, armed: &[(Arming, Option<Slot>)]) -> Result<(), ShaperError> {
    let join = |(arming, slot): &(Arming, Option<Slot>)| {
        let then = match (&arming.hold, slot) {
            (Armed::Refused, _) => Then::Refuse,
            (Armed::Rate(_), Some(slot)) => Then::Class(Class(slot.0)),
            (Armed::Rate(_), None) => return None,
        };
        let prefix = |prefix: &anabranch_config::Prefix| Prefix {
            address: prefix.net().addr(),
            length: prefix.net().prefix_len(),
        };
        Some(Join { prefixes: arming.prefixes.iter().map(prefix).collect(), ports: arming.ports.clone(), then })
    };
    let mut joins: Vec<_> = armed.iter().filter_map(join).collect();
    match shaper.arm(&joins) {
        // No reject in this kernel: what is dropped is refused as well, only slower.
        Err(ShaperError::Missing { .. }) if joins.iter().any(|join| join.then == Then::Refuse) => {
            joins.iter_mut().filter(|join| join.then == Then::Refuse).for_each(|join| join.then = Then::Drop);
            shaper.arm(&joins)
        }
        armed => armed,
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
        Err(Closed::Taken(format!("interface {name} (steering.interfaces) is not there; expected some of: {known}").into()))
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

/// Sends a directive about a connection that ends in the proxy.
fn direct(desk: &Desk, connection: ConnectionKey, make: impl FnOnce(Token) -> Directive) -> Result<(), Failure> {
    match connection {
        ConnectionKey::Ours(token) => tell(desk, make(token)),
        ConnectionKey::Passing(_) => Err(lacking("a connection of others")),
    }
}

fn tell(desk: &Desk, directive: Directive) -> Result<(), Failure> {
    let sender = desk.directives.lock().clone();
    let sender = sender.ok_or_else(|| Failure { message: "no proxy is linked".to_owned(), gone: false })?;
    sender.try_send(directive).map_err(|_| Failure { message: "the link to the proxy is full".to_owned(), gone: false })
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

impl Management {
    /// Announces to connections that are new what the in-kernel path manager would announce to them.
    fn greet(&mut self, view: &View) {
        if self.announced.is_empty() {
            return;
        }
        let living: HashSet<u32> = view
            .connections
            .iter()
            .filter_map(|one| match one.key {
                ConnectionKey::Ours(token) => Some(token.0),
                ConnectionKey::Passing(_) => None,
            })
            .collect();
        for &token in living.difference(&self.greeted) {
            for announcement in &self.announced {
                if let Err(error) = self.commands.announce(token, *announcement) {
                    tracing::debug!(why = %chain(&error), "an address is not announced");
                }
            }
        }
        self.greeted = living;
    }
}

/// Takes the namespace's path manager over, or says why not. `noted`: what it was before a predecessor that was killed.
/// Errors: [`Closed`] — somebody else manages paths here
fn take_over(steering: &Steering, desk: &Desk, noted: Option<&str>) -> Result<Result<Management, String>, Closed> {
    if steering.path_manager == PathManagement::Kernel {
        return Ok(Err("steering.path_manager = \"kernel\" leaves the path manager alone".to_owned()));
    }
    if !desk.kernel_tells() {
        return Ok(Err("the kernel is no witness (sniffer.kernel), and without a listener nobody could join".to_owned()));
    }
    if let Some(process) = sysctl::path_manager_daemon() {
        let fix = "stop it, or say steering.path_manager = \"kernel\"";
        return Err(Closed::Taken(format!("mptcpd (process {process}) manages paths here; {fix}").into()));
    }
    Ok(switch(noted))
}

/// Switches to the userspace path manager.
fn switch(noted: Option<&str>) -> Result<Management, String> {
    let mut commands = PathManager::open().map_err(|error| chain(&error))?;
    let endpoints = commands.endpoints().map_err(|error| chain(&error))?;
    let now = sysctl::path_manager().map_err(|error| chain(&error))?;
    let noted = noted.and_then(|noted| noted.parse().ok());
    let former = noted.filter(|_| now == PathManagerKind::Userspace).unwrap_or(now);
    sysctl::set_path_manager(&PathManagerKind::Userspace).map_err(|error| chain(&error))?;
    let announced = endpoints.iter().filter(|one| one.flags.contains(EndpointFlags::SIGNAL));
    let announced = announced.map(|one| Announcement { id: one.id, address: one.address, port: one.port }).collect();
    Ok(Management { commands, announced, former, greeted: HashSet::new() })
}

fn names(steering: &Steering) -> Names {
    Names { table: steering.table.to_string(), device: steering.device.to_string() }
}
