//! One dimension's level, kept true by what heads show.

use core::time::Duration;

use super::{
    forecast::Spread,
    kind::{Kind, Kinds, Sight, Whole},
    settings::Control,
    sharing::{Look, Scene, Sharing, Totals},
    window::{Counted, Place, Showing, Window},
};
use crate::{
    error::ConfigError,
    explain::Level,
    hints::{Meter, Remaining},
    limit::{Charge, Refusal, TokenBucket, ticks, tokens},
    time::{Instant, nanos},
    units::{Dimension, Rate},
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Ledger {
    bucket: Option<TokenBucket>,
    /// What was charged lately; and the account, where heads show that the meter
    /// is no bucket. Then of the bucket only the rate is used.
    window: Window,
    is_window: bool,
    kinds: Kinds,
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
    /// When something was last charged.
    charged_at: Instant,
    /// The first request whose head would be newer than all that showed this
    /// meter.
    unread: u64,
    /// The first that is newer than all that were answered.
    unseen: u64,
    /// When a charge last found the bucket full.
    full_at: Option<Instant>,
    /// Half the step in which the server rounds.
    rounding: u32,
    /// The total of charges up to the newest request that was answered.
    confirmed: u64,
    /// The running total of how far off charges may be, as a variance, and what
    /// it was at that request; wraps.
    variance: u64,
    variance_confirmed: u64,
    /// By how much heads showed less than was believed, in tokens: a fading
    /// maximum.
    surprise: u64,
    /// How much of what is open heads showed to be there all the same, as it is
    /// not produced yet: a fading mean, in [`WHOLE`]ths.
    unmade: u64,
    /// What the bucket would hold if it held all that comes in its window, and
    /// how long that is, in nanoseconds.
    limit: u64,
    per: u64,
    /// The arrival time of the level that was shown last, in units.
    meter: u128,
    /// What is charged for all in flight.
    open: u64,
    counting: Counting,
    stamped: Stamped,
    /// Others who take from it, as long as it is a bucket.
    sharing: Sharing,
}

/// When a server takes down what a head shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Stamped {
    /// When it admits the request.
    AtAdmission,
    /// Then, or when it writes the head.
    AtEither,
}

/// When a server counts what a request takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Counting {
    /// When it admits the request: what its head shows holds it.
    AtAdmission,
    /// As it is produced, or at the end.
    AsProduced,
    /// The most that the request may take when it admits it; what was not taken
    /// is given back at the end.
    Reserved,
}

impl Counting {
    /// How far off what is charged may be, if the amount may be by `spread`.
    pub(crate) const fn spread(self, spread: Spread) -> Spread {
        match self {
            Self::AtAdmission | Self::AsProduced => spread,
            Self::Reserved => Spread::NONE,
        }
    }
}

/// What is remembered of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Entry {
    /// What it is charged.
    amount: u64,
    taken: Taken,
    /// The totals right after it.
    charged: u64,
    returned: u64,
    /// The total of variances right after it.
    variance: u64,
    /// What was charged within [`REORDER`] before it, or a little longer.
    overtaken: u64,
    /// What was charged for it and all others in flight.
    open: u64,
}

/// Where a charge was entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Taken {
    Bucket { charge: Charge, sent: Instant },
    Window(Place),
}

impl Taken {
    /// Where it is kept, if the meter turned out to be no bucket since.
    const fn place(&self) -> Place {
        match *self {
            Self::Window(place) => place,
            Self::Bucket { sent, .. } => Place::kept(sent),
        }
    }
}

impl Entry {
    /// Nothing was charged.
    pub(crate) const BLANK: Self = Self {
        amount: 0,
        taken: Taken::Bucket {
            charge: Charge::NONE,
            sent: Instant::ZERO,
        },
        charged: 0,
        returned: 0,
        variance: 0,
        overtaken: 0,
        open: 0,
    };

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
    /// Something may pass earlier for what it says of the limit.
    pub(crate) loosened: bool,
    /// By how much the level was moved for it, in tokens.
    pub(crate) moved: u64,
    /// Whether it showed that most of what is charged for those in flight is
    /// not.
    pub(crate) uncharged: bool,
}

/// A surprise is held back for about so many requests that heads tell of.
const FADE: u64 = 128;

/// By how much two requests may overtake each other on their way.
const REORDER: Duration = Duration::from_millis(200);

/// Parts of a whole, in which a share is kept.
const WHOLE: u64 = 1 << 16;

/// After so many that were heard of it is known how far off estimates may be.
const KNOWN: u64 = 32;

/// The time in which a limit comes in, where the server does not say.
const MINUTE: Duration = Duration::from_secs(60);

/// What all ledgers know of sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    /// Mean time from there to the head, and to the end, in nanoseconds.
    pub(crate) first_token: u64,
    pub(crate) latency: u64,
    /// What others take for each that is taken here, as the newest head's limit
    /// of requests shows it; 0 where there are none.
    pub(crate) others: u64,
    /// Drawn for the last one.
    pub(crate) chance: u64,
    /// How careful to be.
    pub(crate) control: Control,
}

impl Sending {
    pub(crate) const NONE: Self = Self {
        admitted: 0,
        unseen: 0,
        undone: 0,
        unread: 0,
        last: Instant::ZERO,
        first_token: 0,
        latency: 0,
        others: 0,
        chance: 0,
        control: Control::new(),
    };

    /// How many are out of which nothing was heard, nor of a younger one.
    pub(crate) const fn unheard(&self) -> u64 {
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
    /// head older than the newest one read is not used. True where it is.
    pub(crate) const fn undo(&mut self, number: u64, before: Instant) -> bool {
        let is_newest = number >= self.unread && number.saturating_add(1) == self.admitted;
        if is_newest {
            self.admitted = number;
            self.last = before;
        } else {
            self.refused(number);
        }
        is_newest
    }
}

impl Ledger {
    pub(crate) const fn new(counting: Counting, stamped: Stamped) -> Self {
        Self {
            bucket: None,
            window: Window::new(),
            is_window: false,
            kinds: Kinds::new(),
            disabled: false,
            charged: 0,
            returned: 0,
            earlier: [0; 2],
            marked: Instant::ZERO,
            charged_at: Instant::ZERO,
            unread: 0,
            unseen: 0,
            full_at: None,
            rounding: 0,
            confirmed: 0,
            variance: 0,
            variance_confirmed: 0,
            surprise: 0,
            unmade: 0,
            limit: 0,
            per: nanos(MINUTE),
            meter: 0,
            open: 0,
            counting,
            stamped,
            sharing: Sharing::new(),
        }
    }

    /// Whether a head ever showed its level.
    pub(crate) const fn is_shown(&self) -> bool {
        self.unread > 0
    }

    /// What speaks for the meter's being a kind of its own, without what others
    /// are.
    pub(crate) fn kind(&self) -> Kind {
        self.kinds.kind(Kind::Bucket)
    }

    /// The account, where the meter is no bucket.
    #[inline]
    const fn window(&self) -> Option<&Window> {
        if self.is_window {
            Some(&self.window)
        } else {
            None
        }
    }

    const fn window_mut(&mut self) -> Option<&mut Window> {
        if self.is_window {
            Some(&mut self.window)
        } else {
            None
        }
    }

    /// The most that is ever there.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }
    /// Whether nothing was ever charged, and no limit is known.
    pub(crate) const fn is_idle(&self) -> bool {
        self.charged == 0 && self.bucket.is_none()
    }

    /// Whether what is charged for others in flight matters to it.
    pub(crate) const fn is_late(&self) -> bool {
        matches!(self.counting, Counting::AsProduced)
    }

