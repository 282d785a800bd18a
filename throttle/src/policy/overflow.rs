//! The headline policy: the costly path opens once the cheaper ones are full, and closes when they alone would do.
//!
//! What lives here: one subscriber's door to one costly path, from figures. What does not: where the figures come from (`demand`).
//! ```text
//!            the cheaper paths full for `after`
//! closed ─────────────────────────────────────────► open
//!   ▲  └── flat for long, capacity not known ──► open on trial ──┘ the cheaper ones kept their rate
//!   │                                               │
//!   └────── they alone would do for `hold` ◄────────┴── they lost what the costly one took: not the bottleneck
//! ```

use std::time::Duration;

use super::clock::Since;
use super::line::{GRACE, RATE_CONSTANT, is_share};
use crate::intent::Direction;

/// One cheaper line in one direction.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fill {
    /// In bit/s.
    pub(crate) rate: u64,
    /// What it carries at most, where that is known: said, or proven.
    pub(crate) capacity: Option<u64>,
    /// The highest rate seen lately with data waiting.
    pub(crate) peak: u64,
    /// For how long the rate has been flat with data waiting.
    pub(crate) flat: Duration,
    /// It is what the data waits for, as far as its queue tells.
    pub(crate) choked: bool,
    /// The whole path, which all subscribers share, is full.
    pub(crate) crowded: bool,
}

/// What one subscriber wants in one direction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demand {
    /// Data waits. `None`: not known.
    pub(crate) pressed: Option<bool>,
    /// The cheaper lines.
    pub(crate) lines: Vec<Fill>,
    /// All it moves that could go by the cheaper lines, in bit/s.
    pub(crate) total: u64,
}

/// When it opens and closes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) after: Duration,
    pub(crate) hold: Duration,
}

impl Terms {
    /// For how long the cheaper paths have to show full: a smoothed rate says so later than it is so.
    fn full_for(self) -> Duration {
        self.after.saturating_sub(RATE_CONSTANT).max(self.after / 2)
    }
}

/// The door to the costly path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Overflow {
    open: Option<Open>,
    full: [Since; 2],
    presumed: [Since; 2],
    /// No trial before this.
    rest_until: Duration,
    refusals: u32,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    since: Duration,
    direction: Direction,
    /// What the cheaper lines carried when it opened, where that is all that is known of what they can.
    level: Option<u64>,
    /// When the trial is over.
    trial: Option<Duration>,
    spare: Since,
}

/// What to do with what was learned on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// The cheaper lines are full at what they carried before the trial.
    Proven(Direction),
}

/// A trial takes so long: promotion needs 0.3 s at most, rates follow within a second.
const TRIAL: Duration = Duration::from_secs(2);
/// The rest after a trial that taught that the cheaper paths were not full, doubled each time.
const REST: Duration = Duration::from_secs(30);
/// The longest rest is this many doublings of it.
const DOUBLINGS: u32 = 4;
/// A line whose queue says so is presumed full below its stated capacity after so long at least.
const DEGRADED: Duration = Duration::from_secs(2);
/// An upload, whose waiting data nobody here sees, is presumed to be held up after so long at least.
const STEADY: Duration = Duration::from_secs(3);
/// Below this, in bit/s, an upload that goes on steadily is a call, not a transfer that is held up.
const BULK: u64 = 4_000_000;

impl Fill {
    /// It is full, for sure.
    fn is_full(&self) -> bool {
        self.crowded || self.capacity.is_some_and(|capacity| is_share(self.rate, 9, capacity))
    }
}

impl Demand {
    /// What the cheaper lines carry, in bit/s.
    fn cheap(&self) -> u64 {
        self.lines.iter().fold(0, |sum, line| sum.saturating_add(line.rate))
    }

    /// Every cheaper line is full, for sure.
    fn is_full(&self) -> bool {
        // On a crowded path, who moves next to nothing may well want no more.
        let moves = self.pressed.is_some() || self.cheap() >= BULK || !self.lines.iter().any(|line| line.crowded);
        self.pressed != Some(false) && moves && !self.lines.is_empty() && self.lines.iter().all(Fill::is_full)
    }

    /// Every cheaper line behaves as if it were full, though of one at least that is not sure: nobody knows what it can carry, or it
    /// was said to be more.
    fn is_presumed_full(&self, after: Duration) -> bool {
        let known = self.pressed.is_some();
        let sure = |line: &&Fill| line.is_full();
        let presumed = |line: &Fill| match line.capacity {
            Some(_) => known && line.choked && line.flat >= DEGRADED.max(after * 2),
            None if known => line.flat >= after && is_share(line.rate, 9, line.peak),
            None => line.rate >= BULK && line.flat >= STEADY.max(after * 2),
        };
        let mut unsure = self.lines.iter().filter(|line| !sure(line)).peekable();
        self.pressed != Some(false) && unsure.peek().is_some() && unsure.all(presumed)
    }

