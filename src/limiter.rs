//! Layer 2, all limits of one pool as one decision: [`Limiter`].

use core::time::Duration;

use crate::{
    call::Call,
    clock::Clock,
    control::{
        Amounts, Concurrency, Control, Counting, Entries, Entry, Forecast, Kind, Ledger, Outage,
        Output, Pace, Seen, Sending, ServerClock, SlowStart, Spread, Stamped, Whole, mean,
    },
    decision::{Cause, Class, Denied, Never, Wait},
    error::ConfigError,
    explain::{Explanation, Level, Stance},
    hints::{Family, Meter, Remaining, ServerHints},
    limit::{Flights, Pause, Refusal},
    pools::Told,
    request::{Profile, Request, Usage},
    retry::{Guard, RetryPolicy},
    rng::Rng,
    time::{Instant, nanos},
    units::{Cost, Dimension, Rate},
};

/// All limits of one pool as one atomic decision, kept true by what the server
/// says.
///
/// Shared by all calls that draw from the pool; where several threads do, under
/// a lock that is the driver's. It works without any setting: limits are
/// learnt from response heads, and until the first one comes few are sent.
///
/// Its methods are of four kinds: settings (`limit`, `in_flight`, ..), made
/// once; questions (`peek`, `opened`), which change nothing; `call`, which
/// makes a [`Call`] that does the rest by itself; and the verbs that `Call` is
/// made of (`try_acquire`, `observe`, `settle`), for those who retry in their
/// own way.
///
/// ```
/// use sendwhen::{Cost, Denied, Dimension, Instant, Limiter, Rate};
///
/// let mut limiter = Limiter::new(42)
///     .limit(Dimension::Requests, Rate::per_minute(60)?, 1)?
///     .limit(Dimension::InputTokens, Rate::per_minute(30_000)?, 30_000)?;
/// let cost = Cost::request().with(Dimension::InputTokens, 1_200);
///
/// let now = Instant::from_secs(5);
/// let permit = limiter.try_acquire(now, &cost).unwrap();
/// let Err(Denied::Until { wait, .. }) = limiter.try_acquire(now, &cost) else { panic!() };
/// assert_eq!(wait.until, Instant::from_secs(6));
/// assert_eq!(wait.cause.to_string(), "the limit of requests");
/// limiter.settle(now, permit, Some(cost));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limiter {
    clock: Clock,
    /// Not part of a snapshot: rules are made by code, and may name lists that
    /// live as long as it.
    #[cfg_attr(feature = "serde", serde(skip))]
    policy: RetryPolicy,
    /// What calls share of the policy.
    guard: Guard,
    rng: Rng,
    /// Whose meters are this pool's.
    family: Family,
    /// Whether limits that heads show are believed.
    learns: bool,
    /// Whether nothing is known of limits: none was set, and no head showed any.
    blind: bool,
    /// Of all dimensions but output tokens, whose place is not used.
    ledgers: [Ledger; Dimension::COUNT],
    output: Output,
    sending: Sending,
    flights: Flights,
    cap: Option<u32>,
    slow_start: SlowStart,
    outage: Outage,
    concurrency: Concurrency,
    pace: Pace,
    pause: Pause,
    closed: Option<Closed>,
    forecast: Forecast,
    server_clock: ServerClock,
    /// What kind of meters heads showed lately.
    kind: Kind,
    /// What bound those who were told to wait since it last moved.
    told: Binding,
    opened: u64,
}

/// A pool that lets nothing pass, until an instant if the caller gave one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Closed {
    until: Option<Instant>,
}

/// Leave to send, given by [`Limiter::try_acquire`] and to be given back with
/// [`Limiter::settle`].
///
/// Neither copied nor cloned, so that it is settled once. It has no `Drop`: one
/// that is lost holds its place in flight until it expires, and its charge for
/// good.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[must_use = "a permit that is not settled holds its place until it expires"]
pub struct Permit {
    /// Its place in the order of sending.
    number: u64,
    sent: Instant,
    /// When the one before it was sent.
    before: Instant,
    /// Where it is counted among those in flight, and among the young.
    slice: u64,
    young: Option<u64>,
    /// What it was charged at first, and whether that was given back.
    cost: Cost,
    refunded: bool,
    /// The most output that it may produce.
    most: u64,
    /// Into which ledgers it was entered.
    entered: Entered,
    entries: [Entry; Dimension::COUNT],
    output: Entries,
}

/// A set of dimensions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Entered(u8);

impl Entered {
    const NONE: Self = Self(0);

    const fn insert(&mut self, dimension: Dimension) {
        self.0 |= 1 << dimension.index();
    }

    const fn holds(self, dimension: Dimension) -> bool {
        self.0 & (1 << dimension.index()) != 0
    }
}

impl Permit {
    pub(crate) const BLANK: Self = Self {
        number: 0,
        sent: Instant::ZERO,
        before: Instant::ZERO,
        slice: 0,
        young: None,
        cost: Cost::ZERO,
        refunded: false,
        most: 0,
        entered: Entered::NONE,
        entries: [Entry::BLANK; Dimension::COUNT],
        output: Entries::BLANK,
    };

    /// What was charged for it.
    pub const fn cost(&self) -> &Cost {
        &self.cost
    }

    /// What is remembered of it in the ledger at `place`.
    fn seen(&self, place: usize) -> Option<Seen<'_>> {
        self.entries.get(place).map(|entry| Seen {
            number: self.number,
            sent: self.sent,
            entry,
        })
    }

    /// What it is still charged.
    const fn charges(&self) -> &Cost {
        if self.refunded {
            &Cost::ZERO
        } else {
            &self.cost
        }
    }
}

