//! One dimension's level, kept true by what heads show.

use core::time::Duration;

use crate::{
    error::ConfigError,
    hints::{Meter, Remaining},
    limit::{Charge, Refusal, TokenBucket, ticks, tokens},
    time::{Instant, nanos},
    units::Rate,
};

/// The account of one dimension: a bucket where a limit is known, and running
/// totals of all that was charged and given back, limit or not.
///
/// # Theory of operation
///
/// Each charge and each refund enters once. A head never adds: it only moves
/// the level into an interval. A head says "Q remain" as of the server's
/// admission of its request, sent at s when the running total of charges was C.
/// Now the total is T, so the level now is
///
/// ```text
/// Q + what was refilled since s - (T - C)
/// ```
///
/// in constant time, with any number in flight, and replies that come out of
/// order do no harm: a head older than the newest one used is not used. What is
/// not known exactly makes the interval:
///
/// - Q is rounded; of the interval that it stands for only the lower half is
///   believed, so that what is held back covers it.
/// - Requests sent shortly before s may reach the server after it: the lower
///   edge takes them off as if they had.
/// - What was given back since s may or may not be in Q: the upper edge adds
///   it, the lower does not.
/// - Output is counted as it is produced: the lower edge takes off what those
///   in flight were charged for it, as if none of it had been produced.
/// - A Q of 0 may hide a debt: it has no lower edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ledger {
    bucket: Option<TokenBucket>,
    /// The server's limit is 0.
    disabled: bool,
    /// All that was ever charged; wraps.
    charged: u64,
    /// All that was ever given back; wraps.
    returned: u64,
    /// `charged` as it was a while ago, twice: at least [`REORDER`] lies
    /// between the instants of both.
    earlier: [u64; 2],
    marked: Instant,
    /// The first request whose head would be newer than all that were used.
    unseen: u64,
    /// When a charge last found the bucket full.
    full_at: Option<Instant>,
    /// Half the step in which the server rounds.
    rounding: u32,
    /// Whether the server counts it when it is produced, not when it is asked
    /// for.
    late: bool,
}

/// What is remembered of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Entry {
    /// What it is charged.
    amount: u64,
    charge: Charge,
    /// The totals right after it.
    charged: u64,
    returned: u64,
    /// What was charged within [`REORDER`] before it, or a little longer.
    overtaken: u64,
    /// What had been charged for others in flight.
    open: u64,
}

/// Whose head is read: its place in the order of sending, when that was, and
/// what is remembered of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) number: u64,
    pub(crate) sent: Instant,
    pub(crate) entry: &'a Entry,
}

/// By how much two requests may overtake each other on their way.
const REORDER: Duration = Duration::from_millis(100);

/// The time in which a limit comes in, where the server does not say.
const MINUTE: Duration = Duration::from_secs(60);

impl Ledger {
    pub(crate) const fn new(late: bool) -> Self {
        Self {
            bucket: None,
            disabled: false,
            charged: 0,
            returned: 0,
            earlier: [0; 2],
            marked: Instant::ZERO,
            unseen: 0,
            full_at: None,
            rounding: 0,
            late,
        }
    }

    pub(crate) const fn bucket(&self) -> Option<&TokenBucket> {
        self.bucket.as_ref()
    }

    /// Whether the server counts it when it is produced.
    pub(crate) const fn is_late(&self) -> bool {
        self.late
    }

    pub(crate) const fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// Sets what is known of the limit before the server says. `open` is
    /// charged and not settled.
    pub(crate) fn set_limit(
        &mut self,
        now: Instant,
        rate: Rate,
        burst: u64,
        open: u64,
    ) -> Result<(), ConfigError> {
        match &mut self.bucket {
            Some(bucket) => bucket.set(now, rate, burst),
            None => {
                let mut bucket = TokenBucket::new(rate, burst)?;
                if open > 0 {
                    let _owed = bucket.charge(now, open);
                }
                self.bucket = Some(bucket);
                Ok(())
            }
        }
    }