    pub(crate) const fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// Whether any limit is known.
    pub(crate) const fn is_known(&self) -> bool {
        self.bucket.is_some()
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
        self.kinds.scale(burst, self.limit);
        self.limit = burst;
        if self.is_window {
            let kind = self.window.kind();
            self.window.set(self.kinds.shape(kind, self.per, burst, 0));
        }
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
    /// back for the server's rounding, and for how far off what is unconfirmed
    /// may be or for surprises, as far as the bucket has room for it.
    fn need(
        &self,
        bucket: &TokenBucket,
        amount: u64,
        spread: Spread,
        surprise: u64,
        sending: &Sending,
    ) -> u64 {
        let unconfirmed = self.unconfirmed_of(bucket, spread, sending);
        let held = amount
            .saturating_add(u64::from(self.rounding))
            .saturating_add(unconfirmed.max(surprise));
        held.min(bucket.burst())
    }

    /// What is held back of a bucket for what is unconfirmed; nothing beside
    /// others, for whom more is left than that.
    fn unconfirmed_of(&self, bucket: &TokenBucket, spread: Spread, sending: &Sending) -> u64 {
        if self.is_among(sending) {
            0
        } else {
            self.unconfirmed(bucket.burst(), spread, sending.control.tenths, sending)
        }
    }

    /// The same of a window, at half the deviations: what is held back of a
    /// bucket is held back once, but of a window each time.
    fn need_of_window(
        &self,
        window: &Window,
        at: Instant,
        amount: u64,
        spread: Spread,
        sending: &Sending,
    ) -> u64 {
        let held = amount
            .saturating_add(self.rounding_in(window, at, spread, sending))
            .saturating_add(self.unconfirmed_in(window, spread, sending));
        held.min(window.capacity())
    }

    /// What was shown is known to the server's rounding, or as well as those are
    /// expected that are not settled, if that agrees with it.
    fn rounding_in(&self, window: &Window, at: Instant, spread: Spread, sending: &Sending) -> u64 {
        let variance = spread.variance.saturating_mul(window.open(at).into());
        let deviations = deviations(variance, 1, sending.control.tenths >> 1, 100);
        let rounding = u64::from(self.rounding);
        let least = if window.is_short(at) && rounding > 1 {
            rounding.saturating_mul(3) >> 2
        } else {
            0
        };
        deviations.min(rounding).max(least)
    }

    /// From when on `amount` passes in `window`: `now`, if it does. Time only ever
    /// lessens what is held back.
    fn when_in(
        &self,
        window: &Window,
        now: Instant,
        amount: u64,
        spread: Spread,
        sending: &Sending,
    ) -> Instant {
        let from = |at| {
            let need = self.need_of_window(window, at, amount, spread, sending);
            window.when(at, need)
        };
        let until = from(now);
        if until == now {
            return now;
        }
        let eases = window.eases().into_iter().map(from);
        eases.fold(until, Instant::min).max(now)
    }

    fn unconfirmed_in(&self, window: &Window, spread: Spread, sending: &Sending) -> u64 {
        let none = Spread { tail: 0, ..spread };
        let tenths = sending.control.tenths >> 1;
        self.unconfirmed(window.capacity(), none, tenths, sending)
    }

    /// What is held back for how far off what is unconfirmed may be, and one
    /// more that may be off by `spread`: at most three quarters of what there is.
    fn unconfirmed(&self, capacity: u64, spread: Spread, tenths: u16, sending: &Sending) -> u64 {
        let variance = self.variance.wrapping_sub(self.variance_confirmed);
        let variance = variance.saturating_add(spread.variance);
        if variance == 0 || tenths == 0 {
            return 0;
        }
        // The mean is off by as much as one in 64 of what it is made of.
        let unheard = sending.unheard().saturating_add(64);
        let most = capacity.saturating_mul(3) >> 2;
        deviations(variance, unheard, tenths, 6_400)
            .saturating_add(spread.tail)
            .min(most)
    }

    /// The level as believed, and what `amount` asks of it.
    pub(crate) fn explain(
        &self,
        now: Instant,
        dimension: Dimension,
        amount: u64,
        spread: Spread,
        surprise: u64,
        sending: &Sending,
    ) -> Option<Level> {
        let bucket = self.bucket.as_ref()?;
        if let Some(window) = self.window() {
            return Some(Level {
                dimension,
                there: window.level(now),
                capacity: window.capacity(),
                rate: bucket.rate(),
                wanted: amount,
                rounding: self.rounding_in(window, now, spread, sending),
                unconfirmed: self.unconfirmed_in(window, spread, sending),
                surprise: 0,
                others: 0,
            });
        }
        let mut there = bucket.level_at(bucket.tat(), now);
        if self.counts_produced() {
            let shown = bucket.level_at(self.meter, now);
            there = there
                .saturating_add(self.credit(bucket, sending).into())
                .min(shown);
        }
        Some(Level {
            dimension,
            there: i64::try_from(there).unwrap_or(if there < 0 { i64::MIN } else { i64::MAX }),
            capacity: bucket.burst(),
            rate: bucket.rate(),
            wanted: amount,
            rounding: self.rounding.into(),
            unconfirmed: self.unconfirmed_of(bucket, spread, sending),
            surprise,
            others: self.sharing.part(),
        })
    }

    /// Whether what is charged and not produced yet is used.
    fn counts_produced(&self) -> bool {
        self.counting == Counting::AsProduced && self.unmade > 0
    }

    /// What is held back because heads showed less than was believed.
    pub(crate) const fn surprise(&self, sending: &Sending) -> u64 {
        if sending.control.surprises && !self.is_among(sending) {
            self.surprise
        } else {
            0
        }
    }

    /// Whether others take from it too.
    const fn is_among(&self, sending: &Sending) -> bool {
        !self.is_window && self.sharing.is_among(self.others_elsewhere(sending))
    }

    /// What others take for each that is taken here, as another limit shows it.
    /// When output is counted differs, so others are seen sooner where requests
    /// are.
    const fn others_elsewhere(&self, sending: &Sending) -> u64 {
        match self.stamped {
            Stamped::AtEither => sending.others,
            Stamped::AtAdmission => 0,
        }
    }

    /// What others take for each that is taken here; 0 where there are none.
    pub(crate) fn others(&self) -> u64 {
        if self.is_window {
            0
        } else {
            self.sharing.ratio()
        }
    }

    /// From when on one more may go beside others.
    pub(crate) fn paced(&self, now: Instant) -> Option<Instant> {
        if self.is_window {
            return None;
        }
        self.sharing.bound(now)
    }

    /// Something changed that others may see.
    #[inline]
    fn pace(&mut self, now: Instant, sending: &Sending) {
        if self.is_among(sending) {
            self.pace_among(now, sending);
        } else {
            self.sharing.leave();
        }
    }

    #[cold]
    fn pace_among(&mut self, now: Instant, sending: &Sending) {
        let Some(bucket) = &self.bucket else {
            return;
        };
        let ratio = self.others_elsewhere(sending);
        let delay = match self.counting {
            Counting::AtAdmission | Counting::Reserved => sending.first_token,
            // What is produced is seen later, as far as heads show that.
            Counting::AsProduced => {
                let more = sending.latency.saturating_sub(sending.first_token);
                sending.first_token.saturating_add(self.part_unmade(more))
            }
        };
        let scene = Scene {
            rate: bucket.rate(),
            capacity: bucket.burst(),
            level: bucket.level_at(bucket.tat(), now),
            rounding: self.rounding,
            delay,
            ratio,
        };
        self.sharing.plan(now, &scene);
    }

    /// Whether `amount` would pass, which may be off by `spread`, while as much
    /// as `surprise` is held back.
    pub(crate) fn peek(
        &self,
        now: Instant,
        amount: u64,
        spread: Spread,
        surprise: u64,
        sending: &Sending,
    ) -> Result<(), Refusal> {
        match &self.bucket {
            Some(_) if amount > self.limit => Err(Refusal::Never),
            Some(bucket) => {
                if let Some(window) = self.window() {
                    let until = self.when_in(window, now, amount, spread, sending);
                    return if until > now {
                        Err(Refusal::Until(until))
                    } else {
                        Ok(())
                    };
                }
                let need = self.need(bucket, amount, spread, surprise, sending);
                if !self.counts_produced() {
                    return bucket.peek(now, need);
                }
                let credit = self.credit(bucket, sending);
                let by_charges = bucket.peek_at(bucket.tat(), now, need, credit);
                let by_meter = bucket.peek_at(self.meter, now, need, 0);
                later(by_charges, by_meter)
            }
            None => Ok(()),
        }
    }

    /// What is charged and not produced yet is there all the same, and may be
    /// used as far as what comes in while it is produced makes up for it: if
    /// all that is open is no more than comes in while a request is answered,
    /// the level does not fall for it.
    fn credit(&self, bucket: &TokenBucket, sending: &Sending) -> u64 {
        let latency = Duration::from_nanos(sending.latency.max(sending.first_token));
        let sustained = bucket.rate().in_span(latency).saturating_mul(7) >> 3;
        self.part_unmade(sustained.min(self.open))
    }

    /// As much of `open` as heads show not to be produced yet.
    fn part_unmade(&self, open: u64) -> u64 {
        let wide = u128::from(open).saturating_mul(u128::from(self.unmade));
        u64::try_from(wide.wrapping_shr(WHOLE.trailing_zeros())).unwrap_or(u64::MAX)
    }

    /// Whether `amount` may be sent before more is heard. Beyond a few
    /// requests, what is charged and not confirmed may be a fifth of the level,
    /// or what comes in while two heads are awaited; it may be more only after
    /// a while without a send. `None` where it may, else from when on.
    pub(crate) fn unheard(&self, now: Instant, amount: u64, sending: &Sending) -> Option<Instant> {
        if sending.unheard() < sending.control.unheard {
            return None;
        }
        let patient = sending.last.saturating_add(sending.control.patience);
        if now >= patient {
            return None;
        }
        let Some(bucket) = &self.bucket else {
            // The server shows no limit, or has not been heard at all.
            return (sending.unseen == 0).then_some(patient);
        };
        if sending.unread == 0 {
            // Only the caller knows the limit, and nobody how much the server
            // holds: at the pace at which it comes in none of it is lost.
            let few = amount.saturating_mul(sending.control.unheard.saturating_sub(1));
            let level = bucket.burst().saturating_sub(few).max(amount);
            return match bucket.peek(now, level) {
                Ok(()) => None,
                Err(Refusal::Until(until)) => Some(until.min(patient)),
                Err(Refusal::Never) => Some(patient),
            };
        }
        let unconfirmed = self
            .charged
            .wrapping_sub(self.confirmed)
            .saturating_add(amount);
        if let Some(window) = self.window() {
            if sending.unseen >= KNOWN {
                // How far off estimates may be is known, and held back.
                return None;
            }
            let need = unconfirmed.saturating_mul(5);
            if need > window.capacity() {
                return Some(patient);
            }
            let until = window.when(now, need);
            return (until > now).then(|| until.min(patient));
        }
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
        if let Some(window) = self.window() {
            return window.when(now, amount.saturating_sub(open));
        }
        match &self.bucket {
            // What is more than the bucket holds passes when it is full.
            Some(bucket) => bucket.passes_after_refund(now, amount.min(bucket.burst()), open),
            None => now,
        }
    }

    /// Takes `amount`, which may be off by `spread`, `open` being charged for
    /// others in flight. What is to be remembered of it is put into `entry`,
    /// which is large.
    pub(crate) fn enter(
        &mut self,
        now: Instant,
        amount: u64,
        spread: Spread,
        open: u64,
        sending: &Sending,
        entry: &mut Entry,
    ) {
        self.mark(now);
        self.open = open.saturating_add(amount);
        self.charged_at = now;
        entry.taken = match &mut self.bucket {
            Some(_) if self.is_window => Taken::Window(self.window.take(now, amount)),
            Some(bucket) if amount > 0 => {
                if bucket.is_full(now) {
                    self.full_at = Some(now);
                }
                let charge = bucket.charge(now, amount);
                Taken::Bucket { charge, sent: now }
            }
            _ => Taken::Bucket {
                charge: Charge::NONE,
                sent: now,
            },
        };
        let [_, earlier] = self.earlier;
        let overtaken = self.charged.wrapping_sub(earlier);
        self.charged = self.charged.wrapping_add(amount);
        self.variance = self.variance.wrapping_add(spread.variance);
        if amount > 0 {
            self.sharing.sent(now, amount, sending.chance);
            self.pace(now, sending);
        }
        entry.amount = amount;
        entry.charged = self.charged;
        entry.returned = self.returned;
        entry.variance = self.variance;
        entry.overtaken = overtaken;
        entry.open = self.open;
    }

    /// It took nothing: gives all of it back. What its head shows does not hold
    /// it, so its own marks move with it. True where the level rose.
    ///
    /// Some servers count what they refuse, and what is left may be less than
    /// the nothing that they show: where it may `count`, a window keeps it until
    /// a head tells.
    pub(crate) fn refund(&mut self, number: u64, entry: &mut Entry, counts: bool) -> bool {
        let amount = entry.amount;
        let lifted = self.release(entry, counts);
        self.returned = self.returned.wrapping_add(amount);
        entry.returned = entry.returned.wrapping_add(amount);
        if number >= self.unseen {
            // It is not to be confirmed any more.
            self.confirmed = self.confirmed.wrapping_add(amount);
        }
        lifted
    }

    /// As if the newest request had never been charged, of which nothing was
    /// heard. True where the level rose.
    pub(crate) fn undo(&mut self, entry: &mut Entry) -> bool {
        self.charged = self.charged.wrapping_sub(entry.amount);
        self.release(entry, false)
    }

    /// Takes all of it out of the level, unless it may `count` and is kept. True
    /// where the level rose.
    fn release(&mut self, entry: &mut Entry, counts: bool) -> bool {
        let amount = entry.amount;
        if !self.is_window {
            return self.give_back(entry, amount);
        }
        if !(counts && self.window.keeps_refused(amount)) {
            self.correct(entry, 0, Counted::No);
        }
        entry.amount = 0;
        self.close(entry) || amount > 0
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
        if self.is_window {
            let eased = self.close(entry);
            return self.settle_in_window(number, entry, actual) || eased;
        }
        if self.counting == Counting::AtAdmission && number < self.unread {
            return false;
        }
        if actual <= entry.amount {
            let amount = entry.amount.saturating_sub(actual);
            self.returned = self.returned.wrapping_add(amount);
            return self.give_back(entry, amount);
        }
        let more = actual.saturating_sub(entry.amount);
        if let Some(bucket) = &mut self.bucket {
            let _beyond = bucket.charge(now, more);
        }
        self.charged = self.charged.wrapping_add(more);
        entry.amount = actual;
        false
    }

    /// It took `taken` already, and goes on: what is more than it is charged is
    /// charged now, unless a head that counted it was read.
    pub(crate) fn progress(&mut self, now: Instant, number: u64, entry: &mut Entry, taken: u64) {
        if taken <= entry.amount {
            return;
        }
        let _never_lifts = if self.is_window {
            self.settle_in_window(number, entry, taken)
        } else {
            self.settle(now, number, entry, taken)
        };
    }

    /// As [`settle`](Self::settle). What a head counted is corrected too, by
    /// what the difference is that it showed.
    fn settle_in_window(&mut self, number: u64, entry: &mut Entry, actual: u64) -> bool {
        let counted = match self.counting {
            _ if number >= self.unread => Counted::No,
            Counting::AtAdmission => Counted::Yes,
            Counting::AsProduced => Counted::Perhaps,
            // What is left of it is given back only now.
            Counting::Reserved => Counted::No,
        };
        let less = actual < entry.amount;
        self.correct(entry, actual, counted);
        entry.amount = actual;
        less
    }

    fn correct(&mut self, entry: &Entry, actual: u64, counted: Counted) {
        if let Some(window) = self.window_mut() {
            window.correct(entry.taken.place(), entry.amount, actual, counted);
        }
    }

    /// It is settled. True where less is held back for it.
    fn close(&mut self, entry: &Entry) -> bool {
        match (self.window_mut(), entry.taken) {
            (Some(window), Taken::Window(place)) => window.close(place),
            _ => false,
        }
    }

    fn give_back(&mut self, entry: &mut Entry, amount: u64) -> bool {
        if amount == 0 {
            return false;
        }
        entry.amount = entry.amount.saturating_sub(amount);
        match (&mut self.bucket, &mut entry.taken) {
            (Some(bucket), Taken::Bucket { charge, .. }) => {
                let before = bucket.tat();
                if self.counting == Counting::Reserved {
                    // The server itself puts the rest of a reservation back,
                    // whatever happened meanwhile.
                    bucket.put(amount);
                } else {
                    bucket.refund(charge, amount);
                }
                bucket.tat() < before
            }
            _ => false,
        }
    }

    /// The request was answered well, whatever its head shows.
    pub(crate) fn confirm(&mut self, seen: Seen<'_>) {
        if seen.number >= self.unseen {
            self.unseen = seen.number.saturating_add(1);
            self.confirmed = seen.entry.charged;
            self.variance_confirmed = seen.entry.variance;
        }
    }

    /// A head shows `meter`; with `learn` its limit is believed. `seen` is the
    /// request that it answers, `whole` when the meter is whole again, if that is
    /// known, and what kind others of the server are, `open` what is charged and not settled.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another part of what a head shows"
    )]
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        seen: Option<Seen<'_>>,
        meter: &Meter,
        whole: Option<(Whole, Kind)>,
        open: u64,
        learn: bool,
        sending: &Sending,
    ) -> Learnt {
        let mut learnt = Learnt::default();
        self.open = open;
        if seen.is_some_and(|seen| seen.number < self.unread) {
            return learnt;
        }
        let mut was_known = self.bucket.is_some();
        learnt.loosened = learn && self.adopt(now, meter, open);
        let Some((seen, remaining)) = seen.zip(meter.remaining) else {
            return learnt;
        };
        self.confirm(seen);
        let next = seen.number.saturating_add(1);
        self.fade(next.saturating_sub(self.unread));
        self.unread = next;
        // At least one is held back: requests may close up on their way.
        self.rounding = remaining.rounding.max(1);
        if let Some((whole, presumed)) = whole {
            let was_window = self.is_window;
            self.learn_kind(now, seen, remaining, whole, presumed);
            was_known &= self.is_window || !was_window;
        }
        let whole = whole.map(|(whole, _)| whole);
        if self.is_window {
            self.reconcile_window(now, seen, remaining, whole, &mut learnt);
            return learnt;
        }
        self.learn_capacity(now, seen, meter);
        let dated = whole.filter(|whole| whole.span.is_none());
        let full = dated.map(|whole| (whole.from, whole.to));
        self.reconcile(now, seen, remaining, full, was_known, &mut learnt);
        if sending.control.shares {
            self.look_for_others(seen, remaining);
            self.pace(now, sending);
        }
        learnt
    }

    /// What surprised fades while heads agree. This one tells of `count` requests,
    /// most of whose heads will come too late to be read: they count a quarter.
    fn fade(&mut self, count: u64) {
        let wide = u128::from(self.surprise).saturating_mul(FADE.into());
        let left = wide.checked_div(FADE.saturating_add(count.div_ceil(4)).into());
        self.surprise = left.and_then(|left| u64::try_from(left).ok()).unwrap_or(0);
    }

    /// A head shows whether there are others.
    fn look_for_others(&mut self, seen: Seen<'_>, left: Remaining) {
        let Some(bucket) = &self.bucket else {
            return;
        };
        let entry = seen.entry;
        // Output is counted at some time until the end, which looks as if others
        // took it: that there are any, another limit must show.
        let unsure = match self.stamped {
            Stamped::AtAdmission => entry.overtaken,
            Stamped::AtEither => u64::MAX,
        };
        self.sharing.saw(&Look {
            rate: bucket.rate(),
            sent: seen.sent,
            left: left.shown,
            holds: self.kinds.least_held(),
            totals: Totals {
                charged: entry.charged,
                returned: entry.returned,
                variance: entry.variance,
            },
            rounding: self.rounding,
            unsure,
            may_be_log: self.kinds.may_be_log(left),
        });
    }

    /// A head shows of what kind the meter is, and how large.
    fn learn_kind(
        &mut self,
        now: Instant,
        seen: Seen<'_>,
        left: Remaining,
        whole: Whole,
        presumed: Kind,
    ) {
        let Some(bucket) = &self.bucket else {
            return;
        };
        let charge = seen.entry.amount;
        self.kinds.observe(&Sight {
            sent: seen.sent,
            now,
            charge,
            left,
            whole,
            rate: bucket.rate(),
            limit: self.limit,
        });
        let kind = self.kinds.kind(presumed);
        if kind == Kind::Bucket {
            if core::mem::replace(&mut self.is_window, false) {
                self.window = Window::new();
                self.restore_bucket(now);
            }
            return;
        }
        let slack = u64::from(left.rounding)
            .saturating_add(charge)
            .saturating_mul(2);
        let shape = self.kinds.shape(kind, self.per, self.limit, slack);
        self.window.set(shape);
        if !self.is_window {
            self.is_window = true;
            self.sharing = Sharing::new();
            self.keep();
            let (_, capacity) = shape;
            let taken = capacity.saturating_sub(u64::try_from(left.shown).unwrap_or(0));
            let taken = taken.saturating_add(seen.entry.overtaken);
            self.window.begin(now, kind, seen.sent, taken);
        } else if self.window.kind() != kind {
            self.window.turn(kind);
        }
    }

    /// Keeps what was charged since it last was.
    fn keep(&mut self) {
        let [newer, _] = self.earlier;
        let charged = self.charged.wrapping_sub(newer);
        self.window.keep(self.charged_at, charged);
    }

    /// The bucket is believed again, as large as its limit; the head that is
    /// being read sets its level.
    fn restore_bucket(&mut self, now: Instant) {
        let limit = self.limit;
        if let Some(bucket) = &mut self.bucket {
            let rate = bucket.rate();
            let _never_zero = bucket.set(now, rate, limit);
        }
    }

    /// Moves the level of a window to where a head says that it is.
    fn reconcile_window(
        &mut self,
        now: Instant,
        seen: Seen<'_>,
        left: Remaining,
        whole: Option<Whole>,
        learnt: &mut Learnt,
    ) {
        let window = &mut self.window;
        let entry = seen.entry;
        let before = window.level(now);
        let uncounted = match self.counting {
            Counting::AsProduced => entry.open,
            Counting::AtAdmission | Counting::Reserved => 0,
        };
        let showing = Showing {
            sent: seen.sent,
            place: entry.taken.place(),
            left,
            whole,
            since: self.charged.wrapping_sub(entry.charged),
            returned: self.returned.wrapping_sub(entry.returned),
            overtaken: entry.overtaken,
            uncounted,
            may_be_late: self.stamped == Stamped::AtEither,
        };
        if !window.observe(now, &showing) {
            return;
        }
        let after = window.level(now);
        learnt.moved = after.abs_diff(before);
        let charged = entry.open.min(window.capacity());
        let more = after > before;
        learnt.uncharged = self.counting == Counting::Reserved
            && charged > 0
            && more
            && learnt.moved > charged >> 1;
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
        self.per = nanos(meter.window.unwrap_or(MINUTE));
        let was_disabled = core::mem::replace(&mut self.disabled, false);
        if self.bucket.is_some_and(|bucket| bucket.rate() == rate) {
            return was_disabled;
        }
        // A smaller limit may come in faster, and what is more than it holds
        // passes once it is full.
        self.set_limit(now, rate, limit, open).is_ok() || was_disabled
    }

    /// Moves the level to where a head says that it is.
    fn reconcile(
        &mut self,
        now: Instant,
        seen: Seen<'_>,
        remaining: Remaining,
        full: Option<(Instant, Instant)>,
        was_known: bool,
        learnt: &mut Learnt,
    ) {
        let half_unmade = self.part_unmade(seen.entry.open) >> 1;
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
        // What is unheard is not produced yet, nor half of the rest, on average.
        let unheard = self.charged.wrapping_sub(entry.charged).min(self.open);
        let unmade = unheard.saturating_add(self.open.saturating_sub(unheard) >> 1);
        let is_full = remaining.at_most() >= i64::try_from(bucket.burst()).unwrap_or(i64::MAX);
        let to_come = match self.counting {
            Counting::AsProduced if is_full => tokens(rate, unmade),
            _ => tokens(rate, half_unmade),
        };
        let unproduced = match self.counting {
            Counting::AsProduced => tokens(rate, entry.open),
            Counting::AtAdmission | Counting::Reserved => 0,
        };
        let (shown, sure) = (remaining.shown, remaining.at_least());
        // When it is full again is the arrival time itself, whenever that was
        // taken down, if the bucket is as large as is believed and not full yet.
        let widest = if self.stamped == Stamped::AtEither {
            now
        } else {
            seen.sent
        };
        let full = full
            .filter(|_| !is_full)
            .map(|(from, to)| (ticks(rate, from), ticks(rate, to)))
            .filter(|&(from, to)| {
                from <= at(widest, sure) && at(seen.sent, remaining.at_most()) <= to
            });
        let (mut earliest, mut latest) = (0, u128::MAX);
        if let Some((from, to)) = full {
            let half = to.saturating_sub(from) >> 1;
            let held = bucket.tokens_in(half);
            if held < u64::from(self.rounding) {
                self.rounding = u32::try_from(held).unwrap_or(u32::MAX).max(1);
                (earliest, latest) = (from.saturating_add(half), to);
            }
        }
        let at_most = |when| at(when, shown).max(earliest);
        let at_least = |when| at(when, sure).min(latest);
        let mut least = at_most(seen.sent)
            .saturating_add(since)
            .saturating_add(to_come)
            .saturating_sub(back);
        let mut most = at_least(seen.sent)
            .saturating_add(since)
            .saturating_add(tokens(rate, entry.overtaken))
            .saturating_add(unproduced);
        let before = bucket.tat();
        let own = match &entry.taken {
            Taken::Bucket { charge, .. } => charge.tat(),
            Taken::Window(_) => 0,
        };
        let believed = own.max(ticks(rate, seen.sent));
        let mut short = at_most(seen.sent).saturating_sub(believed);
        let mut over = believed.saturating_sub(at_least(seen.sent));
        if self.stamped == Stamped::AtEither {
            // Output may be stamped when the head is written: then Q is of now,
            // and only what is still on its way is missing in it.
            let [_, earlier] = self.earlier;
            let on_its_way = tokens(rate, self.charged.wrapping_sub(earlier));
            self.meter = at_least(now);
            least = least.min(at_most(now).saturating_add(to_come));
            let late = at_least(now).saturating_add(on_its_way);
            most = most.max(late.saturating_add(unproduced));
            short = short.min(at_most(now).saturating_sub(before));
            over = over.min(before.saturating_sub(at_least(now)));
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
            let outside = least
                .saturating_sub(before)
                .max(before.saturating_sub(most));
            learnt.moved = bucket.tokens_in(outside);
            return;
        }
        if self.full_at.is_some_and(|at| at > seen.sent) {
            // It was full since, and so was the server's, if that held more:
            // there is nothing to raise.
            bucket.clamp_tat(least, u128::MAX);
        } else {
            bucket.clamp_tat(least, most.max(least));
        }
        learnt.moved = bucket.tokens_in(bucket.tat().abs_diff(before));
        let charged = entry.open.min(bucket.burst());
        learnt.uncharged =
            self.counting == Counting::Reserved && charged > 0 && over > charged >> 1;
        // What was believed against what is shown: what is not known of the
        // server, in one number each way.
        self.surprise = self.surprise.max(short.min(most_held));
        if self.counting == Counting::AsProduced && shown > 0 && entry.open > 0 {
            let share = u128::from(over.min(entry.open)).saturating_mul(u128::from(WHOLE));
            let share = share.checked_div(u128::from(entry.open));
            let share = share.and_then(|share| u64::try_from(share).ok());
            self.unmade = mean(self.unmade, share.unwrap_or_default());
        }
    }

    /// A head shows when the bucket is full again: no later than the time from
    /// sending to now, and the seconds in which both dates are given, after
    /// that. So it holds no more than what remains and what comes in until then.
    /// Servers enforce a limit over shorter intervals without saying so.
    fn learn_capacity(&mut self, now: Instant, seen: Seen<'_>, meter: &Meter) {
        let Some((bucket, remaining)) = self.bucket.as_mut().zip(meter.remaining) else {
            return;
        };
        let left = u64::try_from(remaining.at_most()).unwrap_or(0);
        if remaining.at_least() > i64::try_from(bucket.burst()).unwrap_or(i64::MAX) {
            // It holds more than was learnt, so that was wrong.
            let rate = bucket.rate();
            let _never_zero = bucket.set(now, rate, self.limit.max(left));
            return;
        }
        let Some(after) = meter.reset.and_then(|reset| reset.after_date_ms) else {
            return;
        };
        let after = Duration::from_millis(u64::try_from(after).unwrap_or(0));
        let span = now
            .saturating_duration_since(seen.sent)
            .saturating_add(after)
            .saturating_add(Duration::from_secs(1));
        let most = left.saturating_add(bucket.rate().in_span(span)).max(1);
        let clearly = bucket.burst().checked_div(16).unwrap_or_default();
        if most < bucket.burst().saturating_sub(clearly) {
            let rate = bucket.rate();
            let _never_zero = bucket.set(now, rate, most);
        }
    }

    /// A request that was charged `amount` was refused, to come again after
    /// `wait`: it would not pass earlier, so the level is no higher than that.
    pub(crate) fn refused(&mut self, now: Instant, amount: u64, wait: Duration, sending: &Sending) {
        if let Some(window) = self.window_mut() {
            window.refused(now, amount, wait);
            return;
        }
        let Some(bucket) = &self.bucket else {
            return;
        };
        let rate = bucket.rate();
        let need = amount.saturating_add(u64::from(self.rounding));
        let need = need.min(bucket.burst());
        let again = Instant::from_nanos(now.as_nanos().saturating_add(nanos(wait)));
        let least = ticks(rate, again)
            .saturating_add(tokens(rate, bucket.burst()))
            .saturating_sub(tokens(rate, need));
        self.meter = self.meter.max(least);
        if let Some(bucket) = &mut self.bucket {
            let before = bucket.tat();
            bucket.clamp_tat(least, u128::MAX);
            self.sharing.fell(bucket.tat().saturating_sub(before));
        }
        self.pace(now, sending);
    }

    /// Remembers the total of charges as of now, if the last time was long
    /// enough ago.
    #[inline]
    fn mark(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.marked);
        if age >= REORDER {
            self.mark_anew(now, age);
        }
    }

    #[cold]
    fn mark_anew(&mut self, now: Instant, age: Duration) {
        if !self.is_window {
            self.keep();
        }
        let [newer, _] = self.earlier;
        // Charges since the last mark came within REORDER of it.
        let quiet = age >= REORDER.saturating_mul(2);
        self.earlier = [self.charged, if quiet { self.charged } else { newer }];
        self.marked = now;
    }
}

