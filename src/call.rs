//! Layer 2, one request from asking to its end, retries included: [`Call`].

use core::fmt;

use crate::{
    attempt::{Holder, take_note},
    decision::{Attempt, Cause, Class, Decision, Denied, Event, GiveUp, Wait},
    explain::{Explanation, Stance},
    hints::ServerHints,
    life::{Life, Standing},
    pools::{Permits, Pools, Told},
    request::{Request, Usage},
    retry::{Guard, RetryPolicy},
    time::Instant,
    units::Cost,
};

/// One request: one event in, one decision out, nothing to drain.
///
/// Owned by whoever drives it; made by [`Limiter::call`](crate::Limiter::call).
/// It keeps the permits that its attempts hold, so it must hear how each ends.
/// A call that is dropped without a last event holds its permit until that
/// expires.
///
/// Every state has a standing decision, and an event that does not fit repeats
/// it:
///
/// | state | standing decision |
/// |---|---|
/// | waiting | asked afresh: [`Send`](Decision::Send), or [`Wait`](Decision::Wait) until a later instant |
/// | sent | `Wait` for [`Cause::Response`], until the permit would expire |
/// | head read | [`Deliver`](Decision::Deliver), final only after [`Event::Finished`] |
/// | ended | the same `Deliver` or [`GiveUp`](Decision::GiveUp) for ever |
///
/// ```
/// use sendwhen::{Decision, ErrorDetails, Event, Instant, Limiter, Request, ServerHints, Usage};
///
/// let mut limiter = Limiter::new(42);
/// let mut call = limiter.call(Request::new());
/// let now = Instant::ZERO;
///
/// assert!(matches!(call.handle(&mut limiter, now, Event::Submitted), Decision::Send(_)));
/// // .. the transport sends it; the head of the response comes back ..
/// let head = Event::Responded { status: 200, hints: &ServerHints::NONE, error: ErrorDetails::NONE };
/// assert_eq!(call.handle(&mut limiter, now, head), Decision::Deliver);
/// let end = Event::Finished(Some(Usage::new(12, 340)));
/// assert_eq!(call.handle(&mut limiter, now, end), Decision::Deliver);
/// ```
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Call {
    life: Life,
    request: Request,
    permits: Permits,
}

impl Call {
    pub(crate) const fn new(request: Request, seed: u64) -> Self {
        Self {
            life: Life::new(seed),
            request,
            permits: Permits::NONE,
        }
    }

    /// Takes note of `event`, and says what to do now.
    ///
    /// `pools` is the [`Limiter`](crate::Limiter) that made this call, or
    /// `[&mut inner, &mut outer]` where a request must pass two pools at once
    /// (workspace and organisation): always the same ones.
    pub fn handle<P: Pools + ?Sized>(
        &mut self,
        pools: &mut P,
        now: Instant,
        event: Event<'_>,
    ) -> Decision {
        let outside = now;
        let now = pools.enter(outside);
        let deadline = self.request.start_by.map(|latest| pools.inside(latest));
        self.life.begin(now, deadline);
        let mut held = Held {
            pools,
            permits: &mut self.permits,
        };
        let _effect = take_note(&mut self.life, &self.request, &mut held, now, &event);
        match self.decide(pools, now) {
            Decision::Wait(wait) => Decision::Wait(Wait {
                until: pools.outside(wait.until),
                cause: wait.cause,
            }),
            Decision::GiveUp(GiveUp::DeadlineTooClose { earliest, cause }) => {
                Decision::GiveUp(GiveUp::DeadlineTooClose {
                    earliest: pools.outside(earliest),
                    cause,
                })
            }
            decision @ (Decision::Send(_) | Decision::Deliver | Decision::GiveUp(_)) => decision,
        }
    }

    /// Why the call stands where it does, with the numbers that make it; changes
    /// nothing. Prints as one line. `pools` as for [`handle`](Self::handle).
    ///
    /// ```
    /// use sendwhen::{ErrorDetails, Event, Instant, Limiter, Request, ServerHints};
    ///
    /// let mut limiter = Limiter::new(42);
    /// let mut call = limiter.call(Request::new());
    /// let now = Instant::from_secs(5);
    /// assert_eq!(call.explain(&limiter, now).to_string(), "send; no limit is known, 0 in flight");
    ///
    /// let _sent = call.handle(&mut limiter, now, Event::Submitted);
    /// let said = call.explain(&limiter, now).to_string();
    /// assert!(said.ends_with("s for the response"), "{said}");
    /// ```
    pub fn explain<P: Pools + ?Sized>(&self, pools: &P, now: Instant) -> Explanation {
        let now = pools.look(now);
        let mut explanation = pools.explain_request(now, &self.request);
        let stance = match self.life.standing(now) {
            Standing::Ask => explanation.stance,
            Standing::Hold(wait) => Stance::Wait(wait),
            Standing::Sent(sent) => Stance::Wait(Wait {
                until: pools.expiry(sent, now),
                cause: Cause::Response,
            }),
            Standing::Deliver => Stance::Deliver,
            Standing::GiveUp(why) => Stance::GiveUp(why),
        };
        explanation.stance = stance;
        explanation.outside(|at| pools.outside(at))
    }

