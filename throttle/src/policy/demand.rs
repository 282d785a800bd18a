//! Where overflow decides: what each subscriber wants of a costly path, and whether the cheaper ones are full.
//!
//! What lives here: from the look to the figures, one group (policy, path, subscriber) at a time, the cheaper paths first, so that one
//! overflow path can be what another, costlier one waits for. What does not: the decision (`overflow`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::Policies;
use super::clock::Moment;
use super::hold::{Held, Holds};
use super::line::is_share;
use super::observe::{Party, Seen};
use super::overflow::{Demand, Fill, Lesson, Overflow, Terms};
use super::rules::{Act, PathId, RuleId};
use super::words;
use crate::intent::{Ceiling, ClassKey, Direction, Hold, LeftFree, Scope};

/// The subflows before each subscriber's door, by the cost of the path first, so that cheaper paths come first.
type Groups = BTreeMap<(u32, RuleId, PathId), HashMap<Arc<str>, Vec<Member>>>;

/// The door of one subscriber to one path, under one policy.
pub(crate) type DoorKey = (RuleId, PathId, Arc<str>);

/// A door, and when somebody last stood before it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Door {
    pub(crate) overflow: Overflow,
    pub(crate) seen: Duration,
}

/// A subflow under an overflow policy: which connection, which of its subflows, and whether that has a cheaper way.
#[derive(Debug, Clone, Copy)]
struct Member {
    party: usize,
    seen: usize,
    cheaper: bool,
}

/// What is wanted of a subflow that is left free.
const IS_OPEN: &str = "nothing, it is open";
const NO_CHEAPER: &str = "nothing, the connection has no cheaper way";