    /// Whether the limit that `meter` shows is the one known here.
    pub(crate) fn knows(&self, meter: &Meter) -> bool {
        self.bucket
            .as_ref()
            .zip(rate_of(meter))
            .is_some_and(|(bucket, (rate, _))| bucket.rate() == rate)
    }

    /// What must be there for `amount` to pass: the amount, and what is held
    /// back for the server's rounding, as far as the bucket has room for it.
    fn need(&self, bucket: &TokenBucket, amount: u64) -> u64 {
        let held = amount.saturating_add(u64::from(self.rounding));
        held.min(bucket.burst()).max(amount)
    }

    /// Whether `amount` would pass.
    pub(crate) fn peek(&self, now: Instant, amount: u64) -> Result<(), Refusal> {
        match &self.bucket {
            Some(bucket) => bucket.peek(now, self.need(bucket, amount)),
            None => Ok(()),
        }
    }

    /// From when `amount` passes if all that is in flight, `open`, turns out to
    /// cost nothing.
    pub(crate) fn earliest(&self, now: Instant, amount: u64, open: u64) -> Instant {
        match &self.bucket {
            Some(bucket) => bucket.passes_after_refund(now, self.need(bucket, amount), open),
            None => now,
        }
    }

    /// Takes `amount`, `open` being charged for others in flight.
    pub(crate) fn charge(&mut self, now: Instant, amount: u64, open: u64) -> Entry {
        self.mark(now);
        let charge = match &mut self.bucket {
            Some(bucket) if amount > 0 => {
                if bucket.is_full(now) {
                    self.full_at = Some(now);
                }
                bucket.charge(now, amount)
            }
            _ => Charge::default(),
        };
        let [_, earlier] = self.earlier;
        let overtaken = self.charged.wrapping_sub(earlier);
        self.charged = self.charged.wrapping_add(amount);
        Entry {
            amount,
            charge,
            charged: self.charged,
            returned: self.returned,
            overtaken,
            open,
        }
    }

    /// It took nothing: gives all of it back. What its head shows does not hold
    /// it, so its own marks move with it. True where the level rose.
    pub(crate) fn refund(&mut self, entry: &mut Entry) -> bool {
        let amount = entry.amount;
        let lifted = self.give_back(entry, amount);
        entry.returned = entry.returned.wrapping_add(amount);
        entry.amount = 0;
        lifted
    }