    /// The request as it was asked for.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// How many attempts were started.
    pub const fn attempts(&self) -> u32 {
        self.life.attempts()
    }

    fn decide<P: Pools + ?Sized>(&mut self, pools: &mut P, now: Instant) -> Decision {
        match self.life.standing(now) {
            Standing::Ask => self.ask(pools, now),
            Standing::Hold(wait) => Decision::Wait(wait),
            Standing::Sent(sent) => Decision::Wait(Wait {
                until: pools.expiry(sent, now),
                cause: Cause::Response,
            }),
            Standing::Deliver => Decision::Deliver,
            Standing::GiveUp(why) => Decision::GiveUp(why),
        }
    }

    /// What client-side throttling says, where the pools would let it pass.
    fn ask_here<P: Pools + ?Sized>(&mut self, pools: &mut P, now: Instant) -> Option<Decision> {
        if !pools.guard().throttles() || pools.peek_request(now, &self.request).is_err() {
            return None;
        }
        let policy = *pools.policy();
        let refused = self.life.refused_here(now, pools.guard(), &policy)?;
        Some(refused.map_or_else(Decision::GiveUp, Decision::Wait))
    }

    fn ask<P: Pools + ?Sized>(&mut self, pools: &mut P, now: Instant) -> Decision {
        if let Some(wait) = self.ask_here(pools, now) {
            return wait;
        }
        let deadline = self.life.deadline();
        let denied = if deadline.is_some_and(|latest| now > latest) {
            // Too late even if the pools would let it pass.
            pools.peek_request(now, &self.request)
        } else {
            match pools.acquire_request(now, &self.request, &mut self.permits) {
                Ok(()) => {
                    self.life.sent(now);
                    if self.life.attempts() == 1 {
                        pools.guard().first_sent(now);
                    }
                    return Decision::Send(Attempt {
                        number: self.life.attempts(),
                    });
                }
                Err(denied) => Err(denied),
            }
        };
        let why = match (denied, deadline) {
            (Err(Denied::Never(never)), _) => GiveUp::Never(never),
            (Err(Denied::Until { wait, .. }), None) => return Decision::Wait(wait),
            (Err(Denied::Until { wait, earliest }), Some(latest)) => {
                if now < latest && earliest <= latest {
                    return Decision::Wait(Wait {
                        until: wait.until.min(latest),
                        cause: wait.cause,
                    });
                }
                GiveUp::DeadlineTooClose {
                    earliest: earliest.max(now),
                    cause: wait.cause,
                }
            }
            (Ok(()), _) => GiveUp::DeadlineTooClose {
                earliest: now,
                cause: Cause::AskedLate,
            },
        };
        self.life.give_up(why);
        Decision::GiveUp(why)
    }
}

/// A call's permits, and the pools that are lent to it.
struct Held<'a, P: ?Sized> {
    pools: &'a mut P,
    permits: &'a mut Permits,
}

impl<P: Pools + ?Sized> Holder for Held<'_, P> {
    fn policy(&self) -> RetryPolicy {
        *self.pools.policy()
    }

    fn guard(&mut self, now: Instant) -> Option<(&mut Guard, u32)> {
        let active = if self.pools.guard().counts_active() {
            self.pools.active(now)
        } else {
            0
        };
        Some((self.pools.guard(), active))
    }

    fn refund(&mut self) {
        self.pools.refund(self.permits);
    }

    fn observe(&mut self, now: Instant, hints: &ServerHints) {
        self.pools.observe_permits(now, self.permits, hints);
    }

    fn report(&mut self, now: Instant, class: Class, told: Told<'_>) {
        self.pools.report(now, self.permits, class, told);
    }

    fn progress(&mut self, now: Instant, taken: &Cost) {
        self.pools.progress(now, self.permits, taken);
    }

    fn learn(&mut self, request: &Request, usage: &Usage) {
        self.pools.learn(request, usage);
    }

    fn settle(&mut self, now: Instant, actual: Option<Cost>) {
        self.pools.settle_permits(now, self.permits, actual);
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("life", &self.life)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}
