//! How often, how long and how patiently a call is retried.

use core::time::Duration;

use crate::{
    decision::{Cause, Class, GiveUp},
    error::ConfigError,
    retry::{
        breaker::{Breaker, BreakerRule},
        budget::{Budget, BudgetRule},
        jitter::Jitter,
        schedule::Backoff,
        sdk::Sdk,
        throttle::ClientThrottle,
    },
    rng::Rng,
    time::nanos,
};

/// When to stop retrying, and how long to wait between attempts.
///
/// A policy has a rule for each [`Class`] that is retried at all, a way to take
/// account of the wait that a server asks for ([`ServerWait`]), and what all
/// calls of a limiter share: a retry budget, a breaker, client-side throttling,
/// a rate that is learnt from refusals. None of the four is there where it is
/// not set.
///
/// Whatever the policy's own wait, what the server asked for is never undercut:
/// the larger of the two counts, never their sum. A little is added to the
/// server's, so that those whom it refused together do not come back together:
/// up to a quarter of it, at most one second. Only a policy that is set as
/// [`verbatim`](Self::verbatim) waits as long as it says itself, no more and no
/// less.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Breaker, Budget, RetryPolicy, TokenBudget};
///
/// let patient = RetryPolicy::new()
///     .attempts(20)?
///     .longest_wait(Duration::from_secs(600))
///     .budget(Budget::Tokens(TokenBudget::AWS))
///     .breaker(Breaker::after_run(5, Duration::from_secs(30))?);
/// # let _ = patient;
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RetryPolicy {
    attempts: u32,
    rules: [ClassRule; RETRIED],
    server_wait: ServerWait,
    verbatim: bool,
    total: Option<Duration>,
    longest_wait: Option<Duration>,
    pub(crate) budget: Option<BudgetRule>,
    pub(crate) breaker: Option<BreakerRule>,
    /// As [`ClientThrottle::rule`] has it.
    pub(crate) throttle: Option<(u32, u64)>,
    pub(crate) adaptive: bool,
}

/// How failures of one [`Class`] are retried.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Backoff, Class, ClassRule, RetryPolicy};
///
/// // Overloads are waited out in steps of a minute, at most three times.
/// let rule = ClassRule::new(Backoff::constant(Duration::from_secs(60))?).retries(3);
/// let policy = RetryPolicy::new().class(Class::Overloaded, rule)?;
/// assert_eq!(policy.rule(Class::Overloaded), Some(&rule));
/// assert_eq!(policy.rule(Class::Exhausted), None);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ClassRule {
    /// The waits.
    pub wait: Backoff<'static>,
    /// What a retry takes of a [`TokenBudget`](crate::TokenBudget).
    pub cost: u32,
    /// How many of a call's retries may be for failures of this class.
    pub retries: u32,
}

impl ClassRule {
    /// Such waits, at the cost of 14 tokens, as often as the policy's attempts
    /// allow.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, ClassRule};
    ///
    /// let rule = ClassRule::new(Backoff::constant(Duration::from_secs(60))?);
    /// assert_eq!((rule.cost, rule.retries), (14, u32::MAX));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn new(wait: Backoff<'static>) -> Self {
        Self {
            wait,
            cost: 14,
            retries: u32::MAX,
        }
    }

    /// Sets what a retry takes of a [`TokenBudget`](crate::TokenBudget).
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, ClassRule};
    ///
    /// let rule = ClassRule::new(Backoff::constant(Duration::from_secs(60))?).cost(5);
    /// assert_eq!(rule.cost, 5);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn cost(mut self, cost: u32) -> Self {
        self.cost = cost;
        self
    }

    /// Sets how many of a call's retries may be for failures of this class.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Class, ClassRule, RetryPolicy};
    ///
    /// let once = ClassRule::new(Backoff::constant(Duration::from_secs(60))?).retries(1);
    /// let policy = RetryPolicy::new().class(Class::Overloaded, once)?;
    /// assert_eq!(policy.delays(Class::Overloaded, 42).count(), 1);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }
}

