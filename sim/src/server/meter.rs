//! One limit, and what was taken of it.

use std::collections::VecDeque;

use crate::{SECOND, Time, seconds};

/// How a server counts what was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// A token bucket: comes in all the time, up to what it holds.
    #[default]
    Bucket,
    /// A fixed window: all that it holds is there again at each edge, the edges
    /// being whole multiples of the window by the server's clock.
    Window,
    /// A sliding log: what was taken is there again a window after it was taken.
    Log,
}

/// What a meter counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counts {
    Requests,
    Input,
    Output,
    /// Input and output together.
    Tokens,
}

impl Counts {
    /// Where it is among what heads show.
    pub(super) const fn place(self) -> usize {
        match self {
            Self::Requests => 0,
            Self::Input | Self::Tokens => 1,
            Self::Output => 2,
        }
    }

    pub(super) const fn of(self, [requests, input, output]: [f64; 3]) -> f64 {
        match self {
            Self::Requests => requests,
            Self::Input => input,
            Self::Output => output,
            Self::Tokens => input + output,
        }
    }
}

/// One limit, and what was taken of it.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    pub(super) counts: Counts,
    /// What comes in a minute.
    pub(super) limit: f64,
    /// The part of the limit that it holds; a window or log is so many minutes
    /// long.
    part: f64,
    state: State,
    /// How much of what is missing below zero was taken by others, who go
    /// before everyone: a debt, but nobody's that is looked at.
    claimed: f64,
}

#[derive(Clone, Debug)]
enum State {
    Bucket {
        level: f64,
    },
    Window {
        /// When the present one ends.
        edge: Time,
        used: f64,
    },
    Log {
        /// When, and how much; oldest first.
        taken: VecDeque<(Time, f64)>,
        used: f64,
    },
}

impl Meter {
    /// One of which nothing was taken, of a server whose clock shows `clock`
    /// Unix seconds when the world begins.
    pub(super) fn new(kind: Kind, counts: Counts, limit: f64, part: f64, clock: f64) -> Self {
        let mut meter = Self {
            counts,
            limit,
            part,
            state: State::Bucket { level: 0.0 },
            claimed: 0.0,
        };
        let window = part * 60.0;
        meter.state = match kind {
            Kind::Bucket => State::Bucket {
                level: meter.capacity(),
            },
            Kind::Window => State::Window {
                edge: seconds(window - clock.rem_euclid(window)),
                used: 0.0,
            },
            Kind::Log => State::Log {
                taken: VecDeque::new(),
                used: 0.0,
            },
        };
        meter
    }

    /// The most that it holds.
    pub(super) fn capacity(&self) -> f64 {
        (self.limit * self.part).max(1.0)
    }

    /// The time that a window spans.
    fn window(&self) -> Time {
        seconds(self.part * 60.0)
    }

    /// What is left, below zero where more was taken.
    pub(super) fn level(&self) -> f64 {
        match self.state {
            State::Bucket { level } => level,
            State::Window { used, .. } | State::Log { used, .. } => self.capacity() - used,
        }
    }

    /// A bucket that holds `level`.
    pub(super) fn fill(&mut self, level: f64) {
        self.state = State::Bucket { level };
    }

