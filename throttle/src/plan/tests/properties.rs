//! What holds whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anabranch_config::Enforce;
use proptest::prelude::*;

use super::world::*;
use crate::intent::{ClassKey, Direction};
use crate::op::{Abilities, Op, Slot};
use crate::view::{Connection, SubflowKey, View};

#[derive(Debug, Clone)]
enum Event {
    Connect(Vec<usize>),
    Join(usize, usize),
    Kill(usize, usize),
    TimesOut(usize, usize, bool),
    ClientBackup(usize, usize, bool),
    Verified(usize, usize, bool),
    /// Somebody else changes its priority.
    Overruled(usize, usize),
    Want(usize, Option<Want>),
    Line(usize, u64),
    Hungry(bool, u64),
    Cost(u64),
    Fate(&'static str, Option<Fate>),
    Run(u64),
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        Just(Wanted::Backup),
        Just(Wanted::Closed),
        (1u64..30).prop_map(Wanted::Rate),
        (1u64..30).prop_map(Wanted::Both),
        (1u64..30).prop_map(Wanted::Upload)
    ]
}

fn event(contracts: bool) -> impl Strategy<Value = Event> {
    let (conn, sub, line) = (0usize..4, 0usize..4, 0usize..3);
    let kinds = vec!["demote", "promote", "pace", "unpace", "put", "remove", "set-class", "bound-unsent", "close"];
    let fate = prop_oneof![2 => Just(None), 1 => Just(Some(Fate::Fails)), 1 => Just(Some(Fate::Gone))];
    let enforce = if contracts {
        prop_oneof![Just(Enforce::Steer), Just(Enforce::Always)].boxed()
    } else {
        Just(Enforce::Steer).boxed()
    };
    let want = prop::option::weighted(0.8, (wanted(), enforce).prop_map(|(hold, enforce)| Want { hold, enforce }));
    prop_oneof![
        2 => prop::collection::vec(line.clone(), 1..4).prop_map(Event::Connect),
        2 => (conn.clone(), line.clone()).prop_map(|(conn, line)| Event::Join(conn, line)),
        3 => (conn.clone(), sub.clone()).prop_map(|(conn, sub)| Event::Kill(conn, sub)),
        2 => (conn.clone(), sub.clone(), any::<bool>()).prop_map(|(conn, sub, is)| Event::TimesOut(conn, sub, is)),
        1 => (conn.clone(), sub.clone(), any::<bool>()).prop_map(|(conn, sub, is)| Event::ClientBackup(conn, sub, is)),
        1 => (conn.clone(), sub.clone(), any::<bool>()).prop_map(|(conn, sub, is)| Event::Verified(conn, sub, is)),
        1 => (conn, sub).prop_map(|(conn, sub)| Event::Overruled(conn, sub)),
        6 => (line.clone(), want).prop_map(|(line, want)| Event::Want(line, want)),
        2 => (line, 1u64..100).prop_map(|(line, rate)| Event::Line(line, rate)),
        2 => (any::<bool>(), 0u64..60).prop_map(|(hungry, demand)| Event::Hungry(hungry, demand)),
        1 => (0u64..80).prop_map(Event::Cost),
        2 => (prop::sample::select(kinds), fate).prop_map(|(kind, fate)| Event::Fate(kind, fate)),
        10 => (1u64..3000).prop_map(Event::Run),
    ]
}

fn abilities() -> impl Strategy<Value = Abilities> {
    prop_oneof![
        4 => Just(ALL),
        1 => (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(demote, pace, cap, proxy)| Abilities { demote, pace, cap, proxy }),
    ]
}

/// What a world is watched for.
struct Watch {
    world: World,
    /// Whose each slot is, as far as elements tell.
    owners: BTreeMap<Slot, ClassKey>,
    /// When something failed last: what is not given back yet may wait for another try.
    failed: Option<Duration>,
    /// The kernel once said of what is there that it is gone: nobody can know what it holds.
    misled: bool,
}

/// No pause after a failure is longer.
const PAUSE: Duration = seconds(11);

impl Watch {
    fn new(abilities: Abilities, passing: bool) -> Self {
        let mut world = World::new(abilities);
        world.passing = passing;
        Self { world, owners: BTreeMap::new(), failed: None, misled: false }
    }

    fn key(&self, conn: usize, sub: usize) -> Option<SubflowKey> {
        self.world.connections.get(conn)?.keyed().nth(sub).map(|(key, _)| key)
    }

