//! Changes of mind about one subflow: by load, round-trip time and loss.

use std::time::Duration;

use super::rules::Thresholds;

/// What is measured of a subflow and its path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gauges {
    /// Thousandths of the path's capacity.
    pub(crate) load: Option<u64>,
    /// Microseconds.
    pub(crate) rtt: Option<u64>,
    /// Thousandths of the bytes sent.
    pub(crate) loss: Option<u64>,
    /// When round trips and losses were last measured: a subflow that carries nothing shows what once was.
    pub(crate) measured: Duration,
}

/// Whether a policy's thresholds count as exceeded for one subflow.
///
/// A threshold is exceeded above its value, and until the measure is below nine tenths of it. The mind changes once a `dwell` at
/// the most, and leaves ever later when leaving was a mistake. A subflow that is held may show no round-trip times and losses of its
/// path any more: it carries nothing, or its own limit makes them (of a trickle, every acknowledgement is a delayed one). So it is let
/// go now and then, ever less often, to find out, and held again as soon as that is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mind {
    holds: bool,
    changed: Option<Duration>,
    load: bool,
    rtt: bool,
    loss: bool,
    /// How often in a row it came back to what it had just left.
    relapses: u32,
    /// It has left something before: to come back is a relapse.
    left: bool,
    /// It was let go to find out.
    tried: bool,
    due: Option<Duration>,
}

/// How old a measure may be and still be one.
const FRESH: Duration = Duration::from_secs(1);
/// How long a held subflow is left alone, at first.
const PATIENCE: Duration = Duration::from_secs(3);
/// A measure after it was let go on trial is one when so long has passed.
const TRIED: Duration = Duration::from_millis(200);
/// Pauses double this often at the most.
const DOUBLINGS: u32 = 4;
/// What is left for so long was left for good.
const SETTLED: Duration = Duration::from_secs(60);

impl Mind {
    /// Takes in what is measured, and says whether the thresholds count as exceeded.
    pub(crate) fn judge(&mut self, gauges: &Gauges, over: &Thresholds, dwell: Duration, now: Duration) -> bool {
        let first = self.changed.is_none();
        let changed = *self.changed.get_or_insert(now);
        let fresh = first || now.saturating_sub(gauges.measured) <= FRESH;
        latch(&mut self.load, gauges.load, over.load);
        if fresh {
            latch(&mut self.rtt, gauges.rtt, over.rtt);
            latch(&mut self.loss, gauges.loss, over.loss);
        }
        let ages = over.rtt.is_some() || over.loss.is_some();
        let trial = changed.saturating_add(PATIENCE * (1 << self.relapses.min(DOUBLINGS)));
        let on_trial = self.holds && ages && now >= trial;
        if on_trial {
            (self.rtt, self.loss) = (false, false);
        }
        let exceeded = |latched: bool, threshold: Option<u64>| threshold.is_none() || latched;
        let wish = exceeded(self.load, over.load) && exceeded(self.rtt, over.rtt) && exceeded(self.loss, over.loss);
        if !self.holds && now.saturating_sub(changed) >= SETTLED {
            (self.relapses, self.left) = (0, false);
        }
        let pause = match (self.holds, self.tried) {
            (true, _) => dwell * (1 << self.relapses.min(DOUBLINGS)),
            (false, true) => TRIED.min(dwell),
            (false, false) => dwell,
        };
        let due = changed.saturating_add(pause);
        self.due = if wish != self.holds { Some(due) } else { (self.holds && ages).then_some(trial) };
        if wish != self.holds && (first || now >= due) {
            if wish && self.left {
                self.relapses = self.relapses.saturating_add(1);
            }
            self.left |= !wish;
            (self.holds, self.changed, self.due, self.tried) = (wish, Some(now), None, on_trial);
        }
        self.holds
    }

    /// When it may change without anything new being measured.
    pub(crate) const fn due(&self) -> Option<Duration> {
        self.due
    }
}

/// Sets when above the threshold, clears when below nine tenths of it; keeps as it is when nothing is measured.
fn latch(latched: &mut bool, measure: Option<u64>, threshold: Option<u64>) {
    if let (Some(measure), Some(threshold)) = (measure, threshold) {
        let nine_tenths = u128::from(threshold) * 9;
        *latched = measure > threshold || (*latched && u128::from(measure) * 10 >= nine_tenths);
    }
}

#[cfg(test)]
mod tests;