/// How long a permit lives where nothing else is set: the time-out of the
/// official SDKs.
const LIFETIME: Duration = Duration::from_secs(600);

/// How many are sent before the server is heard, where nothing else is set.
const FIRST: u32 = 2;

impl Limiter {
    /// A limiter that knows no limit yet. The same seed and the same events
    /// give the same decisions.
    pub const fn new(seed: u64) -> Self {
        const EARLY: Ledger = Ledger::new(Counting::AtAdmission, Stamped::AtAdmission);
        const LATE: Ledger = Ledger::new(Counting::AsProduced, Stamped::AtAdmission);
        Self {
            clock: Clock::new(),
            policy: RetryPolicy::new(),
            guard: Guard::of(&RetryPolicy::new()),
            rng: Rng::new(seed),
            family: Family::Standard,
            learns: true,
            blind: true,
            // In the order of `Dimension::ALL`.
            ledgers: [EARLY, EARLY, EARLY, LATE, LATE, EARLY, EARLY, EARLY],
            output: Output::new(),
            sending: Sending::NONE,
            flights: Flights::over(LIFETIME),
            cap: None,
            slow_start: SlowStart::new(FIRST),
            outage: Outage::new(seed),
            concurrency: Concurrency::new(),
            pace: Pace::new(),
            pause: Pause::new(),
            closed: None,
            forecast: Forecast::new(),
            server_clock: ServerClock::new(),
            kind: Kind::Bucket,
            told: Binding::NONE,
            opened: 0,
        }
    }

    /// Sets what is known of a limit: a token bucket that holds `burst` and
    /// refills at `rate`. What heads show corrects it, unless
    /// [`learn_limits`](Self::learn_limits) says not to.
    ///
    /// # Errors
    /// Where `burst` is 0.
    pub fn limit(
        mut self,
        dimension: Dimension,
        rate: Rate,
        burst: u64,
    ) -> Result<Self, ConfigError> {
        let now = self.clock.latest();
        self.set_limit(now, dimension, rate, burst)?;
        Ok(self)
    }

    /// Changes a limit at `now`. The level stays: no burst is given, no token
    /// is lost.
    ///
    /// # Errors
    /// Where `burst` is 0; then nothing changes.
    pub fn set_limit(
        &mut self,
        now: Instant,
        dimension: Dimension,
        rate: Rate,
        burst: u64,
    ) -> Result<(), ConfigError> {
        let now = self.advance(now);
        let open = self.flights.sum(now, dimension);
        if dimension == Dimension::OutputTokens {
            self.output.set_limit(now, rate, burst, open)?;
        } else if let Some(ledger) = self.ledgers.get_mut(dimension.index()) {
            ledger.set_limit(now, rate, burst, open)?;
        }
        self.blind = false;
        self.open_up(Binding::of(Cause::Limit(dimension)).and(Binding::of(Cause::Confirmation)));
        Ok(())
    }

    /// Sets whether limits that heads show replace those that were set, and
    /// whether refusals teach a rate where no head shows anything. They do
    /// unless this says not to; levels are corrected either way.
    #[must_use]
    pub const fn learn_limits(mut self, learns: bool) -> Self {
        self.learns = learns;
        self
    }

    /// Sets whose meters are this pool's: [`Family::Standard`] where nothing
    /// else is said.
    #[must_use]
    pub const fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Sets how many may be in flight at once. There is no such cap where none
    /// is set.
    ///
    /// # Errors
    /// Where it is 0.
    pub const fn in_flight(mut self, cap: u32) -> Result<Self, ConfigError> {
        if cap == 0 {
            return Err(ConfigError::ZeroInFlight);
        }
        self.cap = Some(cap);
        Ok(self)
    }

    /// Sets how long a permit holds its place if it is never settled: 600 s
    /// where nothing else is set, and at most an eighth more. To be set before
    /// the first is given.
    ///
    /// # Errors
    /// Where it is shorter than a millisecond.
    pub const fn permit_lifetime(mut self, lifetime: Duration) -> Result<Self, ConfigError> {
        match Flights::new(lifetime) {
            Ok(flights) => self.flights = flights,
            Err(error) => return Err(error),
        }
        Ok(self)
    }

    /// Sets how many may be sent before the server is heard: 2 where nothing
    /// else is set. For each that it does not refuse there is room for one more
    /// than before.
    ///
    /// # Errors
    /// Where it is 0.
    pub const fn initial_window(mut self, first: u32) -> Result<Self, ConfigError> {
        if first == 0 {
            return Err(ConfigError::ZeroInFlight);
        }
        self.slow_start = SlowStart::new(first);
        Ok(self)
    }

    /// Sets how careful the limiter is. To be set before the first request.
    #[must_use]
    pub const fn control(mut self, control: Control) -> Self {
        self.sending.control = control;
        self.output.settle_for(control.output);
        self
    }