/// How many classes are retried.
pub(crate) const RETRIED: usize = 5;

/// What holds for each class that is retried, where nothing else is set, in the
/// order of [`place`]. All others are never retried. Costs are those of the AWS
/// SDKs, version 2.1 of the standard mode: 5 for a refusal to throttle, 14 for
/// a failure.
#[rustfmt::skip]
const DEFAULT: [ClassRule; RETRIED] = [
    // Throttled: the server says when; where it does not, as the SDKs.
    ClassRule::new(Backoff::SDK).cost(5),
    // Concurrency: another request ends soon.
    ClassRule::new(Backoff::SDK).cost(5),
    // Acceleration: the Claude API's limit rises at the next full minute.
    ClassRule::new(Backoff::SLOW).cost(5),
    // Overloaded.
    ClassRule::new(Backoff::SDK),
    // Transient.
    ClassRule::new(Backoff::SDK),
];

/// The place of a class that is retried.
pub(crate) const fn place(class: Class) -> Option<usize> {
    match class {
        Class::Throttled(_) => Some(0),
        Class::Concurrency => Some(1),
        Class::Acceleration => Some(2),
        Class::Overloaded => Some(3),
        Class::Transient => Some(4),
        Class::Success | Class::Exhausted | Class::NotEntitled | Class::CallerError => None,
    }
}

/// How a policy's own wait takes account of the one that a server asks for.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Backoff, Class, RetryPolicy, ServerWait};
///
/// let second = Duration::from_secs(1);
/// let policy = RetryPolicy::new().backoff(Backoff::constant(8 * second)?).verbatim(true);
/// let wait = |how, asked| {
///     let policy = policy.server_wait(how);
///     policy.delay(Class::Transient, 1, Duration::ZERO, Some(asked), 42)
/// };
/// assert_eq!(wait(ServerWait::Apart, 20 * second), Some(8 * second));
/// assert_eq!(wait(ServerWait::Raises, 20 * second), Some(20 * second));
/// assert_eq!(wait(ServerWait::Replaces, 2 * second), Some(2 * second));
/// assert_eq!(wait(ServerWait::Within(5 * second), 20 * second), Some(13 * second));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ServerWait {
    /// Not at all.
    Apart,
    /// The larger of it and the curve's delay is what jitter is applied to.
    Raises,
    /// It takes the place of the curve's delay, as it is, and the curve starts
    /// over: gRPC's pushback.
    Replaces,
    /// It is taken, but not below the delay that was drawn nor more than this
    /// above it: the AWS SDKs since version 2.1 of their standard mode.
    Within(Duration),
    /// As this SDK does it, with its own curve.
    As(Sdk),
}

/// A failure that may be retried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    pub(crate) class: Class,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// Those since the curve last started over.
    pub(crate) step: u32,
    /// Retries so far for failures of this class.
    pub(crate) of_class: u32,
    /// The last wait.
    pub(crate) previous: Duration,
    /// What the server asks for.
    pub(crate) asked: Option<Duration>,
}

impl RetryPolicy {
    /// Ten attempts; backoff from 500 ms to 8 s, the base and cap of the
    /// official SDKs, with full jitter, after acceleration limits from 5 s to
    /// 60 s with equal jitter; any wait that the server asks for.
    ///
    /// ```
    /// use sendwhen::{Class, RetryPolicy};
    ///
    /// let policy = RetryPolicy::new();
    /// assert_eq!(policy.delays(Class::Transient, 42).count(), 9);
    /// assert_eq!(policy.delays(Class::CallerError, 42).count(), 0);
    /// ```
    pub const fn new() -> Self {
        Self {
            attempts: 10,
            rules: DEFAULT,
            server_wait: ServerWait::Apart,
            verbatim: false,
            total: None,
            longest_wait: None,
            budget: None,
            breaker: None,
            throttle: None,
            adaptive: false,
        }
    }

