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
/// - Output may be stamped when the head is written, and not at admission: the
///   interval takes in both.
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
    /// The total of charges up to the newest request that was answered.
    confirmed: u64,
    /// By how much heads showed less than was believed, in tokens: a fading
    /// maximum.
    surprise: u64,
    /// By how much heads showed more than was believed, in tokens: a fading
    /// mean. What is charged and not produced yet is there all the same.
    slack: u64,
    /// What the bucket would hold if it held all that comes in its window.
    limit: u64,
    counting: Counting,
}

/// When a server counts what a request takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counting {
    /// When it admits the request: what its head shows holds it.
    AtAdmission,
    /// As it is produced, or at the end.
    AsProduced,
    /// The most that the request may take when it admits it; what was not taken
    /// is given back at the end.
    Reserved,
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

impl Entry {
    /// What it is charged.
    pub(crate) const fn amount(&self) -> u64 {
        self.amount
    }
}

/// Whose head is read: its place in the order of sending, when that was, and
/// what is remembered of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) number: u64,
    pub(crate) sent: Instant,
    pub(crate) entry: &'a Entry,
}

/// What a head taught.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Learnt {
    /// Something may pass earlier for it.
    pub(crate) loosened: bool,
    /// By how much less it showed than was believed, in tokens.
    pub(crate) short: u64,
    /// By how much more.
    pub(crate) over: u64,
}

/// A surprise is held back for about so many heads.
const FADE: u64 = 128;

/// By how much two requests may overtake each other on their way.
const REORDER: Duration = Duration::from_millis(100);

/// The time in which a limit comes in, where the server does not say.
const MINUTE: Duration = Duration::from_secs(60);

/// Beyond so many unheard requests, it matters what they take.
const UNHEARD: u64 = 4;

/// After so long without a send, one more may go unheard.
const PATIENCE: Duration = Duration::from_millis(500);

/// What all ledgers know of sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sending {
    /// How many were let pass: the number of the next.
    pub(crate) admitted: u64,
    /// The number of the first that is younger than all that were heard of, and
    /// how many from there on came to nothing.
    pub(crate) unseen: u64,
    pub(crate) undone: u64,
    /// The number of the first that is younger than all whose heads were read,
    /// refusals included.
    pub(crate) unread: u64,
    /// When the last one was.
    pub(crate) last: Instant,
    /// Mean time from there to the head, in nanoseconds.
    pub(crate) first_token: u64,
}

impl Sending {
    pub(crate) const NONE: Self = Self {
        admitted: 0,
        unseen: 0,
        undone: 0,
        unread: 0,
        last: Instant::ZERO,
        first_token: 0,
    };

    /// How many are out of which nothing was heard, nor of a younger one.
    const fn unheard(&self) -> u64 {
        self.admitted
            .saturating_sub(self.unseen)
            .saturating_sub(self.undone)
    }

    /// This one was heard of.
    pub(crate) const fn heard(&mut self, number: u64) {
        if number >= self.unseen {
            self.unseen = number.saturating_add(1);
            self.undone = 0;
        }
        self.read(number);
    }

    /// Its head was read, be it a refusal.
    pub(crate) const fn read(&mut self, number: u64) {
        if number >= self.unread {
            self.unread = number.saturating_add(1);
        }
    }

    /// This one came to nothing, though a head may tell of it.
    pub(crate) const fn refused(&mut self, number: u64) {
        if number >= self.unseen {
            self.undone = self.undone.saturating_add(1);
        }
    }

    /// This one came to nothing; the one before it was sent at `before`. The
    /// number of the newest is free again, unless something was heard of it: a
    /// head older than the newest one read is not used.
    pub(crate) const fn undo(&mut self, number: u64, before: Instant) {
        if number >= self.unread && number.saturating_add(1) == self.admitted {
            self.admitted = number;
            self.last = before;
        } else {
            self.refused(number);
        }
    }
}