    /// Sets how calls are retried.
    #[must_use]
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self.guard = Guard::of(&self.policy);
        self
    }

    /// A call for `request`, to be driven with this limiter. It has a seed of
    /// its own, so that calls do not come back together.
    pub const fn call(&mut self, request: Request) -> Call {
        Call::new(request, self.rng.next())
    }

    /// What `request` is expected to take, from what those like it took.
    pub fn forecast(&self, request: &Request) -> Cost {
        self.forecast.of(request)
    }

    /// Whether `cost` would pass at `now`; changes nothing.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn peek(&self, now: Instant, cost: &Cost) -> Result<(), Denied> {
        self.check(self.clock.peek(now), &Wanted::exactly(cost))
            .map_err(|denied| self.outside(denied))
    }

    /// Why `request` would pass at `now`, or not, with the numbers that make it;
    /// changes nothing. Prints as one line.
    pub fn explain(&self, now: Instant, request: &Request) -> Explanation {
        let now = self.clock.peek(now);
        let explanation = self.explain_inside(now, &self.wanted(request));
        explanation.outside(|at| self.clock.outside(at))
    }

    /// Lets `cost` pass at `now` through all limits at once, or through none.
    ///
    /// # Errors
    /// [`Denied::Until`] with the exact instant from which it passes, the limit
    /// that binds, and the instant before which it cannot pass whatever those
    /// in flight turn out to cost; [`Denied::Never`] where no wait helps. A
    /// refusal changes nothing.
    pub fn try_acquire(&mut self, now: Instant, cost: &Cost) -> Result<Permit, Denied> {
        let now = self.advance(now);
        let wanted = Wanted::exactly(cost);
        match self.check(now, &wanted) {
            Ok(()) => Ok(self.admit(now, &wanted)),
            Err(denied) => {
                self.tell(&denied);
                Err(self.outside(denied))
            }
        }
    }

    /// Takes note of what the head of a response says. `permit` is that of the
    /// request that it answers: without it limits are learnt, but no level is
    /// corrected, because what a level means depends on what was sent since.
    pub fn observe(&mut self, now: Instant, permit: Option<&Permit>, hints: &ServerHints) {
        let now = self.advance(now);
        self.observe_inside(now, permit, hints);
    }

    /// Gives a permit back: the request took `actual`, which is
    /// [`Cost::ZERO`] where it was never sent or was refused, or nobody knows
    /// what it took (`None`) and the charge stands. One that expired does
    /// nothing.
    pub fn settle(&mut self, now: Instant, mut permit: Permit, actual: Option<Cost>) {
        let now = self.advance(now);
        self.settle_inside(now, &mut permit, actual);
    }

    /// Moves whenever one who was told to wait, by [`try_acquire`] or a
    /// [`Call`], may go earlier than that, or has no reason to wait any longer.
    /// A driver compares it under its lock, before
    /// and after it reported something, and wakes all its waiters if it moved.
    ///
    /// [`try_acquire`]: Self::try_acquire
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    /// Says that the caller's clock was reset: what was the latest instant so
    /// far is `now` from here on. Levels and waits stay as they are. Without
    /// this, a clock that goes back makes the limiter stand still until it has
    /// caught up.
    pub const fn rebase(&mut self, now: Instant) {
        self.clock.rebase(now);
    }

    /// Closes the pool: nothing passes until [`reopen`](Self::reopen), or until
    /// the instant given here. A refusal for spend or credit closes it too,
    /// without an instant.
    pub fn close(&mut self, now: Instant, until: Option<Instant>) {
        let _now = self.advance(now);
        self.closed = Some(Closed {
            until: until.map(|at| self.clock.inside(at)),
        });
        self.open_up(Binding::ALL);
    }

    /// Opens a pool that was closed.
    pub const fn reopen(&mut self) {
        self.closed = None;
        self.open_up(Binding::ALL);
    }

    /// How many are in flight at `now`: let pass, and neither settled nor
    /// expired.
    pub fn flying(&self, now: Instant) -> u32 {
        self.flights.count(self.clock.peek(now))
    }

    /// What is known of the limit of `dimension` at `now`; `None` where there is
    /// no such limit, or it is not known yet.
    ///
    /// ```
    /// use sendwhen::{Cost, Dimension, Instant, Limiter, Rate};
    ///
    /// let mut limiter = Limiter::new(42).limit(Dimension::Requests, Rate::per_minute(60)?, 4)?;
    /// let now = Instant::from_secs(5);
    /// let _permit = limiter.try_acquire(now, &Cost::request()).unwrap();
    /// let level = limiter.level(now, Dimension::Requests).unwrap();
    /// assert_eq!((level.there, level.capacity), (3, 4));
    /// assert_eq!(limiter.level(now, Dimension::InputTokens), None);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn level(&self, now: Instant, dimension: Dimension) -> Option<Level> {
        let now = self.clock.peek(now);
        if dimension == Dimension::OutputTokens {
            let nothing = Amounts {
                forecast: 0,
                most: 0,
            };
            return self
                .output
                .explain(now, nothing, Spread::NONE, &self.sending);
        }
        let ledger = self.ledgers.get(dimension.index())?;
        let surprise = ledger.surprise(&self.sending);
        ledger.explain(now, dimension, 0, Spread::NONE, surprise, &self.sending)
    }

    /// Until when the server told the whole pool to stop, where that is after
    /// `now`.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        match self.pause.peek(self.clock.peek(now)) {
            Err(Refusal::Until(until)) => Some(self.clock.outside(until)),
            Ok(()) | Err(Refusal::Never) => None,
        }
    }

    /// These bind less than before.
    const fn open_up(&mut self, loosened: Binding) {
        if self.told.meets(loosened) {
            self.told = Binding::NONE;
            self.opened = self.opened.wrapping_add(1);
        }
    }

    /// A denial on the caller's clock.
    fn outside(&self, denied: Denied) -> Denied {
        match denied {
            Denied::Until { wait, earliest } => Denied::Until {
                wait: Wait {
                    until: self.clock.outside(wait.until),
                    cause: wait.cause,
                },
                earliest: self.clock.outside(earliest),
            },
            never @ Denied::Never(_) => never,
        }
    }
}

/// What [`Call`] and [`Pools`](crate::Pools) use. All instants are the
/// limiter's own.
impl Limiter {
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn advance(&mut self, now: Instant) -> Instant {
        self.clock.advance(now)
    }