    fn happen(&mut self, event: Event) -> Result<(), TestCaseError> {
        self.misled |= matches!(event, Event::Fate(_, Some(Fate::Gone)));
        let key = match event {
            Event::Kill(conn, sub)
            | Event::TimesOut(conn, sub, _)
            | Event::ClientBackup(conn, sub, _)
            | Event::Verified(conn, sub, _)
            | Event::Overruled(conn, sub) => self.key(conn, sub),
            _ => None,
        };
        let world = &mut self.world;
        match (event, key) {
            (Event::Connect(lines), _) if world.connections.len() < 4 => drop(world.connect(&lines)),
            (Event::Join(conn, line), _) if conn < world.connections.len() => drop(world.join(conn, line)),
            (Event::Kill(..), Some(key)) => world.kill(key),
            (Event::TimesOut(_, _, is), Some(key)) => world.subflow(key).timeouts = u32::from(is),
            (Event::ClientBackup(_, _, is), Some(key)) => world.subflow(key).backup_by_client = is,
            (Event::Verified(_, _, is), Some(key)) => world.subflow(key).verified = is,
            (Event::Overruled(..), Some(key)) => {
                world.kernel.demoted.remove(&key);
                world.subflow(key).backup_by_us = false;
            }
            (Event::Want(line, want), _) => world.wants[line] = want,
            (Event::Line(line, rate), _) => world.lines[line] = rate,
            (Event::Hungry(hungry, demand), _) => (world.hungry, world.demand) = (hungry, demand),
            (Event::Cost(cost), _) => world.cost = cost,
            (Event::Fate(kind, Some(fate)), _) => drop(world.fates.insert(kind, fate)),
            (Event::Fate(kind, None), _) => drop(world.fates.remove(kind)),
            (Event::Run(time), _) => {
                let end = world.at + millis(time);
                while self.world.at < end {
                    let wait = self.world.wait().min(end - self.world.at);
                    self.world.carry(wait);
                    self.turn()?;
                }
            }
            _ => {}
        }
        self.turn()
    }

    /// A turn, and everything that is to hold of it.
    fn turn(&mut self) -> Result<(), TestCaseError> {
        let view = self.world.view();
        let before = self.world.kernel.elements.clone();
        let ops = self.world.turn();
        let living: BTreeSet<_> = view.connections.iter().flat_map(Connection::keyed).map(|(key, _)| key).collect();
        let mut said = BTreeSet::new();
        for op in &ops {
            if let Some(key) = op.subflow() {
                prop_assert!(living.contains(&key) || matches!(op, Op::Remove { .. }), "{op:?} of who lives no more");
                prop_assert!(said.insert((op.as_str(), format!("{op:?}"))), "{op:?} twice");
            }
            if let Op::Put { subflow, direction, slot } = op {
                self.check_slot(*subflow, *direction, *slot, &before)?;
            }
            if let Op::SetClass { slot, .. } = op {
                prop_assert!((1..=1000).contains(&slot.0));
            }
        }
        let at = self.world.at;
        if self.world.log.iter().rev().take_while(|(when, ..)| *when == at).any(|(_, _, done)| !done) {
            self.failed = Some(at);
        }
        if self.failed.is_none_or(|failed| at - failed > PAUSE) {
            self.check_promotions(&view, &ops)?;
            self.check_ways_out(&view)?;
        }
        Ok(())
    }

    /// A slot is another's only when nothing points to it any more.
    fn check_slot(
        &mut self,
        subflow: SubflowKey,
        direction: Direction,
        slot: Slot,
        before: &BTreeMap<(SubflowKey, Direction), (Slot, Duration)>,
    ) -> Result<(), TestCaseError> {
        let class = self.world.class(subflow, direction).unwrap();
        let former = self.owners.insert(slot, class.clone());
        if former.is_some_and(|former| former != class) {
            let points = |((one, way), (other, until)): (&(SubflowKey, Direction), &(Slot, Duration))| {
                *other == slot && *until > self.world.at && (*one, *way) != (subflow, direction)
            };
            prop_assert!(!before.iter().any(points), "{slot:?} is given while elements point to it");
        }
        Ok(())
    }

    /// Onto a rate only when drained and paced.
    fn check_promotions(&self, view: &View, ops: &[Op]) -> Result<(), TestCaseError> {
        for (key, seen) in view.connections.iter().flat_map(Connection::keyed) {
            if !ops.contains(&Op::Promote(key)) {
                continue;
            }
            let kernel = &self.world.kernel;
            let contract = self.world.wants[path(key)].as_ref().is_some_and(|want| want.enforce == Enforce::Always);
            if kernel.paced.get(&key).is_some_and(|rate| *rate < 1_000 * MBIT) {
                prop_assert!(seen.queued == Some(0) || contract, "promoted undrained");
            } else {
                prop_assert!(
                    !kernel.elements.contains_key(&(key, Direction::Download)),
                    "promoted into a class unpaced"
                );
            }
        }
        Ok(())
    }

