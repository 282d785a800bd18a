//! Time as policies feel it.

use std::time::Duration;

/// The time of one look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moment {
    /// By the clock on the wall, since the Unix epoch: for schedules and periods.
    pub(crate) wall: Duration,
    /// Time lived through, never falling: for everything that lasts.
    pub(crate) now: Duration,
    /// Since the look before.
    pub(crate) step: Duration,
    /// So much time has passed since the look before, or so little is known of it, that growth over it tells no rate.
    pub(crate) gap: bool,
}

/// Makes moments of wall times.
///
/// A wall clock may be set; a policy that has to hold for a second must then neither wait for an hour nor end at once.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    last: Option<Moment>,
    /// At the last moment nobody looked.
    unseen: bool,
}

impl Clock {
    /// The longest step that is believed: looks come every second at the most.
    const LONGEST: Duration = Duration::from_secs(5);

    /// The moment of a look at this wall time.
    pub(crate) fn advance(&mut self, wall: Duration) -> Moment {
        let moment = match self.last {
            None => Moment { wall, now: Duration::ZERO, step: Duration::ZERO, gap: true },
            Some(last) => {
                let step = wall.checked_sub(last.wall);
                let gap = std::mem::take(&mut self.unseen) || step.is_none_or(|step| step > Self::LONGEST);
                let step = if gap { Duration::ZERO } else { step.unwrap_or_default() };
                Moment { wall, now: last.now.saturating_add(step), step, gap }
            }
        };
        self.last = Some(moment);
        moment
    }

    /// At the last moment nobody looked: growth from then on tells no rate.
    pub(crate) const fn was_unseen(&mut self) {
        self.unseen = true;
    }

    /// The last moment.
    pub(crate) fn last(&self) -> Moment {
        self.last.unwrap_or_default()
    }
}

impl Moment {
    /// When, on the wall, this much will have been lived through.
    pub(crate) fn wall_of(&self, later: Duration) -> Duration {
        self.wall.saturating_add(later.saturating_sub(self.now))
    }
}

/// Since when something holds, short lapses forgiven.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Since {
    begun: Option<Duration>,
    last: Duration,
}

impl Since {
    /// Nothing holds.
    pub(crate) const fn new() -> Self {
        Self { begun: None, last: Duration::ZERO }
    }

    /// Takes in whether it holds now, and says for how long it has.
    pub(crate) fn update(&mut self, holds: bool, now: Duration, grace: Duration) -> Option<Duration> {
        if holds {
            self.last = now;
            self.begun = self.begun.or(Some(now));
        } else if now.saturating_sub(self.last) >= grace {
            self.begun = None;
        }
        self.begun.map(|begun| now.saturating_sub(begun))
    }

    /// When it will have held for so long, if it goes on.
    pub(crate) fn due(&self, length: Duration) -> Option<Duration> {
        self.begun.map(|begun| begun.saturating_add(length))
    }
}

#[cfg(test)]
mod tests;