    pub(crate) const fn retry_policy(&self) -> &RetryPolicy {
        &self.policy
    }

    pub(crate) const fn retry_guard(&mut self) -> &mut Guard {
        &mut self.guard
    }

    pub(crate) fn flying_inside(&self, now: Instant) -> u32 {
        self.flights.count(now)
    }

    /// The same with a policy that it had before it was written down: what was
    /// counted for it stands.
    #[cfg(feature = "serde")]
    pub(crate) const fn with_policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The same after it was written down and read, so much later.
    #[cfg(feature = "serde")]
    pub(crate) fn resumed(self, now: Instant, asleep: Duration, policy: RetryPolicy) -> Self {
        let mut limiter = self.with_policy(policy);
        limiter.clock.resume(now, asleep);
        limiter
    }

    /// Remembers that somebody waits for what binds.
    pub(crate) const fn tell(&mut self, denied: &Denied) {
        if let Denied::Until { wait, .. } = denied {
            self.told = self.told.and(Binding::of(wait.cause));
        }
    }

    /// What `request` is expected to take, and the most that it may.
    pub(crate) fn wanted(&self, request: &Request) -> Wanted {
        Wanted {
            cost: self.forecast.of(request),
            most: request.max_tokens,
            profile: Some(request.profile),
            spare: 0,
        }
    }

    pub(crate) fn check(&self, now: Instant, wanted: &Wanted) -> Result<(), Denied> {
        self.verdict(now, wanted).map_err(Denied::Never)?.end()
    }

    /// From when it may pass, whatever those in flight report, and what binds
    /// until then; `None` where it passes.
    #[cfg(feature = "alloc")]
    pub(crate) fn earliest(
        &self,
        now: Instant,
        wanted: &Wanted,
    ) -> Result<Option<(Instant, Cause)>, Never> {
        Ok(self.verdict(now, wanted)?.earliest())
    }

    fn verdict(&self, now: Instant, wanted: &Wanted) -> Result<Verdict, Never> {
        if let Some(closed) = self.closed {
            if closed.until.is_none_or(|until| now < until) {
                return Err(Never::Spend);
            }
        }
        let mut verdict = Verdict::new(now);
        for (dimension, amount) in wanted.cost.iter() {
            self.check_dimension(now, dimension, amount, wanted, &mut verdict)?;
        }
        if let Err(Refusal::Until(until)) = self.pause.peek(now) {
            verdict.wait(until, Cause::Pause, until);
        }
        let caps = [self.cap, self.concurrency.cap()].into_iter().flatten();
        let cap = caps
            .min()
            .map(|cap| cap.saturating_sub(wanted.spare).max(1));
        if let Some(until) = cap.and_then(|cap| self.flights.below(now, cap)) {
            verdict.wait(until, Cause::InFlight, now);
        }
        if let Some(until) = self.concurrency.bound(now) {
            verdict.wait(until, Cause::InFlight, until);
        }
        if let Some(until) = self.slow_start.bound(now) {
            verdict.wait(until, Cause::Confirmation, now);
        }
        if let Some(until) = self.outage.bound(now, self.slow_start.fates(now)) {
            verdict.wait(until, Cause::Outage, now);
        }
        if let Some(until) = self.pace.bound(now, &wanted.cost) {
            verdict.wait(until, Cause::SendRate, now);
        }
        for bound in self.guard.bounds(now) {
            verdict.wait(bound.until, bound.cause, bound.earliest);
        }
        Ok(verdict)
    }

    /// Why [`check`](Self::check) says what it says.
    pub(crate) fn explain_inside(&self, now: Instant, wanted: &Wanted) -> Explanation {
        let stance = match self.check(now, wanted) {
            Ok(()) => Stance::Send,
            Err(Denied::Until { wait, .. }) => Stance::Wait(wait),
            Err(Denied::Never(never)) => Stance::Never(never),
        };
        let bound = match stance {
            Stance::Wait(Wait {
                cause: Cause::Limit(dimension) | Cause::Others(dimension),
                ..
            }) => Some(dimension),
            _ => None,
        };
        let levels = wanted.cost.iter().filter_map(|(dimension, amount)| {
            if bound.is_some_and(|bound| bound != dimension) {
                return None;
            }
            let spread = wanted.spread(&self.forecast, dimension);
            if dimension == Dimension::OutputTokens {
                let amounts = wanted.output();
                return self.output.explain(now, amounts, spread, &self.sending);
            }
            let ledger = self.ledger(dimension)?;
            let surprise = ledger.surprise(&self.sending);
            ledger.explain(now, dimension, amount, spread, surprise, &self.sending)
        });
        Explanation {
            now,
            stance,
            level: levels.min_by_key(Level::headroom),
            flying: self.flights.count(now),
            unheard: self.sending.unheard(),
        }
    }