    /// Under `steer` no connection is left without a live subflow that nobody holds, or that is let in slowly because another one is dead.
    fn check_ways_out(&self, view: &View) -> Result<(), TestCaseError> {
        let kernel = &self.world.kernel;
        let dead = |key: &SubflowKey| {
            let one = view.connections.iter().find(|one| one.key == key.connection);
            one.is_some_and(|one| one.keyed().any(|(other, seen)| other != *key && seen.timeouts > 0))
        };
        let held = |key: &SubflowKey| {
            let elements =
                [Direction::Download, Direction::Upload].map(|way| kernel.elements.contains_key(&(*key, way)));
            // What is being let off has its whole rate already.
            let slowly = |rate: u64| rate == 4 * MBIT && dead(key);
            let paced = kernel.paced.get(key).is_some_and(|rate| *rate < 1_000 * MBIT && !slowly(*rate));
            kernel.demoted.contains(key) || paced || elements.contains(&true)
        };
        for connection in &view.connections {
            let contract = |key: SubflowKey| {
                self.world.wants[path(key)].as_ref().is_some_and(|want| want.enforce == Enforce::Always)
            };
            if connection.keyed().any(|(key, _)| contract(key)) {
                continue;
            }
            let way_out = connection
                .keyed()
                .any(|(key, seen)| seen.is_live() && seen.verified && !seen.backup_by_client && !held(&key));
            let is_held = connection.keyed().any(|(key, _)| held(&key));
            prop_assert!(way_out || !is_held || self.misled, "no way out of {:?}", connection.key);
        }
        Ok(())
    }

    /// At the end, nothing is left.
    fn end(&mut self) -> Result<(), TestCaseError> {
        self.world.fates.clear();
        let ops = self.world.planner.release_all(&self.world.view());
        self.world.apply(&ops);
        let kernel = &mut self.world.kernel;
        // What was promised to be taken out and failed has its lease.
        let living: BTreeSet<_> =
            self.world.connections.iter().flat_map(Connection::keyed).map(|(key, _)| key).collect();
        kernel.elements.retain(|(key, _), _| living.contains(key));
        prop_assert!(self.world.is_untouched(), "{:?}", self.world.kernel);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn law_one_holds(abilities in abilities(), passing in prop::bool::weighted(0.2), events in prop::collection::vec(event(false), 1..50)) {
        let mut watch = Watch::new(abilities, passing);
        for event in events {
            if !matches!(event, Event::Fate(..) | Event::Overruled(..)) {
                watch.happen(event)?;
            }
        }
        watch.end()?;
    }

    #[test]
    fn whatever_fails_all_is_given_back(abilities in abilities(), events in prop::collection::vec(event(true), 1..50)) {
        let mut watch = Watch::new(abilities, false);
        let mut gone = false;
        for event in events {
            // What is said to be gone and is not cannot be given back.
            gone |= matches!(event, Event::Fate(_, Some(Fate::Gone)) | Event::Overruled(..));
            watch.happen(event)?;
        }
        if !gone {
            watch.end()?;
        }
    }

    /// With nothing new, nothing is done but renewals.
    #[test]
    fn what_is_constant_comes_to_rest(events in prop::collection::vec(event(true), 1..40)) {
        let mut watch = Watch::new(ALL, false);
        for event in events {
            if !matches!(event, Event::Fate(..) | Event::Overruled(..) | Event::Cost(_)) {
                watch.happen(event)?;
            }
        }
        // Subflows that nobody can do anything with are no part of this.
        watch.happen(Event::Hungry(false, 0))?;
        watch.happen(Event::Run(45_000))?;
        let before = watch.world.log.len();
        watch.happen(Event::Run(20_000))?;
        for (_, op, _) in &watch.world.log[before..] {
            prop_assert!(matches!(op, Op::Put { .. }), "{op:?}");
        }
        prop_assert!(watch.world.planner.in_transition().next().is_none());
    }

    /// However much fails, no operation is tried in every turn.
    #[test]
    fn nothing_is_a_hot_loop(events in prop::collection::vec(event(true), 1..40), kinds in prop::collection::btree_set(0usize..9, 1..9), gone in any::<bool>()) {
        const KINDS: [&str; 9] =
            ["demote", "promote", "pace", "unpace", "put", "remove", "set-class", "bound-unsent", "close"];
        let mut watch = Watch::new(ALL, false);
        for event in events {
            if !matches!(event, Event::Fate(..) | Event::Overruled(..) | Event::Cost(_)) {
                watch.happen(event)?;
            }
        }
        let fate = if gone { Fate::Gone } else { Fate::Fails };
        // Where a promotion never succeeds there may be no way out: here only how often it is tried counts.
        watch.misled = true;
        watch.world.fates = kinds.iter().map(|kind| (KINDS[*kind], fate)).collect();
        let before = watch.world.log.len();
        watch.happen(Event::Run(20_000))?;
        let mut tries = BTreeMap::<_, usize>::new();
        for (_, op, done) in &watch.world.log[before..] {
            if !done && let Some(key) = op.subflow() {
                *tries.entry((key, op.as_str())).or_default() += 1;
            }
        }
        let most = tries.into_iter().max_by_key(|(_, count)| *count);
        prop_assert!(most.is_none_or(|(_, count)| count <= 24), "{most:?} in 20 s");
    }
}
