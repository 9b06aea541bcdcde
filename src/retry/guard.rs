//! What the calls of one limiter share of their retry policy: its budget, its
//! breaker, its throttle, and the rate that refusals taught.

use crate::{
    decision::{Cause, Class},
    limit::Refusal,
    retry::{
        breaker::Breaker,
        budget::{Budget, RetryGrant},
        cubic::CubicRate,
        policy::{RETRIED, RetryPolicy, place},
        throttle::ClientThrottle,
    },
    rng::Rng,
    time::Instant,
};

/// The state of all that a policy lets calls share. Belongs to the limiter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(unnameable_types, reason = "in the seal of `Pools`")]
pub struct Guard {
    budget: Option<Budget>,
    breaker: Option<Breaker>,
    throttle: Option<ClientThrottle>,
    rate: Option<CubicRate>,
    /// What a retry costs, by class.
    costs: [u32; RETRIED],
}

/// What a call took of the budget and has to give back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Receipt {
    tokens: u32,
    grant: Option<RetryGrant>,
}

/// A bound on when the next attempt may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bound {
    pub(crate) until: Instant,
    pub(crate) cause: Cause,
    /// Not before this, whatever is reported meanwhile.
    pub(crate) earliest: Instant,
}

impl Receipt {
    pub(crate) const NONE: Self = Self {
        tokens: 0,
        grant: None,
    };
}

impl Guard {
    pub(crate) const fn of(policy: &RetryPolicy) -> Self {
        Self {
            budget: match policy.budget {
                Some(rule) => Some(rule.fresh()),
                None => None,
            },
            breaker: match policy.breaker {
                Some(rule) => Some(rule.fresh()),
                None => None,
            },
            throttle: match policy.throttle {
                Some(rule) => Some(ClientThrottle::fresh(rule)),
                None => None,
            },
            rate: if policy.adaptive {
                Some(CubicRate::new())
            } else {
                None
            },
            costs: policy.costs(),
        }
    }

    /// What forbids an attempt at `now`.
    pub(crate) fn bounds(&self, now: Instant) -> impl Iterator<Item = Bound> {
        let breaker = self.breaker.as_ref().and_then(|breaker| {
            let until = until(breaker.peek(now))?;
            let earliest = breaker.earliest(now);
            let cause = Cause::Breaker;
            Some(Bound {
                until,
                cause,
                earliest,
            })
        });
        let rate = self.rate.as_ref().and_then(|rate| {
            let until = until(rate.peek(now))?;
            let (cause, earliest) = (Cause::SendRate, now);
            Some(Bound {
                until,
                cause,
                earliest,
            })
        });
        breaker.into_iter().chain(rate)
    }

    /// The attempt of this number is sent.
    pub(crate) fn sent(&mut self, now: Instant, number: u64) {
        if let Some(breaker) = &mut self.breaker {
            breaker.sent(now, number);
        }
        if let Some(rate) = &mut self.rate {
            rate.take(now);
        }
    }

    /// The attempt of this number came to an end of `class`, or began to be
    /// answered well. Tells what binds less than before.
    pub(crate) fn ended(&mut self, now: Instant, number: u64, class: Class) -> [Option<Cause>; 2] {
        let works = !matches!(class, Class::Overloaded | Class::Transient);
        let throttled = matches!(
            class,
            Class::Throttled(_) | Class::Concurrency | Class::Acceleration
        );
        if let Some(throttle) = self.throttle.as_mut().filter(|_| works && !throttled) {
            throttle.accepted(now);
        }
        let closed = self
            .breaker
            .as_mut()
            .is_some_and(|breaker| breaker.ended(now, number, works));
        let faster = self
            .rate
            .as_mut()
            .is_some_and(|rate| rate.answered(now, throttled));
        [
            closed.then_some(Cause::Breaker),
            faster.then_some(Cause::SendRate),
        ]
    }

    /// Nobody knows how the attempt of this number ended. True where the
    /// breaker binds less than before.
    pub(crate) fn forgotten(&mut self, now: Instant, number: u64) -> bool {
        self.breaker
            .as_mut()
            .is_some_and(|breaker| breaker.forgotten(now, number))
    }

    /// Whether the budget asks how many are under way.
    pub(crate) const fn counts_active(&self) -> bool {
        matches!(self.budget, Some(Budget::Active(_)))
    }

    /// Whether calls may be refused here.
    pub(crate) const fn throttles(&self) -> bool {
        self.throttle.is_some()
    }

    /// Whether a call that might be sent at `now` is refused here.
    pub(crate) fn refuses(&mut self, now: Instant, rng: &mut Rng) -> bool {
        self.throttle
            .as_mut()
            .is_some_and(|throttle| !throttle.admits_by(now, rng))
    }

    /// A call was sent for the first time.
    pub(crate) fn first_sent(&mut self, now: Instant) {
        if let Some(Budget::Ratio(budget)) = &mut self.budget {
            budget.request(now);
        }
    }

    /// An attempt of the call that holds `receipt` came to an end of `class`,
    /// or began to be answered well.
    pub(crate) fn settle(&mut self, receipt: &mut Receipt, class: Class) {
        let Receipt { tokens, grant } = core::mem::take(receipt);
        match (&mut self.budget, class) {
            (Some(Budget::Tokens(budget)), Class::Success) => budget.succeeded(tokens),
            (Some(Budget::Half(budget)), Class::Success) => budget.succeeded(),
            (Some(Budget::Half(budget)), class) if class.is_retryable() => budget.failed(),
            (Some(Budget::Active(budget)), _) => {
                if let Some(grant) = grant {
                    budget.ended(grant);
                }
            }
            _ => {}
        }
    }

    /// The call that holds `receipt` is over without a retry.
    pub(crate) fn release(&mut self, receipt: &mut Receipt) {
        if let (Some(Budget::Active(budget)), Some(grant)) = (&mut self.budget, receipt.grant) {
            budget.ended(grant);
        }
        *receipt = Receipt::NONE;
    }

    /// Takes a retry after a failure of `class` at `now`, where `active` are
    /// under way. False where the budget has none.
    pub(crate) fn try_retry(
        &mut self,
        now: Instant,
        class: Class,
        active: u32,
        receipt: &mut Receipt,
    ) -> bool {
        match &mut self.budget {
            None => true,
            Some(Budget::Tokens(budget)) => {
                let cost = place(class).and_then(|place| self.costs.get(place));
                let cost = cost.copied().unwrap_or_default();
                receipt.tokens = cost;
                budget.try_spend(cost)
            }
            Some(Budget::Half(budget)) => budget.allows(),
            Some(Budget::Ratio(budget)) => budget.try_retry(now),
            Some(Budget::Active(budget)) => {
                receipt.grant = budget.try_retry(now, active);
                receipt.grant.is_some()
            }
        }
    }
}

fn until(answer: Result<(), Refusal>) -> Option<Instant> {
    match answer {
        Ok(()) => None,
        Err(Refusal::Until(until)) => Some(until),
        // Neither of them says so.
        Err(Refusal::Never) => Some(Instant::MAX),
    }
}