    fn check_dimension(
        &self,
        now: Instant,
        dimension: Dimension,
        amount: u64,
        wanted: &Wanted,
        verdict: &mut Verdict,
    ) -> Result<(), Never> {
        let Some(ledger) = self.ledger(dimension) else {
            return Ok(());
        };
        if ledger.is_disabled() {
            return Err(Never::NotEnabled(dimension));
        }
        let is_output = dimension == Dimension::OutputTokens;
        let spread = wanted.spread(&self.forecast, dimension);
        let (refusal, unheard, paced) = if is_output {
            let amounts = wanted.output();
            (
                self.output.peek(now, amounts, spread, &self.sending),
                self.output.unheard(now, amounts, &self.sending),
                self.output.paced(now, amounts),
            )
        } else {
            (
                ledger.peek(
                    now,
                    amount,
                    spread,
                    ledger.surprise(&self.sending),
                    &self.sending,
                ),
                ledger.unheard(now, amount, &self.sending),
                ledger.paced(now),
            )
        };
        // Who is told of some limits goes by those until the server tells of more.
        if let Some(until) = unheard.filter(|_| self.blind || ledger.is_known()) {
            verdict.wait(until, Cause::Confirmation, now);
        }
        if let Some(until) = paced {
            verdict.wait(until, Cause::Others(dimension), now);
        }
        match refusal {
            Ok(()) => Ok(()),
            Err(Refusal::Until(until)) => {
                let open = self.flights.sum(now, dimension);
                let earliest = if is_output {
                    self.output.earliest(now, wanted.output(), open)
                } else {
                    ledger.earliest(now, amount, open)
                };
                verdict.wait(until, Cause::Limit(dimension), earliest);
                Ok(())
            }
            Err(Refusal::Never) => Err(Never::ExceedsBurst {
                dimension,
                cost: amount,
                burst: ledger.limit(),
            }),
        }
    }

    /// The ledger of `dimension`; of output tokens, the first of several.
    fn ledger(&self, dimension: Dimension) -> Option<&Ledger> {
        if dimension == Dimension::OutputTokens {
            Some(self.output.any())
        } else {
            self.ledgers.get(dimension.index())
        }
    }

    /// Charges for what [`check`](Self::check) let pass.
    pub(crate) fn admit(&mut self, now: Instant, wanted: &Wanted) -> Permit {
        let mut permit = Permit::BLANK;
        self.admit_into(now, wanted, &mut permit);
        permit
    }

    /// As [`admit`](Self::admit). A permit is large: this makes it where it is
    /// kept.
    pub(crate) fn admit_into(&mut self, now: Instant, wanted: &Wanted, permit: &mut Permit) {
        let cost = &wanted.cost;
        let number = self.sending.admitted;
        self.sending.chance = self.rng.next();
        permit.number = number;
        permit.sent = now;
        permit.before = self.sending.last;
        permit.cost = *cost;
        permit.most = wanted.most;
        let places = permit.entries.iter_mut().zip(&mut self.ledgers);
        for ((entry, ledger), dimension) in places.zip(Dimension::ALL) {
            let amount = cost.get(dimension);
            if dimension == Dimension::OutputTokens || (amount == 0 && ledger.is_idle()) {
                continue;
            }
            permit.entered.insert(dimension);
            let open = if ledger.is_late() && ledger.limit() > 0 {
                self.flights.sum(now, dimension)
            } else {
                0
            };
            let spread = wanted.spread(&self.forecast, dimension);
            ledger.enter(now, amount, spread, open, &self.sending, entry);
        }
        let open = self.flights.sum(now, Dimension::OutputTokens);
        let spread = wanted.spread(&self.forecast, Dimension::OutputTokens);
        let (amounts, output) = (wanted.output(), &mut permit.output);
        self.output
            .enter(now, amounts, spread, open, &self.sending, output);
        self.sending.admitted = number.wrapping_add(1);
        self.sending.last = now;
        self.guard.sent(now, number);
        self.outage.sent(now, number);
        if self.pace.sent(now, cost) {
            self.open_up(Binding::of(Cause::SendRate));
        }
        permit.slice = self.flights.take(now, cost);
        permit.young = Some(self.slow_start.take(now, self.blind));
    }

    /// Its request took nothing: gives all back but the place in flight.
    pub(crate) fn refund_permit(&mut self, permit: &mut Permit) {
        self.flights.forget(permit.slice, permit.charges());
        self.sending.refused(permit.number);
        self.take_back(permit, Nothing::Refused);
    }

    /// As if it had never been charged, as far as that is known.
    fn take_back(&mut self, permit: &mut Permit, why: Nothing) {
        permit.refunded = true;
        let mut loosened = Binding::NONE;
        if self.pace.took(permit.sent, &permit.cost, &Cost::ZERO) {
            loosened = Binding::of(Cause::SendRate);
        }
        let places = permit.entries.iter_mut().zip(&mut self.ledgers);
        for ((entry, ledger), dimension) in places.zip(Dimension::ALL) {
            if !permit.entered.holds(dimension) {
                continue;
            }
            let lifted = if why == Nothing::Undone {
                ledger.undo(entry)
            } else {
                let counts = why == Nothing::Refused && dimension == Dimension::Requests;
                ledger.refund(permit.number, entry, counts)
            };
            if lifted {
                loosened = loosened.and(Binding::of(Cause::Limit(dimension)));
            }
        }
        let lifted = if why == Nothing::Undone {
            self.output.undo(&mut permit.output)
        } else {
            self.output.refund(permit.number, &mut permit.output)
        };
        if lifted {
            loosened = loosened.and(OUTPUT);
        }
        if loosened.meets(Binding::LIMITS) {
            // Known limits are used at their pace before the server is heard.
            loosened = loosened.and(Binding::of(Cause::Confirmation));
        }
        self.open_up(loosened);
    }