impl Ledger {
    pub(crate) const fn new(counting: Counting) -> Self {
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
            confirmed: 0,
            surprise: 0,
            slack: 0,
            limit: 0,
            counting,
        }
    }

    /// The most that is ever there.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether what is charged for others in flight matters to it.
    pub(crate) const fn is_late(&self) -> bool {
        matches!(self.counting, Counting::AsProduced)
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
            Some(bucket) => bucket.set(now, rate, burst)?,
            None => {
                let mut bucket = TokenBucket::new(rate, burst)?;
                if open > 0 {
                    let _owed = bucket.charge(now, open);
                }
                self.bucket = Some(bucket);
            }
        }
        self.limit = burst;
        Ok(())
    }

    /// Whether the limit that `meter` shows is the one known here.
    pub(crate) fn knows(&self, meter: &Meter) -> bool {
        self.bucket
            .as_ref()
            .zip(rate_of(meter))
            .is_some_and(|(bucket, (rate, _))| bucket.rate() == rate)
    }

    /// What must be there for `amount` to pass: the amount, and what is held
    /// back for the server's rounding and for surprises, as far as the bucket
    /// has room for it.
    fn need(&self, bucket: &TokenBucket, amount: u64) -> u64 {
        let held = amount
            .saturating_add(u64::from(self.rounding))
            .saturating_add(self.surprise);
        held.min(bucket.burst())
    }

    /// Whether `amount` would pass.
    pub(crate) fn peek(&self, now: Instant, amount: u64) -> Result<(), Refusal> {
        match &self.bucket {
            Some(_) if amount > self.limit => Err(Refusal::Never),
            Some(bucket) => bucket.peek(now, self.need(bucket, amount)),
            None => Ok(()),
        }
    }

    /// Whether `amount` may be sent before more is heard. Beyond [`UNHEARD`]
    /// requests, what is charged and not confirmed may be a fifth of the level,
    /// or what comes in while two heads are awaited; it may be more only after
    /// [`PATIENCE`] without a send. `None` where it may, else from when on.
    pub(crate) fn unheard(&self, now: Instant, amount: u64, sending: &Sending) -> Option<Instant> {
        if sending.unheard() < UNHEARD {
            return None;
        }
        let patient = sending.last.saturating_add(PATIENCE);
        if now >= patient {
            return None;
        }
        let Some(bucket) = &self.bucket else {
            // The server shows no limit, or has not been heard at all.
            return (sending.unseen == 0).then_some(patient);
        };
        let unconfirmed = self
            .charged
            .wrapping_sub(self.confirmed)
            .saturating_add(amount);
        let rate = bucket.rate();
        let awaited = sending.first_token.saturating_mul(2);
        if tokens(rate, unconfirmed) <= ticks(rate, Instant::from_nanos(awaited)) {
            return None;
        }
        match bucket.peek(now, unconfirmed.saturating_mul(5)) {
            Ok(()) => None,
            Err(Refusal::Until(until)) => Some(until.min(patient)),
            Err(Refusal::Never) => Some(patient),
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
    pub(crate) fn refund(&mut self, number: u64, entry: &mut Entry) -> bool {
        let amount = entry.amount;
        let lifted = self.give_back(entry, amount);
        entry.returned = entry.returned.wrapping_add(amount);
        entry.amount = 0;
        if number >= self.unseen {
            // It is not to be confirmed any more.
            self.confirmed = self.confirmed.wrapping_add(amount);
        }
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
        if self.counting == Counting::AtAdmission && number < self.unseen {
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
                if self.counting == Counting::Reserved {
                    // The server itself puts the rest of a reservation back,
                    // whatever happened meanwhile.
                    bucket.put(amount);
                } else {
                    bucket.refund(&mut entry.charge, amount);
                }
                bucket.tat() < before
            }
            None => false,
        }
    }

    /// The request was answered well, whatever its head shows.
    pub(crate) fn confirm(&mut self, seen: Seen<'_>) {
        if seen.number >= self.unseen {
            self.unseen = seen.number.saturating_add(1);
            self.confirmed = seen.entry.charged;
        }
    }

    /// A head shows `meter`; with `learn` its limit is believed. `seen` is the
    /// request that it answers, `open` what is charged and not settled.
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        seen: Option<Seen<'_>>,
        meter: &Meter,
        open: u64,
        learn: bool,
    ) -> Learnt {
        let mut learnt = Learnt::default();
        if seen.is_some_and(|seen| seen.number < self.unseen) {
            return learnt;
        }
        let was_known = self.bucket.is_some();
        learnt.loosened = learn && self.adopt(now, meter, open);
        let Some((seen, remaining)) = seen.zip(meter.remaining) else {
            return learnt;
        };
        self.confirm(seen);
        // At least one is held back: requests may close up on their way.
        self.rounding = remaining.rounding.max(1);
        self.learn_capacity(now, seen, meter);
        self.reconcile(now, seen, remaining, was_known, &mut learnt);
        learnt
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
        let larger = known.is_none() || self.limit < limit;
        let set = self.set_limit(now, rate, limit, open);
        (set.is_ok() && larger) || was_disabled
    }

    /// Moves the level to where a head says that it is.
    fn reconcile(
        &mut self,
        now: Instant,
        seen: Seen<'_>,
        remaining: Remaining,
        was_known: bool,
        learnt: &mut Learnt,
    ) {
        let Some(bucket) = &mut self.bucket else {
            return;
        };
        let rate = bucket.rate();
        let entry = seen.entry;
        // The arrival time that the server's bucket had at an instant at which
        // it held this much.
        let at = |when: Instant, level: i64| {
            let full = ticks(rate, when).saturating_add(tokens(rate, bucket.burst()));
            let owed = tokens(rate, level.unsigned_abs());
            if level < 0 {
                full.saturating_add(owed)
            } else {
                full.saturating_sub(owed)
            }
        };
        let since = tokens(rate, self.charged.wrapping_sub(entry.charged));
        let back = tokens(rate, self.returned.wrapping_sub(entry.returned));
        // Half of what is not produced yet, on average, surely is not in Q.
        let to_come = tokens(rate, (self.slack >> 1).min(entry.open >> 1));
        let unproduced = match self.counting {
            Counting::AsProduced => tokens(rate, entry.open),
            Counting::AtAdmission | Counting::Reserved => 0,
        };
        let (shown, sure) = (remaining.shown, remaining.at_least());
        let mut least = at(seen.sent, shown)
            .saturating_add(since)
            .saturating_add(to_come)
            .saturating_sub(back);
        let mut most = at(seen.sent, sure)
            .saturating_add(since)
            .saturating_add(tokens(rate, entry.overtaken))
            .saturating_add(unproduced);
        let before = bucket.tat();
        let believed = ticks(rate, seen.sent).saturating_add(entry.charge.owed().into());
        let mut short = at(seen.sent, shown).saturating_sub(believed);
        let mut over = believed.saturating_sub(at(seen.sent, sure));
        if self.counting != Counting::AtAdmission {
            // Output may be stamped when the head is written: then Q is of now,
            // and only what is still on its way is missing in it.
            let [_, earlier] = self.earlier;
            let on_its_way = tokens(rate, self.charged.wrapping_sub(earlier));
            least = least.min(at(now, shown).saturating_add(to_come));
            let late = at(now, sure).saturating_add(on_its_way);
            most = most.max(late.saturating_add(unproduced));
            short = short.min(at(now, shown).saturating_sub(before));
            over = over.min(before.saturating_sub(at(now, sure)));
        }
        if shown == 0 {
            // Perhaps a debt that is not shown.
            most = u128::MAX;
            over = 0;
        }
        let (short, over) = (bucket.tokens_in(short), bucket.tokens_in(over));
        let most_held = bucket.burst().checked_div(4).unwrap_or_default();
        if !was_known {
            // The first word on this: the less, and no more.
            let start = if most == u128::MAX { least } else { most };
            bucket.clamp_tat(start, start);
            learnt.loosened |= bucket.tat() < before;
            return;
        }
        if self.full_at.is_some_and(|at| at > seen.sent) {
            // It was full since, and so was the server's, if that held more:
            // there is nothing to raise.
            bucket.clamp_tat(least, u128::MAX);
        } else {
            bucket.clamp_tat(least, most.max(least));
        }
        learnt.loosened |= bucket.tat() < before;
        // What was believed against what is shown: what is not known of the
        // server, in one number each way.
        let faded = self.surprise.div_ceil(FADE);
        self.surprise = self
            .surprise
            .saturating_sub(faded)
            .max(short.min(most_held));
        if self.is_late() && shown > 0 {
            self.slack = mean(self.slack, over.min(entry.open));
        }
        learnt.short = short;
        learnt.over = over;
    }

    /// A head shows when the bucket is full again: no later than the time from
    /// sending to now, and the seconds in which both dates are given, after
    /// that. So it holds no more than what remains and what comes in until then.
    /// Servers enforce a limit over shorter intervals without saying so.
    fn learn_capacity(&mut self, now: Instant, seen: Seen<'_>, meter: &Meter) {
        let Some((bucket, remaining)) = self.bucket.as_mut().zip(meter.remaining) else {
            return;
        };
        let Some(after) = meter.reset.and_then(|reset| reset.after_date_ms) else {
            return;
        };
        let after = Duration::from_millis(u64::try_from(after).unwrap_or(0));
        let span = now
            .saturating_duration_since(seen.sent)
            .saturating_add(after)
            .saturating_add(Duration::from_secs(1));
        let left = u64::try_from(remaining.at_most()).unwrap_or(0);
        let most = left.saturating_add(bucket.rate().in_span(span)).max(1);
        let clearly = bucket.burst().checked_div(16).unwrap_or_default();
        if most < bucket.burst().saturating_sub(clearly) {
            let rate = bucket.rate();
            let _never_zero = bucket.set(now, rate, most);
        }
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

/// A fading mean: a new value weighs a sixteenth, the first all.
pub(crate) fn mean(old: u64, new: u64) -> u64 {
    if old == 0 {
        return new;
    }
    let step = old.abs_diff(new).checked_div(16).unwrap_or_default();
    if new > old {
        old.saturating_add(step)
    } else {
        old.saturating_sub(step)
    }
}

/// The rate that a shown limit means, and the limit.
fn rate_of(meter: &Meter) -> Option<(Rate, u64)> {
    let limit = meter.limit?;
    let rate = Rate::per(limit, meter.window.unwrap_or(MINUTE)).ok()?;
    Some((rate, limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hints::{Family, Reset, ResetGiven},
        units::Dimension,
    };

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// 600 a minute, ten a second.
    fn ledger(counting: Counting) -> Ledger {
        let mut ledger = Ledger::new(counting);
        let rate = Rate::per_minute(600).unwrap();
        ledger.set_limit(at(0), rate, 600, 0).unwrap();
        ledger
    }

    fn shows(left: i64, rounding: u32) -> Meter {
        Meter::new(Family::Standard, Dimension::InputTokens)
            .limit(600)
            .remaining(left, rounding)
    }

    fn head(
        ledger: &mut Ledger,
        now: Instant,
        number: u64,
        sent: Instant,
        entry: &Entry,
        meter: &Meter,
    ) -> Learnt {
        let seen = Seen {
            number,
            sent,
            entry,
        };
        ledger.observe(now, Some(seen), meter, 0, true)
    }

    fn level(ledger: &Ledger, now: Instant) -> u64 {
        ledger.bucket.unwrap().available(now)
    }

    #[test]
    fn a_head_is_compared_with_what_was_charged_since() {
        let mut ledger = ledger(Counting::AtAdmission);
        let first = ledger.charge(at(0), 100, 0);
        let _second = ledger.charge(at(500), 50, 0);
        // The server charged the first 300, not 100.
        head(&mut ledger, at(1_000), 0, at(0), &first, &shows(300, 0));
        assert_eq!(level(&ledger, at(1_000)), 300 + 10 - 50);
    }

    #[test]
    fn a_head_older_than_the_newest_is_not_used() {
        let mut ledger = ledger(Counting::AtAdmission);
        let first = ledger.charge(at(0), 100, 0);
        let second = ledger.charge(at(500), 50, 0);
        head(&mut ledger, at(900), 1, at(500), &second, &shows(300, 0));
        let before = ledger;
        head(&mut ledger, at(1_000), 0, at(0), &first, &shows(10, 0));
        assert_eq!(ledger, before);
    }

    #[test]
    fn within_the_rounding_the_level_stays() {
        let mut ledger = ledger(Counting::AtAdmission);
        let entry = ledger.charge(at(0), 120, 0);
        // 480 by its own account; 500 shown stands for 450 to 550, of which the
        // lower half is believed.
        head(&mut ledger, at(0), 0, at(0), &entry, &shows(500, 50));
        assert_eq!(level(&ledger, at(0)), 480);
        let entry = ledger.charge(at(0), 0, 0);
        head(&mut ledger, at(0), 1, at(0), &entry, &shows(400, 50));
        assert_eq!(level(&ledger, at(0)), 400);
    }

    #[test]
    fn what_a_head_has_counted_is_not_credited_again() {
        let mut ledger = ledger(Counting::AtAdmission);
        let mut entry = ledger.charge(at(0), 300, 0);
        // It took only 100, and the head shows it.
        head(&mut ledger, at(0), 0, at(0), &entry, &shows(500, 0));
        assert_eq!(level(&ledger, at(0)), 500);
        assert!(!ledger.settle(at(0), 0, &mut entry, 100));
        assert_eq!(level(&ledger, at(0)), 500);
        // Of one whose head was not read, it is.
        let mut entry = ledger.charge(at(0), 300, 0);
        assert!(ledger.settle(at(0), 1, &mut entry, 100));
        assert_eq!(level(&ledger, at(0)), 400);
    }

    #[test]
    fn a_refused_request_moves_its_own_marks() {
        let mut ledger = ledger(Counting::AtAdmission);
        let mut entry = ledger.charge(at(0), 400, 0);
        assert!(ledger.refund(0, &mut entry));
        // What its head shows does not hold it: nothing is credited beyond.
        head(&mut ledger, at(0), 0, at(0), &entry, &shows(350, 0));
        assert_eq!(level(&ledger, at(0)), 350);
    }

    #[test]
    fn nothing_remaining_may_hide_a_debt() {
        let mut ledger = ledger(Counting::AtAdmission);
        let entry = ledger.charge(at(0), 600, 0);
        let _debt = ledger.charge(at(0), 100, 0);
        head(&mut ledger, at(0), 0, at(0), &entry, &shows(0, 50));
        assert_eq!(ledger.bucket.unwrap().debt(at(0)), 100);
        // A debt that is shown is one.
        let entry = ledger.charge(at(0), 0, 0);
        head(&mut ledger, at(0), 1, at(0), &entry, &shows(-250, 0));
        assert_eq!(ledger.bucket.unwrap().debt(at(0)), 250);
    }

    #[test]
    fn output_that_is_not_produced_yet_is_no_surprise() {
        let mut ledger = ledger(Counting::AsProduced);
        let first = ledger.charge(at(0), 100, 0);
        let second = ledger.charge(at(0), 100, 100);
        // Nothing of either is produced: both are still to come.
        head(&mut ledger, at(0), 0, at(0), &first, &shows(600, 0));
        let learnt = head(&mut ledger, at(0), 1, at(0), &second, &shows(600, 0));
        assert_eq!((learnt.over, learnt.short), (200, 0));
        assert!(
            level(&ledger, at(0)) <= 500,
            "only what cannot be is raised"
        );
    }

    #[test]
    fn a_smaller_bucket_shows_itself_by_its_reset() {
        let mut ledger = ledger(Counting::AtAdmission);
        let entry = ledger.charge(at(0), 10, 0);
        // Twenty left, and full again in a second: it holds thirty, and what
        // comes in within the second of rounding.
        let mut meter = shows(20, 0);
        meter.reset = Some(Reset::new(ResetGiven::In { millis: 1_000 }, None));
        head(&mut ledger, at(0), 0, at(0), &entry, &meter);
        assert_eq!(ledger.bucket.unwrap().burst(), 40);
        assert_eq!(ledger.limit(), 600);
        // What is larger is let pass when the bucket is full, and not never.
        assert!(matches!(ledger.peek(at(0), 300), Err(Refusal::Until(_))));
        assert_eq!(ledger.peek(at(0), 601), Err(Refusal::Never));
    }

    #[test]
    fn surprises_are_held_back_and_fade() {
        let mut ledger = ledger(Counting::AtAdmission);
        let entry = ledger.charge(at(0), 100, 0);
        head(&mut ledger, at(0), 0, at(0), &entry, &shows(450, 0));
        assert_eq!(ledger.surprise, 50);
        for number in 1..400 {
            let now = at(number * 1_000);
            let entry = ledger.charge(now, 0, 0);
            head(&mut ledger, now, number, now, &entry, &shows(600, 0));
        }
        assert!(ledger.surprise < 50, "{}", ledger.surprise);
    }

    #[test]
    fn a_limit_of_nothing_is_never_until_it_changes() {
        let mut ledger = ledger(Counting::AtAdmission);
        let none = Meter::new(Family::Standard, Dimension::InputTokens).limit(0);
        ledger.observe(at(0), None, &none, 0, true);
        assert!(ledger.is_disabled());
        ledger.observe(at(0), None, &shows(600, 0), 0, true);
        assert!(!ledger.is_disabled());
    }

    #[test]
    fn a_limit_that_is_refused_changes_nothing() {
        let mut ledger = ledger(Counting::AtAdmission);
        let before = ledger;
        let rate = Rate::per_minute(600).unwrap();
        assert_eq!(
            ledger.set_limit(at(0), rate, 0, 0),
            Err(ConfigError::ZeroBurst)
        );
        assert_eq!(ledger, before);
    }

    #[test]
    fn a_limit_that_doubles_gives_no_burst() {
        let mut ledger = ledger(Counting::AtAdmission);
        let _drained = ledger.charge(at(0), 600, 0);
        let doubled = Meter::new(Family::Standard, Dimension::InputTokens).limit(1_200);
        let learnt = ledger.observe(at(0), None, &doubled, 0, true);
        assert!(learnt.loosened);
        assert_eq!(level(&ledger, at(0)), 0);
        assert_eq!(level(&ledger, at(1_000)), 20);
    }
}