    /// Sets how many attempts there are, the first included.
    ///
    /// ```
    /// use sendwhen::{Class, ConfigError, RetryPolicy};
    ///
    /// let policy = RetryPolicy::new().attempts(3)?;
    /// assert_eq!(policy.delays(Class::Transient, 42).count(), 2);
    /// assert_eq!(RetryPolicy::new().attempts(0), Err(ConfigError::ZeroAttempts));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where it is 0.
    pub const fn attempts(mut self, attempts: u32) -> Result<Self, ConfigError> {
        if attempts == 0 {
            return Err(ConfigError::ZeroAttempts);
        }
        self.attempts = attempts;
        Ok(self)
    }

    /// Sets the delays between attempts, for all classes.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Class, RetryPolicy};
    ///
    /// let ten = Duration::from_secs(10);
    /// let policy = RetryPolicy::new().backoff(Backoff::constant(ten)?);
    /// assert!(policy.delays(Class::Overloaded, 42).all(|delay| delay == ten));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff<'static>) -> Self {
        let [throttled, concurrency, acceleration, overloaded, transient] = &mut self.rules;
        throttled.wait = backoff;
        concurrency.wait = backoff;
        acceleration.wait = backoff;
        overloaded.wait = backoff;
        transient.wait = backoff;
        self
    }

    /// Sets how failures of one class are retried. For [`Class::Throttled`] the
    /// dimension makes no difference.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Class, ClassRule, ConfigError, RetryPolicy};
    ///
    /// let rule = ClassRule::new(Backoff::constant(Duration::from_secs(60))?);
    /// let policy = RetryPolicy::new().class(Class::Overloaded, rule)?;
    /// assert_eq!(policy.delays(Class::Overloaded, 42).next(), Some(Duration::from_secs(60)));
    /// let never = RetryPolicy::new().class(Class::CallerError, rule);
    /// assert_eq!(never, Err(ConfigError::NeverRetried));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where no failure of that class is ever retried.
    pub const fn class(mut self, class: Class, rule: ClassRule) -> Result<Self, ConfigError> {
        let [throttled, concurrency, acceleration, overloaded, transient] = &mut self.rules;
        *match class {
            Class::Throttled(_) => throttled,
            Class::Concurrency => concurrency,
            Class::Acceleration => acceleration,
            Class::Overloaded => overloaded,
            Class::Transient => transient,
            Class::Success | Class::Exhausted | Class::NotEntitled | Class::CallerError => {
                return Err(ConfigError::NeverRetried);
            }
        } = rule;
        Ok(self)
    }

    /// Sets how the policy's own wait takes account of the server's:
    /// [`ServerWait::Apart`] where nothing is set.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Class, RetryPolicy, ServerWait};
    ///
    /// let policy = RetryPolicy::new().server_wait(ServerWait::Replaces).verbatim(true);
    /// let asked = Some(Duration::from_secs(3));
    /// assert_eq!(policy.delay(Class::Transient, 1, Duration::ZERO, asked, 42), asked);
    /// ```
    #[must_use]
    pub const fn server_wait(mut self, how: ServerWait) -> Self {
        self.server_wait = how;
        self
    }

    /// Sets waits and attempts as in one of the official SDKs.
    ///
    /// In a call the wait that a server asks for is that of its
    /// [`ServerHints`](crate::ServerHints), which reads the fields better than
    /// the SDKs do; [`Sdk::asked`] reads them just as they do.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Class, RetryPolicy, Sdk};
    ///
    /// let asked = Some(Duration::from_secs(505));
    /// let wait = |policy: RetryPolicy| policy.delay(Class::Throttled(None), 1, Duration::ZERO, asked, 42);
    /// let python = RetryPolicy::new().sdk(Sdk::Python);
    /// assert!(wait(python).unwrap() >= Duration::from_secs(505));
    /// // As Python does it, and so fails.
    /// assert!(wait(python.verbatim(true)).unwrap() <= Duration::from_millis(500));
    /// ```
    #[must_use]
    pub const fn sdk(mut self, sdk: Sdk) -> Self {
        self.attempts = Sdk::ATTEMPTS;
        self.server_wait(ServerWait::As(sdk))
    }

    /// Sets whether the policy's own wait counts alone, even where the server
    /// asked for a longer one.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Class, RetryPolicy};
    ///
    /// let policy = RetryPolicy::new().backoff(Backoff::constant(Duration::from_secs(1))?);
    /// let wait = |policy: RetryPolicy| {
    ///     policy.delay(Class::Transient, 1, Duration::ZERO, Some(Duration::from_secs(20)), 42)
    /// };
    /// assert!(wait(policy).unwrap() >= Duration::from_secs(20));
    /// assert_eq!(wait(policy.verbatim(true)), Some(Duration::from_secs(1)));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn verbatim(mut self, verbatim: bool) -> Self {
        self.verbatim = verbatim;
        self
    }

    /// Sets how long after the first asking the last attempt may start.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Class, RetryPolicy};
    ///
    /// let second = Duration::from_secs(1);
    /// let policy = RetryPolicy::new().backoff(Backoff::constant(10 * second)?).total(25 * second);
    /// assert_eq!(policy.delays(Class::Transient, 42).count(), 2);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn total(mut self, total: Duration) -> Self {
        self.total = Some(total);
        self
    }

    /// Sets the longest wait that a server may ask for; a call that is asked
    /// for more is given up.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Class, RetryPolicy};
    ///
    /// let policy = RetryPolicy::new().longest_wait(Duration::from_secs(60));
    /// let wait = |asked| {
    ///     policy.delay(Class::Throttled(None), 1, Duration::ZERO, Some(Duration::from_secs(asked)), 42)
    /// };
    /// assert!(wait(60).is_some());
    /// assert_eq!(wait(505), None);
    /// ```
    #[must_use]
    pub const fn longest_wait(mut self, longest: Duration) -> Self {
        self.longest_wait = Some(longest);
        self
    }

    /// Sets the budget that the retries of all calls draw on together. It is
    /// asked before the wait; a call that it refuses ends in
    /// [`GiveUp::BudgetSpent`]. Each limiter begins with a budget of its own, in
    /// which nothing is spent; so with the two below.
    ///
    /// ```
    /// use sendwhen::{
    ///     Budget, Call, Decision, Event, Failure, GiveUp, Instant, Limiter, Request, RetryPolicy,
    ///     TokenBudget,
    /// };
    ///
    /// // Two calls fail; there are tokens for one retry.
    /// let budget = Budget::Tokens(TokenBudget::new(20, 1)?);
    /// let mut limiter = Limiter::new(42).retry(RetryPolicy::new().budget(budget));
    /// let mut ends = [(); 2].map(|()| {
    ///     let mut call: Call = limiter.call(Request::new());
    ///     call.handle(&mut limiter, Instant::ZERO, Event::Submitted);
    ///     call.handle(&mut limiter, Instant::ZERO, Event::Failed(Failure::Lost))
    /// });
    /// assert!(matches!(ends[0], Decision::Wait(_)));
    /// assert!(matches!(ends[1], Decision::GiveUp(GiveUp::BudgetSpent(_))));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget.rule());
        self
    }

    /// Sets a breaker over all attempts. While it is open calls wait; overloads
    /// and passing failures open it, and nothing else.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{
    ///     Breaker, Cause, Decision, Event, Failure, Instant, Limiter, Request, RetryPolicy,
    /// };
    ///
    /// let breaker = Breaker::after_run(1, Duration::from_secs(30))?;
    /// let mut limiter = Limiter::new(42).retry(RetryPolicy::new().breaker(breaker));
    /// let mut first = limiter.call(Request::new());
    /// first.handle(&mut limiter, Instant::ZERO, Event::Submitted);
    /// first.handle(&mut limiter, Instant::ZERO, Event::Failed(Failure::Lost));
    ///
    /// let mut second = limiter.call(Request::new());
    /// let decision = second.handle(&mut limiter, Instant::ZERO, Event::Submitted);
    /// let Decision::Wait(wait) = decision else { panic!() };
    /// assert_eq!((wait.until, wait.cause), (Instant::from_secs(30), Cause::Breaker));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn breaker(mut self, breaker: Breaker) -> Self {
        self.breaker = Some(breaker.rule());
        self
    }

    /// Sets client-side throttling. What it refuses counts as an attempt that
    /// met an overload, but for the budget.
    ///
    /// ```
    /// use sendwhen::{
    ///     ClientThrottle, Decision, Event, Failure, Instant, Limiter, Request, RetryPolicy,
    /// };
    ///
    /// // A server of which nothing is heard: soon calls wait without having asked it.
    /// let mut limiter = Limiter::new(42).retry(RetryPolicy::new().throttle(ClientThrottle::SRE));
    /// let mut sent = 0;
    /// for _ in 0..100 {
    ///     let mut call = limiter.call(Request::new());
    ///     if let Decision::Send(_) = call.handle(&mut limiter, Instant::ZERO, Event::Submitted) {
    ///         sent += 1;
    ///         call.handle(&mut limiter, Instant::ZERO, Event::Failed(Failure::Lost));
    ///     }
    /// }
    /// assert!(sent < 20);
    /// ```
    #[must_use]
    pub const fn throttle(mut self, throttle: ClientThrottle) -> Self {
        self.throttle = Some(throttle.rule());
        self
    }

    /// Sets whether a [`CubicRate`](crate::CubicRate) bounds how fast attempts
    /// are sent.
    ///
    /// ```
    /// use sendwhen::RetryPolicy;
    ///
    /// assert_ne!(RetryPolicy::new().adaptive(true), RetryPolicy::new());
    /// assert_eq!(RetryPolicy::AWS_ADAPTIVE.adaptive(false), RetryPolicy::AWS_STANDARD);
    /// ```
    #[must_use]
    pub const fn adaptive(mut self, adaptive: bool) -> Self {
        self.adaptive = adaptive;
        self
    }

    /// How failures of `class` are retried; `None` where they never are.
    ///
    /// ```
    /// use sendwhen::{Class, RetryPolicy};
    ///
    /// let policy = RetryPolicy::new();
    /// assert_eq!(policy.rule(Class::Throttled(None)).unwrap().cost, 5);
    /// assert_eq!(policy.rule(Class::Transient).unwrap().cost, 14);
    /// assert_eq!(policy.rule(Class::CallerError), None);
    /// ```
    pub fn rule(&self, class: Class) -> Option<&ClassRule> {
        self.rules.get(place(class)?)
    }

    /// How long a call waits after its `failures`-th failure, counted from 1,
    /// all of `class`, where it waited `previous` the time before and the
    /// server asks for `asked`; `None` where it is given up. Deadlines, total
    /// time and what calls share are left out.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Class, RetryPolicy};
    ///
    /// let policy = RetryPolicy::new();
    /// let wait = |class| policy.delay(class, 1, Duration::ZERO, Some(Duration::from_secs(16)), 7);
    /// let seconds = wait(Class::Throttled(None)).unwrap().as_secs_f64();
    /// assert!((16.0..=17.0).contains(&seconds));
    /// assert_eq!(wait(Class::CallerError), None);
    /// ```
    pub fn delay(
        &self,
        class: Class,
        failures: u32,
        previous: Duration,
        asked: Option<Duration>,
        seed: u64,
    ) -> Option<Duration> {
        let before = failures.saturating_sub(1);
        let failed = Failed {
            class,
            attempts: failures,
            step: failures,
            of_class: before,
            previous,
            asked,
        };
        let mut rng = Rng::new(seed).skip(u64::from(before).saturating_mul(2));
        let wait = self.wait_after(&failed, &mut rng);
        wait.ok().map(|(delay, _)| delay)
    }

    /// The waits of a call whose attempts all fail as `class`, where the server
    /// asks for none: as many as there are retries, and as fit into the total
    /// time if attempts took none.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Class, RetryPolicy};
    ///
    /// let policy = RetryPolicy::new()
    ///     .backoff(Backoff::constant(Duration::from_secs(10))?)
    ///     .total(Duration::from_secs(35));
    /// assert_eq!(policy.delays(Class::Transient, 0).count(), 3);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn delays(&self, class: Class, seed: u64) -> PolicyDelays {
        PolicyDelays {
            policy: *self,
            class,
            failures: 0,
            previous: Duration::ZERO,
            spent: Duration::ZERO,
            seed,
        }
    }

    pub(crate) fn wait_after(
        &self,
        failed: &Failed,
        rng: &mut Rng,
    ) -> Result<(Duration, Cause), GiveUp> {
        let &Failed {
            class,
            attempts,
            asked,
            ..
        } = failed;
        let Some(rule) = self.rule(class) else {
            return Err(GiveUp::NotRetryable(class));
        };
        if attempts >= self.attempts || failed.of_class >= rule.retries {
            return Err(GiveUp::AttemptsSpent { attempts, class });
        }
        if let (Some(wait), Some(most)) = (asked, self.longest_wait) {
            if wait > most {
                return Err(GiveUp::WaitTooLong(wait));
            }
        }
        let own = self.own_wait(rule, failed, rng);
        let floor = match asked {
            Some(wait) if !self.verbatim => {
                let most_above = wait.checked_div(4).unwrap_or_default().min(MOST_ABOVE);
                Some(wait.saturating_add(rng.span_up_to(most_above)))
            }
            _ => None,
        };
        let followed = asked.is_some_and(|wait| own >= wait && self.follows());
        Ok(match floor {
            Some(floor) if floor >= own => (floor, Cause::RetryAfter),
            _ if followed => (own, Cause::RetryAfter),
            _ => (own, Cause::Backoff),
        })
    }

    /// The wait of the policy itself.
    fn own_wait(&self, rule: &ClassRule, failed: &Failed, rng: &mut Rng) -> Duration {
        let &Failed {
            step,
            previous,
            asked,
            ..
        } = failed;
        match (self.server_wait, asked) {
            (ServerWait::As(sdk), _) => {
                let accepted = asked.and_then(|wait| sdk.accepts(wait));
                sdk.draw(step.saturating_sub(1), accepted, rng)
            }
            (ServerWait::Raises, Some(wait)) => rule.wait.draw_above(step, previous, wait, rng),
            (ServerWait::Replaces, Some(wait)) => wait,
            (ServerWait::Within(most_above), Some(wait)) => {
                let drawn = rule.wait.draw(step, previous, rng);
                // As `clamp`, which would have a panic for a band of no width.
                wait.min(drawn.saturating_add(most_above)).max(drawn)
            }
            _ => rule.wait.draw(step, previous, rng),
        }
    }

    /// What a retry takes of a token budget, in the order of [`place`].
    pub(crate) const fn costs(&self) -> [u32; RETRIED] {
        let [throttled, concurrency, acceleration, overloaded, transient] = &self.rules;
        [
            throttled.cost,
            concurrency.cost,
            acceleration.cost,
            overloaded.cost,
            transient.cost,
        ]
    }

    /// Whether its own wait is the server's, where that is what came out.
    const fn follows(&self) -> bool {
        !matches!(self.server_wait, ServerWait::Apart)
    }

    /// Whether the curve starts over after a wait that the server asked for.
    pub(crate) const fn starts_over(&self) -> bool {
        matches!(self.server_wait, ServerWait::Replaces)
    }

    pub(crate) const fn max_total(&self) -> Option<Duration> {
        self.total
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// What is added at most to a wait that the server asked for. A second spreads
/// a thousand callers to one a millisecond, and costs little.
const MOST_ABOVE: Duration = Duration::from_secs(1);

/// The waits of a call that always fails. Made by [`RetryPolicy::delays`].
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Backoff, Class, RetryPolicy};
///
/// let policy = RetryPolicy::new().backoff(Backoff::constant(Duration::from_secs(5))?);
/// let mut delays = policy.delays(Class::Transient, 42);
/// assert_eq!(delays.next(), Some(Duration::from_secs(5)));
/// assert_eq!(delays.count(), 8, "of nine retries");
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PolicyDelays {
    policy: RetryPolicy,
    class: Class,
    failures: u32,
    previous: Duration,
    spent: Duration,
    seed: u64,
}