    pub(crate) fn observe_inside(
        &mut self,
        now: Instant,
        permit: Option<&Permit>,
        hints: &ServerHints,
    ) {
        let mut resets_hold = true;
        if let Some(permit) = permit {
            self.sending.read(permit.number);
            if let Some(date) = hints.date {
                self.server_clock.observe(permit.sent, now, date);
            }
            resets_hold = self.server_clock.ran_evenly_since(permit.sent);
        }
        let mut loosened = Binding::NONE;
        if permit.is_some() || !hints.meters.is_empty() {
            // What must be heard of depends on what is known of limits.
            loosened = Binding::of(Cause::Confirmation);
        }
        let (mut kind, mut shows) = (Kind::Bucket, false);
        for (dimension, mut meter) in self.meters(hints) {
            self.blind = false;
            if !resets_hold {
                meter.reset = None;
            }
            let whole = permit
                .and_then(|permit| Whole::of(&meter, permit.sent, now, &self.server_clock))
                .map(|whole| (whole, self.kind));
            let place = dimension.index();
            let open = self.flights.sum(now, dimension);
            let opened = if dimension == Dimension::OutputTokens {
                let seen = permit.map(|permit| (permit.number, permit.sent, &permit.output));
                self.output
                    .observe(now, seen, &meter, whole, open, self.learns, &self.sending)
            } else if let Some(ledger) = self.ledgers.get_mut(place) {
                let seen = permit.and_then(|permit| permit.seen(place));
                ledger
                    .observe(now, seen, &meter, whole, open, self.learns, &self.sending)
                    .loosened
            } else {
                false
            };
            let evident = self.ledger(dimension).map_or(Kind::Bucket, Ledger::kind);
            if kind == Kind::Bucket && whole.is_some() {
                kind = evident;
            }
            shows |= whole.is_some();
            // What was in doubt is held back no longer, or surprises fade.
            let confirmed = permit.is_some() && meter.remaining.is_some();
            if opened || confirmed {
                loosened = loosened.and(Binding::of(Cause::Limit(dimension)));
            }
        }
        if shows {
            self.kind = kind;
        }
        let requests = self.ledger(Dimension::Requests);
        let others = requests.map_or(0, Ledger::others);
        if core::mem::replace(&mut self.sending.others, others) == 0 && others > 0 {
            // Beside others less is held back, of output as of what shows them.
            loosened = loosened.and(OUTPUT);
        }
        self.open_up(loosened);
    }

    /// The server answered this well: also what its head does not show is
    /// confirmed.
    fn confirm(&mut self, now: Instant, permit: &Permit) {
        for (ledger, dimension) in self.ledgers.iter_mut().zip(Dimension::ALL) {
            if permit.entered.holds(dimension) {
                if let Some(seen) = permit.seen(dimension.index()) {
                    ledger.confirm(seen);
                }
            }
        }
        self.output
            .confirm(permit.number, permit.sent, &permit.output);
        self.sending.heard(permit.number);
        let took = nanos(now.saturating_duration_since(permit.sent));
        self.sending.first_token = mean(self.sending.first_token, took);
        // What was held back for what it might take is less.
        self.open_up(Binding::LIMITS.and(Binding::of(Cause::Confirmation)));
    }

    /// An attempt came to an end of this class, or began to be answered well.
    pub(crate) fn report_inside(
        &mut self,
        now: Instant,
        permit: &mut Permit,
        class: Class,
        told: Told<'_>,
    ) {
        for cause in self
            .guard
            .ended(now, permit.number, class)
            .into_iter()
            .flatten()
        {
            self.open_up(Binding::of(cause));
        }
        let young = permit.young.take();
        match class {
            Class::Throttled(_) | Class::Concurrency | Class::Acceleration => {
                if let Some(mark) = young {
                    self.slow_start.refused(now, mark);
                }
                self.throttled(now, permit, class, told);
            }
            Class::Success => {
                if let Some(mark) = young {
                    self.slow_start.heard(now, mark);
                    self.confirm(now, permit);
                    self.open_up(Binding::of(Cause::Outage));
                }
            }
            _ => {
                if let Some(mark) = young {
                    self.slow_start.forget(now, mark);
                    self.open_up(YOUNG);
                }
                if class == Class::Exhausted {
                    self.closed = Some(Closed { until: None });
                    self.open_up(Binding::ALL);
                }
            }
        }
        self.judge_server(now, permit, class);
    }

    /// Whether the server is down, and only probes are sent.
    #[cfg(feature = "alloc")]
    pub(crate) fn is_down(&self, now: Instant) -> bool {
        self.outage.is_down(self.clock.peek(now))
    }

    /// What an end of this class says of whether the server is up.
    fn judge_server(&mut self, now: Instant, permit: &Permit, class: Class) {
        let number = permit.number;
        match class {
            Class::Overloaded if self.sending.control.outages => {
                let took = now.saturating_duration_since(permit.sent);
                let fates = self.slow_start.fates(now);
                if self.outage.failed(now, number, took, fates) {
                    self.slow_start.restart();
                }
            }
            Class::Overloaded | Class::Transient => self.outage.undecided(now, number),
            _ => {
                if self.outage.survived(number) {
                    self.open_up(Binding::of(Cause::Outage));
                }
            }
        }
    }

    /// A request that is being answered took so much already: what is more than
    /// it was charged is charged now.
    pub(crate) fn progress_inside(&mut self, now: Instant, permit: &mut Permit, taken: &Cost) {
        if permit.refunded || !self.flights.holds(now, permit.slice) {
            return;
        }
        let places = permit.entries.iter_mut().zip(&mut self.ledgers);
        for ((entry, ledger), dimension) in places.zip(Dimension::ALL) {
            ledger.progress(now, permit.number, entry, taken.get(dimension));
        }
        let produced = taken.get(Dimension::OutputTokens);
        self.output
            .progress(now, permit.number, &mut permit.output, produced);
    }

    pub(crate) fn learn_usage(&mut self, request: &Request, usage: &Usage) {
        self.forecast.learn(request, usage);
    }