    /// What the cheaper lines carry at most together. `None`: not known of each.
    fn capacity(&self) -> Option<u64> {
        self.lines.iter().try_fold(0u64, |sum, line| line.capacity.map(|capacity| sum.saturating_add(capacity)))
    }
}

impl Overflow {
    /// Since when.
    pub(crate) fn open_since(&self) -> Option<Duration> {
        self.open.map(|open| open.since)
    }

    /// Takes in what is wanted, download and upload, and opens or closes.
    pub(crate) fn update(&mut self, demands: [&Demand; 2], terms: Terms, now: Duration) -> Option<Lesson> {
        match self.open {
            None => {
                self.look_full(demands, terms, now);
                None
            }
            Some(open) => self.look_spare(open, demands, terms, now),
        }
    }

    fn look_full(&mut self, demands: [&Demand; 2], terms: Terms, now: Duration) {
        for (index, direction) in [Direction::Download, Direction::Upload].into_iter().enumerate() {
            let demand = demands[index];
            let full = self.full[index].update(demand.is_full(), now, GRACE);
            let presumed = self.presumed[index].update(demand.is_presumed_full(terms.after), now, GRACE);
            let open = Open { since: now, direction, level: None, trial: None, spare: Since::new() };
            if full.is_some_and(|full| full >= terms.full_for()) {
                // What others leave of a crowded path is all there is, as long as it is crowded.
                let level = demand.lines.iter().any(|line| line.crowded).then(|| demand.cheap());
                self.open = Some(Open { level, ..open });
            } else if presumed.is_some() && now >= self.rest_until && self.open.is_none() {
                let level = Some(demand.cheap());
                self.open = Some(Open { level, trial: Some(now.saturating_add(TRIAL)), ..open });
            }
        }
    }

    fn look_spare(&mut self, mut open: Open, demands: [&Demand; 2], terms: Terms, now: Duration) -> Option<Lesson> {
        let demand = demands[open.direction as usize];
        if let (Some(until), Some(level)) = (open.trial, open.level)
            && now >= until
        {
            open.trial = None;
            if !is_share(demand.total, 9, level) {
                // What it was about is over; nothing is learned.
                self.close(now.saturating_add(terms.after));
                return None;
            }
            // Where more is moved than before, the cheaper ones were full, though by now they may share what there is.
            let gained = is_share(demand.total, 11, level) && demand.total > level;
            if !gained && !is_share(demand.cheap(), 9, level) {
                let rest = REST * (1 << self.refusals.min(DOUBLINGS));
                self.refusals = self.refusals.saturating_add(1);
                self.close(now.saturating_add(rest));
                return None;
            }
            self.refusals = 0;
            self.open = Some(open);
            return Some(Lesson::Proven(open.direction));
        }
        // A level is what they carried while it was thought to be all they can; they may do better by now.
        open.level = open.level.map(|level| level.max(demand.cheap()));
        let spare = [Direction::Download, Direction::Upload].into_iter().enumerate().all(|(index, direction)| {
            let demand = demands[index];
            if demand.lines.is_empty() {
                return true;
            }
            let level = open.level.filter(|_| direction == open.direction);
            let capacity = match (demand.capacity(), level) {
                (Some(capacity), Some(level)) => Some(capacity.min(level)),
                (capacity, level) => capacity.or(level),
            };
            // What nobody knows the capacity of did not open it either.
            capacity.is_none_or(|capacity| u128::from(demand.total) * 100 < u128::from(capacity) * 85)
        });
        let spare = open.spare.update(spare, now, Duration::ZERO);
        self.open = Some(open);
        if open.trial.is_none() && spare.is_some_and(|spare| spare >= terms.hold) {
            self.close(now);
        }
        None
    }

    fn close(&mut self, rest_until: Duration) {
        self.open = None;
        (self.full, self.presumed) = ([Since::new(); 2], [Since::new(); 2]);
        self.rest_until = rest_until;
    }

    /// When it may change without anything new being seen.
    pub(crate) fn due(&self, terms: Terms) -> Option<Duration> {
        match self.open {
            Some(Open { trial: Some(until), .. }) => Some(until),
            Some(open) => open.spare.due(terms.hold),
            None => self.full.iter().filter_map(|full| full.due(terms.full_for())).min(),
        }
    }
}
