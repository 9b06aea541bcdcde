//! All limits of one pool, slow and obvious, for the models of `Limiter` and of
//! `Call`.
//!
//! It remembers everything that was ever charged, and walks through it in
//! rational numbers. What was given back may have lost some refill, as the rule
//! for refunds has it; so a level is two: what it is at most, as if what was
//! given back had never been charged, and what is there for sure.

use std::time::Duration;

use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;
use sendwhen::{Dimension, Rate};

/// A rate, as so many in so many nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) count: u64,
    pub(crate) period: u64,
    pub(crate) burst: u64,
}

impl Setting {
    pub(crate) fn rate(self) -> Rate {
        Rate::per(self.count, Duration::from_nanos(self.period)).unwrap()
    }

    /// For each nanosecond.
    fn flow(self) -> BigRational {
        BigRational::new(self.count.into(), self.period.into())
    }
}

/// Any, with a period and a burst below these.
pub(crate) fn setting(period: u64, burst: u64) -> impl Strategy<Value = Setting> {
    (1..50_u64, 1..period, 1..burst).prop_map(|(count, period, burst)| Setting {
        count,
        period,
        burst,
    })
}

/// One limit: what was charged, and what of it is not given back.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) dimension: Dimension,
    pub(crate) setting: Setting,
    first: Setting,
    past: Vec<Past>,
    changes: usize,
    /// What is there for sure, as of an instant.
    sure: BigRational,
    then: u64,
    /// When a charge last found it full for sure.
    full: u64,
}

#[derive(Clone, Copy, Debug)]
enum Past {
    Charged {
        at: u64,
        amount: u64,
        /// How many changes came before it.
        changes: usize,
        /// Whether some of it was given back.
        returned: bool,
    },
    Changed {
        at: u64,
        setting: Setting,
    },
}

fn int(n: impl Into<BigInt>) -> BigRational {
    BigRational::from_integer(n.into())
}

impl Bucket {
    pub(crate) fn new(dimension: Dimension, setting: Setting) -> Self {
        Self {
            dimension,
            setting,
            first: setting,
            past: vec![],
            changes: 0,
            sure: int(setting.burst),
            then: 0,
            full: 0,
        }
    }

    /// The level, had what was given back never been charged.
    pub(crate) fn most(&self, now: u64) -> BigRational {
        let (mut setting, mut level, mut then) = (self.first, int(self.first.burst), 0);
        for past in &self.past {
            let (Past::Charged { at, .. } | Past::Changed { at, .. }) = *past;
            level = (level + int(at - then) * setting.flow()).min(int(setting.burst));
            then = at;
            match *past {
                Past::Charged { amount, .. } => level -= int(amount),
                Past::Changed { setting: new, .. } => {
                    setting = new;
                    level = level.min(int(setting.burst));
                }
            }
        }
        (level + int(now - then) * setting.flow()).min(int(setting.burst))
    }

    /// What is there for sure.
    pub(crate) fn least(&self, now: u64) -> BigRational {
        let refill = int(now - self.then) * self.setting.flow();
        (&self.sure + refill).min(int(self.setting.burst))
    }

    fn go_to(&mut self, now: u64) {
        self.sure = self.least(now);
        self.then = now;
    }

    /// Enters a charge; tells its place.
    fn charge(&mut self, now: u64, amount: u64) -> usize {
        self.go_to(now);
        if amount > 0 && self.sure == int(self.setting.burst) {
            self.full = now;
        }
        self.sure -= int(amount);
        self.past.push(Past::Charged {
            at: now,
            amount,
            changes: self.changes,
            returned: false,
        });
        self.past.len() - 1
    }

    /// What came in since `from`.
    fn refill_since(&self, from: u64, now: u64) -> BigRational {
        let (mut setting, mut then, mut sum) = (self.first, from, int(0));
        for past in &self.past {
            if let Past::Changed { at, setting: new } = *past {
                let at = at.max(from);
                sum += int(at - then) * setting.flow();
                (setting, then) = (new, at);
            }
        }
        sum + int(now - then) * setting.flow()
    }

    /// The charge at `place` gives so much back. At most the refill since is
    /// lost; where younger ones gave something back before, the refill since it
    /// was last full; of one from before the last change but one, all of it.
    fn give_back(&mut self, now: u64, place: usize, back: u64) {
        if back == 0 {
            return;
        }
        self.go_to(now);
        let younger = |past: &Past| matches!(past, Past::Charged { returned: true, .. });
        let in_order = !self.past[place + 1..].iter().any(younger);
        let total = self.changes;
        let refill = |from: u64| self.refill_since(from, now);
        let Past::Charged { at, changes, .. } = self.past[place] else {
            panic!("not a charge");
        };
        let lost = match total - changes {
            0 if in_order => refill(at),
            0 => refill(self.full.min(at)),
            // To be converted costs less than one.
            1 if in_order => refill(at) + int(1),
            _ => int(back),
        };
        if let Past::Charged {
            amount, returned, ..
        } = &mut self.past[place]
        {
            *amount -= back;
            *returned = true;
        }
        self.sure += (int(back) - lost).max(int(0));
        self.sure = self.sure.clone().min(self.most(now));
    }

    /// Rate and burst are these from now on; the level is rounded down by less
    /// than what one count of the rate in lowest terms brings in a nanosecond.
    fn set(&mut self, now: u64, setting: Setting) {
        self.go_to(now);
        self.sure -= BigRational::new(1.into(), setting.flow().denom().clone());
        self.sure = self.sure.clone().min(int(setting.burst));
        self.past.push(Past::Changed { at: now, setting });
        self.setting = setting;
        self.changes += 1;
    }