/// So many tenths of the deviation of `times` such variances, all over the root
/// of `parts`.
fn deviations(variance: u64, times: u64, tenths: u16, parts: u16) -> u64 {
    let square = u64::from(tenths).saturating_mul(tenths.into());
    let narrow = variance.checked_mul(times);
    if let Some(product) = narrow.and_then(|product| product.checked_mul(square)) {
        return product.div_ceil(u64::from(parts).max(1)).isqrt();
    }
    let wide = u128::from(variance)
        .saturating_mul(times.into())
        .saturating_mul(square.into())
        .div_ceil(u128::from(parts).max(1));
    u64::try_from(wide.isqrt()).unwrap_or(u64::MAX)
}

/// The refusal that lasts longer.
fn later(one: Result<(), Refusal>, other: Result<(), Refusal>) -> Result<(), Refusal> {
    match (one, other) {
        (Err(Refusal::Until(a)), Err(Refusal::Until(b))) => Err(Refusal::Until(a.max(b))),
        (Ok(()), other) => other,
        (one, _) => one,
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

    impl Ledger {
        fn charge(
            &mut self,
            now: Instant,
            amount: u64,
            spread: Spread,
            open: u64,
            sending: &Sending,
        ) -> Entry {
            let mut entry = Entry::BLANK;
            self.enter(now, amount, spread, open, sending, &mut entry);
            entry
        }
    }

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// 600 a minute, ten a second.
    fn ledger(counting: Counting) -> Ledger {
        let mut ledger = Ledger::new(counting, Stamped::AtAdmission);
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
        let open = ledger.open;
        ledger.observe(now, Some(seen), meter, None, open, true, &Sending::NONE)
    }

    fn whole(from: u64, to: u64) -> Option<(Whole, Kind)> {
        let whole = Whole {
            from: at(from),
            to: at(to),
            span: None,
        };
        Some((whole, Kind::Bucket))
    }

    fn peek(ledger: &Ledger, amount: u64) -> Result<(), Refusal> {
        ledger.peek(at(0), amount, Spread::NONE, 0, &Sending::NONE)
    }

    fn level(ledger: &Ledger, now: Instant) -> u64 {
        ledger.bucket.unwrap().available(now)
    }

    #[test]
    fn a_head_is_compared_with_what_was_charged_since() {
        let mut ledger = ledger(Counting::AtAdmission);
        let first = ledger.charge(at(0), 100, Spread::NONE, 0, &Sending::NONE);
        let _second = ledger.charge(at(500), 50, Spread::NONE, 0, &Sending::NONE);
        // The server charged the first 300, not 100.
        head(&mut ledger, at(1_000), 0, at(0), &first, &shows(300, 0));
        assert_eq!(level(&ledger, at(1_000)), 300 + 10 - 50);
    }

    #[test]
    fn a_head_older_than_the_newest_is_not_used() {
        let mut ledger = ledger(Counting::AtAdmission);
        let first = ledger.charge(at(0), 100, Spread::NONE, 0, &Sending::NONE);
        let second = ledger.charge(at(500), 50, Spread::NONE, 0, &Sending::NONE);
        head(&mut ledger, at(900), 1, at(500), &second, &shows(300, 0));
        let before = ledger;
        head(&mut ledger, at(1_000), 0, at(0), &first, &shows(10, 0));
        assert_eq!(ledger, before);
    }

    #[test]
    fn within_the_rounding_the_level_stays() {
        let mut ledger = ledger(Counting::AtAdmission);
        let entry = ledger.charge(at(0), 120, Spread::NONE, 0, &Sending::NONE);
        // 480 by its own account; 500 shown stands for 450 to 550, of which the
        // lower half is believed.
        head(&mut ledger, at(0), 0, at(0), &entry, &shows(500, 50));
        assert_eq!(level(&ledger, at(0)), 480);
        let entry = ledger.charge(at(0), 0, Spread::NONE, 0, &Sending::NONE);
        head(&mut ledger, at(0), 1, at(0), &entry, &shows(400, 50));
        assert_eq!(level(&ledger, at(0)), 400);
    }

    #[test]
    fn when_it_is_full_again_is_finer_than_what_remains() {
        // 300 were taken, and 200 to 400 are shown to remain.
        let shown = |full| {
            let mut ledger = ledger(Counting::AtAdmission);
            let entry = ledger.charge(at(0), 300, Spread::NONE, 0, &Sending::NONE);
            let seen = Seen {
                number: 0,
                sent: at(0),
                entry: &entry,
            };
            let meter = shows(300, 100);
            ledger.observe(at(0), Some(seen), &meter, full, 0, true, &Sending::NONE);
            ledger
        };
        // It is full in 35 to 36 seconds.
        let ledger = shown(whole(35_000, 36_000));
        assert_eq!(level(&ledger, at(0)), 600 - 355);
        assert_eq!(ledger.rounding, 5, "half a second");
        // One that cannot be is not believed: the bucket is not what it seems.
        let other = shown(whole(5_000, 6_000));
        assert_eq!(other.rounding, 100);
        assert_eq!(level(&other, at(0)), 300);
    }

    #[test]
    fn what_a_head_has_counted_is_not_credited_again() {
        let mut ledger = ledger(Counting::AtAdmission);
        let mut entry = ledger.charge(at(0), 300, Spread::NONE, 0, &Sending::NONE);
        // It took only 100, and the head shows it.
        head(&mut ledger, at(0), 0, at(0), &entry, &shows(500, 0));
        assert_eq!(level(&ledger, at(0)), 500);
        assert!(!ledger.settle(at(0), 0, &mut entry, 100));
        assert_eq!(level(&ledger, at(0)), 500);
        // Of one whose head was not read, it is.
        let mut entry = ledger.charge(at(0), 300, Spread::NONE, 0, &Sending::NONE);
        assert!(ledger.settle(at(0), 1, &mut entry, 100));
        assert_eq!(level(&ledger, at(0)), 400);
    }

    #[test]
    fn an_answer_whose_head_shows_nothing_is_settled_by_its_usage() {
        let mut ledger = ledger(Counting::AtAdmission);
        let mut entry = ledger.charge(at(0), 300, Spread::NONE, 0, &Sending::NONE);
        ledger.confirm(Seen {
            number: 0,
            sent: at(0),
            entry: &entry,
        });
        assert!(ledger.settle(at(0), 0, &mut entry, 100));
        assert_eq!(level(&ledger, at(0)), 500);
    }

    #[test]
    fn what_a_stream_took_beyond_its_charge_is_charged_as_it_is_reported() {
        let mut ledger = ledger(Counting::AsProduced);
        let mut entry = ledger.charge(at(0), 100, Spread::NONE, 0, &Sending::NONE);
        for (taken, left) in [(40, 500), (130, 470), (120, 470), (250, 350)] {
            ledger.progress(at(0), 0, &mut entry, taken);
            assert_eq!(level(&ledger, at(0)), left, "{taken}");
        }
        // At the end only the rest is charged.
        assert!(!ledger.settle(at(0), 0, &mut entry, 300));
        assert_eq!(level(&ledger, at(0)), 300);
    }

    #[test]
    fn a_refused_request_moves_its_own_marks() {
        let mut ledger = ledger(Counting::AtAdmission);
        let mut entry = ledger.charge(at(0), 400, Spread::NONE, 0, &Sending::NONE);
        assert!(ledger.refund(0, &mut entry, false));
        // What its head shows does not hold it: nothing is credited beyond.
        head(&mut ledger, at(0), 0, at(0), &entry, &shows(350, 0));
        assert_eq!(level(&ledger, at(0)), 350);
    }

    /// What was sent and undone after a request was taken for unconfirmed once
    /// that request was answered.
    #[test]
    fn what_came_to_nothing_at_once_leaves_no_trace() {
        let mut ledger = ledger(Counting::AtAdmission);
        let nothing = ledger;
        let mut before = ledger.charge(at(0), 9, Spread::NONE, 0, &Sending::NONE);
        assert!(ledger.undo(&mut before));
        assert_eq!(ledger.charged, nothing.charged);
        let entry = ledger.charge(at(0), 1, Spread::NONE, 0, &Sending::NONE);
        let mut after = ledger.charge(at(0), 9, Spread::NONE, 0, &Sending::NONE);
        assert!(ledger.undo(&mut after));
        ledger.confirm(Seen {
            number: 0,
            sent: at(0),
            entry: &entry,
        });
        assert_eq!(ledger.charged, ledger.confirmed);
        assert_eq!(ledger.returned, nothing.returned);
    }

    #[test]
    fn nothing_remaining_may_hide_a_debt() {
        let mut ledger = ledger(Counting::AtAdmission);
        let entry = ledger.charge(at(0), 600, Spread::NONE, 0, &Sending::NONE);
        let _debt = ledger.charge(at(0), 100, Spread::NONE, 0, &Sending::NONE);
        head(&mut ledger, at(0), 0, at(0), &entry, &shows(0, 50));
        assert_eq!(ledger.bucket.unwrap().debt(at(0)), 100);
        // A debt that is shown is one.
        let entry = ledger.charge(at(0), 0, Spread::NONE, 0, &Sending::NONE);
        head(&mut ledger, at(0), 1, at(0), &entry, &shows(-250, 0));
        assert_eq!(ledger.bucket.unwrap().debt(at(0)), 250);
    }

    #[test]
    fn output_that_is_not_produced_yet_is_no_surprise() {
        let mut ledger = ledger(Counting::AsProduced);
        let first = ledger.charge(at(0), 100, Spread::NONE, 0, &Sending::NONE);
        let second = ledger.charge(at(0), 100, Spread::NONE, 100, &Sending::NONE);
        // Nothing of either is produced: both are still to come.
        head(&mut ledger, at(0), 0, at(0), &first, &shows(600, 0));
        head(&mut ledger, at(0), 1, at(0), &second, &shows(600, 0));
        assert_eq!(ledger.surprise, 0);
        assert!(
            level(&ledger, at(0)) <= 500,
            "only what cannot be is raised"
        );
    }

    #[test]
    fn a_smaller_bucket_shows_itself_by_its_reset() {
        let mut ledger = ledger(Counting::AtAdmission);
        let entry = ledger.charge(at(0), 10, Spread::NONE, 0, &Sending::NONE);
        // Twenty left, and full again in a second: it holds thirty, and what
        // comes in within the second of rounding.
        let mut meter = shows(20, 0);
        meter.reset = Some(Reset::new(ResetGiven::In { millis: 1_000 }, None));
        head(&mut ledger, at(0), 0, at(0), &entry, &meter);
        assert_eq!(ledger.bucket.unwrap().burst(), 40);
        assert_eq!(ledger.limit(), 600);
        // What is larger is let pass when the bucket is full, and not never.
        assert!(matches!(peek(&ledger, 300), Err(Refusal::Until(_))));
        assert_eq!(peek(&ledger, 601), Err(Refusal::Never));
    }

    #[test]
    fn a_bucket_that_shows_more_than_was_learnt_is_as_large_as_its_limit() {
        let mut ledger = ledger(Counting::AtAdmission);
        let entry = ledger.charge(at(0), 10, Spread::NONE, 0, &Sending::NONE);
        let mut meter = shows(20, 0);
        meter.reset = Some(Reset::new(ResetGiven::In { millis: 0 }, None));
        head(&mut ledger, at(0), 0, at(0), &entry, &meter);
        assert_eq!(ledger.bucket.unwrap().burst(), 30);
        let entry = ledger.charge(at(0), 10, Spread::NONE, 0, &Sending::NONE);
        head(&mut ledger, at(0), 1, at(0), &entry, &shows(400, 0));
        assert_eq!(ledger.bucket.unwrap().burst(), 600);
    }

    #[test]
    fn what_is_unconfirmed_is_held_back_by_how_far_off_it_may_be() {
        let mut ledger = ledger(Counting::AtAdmission);
        let spread = Spread {
            variance: 100,
            tail: 0,
        };
        for _ in 0..4 {
            ledger.charge(at(0), 100, spread, 0, &Sending::NONE);
        }
        // 200 are left; of five, each off by ten, 3.5 deviations are 78.
        let peek = |amount| ledger.peek(at(0), amount, spread, 0, &Sending::NONE);
        assert_eq!(peek(122), Ok(()));
        assert!(peek(123).is_err());
        let bold = Sending {
            control: Control::new().tenths_of_deviations(0),
            ..Sending::NONE
        };
        assert_eq!(ledger.peek(at(0), 200, spread, 0, &bold), Ok(()));
        // Exactly known, it is the four that are held back for.
        let exact = |amount| ledger.peek(at(0), amount, Spread::NONE, 0, &Sending::NONE);
        assert_eq!(exact(130), Ok(()));
        assert!(exact(131).is_err());
    }

    #[test]
    fn what_is_not_produced_yet_may_be_used_as_far_as_refill_makes_up_for_it() {
        let mut ledger = ledger(Counting::AsProduced);
        for number in 0..40 {
            let open = number * 20;
            let entry = ledger.charge(at(0), 20, Spread::NONE, open, &Sending::NONE);
            head(&mut ledger, at(0), number, at(0), &entry, &shows(590, 0));
        }
        // In debt by its own account; the server shows that most is there.
        assert!(ledger.bucket.unwrap().debt(at(0)) > 0);
        let slow = Sending {
            latency: 60_000_000_000,
            ..Sending::NONE
        };
        assert_eq!(ledger.peek(at(0), 20, Spread::NONE, 0, &slow), Ok(()));
        let fast = Sending {
            latency: 1_000_000_000,
            ..Sending::NONE
        };
        assert!(ledger.peek(at(0), 20, Spread::NONE, 0, &fast).is_err());
    }

    #[test]
    fn surprises_are_held_back_and_fade() {
        let mut ledger = ledger(Counting::AtAdmission);
        let entry = ledger.charge(at(0), 100, Spread::NONE, 0, &Sending::NONE);
        head(&mut ledger, at(0), 0, at(0), &entry, &shows(450, 0));
        assert_eq!(ledger.surprise, 50);
        for number in 1..400 {
            let now = at(number * 1_000);
            let entry = ledger.charge(now, 0, Spread::NONE, 0, &Sending::NONE);
            head(&mut ledger, now, number, now, &entry, &shows(600, 0));
        }
        assert!(ledger.surprise < 50, "{}", ledger.surprise);
    }

    #[test]
    fn a_head_that_tells_of_many_requests_fades_more_of_a_surprise() {
        let mut ledger = ledger(Counting::AtAdmission);
        let entry = ledger.charge(at(0), 100, Spread::NONE, 0, &Sending::NONE);
        head(&mut ledger, at(0), 0, at(0), &entry, &shows(450, 0));
        let entry = ledger.charge(at(1_000), 0, Spread::NONE, 0, &Sending::NONE);
        head(&mut ledger, at(1_000), 1, at(1_000), &entry, &shows(600, 0));
        assert_eq!(ledger.surprise, 49, "128 parts of 129");
        let now = at(60_000);
        let entry = ledger.charge(now, 0, Spread::NONE, 0, &Sending::NONE);
        head(&mut ledger, now, 513, now, &entry, &shows(600, 0));
        assert_eq!(ledger.surprise, 24, "one part of two");
    }

    #[test]
    fn a_limit_of_nothing_is_never_until_it_changes() {
        let mut ledger = ledger(Counting::AtAdmission);
        let none = Meter::new(Family::Standard, Dimension::InputTokens).limit(0);
        ledger.observe(at(0), None, &none, None, 0, true, &Sending::NONE);
        assert!(ledger.is_disabled());
        ledger.observe(at(0), None, &shows(600, 0), None, 0, true, &Sending::NONE);
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
        let _drained = ledger.charge(at(0), 600, Spread::NONE, 0, &Sending::NONE);
        let doubled = Meter::new(Family::Standard, Dimension::InputTokens).limit(1_200);
        let learnt = ledger.observe(at(0), None, &doubled, None, 0, true, &Sending::NONE);
        assert!(learnt.loosened);
        assert_eq!(level(&ledger, at(0)), 0);
        assert_eq!(level(&ledger, at(1_000)), 20);
    }

    /// Heads of 600 a minute by the ten seconds, of requests for ten that are a
    /// second apart.
    fn in_windows_of_ten() -> Ledger {
        in_windows(Counting::AtAdmission)
    }

    fn in_windows(counting: Counting) -> Ledger {
        let mut ledger = ledger(counting);
        for number in 0..30_u64 {
            let now = at(number * 1_000 + 500);
            let entry = ledger.charge(now, 10, Spread::NONE, 0, &Sending::NONE);
            let into = i64::try_from(number % 10).unwrap();
            let shown = shows(90 - 10 * into, 0);
            let edge = (number / 10 + 1) * 10_000;
            let whole = whole(edge, edge + 1_000);
            let seen = Seen {
                number,
                sent: now,
                entry: &entry,
            };
            ledger.observe(now, Some(seen), &shown, whole, 0, true, &Sending::NONE);
        }
        ledger
    }

    #[test]
    fn a_window_shows_itself_and_is_used_as_one() {
        let ledger = in_windows_of_ten();
        assert_eq!(ledger.kind(), Kind::Window);
        let passes = |now, amount| ledger.peek(now, amount, Spread::NONE, 0, &Sending::NONE);
        // All is taken; it is there again at the edge, and not a bit before.
        let edge = Err(Refusal::Until(at(31_000)));
        assert_eq!(passes(at(30_500), 1), edge);
        assert_eq!(passes(at(31_000), 100), Ok(()));
        assert!(passes(at(31_000), 600).is_ok(), "all that there ever is");
        assert_eq!(passes(at(31_000), 601), Err(Refusal::Never));
    }

    #[test]
    fn what_is_taken_after_an_edge_is_of_the_next_window() {
        let mut ledger = in_windows_of_ten();
        let mut entry = ledger.charge(at(31_000), 70, Spread::NONE, 0, &Sending::NONE);
        assert_eq!(level_of_window(&ledger, at(31_000)), 30);
        assert!(ledger.settle(at(31_500), 30, &mut entry, 20));
        assert_eq!(level_of_window(&ledger, at(31_500)), 80);
        let mut entry = ledger.charge(at(31_600), 70, Spread::NONE, 0, &Sending::NONE);
        assert!(ledger.refund(31, &mut entry, false));
        assert_eq!(level_of_window(&ledger, at(31_600)), 80);
    }

    #[test]
    fn a_refused_request_may_count_in_a_window() {
        let mut ledger = in_windows_of_ten();
        let mut entry = ledger.charge(at(31_000), 10, Spread::NONE, 0, &Sending::NONE);
        ledger.refund(30, &mut entry, true);
        assert_eq!(level_of_window(&ledger, at(31_000)), 90);
    }

    fn level_of_window(ledger: &Ledger, now: Instant) -> i64 {
        ledger.window().unwrap().level(now)
    }

    #[test]
    fn what_no_head_counted_is_credited_when_it_took_less() {
        let mut ledger = in_windows_of_ten();
        let entry = ledger.charge(at(31_000), 10, Spread::NONE, 0, &Sending::NONE);
        shown_in_window(&mut ledger, 30, at(31_000), &entry, 90);
        let mut entry = ledger.charge(at(31_100), 50, Spread::NONE, 10, &Sending::NONE);
        assert_eq!(level_of_window(&ledger, at(31_100)), 40);
        assert!(ledger.settle(at(31_200), 31, &mut entry, 20));
        assert_eq!(level_of_window(&ledger, at(31_200)), 70);
    }

    #[test]
    fn what_was_given_back_lifts_nothing_again() {
        let mut ledger = in_windows_of_ten();
        let mut entry = ledger.charge(at(31_000), 10, Spread::NONE, 0, &Sending::NONE);
        assert!(ledger.refund(30, &mut entry, false));
        assert!(!ledger.refund(30, &mut entry, false));
    }

    /// A head that was sent with what it answers, in the window to 40 s.
    fn shown_in_window(
        ledger: &mut Ledger,
        number: u64,
        sent: Instant,
        entry: &Entry,
        left: i64,
    ) -> Learnt {
        let seen = Seen {
            number,
            sent,
            entry,
        };
        let (shown, whole) = (shows(left, 0), whole(40_000, 41_000));
        ledger.observe(sent, Some(seen), &shown, whole, 0, true, &Sending::NONE)
    }

    /// What is charged for those in flight is left: that is no server that reserves.
    #[test]
    fn a_window_that_shows_most_of_what_is_open_to_be_left_reserves_nothing() {
        let uncharged = |counting, amount, open, left| {
            let mut ledger = in_windows(counting);
            let _other = ledger.charge(at(31_000), 60, Spread::NONE, 0, &Sending::NONE);
            // So much later that it cannot have overtaken the other.
            let sent = at(32_000);
            let entry = ledger.charge(sent, amount, Spread::NONE, open, &Sending::NONE);
            shown_in_window(&mut ledger, 31, sent, &entry, left).uncharged
        };
        // Seventy of a hundred are open.
        assert!(uncharged(Counting::Reserved, 10, 60, 100));
        assert!(uncharged(Counting::Reserved, 10, 60, 66));
        assert!(!uncharged(Counting::Reserved, 10, 60, 65), "half of it");
        assert!(!uncharged(Counting::Reserved, 10, 60, -10), "less is left");
        assert!(!uncharged(Counting::Reserved, 0, 0, 100), "none is open");
        assert!(!uncharged(Counting::AtAdmission, 10, 60, 100));
    }

    #[test]
    fn a_bucket_that_shows_most_of_what_is_open_to_be_left_reserves_nothing() {
        let uncharged = |amount, open, left| {
            let mut ledger = ledger(Counting::Reserved);
            let _other = ledger.charge(at(0), 60, Spread::NONE, 0, &Sending::NONE);
            let entry = ledger.charge(at(0), amount, Spread::NONE, open, &Sending::NONE);
            head(&mut ledger, at(0), 1, at(0), &entry, &shows(left, 0)).uncharged
        };
        assert!(uncharged(10, 60, 566));
        assert!(!uncharged(10, 60, 565), "half of it");
        assert!(!uncharged(0, 0, 600), "none is open");
    }

    #[test]
    fn what_is_not_produced_yet_is_learnt_where_it_shows() {
        let unmade = |amount, left| {
            let mut ledger = ledger(Counting::AsProduced);
            ledger.unmade = WHOLE;
            let entry = ledger.charge(at(0), amount, Spread::NONE, 0, &Sending::NONE);
            head(&mut ledger, at(0), 0, at(0), &entry, &shows(left, 0));
            ledger.unmade
        };
        assert!(unmade(100, 500) < WHOLE, "all of it is produced");
        assert_eq!(unmade(100, 0), WHOLE, "a debt may be hidden");
        assert_eq!(unmade(0, 600), WHOLE, "none is open");
    }

    #[test]
    fn no_more_than_three_quarters_are_held_back_and_nothing_where_none_is_wanted() {
        let ledger = ledger(Counting::AtAdmission);
        let held = |variance, tenths| {
            let spread = Spread { variance, tail: 50 };
            ledger.unconfirmed(600, spread, tenths, &Sending::NONE)
        };
        assert_eq!(held(1 << 40, 35), 450);
        assert!((50..450).contains(&held(100, 35)));
        assert_eq!(held(100, 0), 0);
        assert_eq!(held(0, 35), 0);
    }

    #[test]
    fn a_request_for_nothing_does_not_show_when_a_bucket_was_full() {
        let mut ledger = ledger(Counting::AtAdmission);
        ledger.charge(at(0), 0, Spread::NONE, 0, &Sending::NONE);
        assert_eq!(ledger.full_at, None);
        ledger.charge(at(1), 1, Spread::NONE, 0, &Sending::NONE);
        assert_eq!(ledger.full_at, Some(at(1)));
    }

    /// It was less while it was thought to enforce a shorter interval.
    #[test]
    fn a_bucket_that_is_believed_again_is_as_large_as_its_limit() {
        let mut ledger = ledger(Counting::AtAdmission);
        let bucket = ledger.bucket.as_mut().unwrap();
        bucket
            .set(at(0), Rate::per_minute(600).unwrap(), 100)
            .unwrap();
        ledger.restore_bucket(at(0));
        assert_eq!(ledger.bucket.unwrap().burst(), 600);
    }

    #[test]
    fn the_number_of_the_newest_is_free_again_where_nothing_was_heard_of_it() {
        let mut sending = Sending::NONE;
        (sending.admitted, sending.unread, sending.last) = (5, 4, at(9));
        assert!(!sending.undo(3, at(1)), "it is not the newest");
        assert!(sending.undo(4, at(3)));
        assert_eq!((sending.admitted, sending.last), (4, at(3)));
        assert!(!sending.undo(3, at(1)), "its head was read");
        assert_eq!((sending.admitted, sending.last), (4, at(3)));
    }
}