    pub(crate) fn settle_inside(
        &mut self,
        now: Instant,
        permit: &mut Permit,
        actual: Option<Cost>,
    ) {
        if !self.flights.give_back(now, permit.slice, permit.charges()) {
            return;
        }
        let mut loosened = Binding::of(Cause::InFlight).and(YOUNG);
        self.outage.undecided(now, permit.number);
        if self.guard.forgotten(now, permit.number) {
            loosened = loosened.and(Binding::of(Cause::Breaker));
        }
        if actual == Some(Cost::ZERO) && !permit.refunded {
            let why = if self.sending.undo(permit.number, permit.before) {
                Nothing::Undone
            } else {
                Nothing::NotSent
            };
            self.take_back(permit, why);
        }
        if let Some(mark) = permit.young {
            if permit.refunded {
                self.slow_start.forget(now, mark);
            } else {
                self.slow_start.heard(now, mark);
                self.confirm(now, permit);
            }
        }
        if !permit.refunded {
            let others = self.flights.count(now);
            if self.concurrency.ended(now, others) {
                loosened = loosened.and(Binding::of(Cause::InFlight));
            }
        }
        if let Some(actual) = actual.filter(|_| !permit.refunded) {
            if self.pace.took(permit.sent, &permit.cost, &actual) {
                loosened = loosened.and(Binding::of(Cause::SendRate));
            }
            let took = nanos(now.saturating_duration_since(permit.sent));
            self.sending.latency = mean(self.sending.latency, took);
            let places = permit.entries.iter_mut().zip(&mut self.ledgers);
            for ((entry, ledger), dimension) in places.zip(Dimension::ALL) {
                let amount = actual.get(dimension);
                if amount == 0 && !permit.entered.holds(dimension) {
                    continue;
                }
                if ledger.settle(now, permit.number, entry, amount) {
                    loosened = loosened.and(Binding::of(Cause::Limit(dimension)));
                }
            }
            let produced = actual.get(Dimension::OutputTokens);
            let (number, entries) = (permit.number, &mut permit.output);
            if self.output.settle(now, number, entries, produced) {
                loosened = loosened.and(OUTPUT);
            }
        }
        self.open_up(loosened);
    }

    pub(crate) fn expiry_after(&self, sent: Instant, now: Instant) -> Instant {
        let expiry = self.flights.expiry(sent);
        if expiry > now {
            expiry
        } else {
            self.flights.expiry(now)
        }
    }

    pub(crate) fn knows_limit(&self, meter: &Meter) -> bool {
        meter
            .dimension()
            .and_then(|dimension| self.ledger(dimension))
            .is_some_and(|ledger| ledger.knows(meter))
    }

    /// The meters that are this pool's, one for each dimension. The Claude API
    /// shows sums of input and output beside the two: those are no limit of
    /// their own.
    fn meters<'a>(
        &self,
        hints: &'a ServerHints,
    ) -> impl Iterator<Item = (Dimension, Meter)> + use<'a> {
        let family = self.family;
        let split = hints.meters.get(family, Dimension::InputTokens).is_some()
            || hints.meters.get(family, Dimension::OutputTokens).is_some();
        hints.meters.leading().filter_map(move |meter| {
            let dimension = meter.dimension()?;
            let is_sum = split && dimension == Dimension::TotalTokens;
            (meter.family == family && !is_sum).then_some((dimension, meter))
        })
    }

    /// It was refused for want of this.
    fn blame(&mut self, now: Instant, dimension: Dimension, permit: &Permit, wait: Duration) {
        let amount = permit.cost.get(dimension);
        if dimension == Dimension::OutputTokens {
            let amounts = Amounts {
                forecast: amount,
                most: permit.most.max(amount),
            };
            self.output.refused(now, amounts, wait, &self.sending);
        } else if let Some(ledger) = self.ledgers.get_mut(dimension.index()) {
            ledger.refused(now, amount, wait, &self.sending);
        }
    }

    /// The server refused a request and wants it to wait. Blames the dimensions
    /// that its head shows to be short of what was asked; where there is none
    /// the pool stops.
    fn throttled(&mut self, now: Instant, permit: &Permit, class: Class, told: Told<'_>) {
        if class == Class::Concurrency && self.sending.control.refusals {
            self.too_many(now, permit);
            return;
        }
        let teaches = self.sending.control.refusals;
        if teaches && matches!(class, Class::Throttled(_)) && self.learns && !self.is_shown() {
            let took = now.saturating_duration_since(permit.sent);
            if self.pace.refused(now, took) {
                // The bucket is empty: what it bore at first it will not now.
                self.slow_start.restart();
            }
        }
        let Some(wait) = told.wait else {
            return;
        };
        let mut blamed = false;
        let mut plenty = None;
        if let Some(hints) = told.hints {
            for (dimension, meter) in self.meters(hints) {
                let amount = permit.cost.get(dimension);
                let left = meter.remaining.map_or(i64::MAX, Remaining::at_least);
                if amount > 0 && meter.remaining.is_some() {
                    // So much that no error of the forecast explains it.
                    let most = amount.saturating_mul(4);
                    let is_there = left >= i64::try_from(most).unwrap_or(i64::MAX);
                    plenty = Some(plenty.unwrap_or(true) && is_there);
                }
                if amount > 0 && left < i64::try_from(amount).unwrap_or(i64::MAX) {
                    self.blame(now, dimension, permit, wait);
                    blamed = true;
                }
            }
            let output = hints.meters.get(self.family, Dimension::OutputTokens);
            let reserved = output
                .and_then(|meter| meter.remaining)
                .is_some_and(|left| {
                    left.at_least() < i64::try_from(permit.most).unwrap_or(i64::MAX)
                });
            if !blamed && reserved {
                // What it was expected to produce is there; the most that it
                // may is not.
                self.output.blame_reservation();
                self.blame(now, Dimension::OutputTokens, permit, wait);
                blamed = true;
            }
        }
        if let Class::Throttled(Some(named)) = class {
            // The head shows none short of it, or nothing; its words do.
            if !blamed
                && permit.cost.get(named) > 0
                && self.ledger(named).is_some_and(|l| l.limit() > 0)
            {
                self.blame(now, named, permit, wait);
                blamed = true;
            }
        }
        if blamed {
            return;
        }
        // The one itself is among those in flight.
        let is_alone = self.flights.count(now) <= 1;
        if teaches
            && plenty == Some(true)
            && class == Class::Throttled(None)
            && Concurrency::is_likely(wait)
            && !is_alone
        {
            self.too_many(now, permit);
        } else {
            self.pause.until(now.saturating_add(wait));
            self.slow_start.tread();
        }
    }

    /// Whether any head ever showed a level.
    fn is_shown(&self) -> bool {
        let mut ledgers = self.ledgers.iter().chain([self.output.any()]);
        ledgers.any(Ledger::is_shown)
    }

    /// It was refused because too many were under way.
    fn too_many(&mut self, now: Instant, permit: &Permit) {
        let took = now.saturating_duration_since(permit.sent);
        let others = self.flights.count(now).saturating_sub(1);
        self.concurrency.refused(now, took, others);
    }
}