    /// The first instant at which `level`, as of now, has grown to `amount`.
    fn passes(&self, level: &BigRational, now: u64, amount: u64) -> u64 {
        let missing = (int(amount) - level).max(int(0));
        let span = (missing / self.setting.flow()).ceil().to_integer();
        now + u64::try_from(span).unwrap()
    }
}

/// From when on something passes: not before the one, at the latest from the
/// other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    pub(crate) soonest: u64,
    pub(crate) latest: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Passes(Window),
    ExceedsBurst,
    Closed,
}

/// Leave to send.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) sent: u64,
    /// For each limit, where it is charged and how much.
    charges: Vec<(usize, u64)>,
}

/// What a pool knows, on a clock that never goes back.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) limits: Vec<Bucket>,
    cap: Option<usize>,
    /// An eighth of a permit's life.
    slice: u64,
    /// When those in flight were sent.
    flights: Vec<u64>,
    pub(crate) paused: u64,
    pub(crate) closed: Option<Option<u64>>,
}

impl Pool {
    pub(crate) fn new(limits: Vec<Bucket>, cap: Option<usize>, lifetime: u64) -> Self {
        Self {
            limits,
            cap,
            slice: lifetime.div_ceil(8),
            flights: vec![],
            paused: 0,
            closed: None,
        }
    }

    /// Those that were sent in the same eighth of a lifetime expire at once.
    pub(crate) fn expiry(&self, sent: u64) -> u64 {
        (sent / self.slice + 9) * self.slice
    }

    fn ends(&self, now: u64) -> Vec<u64> {
        let ends = self.flights.iter().map(|&sent| self.expiry(sent));
        let mut ends: Vec<u64> = ends.filter(|&end| end > now).collect();
        ends.sort_unstable();
        ends
    }

    pub(crate) fn flying(&self, now: u64) -> usize {
        self.ends(now).len()
    }

    /// From when on `amount`s pass, if nothing else happens.
    pub(crate) fn ask(&self, now: u64, amount: impl Fn(Dimension) -> u64) -> Answer {
        if let Some(until) = self.closed {
            if until.is_none_or(|until| now < until) {
                return Answer::Closed;
            }
        }
        let start = now.max(self.paused);
        let mut window = Window {
            soonest: start,
            latest: start,
        };
        let mut later = |soonest: u64, latest: u64| {
            window.soonest = window.soonest.max(soonest);
            window.latest = window.latest.max(latest);
        };
        for bucket in &self.limits {
            let amount = amount(bucket.dimension);
            if amount == 0 {
                continue;
            }
            if amount > bucket.setting.burst {
                return Answer::ExceedsBurst;
            }
            later(
                bucket.passes(&bucket.most(now), now, amount),
                bucket.passes(&bucket.least(now), now, amount),
            );
        }
        if let Some(cap) = self.cap {
            let ends = self.ends(now);
            if ends.len() >= cap {
                let enough = ends[ends.len() - cap];
                later(enough, enough);
            }
        }
        Answer::Passes(window)
    }

    /// It is sent.
    pub(crate) fn send(&mut self, now: u64, amount: impl Fn(Dimension) -> u64) -> Ticket {
        self.flights.push(now);
        let charges = self.limits.iter_mut().map(|bucket| {
            let amount = amount(bucket.dimension);
            (bucket.charge(now, amount), amount)
        });
        Ticket {
            sent: now,
            charges: charges.collect(),
        }
    }

    /// It is over, and took `actual`; nobody knows where that is `None`. Nothing
    /// comes of one that expired.
    pub(crate) fn settle(
        &mut self,
        now: u64,
        ticket: Ticket,
        actual: Option<&dyn Fn(Dimension) -> u64>,
    ) {
        if self.expiry(ticket.sent) <= now {
            return;
        }
        let place = self.flights.iter().position(|&sent| sent == ticket.sent);
        self.flights.swap_remove(place.unwrap());
        let Some(actual) = actual else {
            return;
        };
        for (bucket, (place, charged)) in self.limits.iter_mut().zip(ticket.charges) {
            let actual = actual(bucket.dimension);
            if actual > charged {
                bucket.charge(now, actual - charged);
            } else {
                bucket.give_back(now, place, charged - actual);
            }
        }
    }

    /// It took nothing, which is heard at any time: of one that expired it is
    /// not said whether that is entered.
    pub(crate) fn take_back(&mut self, now: u64, ticket: Ticket) {
        if self.expiry(ticket.sent) > now {
            return self.settle(now, ticket, Some(&|_| 0));
        }
        for (bucket, (place, charged)) in self.limits.iter_mut().zip(ticket.charges) {
            bucket.go_to(now);
            let sure = bucket.sure.clone();
            bucket.give_back(now, place, charged);
            bucket.sure = sure;
        }
    }

    pub(crate) fn set_limit(&mut self, now: u64, place: usize, setting: Setting) {
        self.limits[place].set(now, setting);
    }

    pub(crate) fn pause(&mut self, until: u64) {
        self.paused = self.paused.max(until);
    }

    /// From when on it passes at the latest if all of `open`, which are in
    /// flight, are over now and took nothing.
    pub(crate) fn if_all_took_nothing(
        &self,
        now: u64,
        open: &[&Ticket],
        amount: impl Fn(Dimension) -> u64,
    ) -> u64 {
        let mut latest = now.max(self.paused);
        for (place, bucket) in self.limits.iter().enumerate() {
            let mut level = bucket.least(now);
            for ticket in open {
                let refill = bucket.refill_since(ticket.sent.min(bucket.full), now);
                level += (int(ticket.charges[place].1) - refill).max(int(0));
            }
            let level = level.min(int(bucket.setting.burst));
            latest = latest.max(bucket.passes(&level, now, amount(bucket.dimension)));
        }
        latest
    }
}