    /// Time passes in which `taken` is taken evenly.
    pub(super) fn flow(&mut self, from: Time, to: Time, taken: f64) {
        let (capacity, window) = (self.capacity(), self.window());
        let span = to.saturating_sub(from) as f64 / SECOND as f64;
        match &mut self.state {
            State::Bucket { level } => {
                let refill = self.limit / 60.0 * span;
                *level = (*level + refill - taken).min(capacity);
                // What comes in is theirs before it pays for anything else.
                self.claimed = (self.claimed - refill).max(0.0);
            }
            State::Window { edge, used } => {
                *used += taken;
                if *edge <= to {
                    // What was taken since the last edge counts.
                    let windows = (to - *edge) / window + 1;
                    *edge += windows * window;
                    let since = (to - (*edge - window)).min(to - from) as f64;
                    *used = taken * since / ((to - from).max(1) as f64);
                }
            }
            State::Log { taken: log, used } => {
                if taken > 0.0 {
                    // In cells, or every step of an answer would be one.
                    let cell = window / 256;
                    match log.back_mut() {
                        Some((at, amount)) if to.saturating_sub(*at) < cell => *amount += taken,
                        _ => log.push_back((to, taken)),
                    }
                    *used += taken;
                }
                while let Some(&(at, amount)) = log.front() {
                    if at + window > to {
                        break;
                    }
                    log.pop_front();
                    *used = if log.is_empty() { 0.0 } else { *used - amount };
                }
            }
        }
        self.claimed = self.claimed.min((-self.level()).max(0.0));
    }

    /// Takes `amount` at once, whatever there is.
    pub(super) fn take(&mut self, now: Time, amount: f64) {
        match &mut self.state {
            State::Bucket { level } => *level -= amount,
            State::Window { used, .. } => *used += amount,
            State::Log { taken, used } => {
                *used += amount;
                taken.push_back((now, amount));
            }
        }
    }

    /// Others take `amount`, before everyone else.
    pub(super) fn claim(&mut self, now: Time, amount: f64) {
        let before = self.level().min(0.0);
        self.take(now, amount);
        self.claimed += before - self.level().min(0.0);
    }

    /// Gives back `amount` of what was taken at `then`.
    pub(super) fn give_back(&mut self, then: Time, amount: f64) {
        let (capacity, window) = (self.capacity(), self.window());
        match &mut self.state {
            State::Bucket { level } => *level = (*level + amount).min(capacity),
            State::Window { edge, used } => {
                if then + window >= *edge {
                    *used -= amount;
                }
            }
            State::Log { taken, used } => {
                let place = taken.partition_point(|&(at, _)| at < then);
                if let Some((_, entry)) = taken.get_mut(place).filter(|(at, _)| *at == then) {
                    *entry -= amount;
                    *used -= amount;
                }
            }
        }
    }

    /// For how many seconds `need` is not there yet, if nothing else is taken.
    pub(super) fn wait(&self, now: Time, need: f64) -> f64 {
        let short = need - self.level();
        if short <= 0.0 {
            return 0.0;
        }
        let until = |then: Time| then.saturating_sub(now) as f64 / SECOND as f64;
        match &self.state {
            State::Bucket { .. } => short / (self.limit / 60.0),
            State::Window { edge, .. } => until(*edge),
            State::Log { taken, .. } => {
                let mut freed = 0.0;
                let enough = taken.iter().find(|(_, amount)| {
                    freed += amount;
                    // What was summed in another order may be off by a last bit.
                    freed >= short * (1.0 - 1e-12)
                });
                let last = enough.or(taken.back()).map_or(now, |&(at, _)| at);
                until(last + self.window())
            }
        }
    }

    /// In how many seconds it is whole again; a window, even if nothing was
    /// taken of it, at its edge.
    pub(super) fn whole_in(&self, now: Time) -> f64 {
        let until = |then: Time| then.saturating_sub(now) as f64 / SECOND as f64;
        match &self.state {
            State::Bucket { level } => (self.capacity() - level).max(0.0) / (self.limit / 60.0),
            State::Window { edge, .. } => until(*edge),
            State::Log { taken, .. } => taken
                .back()
                .map_or(0.0, |&(at, _)| until(at + self.window())),
        }
    }

    /// In how many seconds it is out of debt, if others take this share of what
    /// comes in. A debt that is only theirs is none.
    pub(super) fn settled_in(&self, now: Time, share: f64) -> f64 {
        if -self.level() - self.claimed < 1e-6 {
            return 0.0;
        }
        self.wait(now, 0.0) / (1.0 - share)
    }
}