impl Policies {
    /// Decides about every subflow that an overflow policy has.
    pub(crate) fn overflow(&mut self, parties: &[Party<'_>], holds: &mut Holds, moment: Moment) {
        for ((_, rule, path), doors) in self.groups(parties, holds) {
            for (subscriber, members) in doors {
                self.decide_door((rule, path, subscriber), members, parties, holds, moment);
            }
        }
    }

    fn decide_door(
        &mut self,
        key: DoorKey,
        mut members: Vec<Member>,
        parties: &[Party<'_>],
        holds: &mut Holds,
        moment: Moment,
    ) {
        let (rule, path, subscriber) = (key.0, key.1, key.2.clone());
        let Act::Overflow { limit, after, hold } = self.rules.policies[rule].act else { return };
        for member in &mut members {
            member.cheaper = self.cheaper(&parties[member.party], path, holds.of(member.party)).next().is_some();
        }
        let lines = self.cheaper_lines(parties, &members, path, holds);
        let demands = self.demands(parties, &members, &lines, path);
        let door = self.doors.entry(key).or_default();
        door.seen = moment.now;
        let terms = Terms { after, hold };
        let lesson = door.overflow.update([&demands.0, &demands.1], terms, moment.now);
        let (open, due) = (door.overflow.open_since(), door.overflow.due(terms));
        self.note(due.map(|due| moment.wall_of(due)));
        if let Some(Lesson::Proven(direction)) = lesson {
            self.prove(&lines, &subscriber, direction);
        }
        let why = self.why(&demands.0, &lines, open.map(|since| moment.now.saturating_sub(since)));
        let why: Arc<[String]> = why.into();
        for member in members {
            let bare = self.bare(&parties[member.party], (rule, path), member.cheaper, moment.now);
            let wanted = match (bare, open, limit) {
                (true, ..) | (false, Some(_), None) => {
                    let wants = if bare { NO_CHEAPER } else { IS_OPEN };
                    let (policy, path) = (&self.rules.policies[rule], self.rules.paths[path].name.clone());
                    let (name, subscriber) = (policy.name.clone(), subscriber.clone());
                    let (enforce, evidence) = (policy.enforce, why.clone());
                    let left = LeftFree { policy: name, path, subscriber, enforce, wants, evidence };
                    self.left.insert(parties[member.party].subflows[member.seen].key, left);
                    continue;
                }
                (false, None, _) => Hold::Backup,
                (false, Some(_), Some(rate)) => {
                    let policy = self.rules.policies[rule].name.clone();
                    let scope = Scope::Subscriber(subscriber.clone());
                    let class = ClassKey { policy, scope, direction: Direction::Download };
                    let ceiling = Ceiling { rate, ceil: None, burst: None };
                    Hold::Rate { download: Some((class, ceiling)), upload: None }
                }
            };
            holds.set(member.party, member.seen, Held { rule, hold: wanted, why: why.to_vec() });
        }
    }

    fn groups(&self, parties: &[Party<'_>], holds: &Holds) -> Groups {
        let mut groups = Groups::new();
        for (number, party) in parties.iter().enumerate() {
            for (index, seen) in party.subflows.iter().enumerate() {
                let claimed = holds.claims(number, index).download;
                let (Some(rule), Some(path)) = (claimed, seen.path) else { continue };
                if matches!(self.rules.policies[rule].act, Act::Overflow { .. }) {
                    let of_all = groups.entry((self.rules.paths[path].cost, rule, path)).or_default();
                    let member = Member { party: number, seen: index, cheaper: false };
                    of_all.entry(party.subscriber.clone()).or_default().push(member);
                }
            }
        }
        groups
    }

    /// The subflows of a connection that are a cheaper way than a path, with what is wanted of them.
    fn cheaper<'a>(
        &'a self,
        party: &'a Party<'_>,
        path: PathId,
        holds: &'a [Option<Box<Held>>],
    ) -> impl Iterator<Item = (&'a Seen<'a>, PathId, Option<&'a Held>)> {
        let cost = self.rules.paths[path].cost;
        party.subflows.iter().zip(holds).filter_map(move |(seen, held)| {
            let path = seen.path.filter(|path| self.rules.paths[*path].cost < cost)?;
            let free = held.as_ref().is_none_or(|held| matches!(held.hold, Hold::Rate { .. }));
            (free && seen.is_usable()).then_some((seen, path, held.as_deref()))
        })
    }

    /// The cheaper lines of those in a group that have one, with the rates they are held to.
    fn cheaper_lines(
        &self,
        parties: &[Party<'_>],
        members: &[Member],
        path: PathId,
        holds: &Holds,
    ) -> BTreeMap<PathId, [Option<u64>; 2]> {
        let mut lines: BTreeMap<PathId, [Option<u64>; 2]> = BTreeMap::new();
        for member in members.iter().filter(|member| member.cheaper) {
            for (_, line, held) in self.cheaper(&parties[member.party], path, holds.of(member.party)) {
                let rates = held.map_or([None; 2], |held| match &held.hold {
                    Hold::Rate { download, upload } => [download, upload]
                        .map(|class| class.as_ref().map(|(_, ceiling)| ceiling.rate.bits_per_second())),
                    _ => [None; 2],
                });
                let known = lines.entry(line).or_insert(rates);
                for (known, rate) in known.iter_mut().zip(rates) {
                    // One connection that is free on a line can fill it.
                    *known = known.zip(rate).map(|(known, rate)| known.max(rate));
                }
            }
        }
        lines
    }

    /// What a group wants, download and upload.
    fn demands(
        &self,
        parties: &[Party<'_>],
        members: &[Member],
        lines: &BTreeMap<PathId, [Option<u64>; 2]>,
        path: PathId,
    ) -> (Demand, Demand) {
        let (mut download, mut upload) = (Demand::default(), Demand { pressed: None, ..Demand::default() });
        let movable: BTreeSet<_> = members.iter().filter(|member| member.cheaper).map(|member| member.party).collect();
        let cost = self.rules.paths[path].cost;
        for party in movable.iter().map(|number| &parties[*number]) {
            download.pressed = match (download.pressed, party.pressed) {
                (Some(one), Some(other)) => Some(one || other),
                (one, other) => one.or(other),
            };
            for seen in &party.subflows {
                if seen.path.is_none_or(|path| self.rules.paths[path].cost >= cost) {
                    download.total = download.total.saturating_add(seen.pulse.download_rate);
                    upload.total = upload.total.saturating_add(seen.pulse.upload_rate);
                }
            }
        }
        let subscriber = members.first().map(|member| parties[member.party].subscriber.clone()).unwrap_or_default();
        for (id, held) in lines {
            let Some(line) = self.lines.get(&(subscriber.clone(), *id)) else { continue };
            let directions = [
                (Direction::Download, &mut download, &line.download, held[0]),
                (Direction::Upload, &mut upload, &line.upload, held[1]),
            ];
            for (direction, demand, lane, held) in directions {
                let (rule, load) = (&self.rules.paths[*id], self.paths[*id].rate(direction));
                let known = rule.line_capacity().or_else(|| lane.learned().proven());
                let crowded = rule.line.and(rule.capacity).is_some_and(|capacity| is_share(load, 9, capacity));
                demand.total = demand.total.saturating_add(lane.rate());
                demand.lines.push(Fill {
                    rate: lane.rate(),
                    capacity: known.into_iter().chain(held).min(),
                    peak: lane.learned().peak(),
                    flat: lane.learned().flat_for(self.clock.last().now),
                    choked: line.choked,
                    crowded,
                });
            }
        }
        (download, upload)
    }

    /// Takes it as proven that lines carry no more than they do.
    fn prove(&mut self, lines: &BTreeMap<PathId, [Option<u64>; 2]>, subscriber: &Arc<str>, direction: Direction) {
        for id in lines.keys() {
            if let Some(line) = self.lines.get_mut(&(subscriber.clone(), *id)) {
                let lane = match direction {
                    Direction::Download => &mut line.download,
                    Direction::Upload => &mut line.upload,
                };
                let rate = lane.rate();
                lane.learned_mut().prove(rate);
            }
        }
    }

    /// Whether a connection goes on as if it had no cheaper way.
    fn bare(&mut self, party: &Party<'_>, key: (RuleId, PathId), cheaper: bool, now: Duration) -> bool {
        let Some(memory) = self.connections.get_mut(&party.connection.key) else { return !cheaper };
        let index = memory.bare.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
            memory.bare.push((key, super::memory::Bare::default()));
            memory.bare.len() - 1
        });
        memory.bare[index].1.update(cheaper, now)
    }

    /// The cheaper lines in words.
    fn why(&self, demand: &Demand, lines: &BTreeMap<PathId, [Option<u64>; 2]>, open: Option<Duration>) -> Vec<String> {
        let mut words: Vec<_> = lines
            .keys()
            .zip(&demand.lines)
            .map(|(path, line)| {
                let of = line.capacity.map(|capacity| format!(" of {}", words::rate(capacity))).unwrap_or_default();
                format!("{} carries {}{of}", self.rules.paths[*path].name, words::rate(line.rate))
            })
            .collect();
        words.extend(open.map(|open| format!("open for {}", words::time(open))));
        if open.is_none() && demand.pressed == Some(false) {
            words.push("no data waits".to_owned());
        }
        words
    }
}