impl Iterator for PolicyDelays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let failures = self.failures.saturating_add(1);
        let delay = self
            .policy
            .delay(self.class, failures, self.previous, None, self.seed)?;
        let spent = self.spent.saturating_add(delay);
        if self.policy.total.is_some_and(|most| spent > most) {
            return None;
        }
        (self.failures, self.previous, self.spent) = (failures, delay, spent);
        Some(delay)
    }
}

impl Backoff<'static> {
    /// From 5 s to 60 s, with equal jitter.
    const SLOW: Self = Self::SDK
        .scaled(5_000_000_000, 60_000_000_000)
        .jitter(Jitter::Equal);
}

impl Backoff<'_> {
    /// As [`draw`](Self::draw), with `wait` for the curve's delay where it is
    /// the larger.
    fn draw_above(
        &self,
        failures: u32,
        previous: Duration,
        wait: Duration,
        rng: &mut Rng,
    ) -> Duration {
        if wait <= self.ceiling(failures) {
            return self.draw(failures, previous, rng);
        }
        self.draw_around(nanos(wait), previous, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn any_class() -> impl Strategy<Value = Class> {
        prop::sample::select(std::vec![
            Class::Throttled(None),
            Class::Concurrency,
            Class::Acceleration,
            Class::Overloaded,
            Class::Transient,
            Class::Exhausted,
            Class::NotEntitled,
            Class::CallerError,
            Class::Success,
        ])
    }

    fn any_rule() -> impl Strategy<Value = ServerWait> {
        prop_oneof![
            Just(ServerWait::Apart),
            Just(ServerWait::Raises),
            Just(ServerWait::Replaces),
            any::<u64>().prop_map(|n| ServerWait::Within(Duration::from_nanos(n))),
            prop::sample::select(&Sdk::ALL[..]).prop_map(ServerWait::As),
        ]
    }

    #[test]
    fn a_class_that_is_never_retried_has_no_rule() {
        let rule = ClassRule::new(Backoff::SDK);
        for class in [
            Class::Success,
            Class::Exhausted,
            Class::NotEntitled,
            Class::CallerError,
        ] {
            let set = RetryPolicy::new().class(class, rule);
            assert_eq!(set, Err(ConfigError::NeverRetried));
            assert_eq!(RetryPolicy::new().rule(class), None);
            assert!(!class.is_retryable());
        }
        assert_eq!(
            RetryPolicy::new().attempts(0),
            Err(ConfigError::ZeroAttempts)
        );
    }

    #[test]
    fn the_longest_wait_is_borne() {
        let policy = RetryPolicy::new().longest_wait(60 * SECOND);
        let throttled = Class::Throttled(None);
        let wait = |asked| policy.delay(throttled, 1, Duration::ZERO, Some(asked), 42);
        assert!(wait(60 * SECOND).is_some());
        assert_eq!(wait(60 * SECOND + Duration::from_nanos(1)), None);
    }

    #[test]
    fn a_class_has_its_own_waits_and_its_own_number_of_retries() {
        let minute = Backoff::constant(60 * SECOND).unwrap();
        let policy = RetryPolicy::new()
            .class(Class::Overloaded, ClassRule::new(minute).retries(2).cost(7))
            .unwrap();
        let waits: std::vec::Vec<_> = policy.delays(Class::Overloaded, 1).collect();
        assert_eq!(waits, [60 * SECOND; 2]);
        assert_eq!(policy.delays(Class::Transient, 1).count(), 9);
        assert_eq!(policy.rule(Class::Overloaded).unwrap().cost, 7);
        assert_eq!(policy.rule(Class::Throttled(None)).unwrap().cost, 5);
        let slow = policy.delays(Class::Acceleration, 1).next().unwrap();
        assert!(slow >= SECOND * 5 / 2 && slow <= 5 * SECOND);
    }

    /// Each way of taking account of a server's wait, by itself.
    #[test]
    fn the_servers_wait_is_taken_account_of_as_is_said() {
        let backoff = Backoff::constant(10 * SECOND).unwrap();
        let base = RetryPolicy::new().backoff(backoff).verbatim(true);
        let wait = |how, asked: u64| {
            let class = Class::Throttled(None);
            let asked = Some(Duration::from_secs(asked));
            base.server_wait(how)
                .delay(class, 1, SECOND, asked, 3)
                .unwrap()
                .as_secs()
        };
        assert_eq!(
            [wait(ServerWait::Apart, 3), wait(ServerWait::Apart, 30)],
            [10, 10]
        );
        assert_eq!(
            [wait(ServerWait::Raises, 3), wait(ServerWait::Raises, 30)],
            [10, 30]
        );
        assert_eq!(
            [
                wait(ServerWait::Replaces, 3),
                wait(ServerWait::Replaces, 30)
            ],
            [3, 30]
        );
        let within = ServerWait::Within(5 * SECOND);
        assert_eq!(
            [wait(within, 3), wait(within, 12), wait(within, 30)],
            [10, 12, 15]
        );
        let python = ServerWait::As(Sdk::Python);
        assert_eq!([wait(python, 30), wait(python, 61)], [30, 0]);
    }

    proptest! {
        #![proptest_config(crate::retry::ten_thousand_cases())]

        /// Unless it is verbatim: at least what was asked, and only what jitter
        /// may add on top where the server's wait is the larger.
        #[test]
        fn what_the_server_asked_for_is_never_undercut(
            class in any_class(), how in any_rule(), failures in 1..12_u32, asked in any::<u64>(),
            previous in any::<u64>(), seed in any::<u64>(),
        ) {
            let policy = RetryPolicy::new().server_wait(how);
            let (asked, previous) = (Duration::from_nanos(asked), Duration::from_nanos(previous));
            let wait = policy.delay(class, failures, previous, Some(asked), seed);
            prop_assert_eq!(wait.is_some(), class.is_retryable() && failures < 10);
            if let Some(wait) = wait {
                prop_assert!(wait >= asked);
                let own = policy.verbatim(true).delay(class, failures, previous, Some(asked), seed);
                let most = own.unwrap().max(asked.saturating_add((asked / 4).min(SECOND)));
                prop_assert!(wait <= most);
            }
        }

        /// Delays in sequence are those of the function, and as many as retries.
        #[test]
        fn the_iterator_agrees_with_the_function(
            class in any_class(), how in any_rule(), attempts in 1..20_u32, total in 0..90_u64, seed in any::<u64>(),
        ) {
            let policy = RetryPolicy::new()
                .server_wait(how)
                .attempts(attempts)
                .unwrap()
                .total(Duration::from_secs(total));
            let (mut previous, mut spent, mut count) = (Duration::ZERO, Duration::ZERO, 0);
            for delay in policy.delays(class, seed) {
                count += 1;
                prop_assert_eq!(Some(delay), policy.delay(class, count, previous, None, seed));
                (previous, spent) = (delay, spent + delay);
            }
            prop_assert!(spent <= Duration::from_secs(total) && count < attempts);
            let next = policy.delay(class, count + 1, previous, None, seed);
            prop_assert!(next.is_none_or(|next| spent + next > Duration::from_secs(total)));
        }
    }
}
