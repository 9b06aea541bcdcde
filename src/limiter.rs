//! Layer 2, all limits of one pool as one decision: [`Limiter`].

use core::time::Duration;

use crate::{
    call::Call,
    clock::Clock,
    decision::{Class, Denied},
    hints::{Meter, ServerHints},
    request::{Request, Usage},
    retry::RetryPolicy,
    rng::Rng,
    time::Instant,
    units::Cost,
};

/// All limits of one pool as one atomic decision.
#[derive(Clone, Debug)]
pub struct Limiter {
    clock: Clock,
    policy: RetryPolicy,
    rng: Rng,
    opened: u64,
}

/// Leave to send, given by [`Limiter::try_acquire`] and to be given back with
/// [`Limiter::settle`].
#[derive(Debug)]
#[must_use = "a permit that is not settled holds its charge until it expires"]
pub struct Permit {
    cost: Cost,
}

impl Permit {
    /// What was charged for it.
    pub const fn cost(&self) -> &Cost {
        &self.cost
    }
}

impl Limiter {
    /// A limiter without limits.
    pub const fn new(seed: u64) -> Self {
        Self {
            clock: Clock::new(),
            policy: RetryPolicy::new(),
            rng: Rng::new(seed),
            opened: 0,
        }
    }

    /// A call for `request`, to be driven with this limiter.
    pub const fn call(&mut self, request: Request) -> Call {
        Call::new(request, self.rng.next())
    }

    /// Whether `cost` would pass at `now`.
    pub fn peek(&self, now: Instant, cost: &Cost) -> Result<(), Denied> {
        self.check(self.clock.peek(now), cost)
    }

    /// Lets `cost` pass at `now`, or says when.
    pub fn try_acquire(&mut self, now: Instant, cost: &Cost) -> Result<Permit, Denied> {
        let now = self.advance(now);
        self.check(now, cost)?;
        Ok(self.admit(now, cost))
    }

    /// Takes note of what a response says.
    pub fn observe(&mut self, now: Instant, permit: Option<&Permit>, hints: &ServerHints) {
        let now = self.advance(now);
        self.observe_inside(now, permit, hints);
    }

    /// Gives a permit back.
    pub fn settle(&mut self, now: Instant, permit: Permit, actual: Option<Cost>) {
        let now = self.advance(now);
        self.settle_inside(now, permit, actual);
    }

    /// Moves whenever a waiter may go earlier than it was told.
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    /// The caller's clock was reset to `now`.
    pub const fn rebase(&mut self, now: Instant) {
        self.clock.rebase(now);
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }
    pub(crate) fn advance(&mut self, now: Instant) -> Instant {
        self.clock.advance(now)
    }
    pub(crate) const fn retry_policy(&self) -> &RetryPolicy {
        &self.policy
    }
    pub(crate) fn forecast(&self, request: &Request) -> Cost {
        request.cost(
            request.input_tokens,
            request.input_tokens,
            request.max_tokens,
        )
    }
    pub(crate) fn check(&self, _now: Instant, _cost: &Cost) -> Result<(), Denied> {
        Ok(())
    }
    pub(crate) fn admit(&mut self, _now: Instant, cost: &Cost) -> Permit {
        Permit { cost: *cost }
    }
    pub(crate) fn refund_permit(&mut self, _now: Instant, permit: &mut Permit) {
        permit.cost = Cost::ZERO;
    }
    pub(crate) fn observe_inside(&mut self, _now: Instant, _p: Option<&Permit>, _h: &ServerHints) {}
    pub(crate) fn report_inside(
        &mut self,
        _now: Instant,
        _permit: Option<&Permit>,
        _class: Class,
        _wait: Option<Duration>,
    ) {
    }
    pub(crate) fn learn_usage(&mut self, _request: &Request, _usage: &Usage) {}
    pub(crate) fn settle_inside(&mut self, _now: Instant, _permit: Permit, _actual: Option<Cost>) {
        self.opened = self.opened.wrapping_add(1);
    }
    pub(crate) fn expiry_after(&self, sent: Instant, now: Instant) -> Instant {
        sent.max(now).saturating_add(Duration::from_secs(600))
    }
    pub(crate) fn knows_limit(&self, _meter: &Meter) -> bool {
        false
    }
}
