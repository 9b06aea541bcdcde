//! Others who take from the same meters.

use super::spec::OthersSpec;
use crate::{SECOND, Time, seconds, work::lognormal};

/// When they take next, and how much.
#[derive(Debug)]
pub(super) struct Others {
    spec: OthersSpec,
    chance: fastrand::Rng,
    /// Seconds that they were busy.
    busy: f64,
    /// Where in a burst the world begins.
    phase: f64,
}

impl Others {
    pub(super) fn new(spec: OthersSpec) -> Self {
        let mut chance = fastrand::Rng::with_seed(spec.seed);
        let phase = chance.f64();
        let mut others = Self {
            spec,
            chance,
            busy: 0.0,
            phase,
        };
        if let Some((on, off)) = spec.bursts {
            others.busy = (phase * (on + off)).min(on);
        }
        others.pass();
        others
    }

    /// When their next request arrives.
    pub(super) fn next(&self) -> Time {
        let Some((on, off)) = self.spec.bursts else {
            return seconds(self.busy);
        };
        let whole = (self.busy / on).floor();
        seconds(whole * (on + off) + self.busy % on - self.phase * (on + off))
    }

    /// It arrived: what it takes, in seconds of what comes in.
    pub(super) fn take(&mut self) -> f64 {
        self.pass();
        self.spec.share * self.spec.every * lognormal(&mut self.chance, 0.5)
    }

    /// On to the next.
    fn pass(&mut self) {
        let busy = self.spec.bursts.map_or(1.0, |(on, off)| on / (on + off));
        // Exponential; a nanosecond at least, or time would stand still.
        let gap = -(1.0 - self.chance.f64()).ln() * self.spec.every * busy;
        self.busy += gap.max(1.0 / SECOND as f64);
    }
}