    /// It took `actual`. True where the level rose.
    ///
    /// Where a head that counted it was read already, that head has set the
    /// level, and to correct it once more would credit it twice.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        number: u64,
        entry: &mut Entry,
        actual: u64,
    ) -> bool {
        if !self.late && number < self.unseen {
            return false;
        }
        if actual <= entry.amount {
            return self.give_back(entry, entry.amount.saturating_sub(actual));
        }
        let more = actual.saturating_sub(entry.amount);
        if let Some(bucket) = &mut self.bucket {
            let _beyond = bucket.charge(now, more);
        }
        self.charged = self.charged.wrapping_add(more);
        false
    }

    fn give_back(&mut self, entry: &mut Entry, amount: u64) -> bool {
        if amount == 0 {
            return false;
        }
        self.returned = self.returned.wrapping_add(amount);
        match &mut self.bucket {
            Some(bucket) => {
                let before = bucket.tat();
                bucket.refund(&mut entry.charge, amount);
                bucket.tat() < before
            }
            None => false,
        }
    }

    /// A head shows `meter`; with `learn` its limit is believed. `seen` is the
    /// request that it answers, `open` what is charged and not settled. True
    /// where something may pass earlier for it.
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        seen: Option<Seen<'_>>,
        meter: &Meter,
        open: u64,
        learn: bool,
    ) -> bool {
        if seen.is_some_and(|seen| seen.number < self.unseen) {
            return false;
        }
        let was_known = self.bucket.is_some();
        let loosened = learn && self.adopt(now, meter, open);
        let Some((seen, remaining)) = seen.zip(meter.remaining) else {
            return loosened;
        };
        self.unseen = seen.number.saturating_add(1);
        self.rounding = remaining.rounding;
        self.reconcile(seen, remaining, was_known) || loosened
    }

    /// Believes the limit that `meter` shows. True where something may pass
    /// earlier for it.
    fn adopt(&mut self, now: Instant, meter: &Meter, open: u64) -> bool {
        if meter.limit == Some(0) {
            self.disabled = true;
            return false;
        }
        let Some((rate, limit)) = rate_of(meter) else {
            return false;
        };
        let was_disabled = core::mem::replace(&mut self.disabled, false);
        let known = self.bucket.as_ref();
        if known.is_some_and(|bucket| bucket.rate() == rate) {
            return was_disabled;
        }
        let larger = known.is_none_or(|bucket| bucket.burst() < limit);
        let set = self.set_limit(now, rate, limit, open);
        (set.is_ok() && larger) || was_disabled
    }

    /// Moves the level to where a head says that it is. True where it rose.
    fn reconcile(&mut self, seen: Seen<'_>, remaining: Remaining, was_known: bool) -> bool {
        let Some(bucket) = &mut self.bucket else {
            return false;
        };
        let rate = bucket.rate();
        let entry = seen.entry;
        // The arrival time that the server's bucket had when it admitted this.
        let full = ticks(rate, seen.sent).saturating_add(tokens(rate, bucket.burst()));
        let shown = |level: i64| {
            let owed = tokens(rate, level.unsigned_abs());
            if level < 0 {
                full.saturating_add(owed)
            } else {
                full.saturating_sub(owed)
            }
        };
        let since = self.charged.wrapping_sub(entry.charged);
        let back = self.returned.wrapping_sub(entry.returned);
        let least = shown(remaining.shown)
            .saturating_add(tokens(rate, since))
            .saturating_sub(tokens(rate, back));
        let most = if remaining.shown == 0 {
            // Perhaps a debt that is not shown.
            u128::MAX
        } else {
            let unproduced = if self.late { entry.open } else { 0 };
            shown(remaining.at_least())
                .saturating_add(tokens(rate, since))
                .saturating_add(tokens(rate, entry.overtaken))
                .saturating_add(tokens(rate, unproduced))
        };
        let before = bucket.tat();
        if !was_known {
            // The first word on this: the less, and no more.
            let start = if most == u128::MAX { least } else { most };
            bucket.clamp_tat(start, start);
        } else if self.full_at.is_some_and(|at| at >= seen.sent) {
            // It was full since, and so was the server's, if that held more:
            // there is nothing to raise.
            bucket.clamp_tat(least, u128::MAX);
        } else {
            bucket.clamp_tat(least, most.max(least));
        }
        bucket.tat() < before
    }

    /// A request that was charged `amount` was refused, to come again after
    /// `wait`: it would not pass earlier, so the level is no higher than that.
    pub(crate) fn refused(&mut self, now: Instant, amount: u64, wait: Duration) {
        let Some(bucket) = &self.bucket else {
            return;
        };
        let rate = bucket.rate();
        let need = self.need(bucket, amount);
        let again = Instant::from_nanos(now.as_nanos().saturating_add(nanos(wait)));
        let least = ticks(rate, again)
            .saturating_add(tokens(rate, bucket.burst()))
            .saturating_sub(tokens(rate, need));
        if let Some(bucket) = &mut self.bucket {
            bucket.clamp_tat(least, u128::MAX);
        }
    }

    /// Remembers the total of charges as of now, if the last time was long
    /// enough ago.
    fn mark(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.marked);
        if age < REORDER {
            return;
        }
        let [newer, _] = self.earlier;
        // Charges since the last mark came within REORDER of it.
        let quiet = age >= REORDER.saturating_mul(2);
        self.earlier = [self.charged, if quiet { self.charged } else { newer }];
        self.marked = now;
    }
}

/// The rate that a shown limit means, and the limit.
fn rate_of(meter: &Meter) -> Option<(Rate, u64)> {
    let limit = meter.limit?;
    let rate = Rate::per(limit, meter.window.unwrap_or(MINUTE)).ok()?;
    Some((rate, limit))
}
