//! Slots for values that age: a bounded number of them, in lists ordered by when they were last touched.
//!
//! Every value is in one list, so that the oldest of each is found at once: to expire it, or to make room.

use std::time::Duration;

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// A value keeps its place until it is this much older than it was when it got there: one move per second is cheaper than
/// one per segment, and no timeout is that short.
const GRAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    touched: Duration,
    older: u32,
    /// Of a free slot: the next free one.
    younger: u32,
    list: u8,
}

#[derive(Debug, Clone, Copy)]
struct List {
    oldest: u32,
    youngest: u32,
}

/// The slots.
#[derive(Debug)]
pub(super) struct Arena<T, const LISTS: usize> {
    slots: Vec<Slot<T>>,
    lists: [List; LISTS],
    free: u32,
    len: usize,
}

impl<T, const LISTS: usize> Default for Arena<T, LISTS> {
    fn default() -> Self {
        Self { slots: Vec::new(), lists: [List { oldest: NONE, youngest: NONE }; LISTS], free: NONE, len: 0 }
    }
}

impl<T, const LISTS: usize> Arena<T, LISTS> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.value.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.value.as_mut()
    }

    /// Puts a value into a list, as its youngest. `None` where no number is left for it.
    pub(super) fn insert(&mut self, value: T, list: u8, now: Duration) -> Option<u32> {
        let fresh = Slot { value: Some(value), touched: now, older: NONE, younger: NONE, list };
        let slot = if self.free == NONE {
            let slot = u32::try_from(self.slots.len()).ok().filter(|&slot| slot != NONE)?;
            self.slots.push(fresh);
            slot
        } else {
            let slot = self.free;
            let place = self.slots.get_mut(slot as usize)?;
            self.free = place.younger;
            *place = fresh;
            slot
        };
        self.len += 1;
        self.append(slot);
        Some(slot)
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<T> {
        let value = self.slots.get_mut(slot as usize)?.value.take()?;
        self.unlink(slot);
        let free = self.free;
        self.slots[slot as usize].younger = free;
        self.free = slot;
        self.len -= 1;
        Some(value)
    }

    /// Makes a value the youngest of its list, unless it is young enough.
    pub(super) fn touch(&mut self, slot: u32, now: Duration) {
        let Some(place) = self.slots.get(slot as usize) else { return };
        if place.value.is_some() && now.saturating_sub(place.touched) >= GRAIN {
            self.shift(slot, place.list, now);
        }
    }

    /// Makes a value the youngest of a list.
    pub(super) fn shift(&mut self, slot: u32, list: u8, now: Duration) {
        if self.get(slot).is_none() {
            return;
        }
        self.unlink(slot);
        let place = &mut self.slots[slot as usize];
        place.list = list;
        place.touched = now;
        self.append(slot);
    }

    /// The list a value is in.
    pub(super) fn list(&self, slot: u32) -> Option<u8> {
        let place = self.slots.get(slot as usize)?;
        place.value.as_ref().map(|_| place.list)
    }

    /// The oldest value of a list, and when it was last touched.
    pub(super) fn oldest(&self, list: u8) -> Option<(u32, Duration)> {
        let slot = self.lists.get(usize::from(list))?.oldest;
        self.slots.get(slot as usize).map(|place| (slot, place.touched))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0u32..).zip(&self.slots).filter_map(|(slot, place)| place.value.as_ref().map(|value| (slot, value)))
    }

    fn append(&mut self, slot: u32) {
        let list = &mut self.lists[usize::from(self.slots[slot as usize].list)];
        let older = std::mem::replace(&mut list.youngest, slot);
        if older == NONE {
            list.oldest = slot;
        } else {
            self.slots[older as usize].younger = slot;
        }
        let place = &mut self.slots[slot as usize];
        (place.older, place.younger) = (older, NONE);
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { older, younger, list, .. } = self.slots[slot as usize];
        let ends = &mut self.lists[usize::from(list)];
        if older == NONE {
            ends.oldest = younger;
        }
        if younger == NONE {
            ends.youngest = older;
        }
        if let Some(place) = self.slots.get_mut(older as usize) {
            place.younger = younger;
        }
        if let Some(place) = self.slots.get_mut(younger as usize) {
            place.older = older;
        }
    }
}

#[cfg(test)]
mod tests;
