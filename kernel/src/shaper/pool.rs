//! The pool of classes.

use crate::nft;
use crate::tc::ClassOp;

use super::{ClassSpec, ClassStats, Shaper, ShaperError, Slot, found, open};

/// Classes are made this many at a time at least: making one costs some 50 µs, with twenty thousand there 200 µs, changing one 1 µs.
const BLOCK: u16 = 64;

impl Shaper {
    /// Gives classes their rates; classes that are not there yet are made.
    ///
    /// Shape:   a class pays at its old rate for what it has sent already, so a much higher rate begins as late as its last packet took
    /// at the old one
    /// Errors: [`ShaperError::Slot`] — beyond [`super::Options::subflows`], or a rate below a byte a second: then nothing is done;
    /// others — the first class that failed, when all of its IFB were tried.
    pub fn set_classes(&mut self, classes: &[(Slot, ClassSpec)]) -> Result<(), ShaperError> {
        if let Some(&(slot, spec)) = classes.iter().find(|(_, spec)| spec.rate < 8) {
            return Err(ShaperError::Slot { slot, rate: spec.rate, most: self.options.subflows });
        }
        self.make(classes.iter().map(|&(slot, _)| slot))?;
        for (shard, &device) in (0..).zip(&self.devices) {
            let here = classes.iter().filter(|(slot, _)| slot.shard() == shard);
            self.tc.set_classes(device, ClassOp::Change, here.copied())?;
        }
        Ok(())
    }

    /// What went through each class, in the order of their slots.
    pub fn counters(&mut self) -> Result<Vec<(Slot, ClassStats)>, ShaperError> {
        let mut counters = Vec::with_capacity(self.made.into());
        for &device in &self.devices {
            counters.extend(self.tc.classes(device)?.into_iter().map(|class| (class.slot, class.stats)));
        }
        counters.sort_unstable_by_key(|&(slot, _)| slot);
        Ok(counters)
    }

    /// Makes the classes of slots that have none yet, and some more, so that they need not be made when they are needed.
    pub(super) fn make(&mut self, slots: impl IntoIterator<Item = Slot>) -> Result<(), ShaperError> {
        let (mut highest, most) = (0, self.options.subflows);
        for slot in slots {
            if slot.0 == 0 || slot.0 > most {
                return Err(ShaperError::Slot { slot, rate: ClassSpec::OPEN.rate, most });
            }
            highest = highest.max(slot.0);
        }
        if highest <= self.made {
            return Ok(());
        }
        let upto = highest.checked_next_multiple_of(BLOCK).unwrap_or(u16::MAX).min(most);
        while self.made < upto {
            self.make_beside(upto)?;
        }
        Ok(())
    }

    /// Makes the next classes, as far as they are on the same IFB.
    fn make_beside(&mut self, upto: u16) -> Result<(), ShaperError> {
        let first = Slot(self.made + 1);
        let last = first.last_beside().0.min(upto);
        let shard = first.shard();
        let device = match self.devices.get(usize::from(shard)) {
            Some(&device) => device,
            None => {
                let name = found::device(&self.names, shard);
                let device = open::make_ifb(&name, shard, &mut self.links, &mut self.tc)?;
                self.devices.push(device);
                device
            }
        };
        let slots: Vec<_> = (first.0..=last).map(Slot).collect();
        self.tc.set_classes(device, ClassOp::Make, slots.iter().map(|&slot| (slot, ClassSpec::OPEN)))?;
        // Only now may packets be sent there.
        self.nft.apply(nft::ifbs(&self.names.table, &slots, device))?;
        self.made = last;
        Ok(())
    }
}
