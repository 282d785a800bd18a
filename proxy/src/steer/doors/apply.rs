//! Operations, done: each through the door that it takes, those of one kind that follow each other together.

use std::net::{IpAddr, SocketAddr};

use anabranch_kernel::bpf::{self, Pace};
use anabranch_kernel::mptcp_pm::{MptcpPmError, PathManager, SubflowAddresses};
use anabranch_kernel::shaper::{self, ClassSpec, Join, Prefix, Shaper, ShaperError, Slot as Class, Then};
use anabranch_sniffer::Token;
use anabranch_throttle::intent::{Armed, Arming, Ceiling, Direction};
use anabranch_throttle::op::{Op, Slot};
use anabranch_throttle::plan::Failure;
use anabranch_throttle::view::{ConnectionKey, SubflowKey};

use super::Doors;
use crate::http::chain;
use crate::link::Directive;
use crate::steer::Desk;

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
    /// Does what the planner says, in its order, and tells of each how it went.
    ///
    /// Shape:   operations of one kind that follow each other are one transaction, or one pass
    pub(in crate::steer) fn apply(&mut self, ops: &[Op], desk: &Desk, mut done: impl FnMut(&Op, Result<(), Failure>)) {
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

    fn classes(&mut self, run: &[Op], done: &mut impl FnMut(&Op, Result<(), Failure>)) {
        let Some(shaper) = self.shaper() else { return all(run, Err(lacking("traffic control")), done) };
        let class = |op: &Op| match op {
            Op::SetClass { slot, ceiling } => Some((Class(slot.0), spec(*ceiling))),
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
            Op::Pace { subflow, rate, unsent, probe } => {
                let pace = Pace { bytes_per_s: rate.bits_per_second() / 8, unsent: *unsent, probe: *probe };
                Some((socket(*subflow), Some(pace)))
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
            Err(failure) if failure.gone && subflow.flow.source().is_ipv4() => {
                self.command(subflow, |pm, token, ends| {
                    destroy(pm, token, SubflowAddresses { local: mapped(ends.local), remote: mapped(ends.remote) })
                })
            }
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

/// A ceiling in the kernel's words.
pub(in crate::steer) fn spec(ceiling: Ceiling) -> ClassSpec {
    ClassSpec {
        rate: ceiling.rate.bits_per_second(),
        ceil: Some(ceiling.ceil.unwrap_or(ceiling.rate).bits_per_second()),
        burst: ceiling.burst.map(|burst| burst.bytes()),
    }
}

pub(in crate::steer) const fn way(direction: Direction) -> shaper::Direction {
    match direction {
        Direction::Download => shaper::Direction::Download,
        Direction::Upload => shaper::Direction::Upload,
    }
}

/// A subflow as packets have it.
pub(in crate::steer) const fn of(subflow: SubflowKey) -> shaper::Flow {
    shaper::Flow { client: subflow.flow.destination(), server: subflow.flow.source() }
}

/// A subflow as its socket here has it.
pub(super) const fn socket(subflow: SubflowKey) -> bpf::Flow {
    bpf::Flow { local: subflow.flow.source(), remote: subflow.flow.destination() }
}

/// What holds for subflows to come, in the kernel's words.
pub(in crate::steer) fn joins(armed: &[(Arming, Option<Slot>)]) -> Vec<Join> {
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
    armed.iter().filter_map(join).collect()
}

/// Says what holds for subflows to come.
fn arm(shaper: &mut Shaper, armed: &[(Arming, Option<Slot>)]) -> Result<(), ShaperError> {
    let mut joins = joins(armed);
    match shaper.arm(&joins) {
        // No reject in this kernel: what is dropped is refused as well, only slower.
        Err(ShaperError::Missing { .. }) if joins.iter().any(|join| join.then == Then::Refuse) => {
            joins.iter_mut().filter(|join| join.then == Then::Refuse).for_each(|join| join.then = Then::Drop);
            shaper.arm(&joins)
        }
        armed => armed,
    }
}

/// Sends a directive about a connection that ends in the proxy.
fn direct(desk: &Desk, connection: ConnectionKey, make: impl FnOnce(Token) -> Directive) -> Result<(), Failure> {
    match connection {
        ConnectionKey::Ours(token) => tell(desk, make(token)),
        ConnectionKey::Passing(_) => Err(lacking("a connection of others")),
    }
}

fn tell(desk: &Desk, directive: Directive) -> Result<(), Failure> {
    let told = desk.proxies.lock().tell(directive);
    told.map_err(|unheard| Failure { message: unheard.to_string(), gone: false })
}