/// Why a request took nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Nothing {
    /// The server refused it. As a request it may count.
    Refused,
    /// It was never sent.
    NotSent,
    /// The same, and it is the newest: nothing was heard of it.
    Undone,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// What it is expected to cost.
    cost: Cost,
    /// The most output that it may produce.
    most: u64,
    /// Whose past the cost is forecast from, if it is.
    profile: Option<Profile>,
    /// How many places under the in-flight cap must be left.
    spare: u32,
}

impl Wanted {
    /// Exactly this.
    const fn exactly(cost: &Cost) -> Self {
        Self {
            cost: *cost,
            most: cost.get(Dimension::OutputTokens),
            profile: None,
            spare: 0,
        }
    }

    /// How far off its cost may be.
    fn spread(&self, forecast: &Forecast, dimension: Dimension) -> Spread {
        self.profile
            .map_or(Spread::NONE, |profile| forecast.spread(profile, dimension))
    }

    /// The same with so much more, and so many places more under the cap: to ask
    /// whether that would be left.
    #[cfg(feature = "alloc")]
    pub(crate) fn leaving(&self, more: &Cost, places: u32) -> Self {
        let output = more.get(Dimension::OutputTokens);
        Self {
            cost: self.cost.saturating_add(more),
            most: self.most.saturating_add(output),
            profile: self.profile,
            spare: self.spare.saturating_add(places),
        }
    }

    /// What it is expected to cost.
    #[cfg(feature = "alloc")]
    pub(crate) const fn cost(&self) -> &Cost {
        &self.cost
    }

    fn output(&self) -> Amounts {
        let forecast = self.cost.get(Dimension::OutputTokens);
        Amounts {
            forecast,
            most: self.most.max(forecast),
        }
    }
}

/// What those bind of which nothing was heard.
const YOUNG: Binding = Binding::of(Cause::Confirmation).and(Binding::of(Cause::Outage));
const OUTPUT: Binding = Binding::of(Cause::Limit(Dimension::OutputTokens));

/// A set of causes that one may wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Binding(u16);

impl Binding {
    const NONE: Self = Self(0);
    const ALL: Self = Self(u16::MAX);
    const LIMITS: Self = Self((1 << Dimension::COUNT) - 1);

    const fn of(cause: Cause) -> Self {
        Self(match cause {
            Cause::Limit(dimension) | Cause::Others(dimension) => 1 << dimension.index(),
            Cause::InFlight => 1 << Dimension::COUNT,
            Cause::Confirmation => 2 << Dimension::COUNT,
            Cause::Pause => 4 << Dimension::COUNT,
            Cause::Breaker => 8 << Dimension::COUNT,
            Cause::SendRate => 16 << Dimension::COUNT,
            Cause::Outage => 32 << Dimension::COUNT,
            Cause::RetryAfter | Cause::Backoff | Cause::Response | Cause::AskedLate => 0,
        })
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The latest of several waits, and the latest of their earliest ends.
struct Verdict {
    now: Instant,
    wait: Option<Wait>,
    earliest: Instant,
    /// What binds until then; `None` where nothing does longer than until now.
    binds: Option<Cause>,
}

impl Verdict {
    const fn new(now: Instant) -> Self {
        Self {
            now,
            wait: None,
            earliest: now,
            binds: None,
        }
    }

    fn wait(&mut self, until: Instant, cause: Cause, earliest: Instant) {
        // Later than now in any case, but at the end of the clock.
        let soonest = self.now.just_after();
        let until = until.max(soonest);
        if self.wait.is_none_or(|wait| wait.until < until) {
            self.wait = Some(Wait { until, cause });
        }
        // It passes at `until` even if nothing is reported.
        let earliest = earliest.min(until);
        if self.earliest < earliest {
            (self.earliest, self.binds) = (earliest, Some(cause));
        }
    }

    #[cfg(feature = "alloc")]
    fn earliest(&self) -> Option<(Instant, Cause)> {
        let wait = self.wait?;
        Some((self.earliest, self.binds.unwrap_or(wait.cause)))
    }

    fn end(self) -> Result<(), Denied> {
        match self.wait {
            None => Ok(()),
            Some(wait) => Err(Denied::Until {
                wait,
                earliest: self.earliest,
            }),
        }
    }
}
