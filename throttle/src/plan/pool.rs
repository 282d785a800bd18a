//! The pool of classes: which slot is whose, and what each was set to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Words;
use crate::intent::{Ceiling, ClassKey};
use crate::op::Slot;
use crate::view::SubflowKey;

/// Whose a slot is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// Those that share a rate.
    Class(ClassKey),
    /// Subflows that join under a policy, until they are known.
    Armed(Words),
}

/// A slot in use.
#[derive(Debug, Default)]
struct Class {
    set: Option<Ceiling>,
    /// Setting it to something else failed: what it is set to may not be so.
    doubtful: bool,
    members: BTreeSet<SubflowKey>,
    wanted: Duration,
}

/// The classes of the HTB.
#[derive(Debug)]
pub(super) struct Pool {
    slots: u16,
    lease: Duration,
    next: u16,
    owners: BTreeMap<Owner, Slot>,
    classes: BTreeMap<Slot, (Owner, Class)>,
    /// Given back; elements may still point there until then.
    cooling: VecDeque<(Duration, Slot)>,
    now: Duration,
    /// What members of each class get, as of this turn.
    pub(super) portions: BTreeMap<ClassKey, super::share::Portion>,
    /// Times there was none left.
    pub(super) exhausted: u64,
}

impl Pool {
    pub(super) const fn new(slots: u16, lease: Duration) -> Self {
        Self {
            slots,
            lease,
            next: 0,
            owners: BTreeMap::new(),
            classes: BTreeMap::new(),
            cooling: VecDeque::new(),
            now: Duration::ZERO,
            portions: BTreeMap::new(),
            exhausted: 0,
        }
    }

    /// Gives back what nobody is in and nobody has asked for since the last turn.
    pub(super) fn turn(&mut self, now: Duration) {
        let unused = |(slot, (_, class)): (&Slot, &(Owner, Class))| {
            (class.members.is_empty() && class.wanted < self.now).then_some(*slot)
        };
        let unused: Vec<_> = self.classes.iter().filter_map(unused).collect();
        for slot in unused {
            if let Some((owner, _)) = self.classes.remove(&slot) {
                self.owners.remove(&owner);
                self.cooling.push_back((now + self.lease, slot));
            }
        }
        self.now = now;
    }

    /// The slot of a class, if there is one left.
    pub(super) fn class(&mut self, key: &ClassKey) -> Option<Slot> {
        self.slot(Owner::Class(key.clone()))
    }

    /// The slot for subflows that join under a policy.
    pub(super) fn armed(&mut self, policy: &Words) -> Option<Slot> {
        self.slot(Owner::Armed(policy.clone()))
    }

    /// Rules of the kernel's put packets into a class: it stays whose it is.
    pub(super) fn keep(&mut self, slot: Slot) {
        if let Some((_, class)) = self.classes.get_mut(&slot) {
            class.wanted = self.now;
        }
    }

    fn slot(&mut self, owner: Owner) -> Option<Slot> {
        let now = self.now;
        let slot = match self.owners.get(&owner) {
            Some(slot) => *slot,
            None => {
                let Some(slot) = self.free() else {
                    self.exhausted += 1;
                    return None;
                };
                self.owners.insert(owner.clone(), slot);
                self.classes.insert(slot, (owner, Class::default()));
                slot
            }
        };
        if let Some((_, class)) = self.classes.get_mut(&slot) {
            class.wanted = now;
        }
        Some(slot)
    }

    fn free(&mut self) -> Option<Slot> {
        if self.cooling.front().is_some_and(|(until, _)| *until <= self.now) {
            return self.cooling.pop_front().map(|(_, slot)| slot);
        }
        if self.next == self.slots {
            return None;
        }
        self.next += 1;
        Some(Slot(self.next))
    }

    /// Whether a class has to be set to a ceiling.
    pub(super) fn set(&self, slot: Slot, ceiling: Ceiling) -> bool {
        self.classes.get(&slot).is_some_and(|(_, class)| class.doubtful || class.set != Some(ceiling))
    }

    /// A class has been set.
    pub(super) fn was_set(&mut self, slot: Slot, ceiling: Ceiling) {
        if let Some((_, class)) = self.classes.get_mut(&slot) {
            (class.set, class.doubtful) = (Some(ceiling), false);
        }
    }

    /// Whether a class has ever been set: nothing is put into one that has not.
    pub(super) fn is_set(&self, slot: Slot) -> bool {
        self.classes.get(&slot).is_some_and(|(_, class)| class.set.is_some())
    }

    /// What a class is set to is not known.
    pub(super) fn unset(&mut self, slot: Slot) {
        if let Some((_, class)) = self.classes.get_mut(&slot) {
            class.doubtful = true;
        }
    }

    /// A subflow is in a class.
    pub(super) fn enter(&mut self, slot: Slot, subflow: SubflowKey) {
        if let Some((_, class)) = self.classes.get_mut(&slot) {
            class.members.insert(subflow);
        }
    }

    /// A subflow is not in a class any more.
    pub(super) fn leave(&mut self, slot: Slot, subflow: SubflowKey) {
        if let Some((_, class)) = self.classes.get_mut(&slot) {
            class.members.remove(&subflow);
        }
    }
}

/// Numbers for buckets of the proxy's.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    numbers: BTreeMap<ClassKey, u32>,
    next: u32,
}

impl Buckets {
    /// The number of a class, the same while it is used.
    pub(super) fn of(&mut self, key: &ClassKey) -> u32 {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        self.next = self.next.wrapping_add(1);
        self.numbers.insert(key.clone(), self.next);
        self.next
    }

    /// The class of a number.
    pub(super) fn class_of(&self, number: u32) -> Option<&ClassKey> {
        self.numbers.iter().find(|(_, known)| **known == number).map(|(class, _)| class)
    }

    /// Forgets numbers that nobody uses.
    pub(super) fn keep(&mut self, used: &BTreeSet<u32>) {
        self.numbers.retain(|_, number| used.contains(number));
    }

    /// How many are in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}
