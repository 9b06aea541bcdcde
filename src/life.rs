//! Layer 2, the life of one request without a limiter: attempts, backoff, how
//! each attempt ended.
//!
//! # Theory of operation
//!
//! ```text
//! Queued     --the limiter lets it pass-->  InFlight
//! InFlight   --a good head-->               Streaming
//!            --a failure-->                 Queued, not before a later instant | GivenUp
//! Streaming  --the body ended well-->       Delivered
//!            --a failure, nothing handed on-->  Queued | GivenUp
//!            --a failure, something handed on-->  GivenUp
//! any but the last two  --Cancelled-->      GivenUp
//! Delivered, GivenUp    --anything-->       the same for ever
//! ```
//!
//! Rules for this file: one match over (state, event), without a wildcard for
//! the state; an event that does not fit changes nothing; the state that needs
//! an instant owns it.

use core::time::Duration;

use crate::{
    decision::{Cause, Class, ErrorDetails, Event, Failure, GiveUp, Wait},
    hints::{Dialect, ServerHints},
    request::Usage,
    retry::{Failed, Guard, LimitMessage, Phase, RETRIED, Receipt, RetryPolicy, classify, place},
    rng::Rng,
    time::Instant,
};

/// The life of one request. Says when to ask for a permit, what becomes of the
/// one that it has, and when it is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Life {
    state: State,
    /// Attempts started.
    attempts: u32,
    /// When the first event came.
    begun: Option<Instant>,
    /// The latest start.
    deadline: Option<Instant>,
    /// The last wait before a retry.
    previous: Duration,
    /// Failures since the schedule last started over.
    step: u32,
    /// Retries so far, by class.
    retries: [u32; RETRIED],
    /// What it took of the pool's retry budget.
    receipt: Receipt,
    rng: Rng,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    /// Wants to be sent, not before an instant where there was a failure.
    Queued { hold: Option<Wait> },
    /// Sent, and nothing heard.
    InFlight { sent: Instant },
    /// A good head was read, the body follows.
    Streaming {
        usage: Option<Usage>,
        handed_on: bool,
    },
    /// The body ended well.
    Delivered,
    /// Over without an answer.
    GivenUp(GiveUp),
}

/// What stands for a life at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// It may ask for a permit.
    Ask,
    /// It may not yet.
    Hold(Wait),
    /// It was sent then, and waits.
    Sent(Instant),
    Deliver,
    GiveUp(GiveUp),
}

/// What an event means to those outside the life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Effect {
    pub(crate) charge: Charge,
    /// How an attempt ended, or began to be answered well.
    pub(crate) class: Option<Class>,
    /// What the server asks all to wait.
    pub(crate) server_wait: Option<Duration>,
}

/// What becomes of the permit that the life holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Charge {
    /// It is kept: the attempt goes on.
    Keep,
    /// It took nothing.
    Nothing,
    /// Nobody knows what it took: the forecast stands.
    Forecast,
    /// It took this.
    Taken(Usage),
}

impl Effect {
    const NONE: Self = Self {
        charge: Charge::Keep,
        class: None,
        server_wait: None,
    };
}

impl Life {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            state: State::Queued { hold: None },
            attempts: 0,
            begun: None,
            deadline: None,
            previous: Duration::ZERO,
            step: 0,
            retries: [0; RETRIED],
            receipt: Receipt::NONE,
            rng: Rng::new(seed),
        }
    }

    /// Attempts started so far.
    pub(crate) const fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) const fn is_streaming(&self) -> bool {
        matches!(self.state, State::Streaming { .. })
    }

    pub(crate) const fn is_in_flight(&self) -> bool {
        matches!(self.state, State::InFlight { .. })
    }

    #[cfg(feature = "alloc")]
    pub(crate) const fn is_delivered(&self) -> bool {
        matches!(self.state, State::Delivered)
    }

    /// Changes the latest start.
    #[cfg(feature = "alloc")]
    pub(crate) const fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// An event came: if it is the first, `deadline` is the latest start.
    pub(crate) const fn begin(&mut self, now: Instant, deadline: Option<Instant>) {
        if self.begun.is_none() {
            self.begun = Some(now);
            self.deadline = deadline;
        }
    }

    /// What stands at `now`, nothing having happened.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match self.state {
            State::Queued { hold: Some(wait) } if now < wait.until => Standing::Hold(wait),
            State::Queued { .. } => Standing::Ask,
            State::InFlight { sent } => Standing::Sent(sent),
            State::Streaming { .. } | State::Delivered => Standing::Deliver,
            State::GivenUp(why) => Standing::GiveUp(why),
        }
    }

    /// It was let pass and is being sent.
    pub(crate) const fn sent(&mut self, now: Instant) {
        self.attempts = self.attempts.saturating_add(1);
        self.state = State::InFlight { sent: now };
    }

    /// It was not let pass, and there is no use in waiting.
    pub(crate) const fn give_up(&mut self, why: GiveUp) {
        self.state = State::GivenUp(why);
    }

    /// Something happened. The one match over (state, event).
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        event: &Event<'_>,
        policy: impl FnOnce() -> RetryPolicy,
    ) -> Effect {
        match (self.state, event) {
            (State::Delivered | State::GivenUp(_), _) | (_, Event::Submitted | Event::Woken) => {
                Effect::NONE
            }

            (State::Queued { .. }, Event::Cancelled) => {
                self.give_up(GiveUp::Cancelled);
                Effect::NONE
            }
            (
                State::Queued { .. },
                Event::Responded { .. }
                | Event::Progressed { .. }
                | Event::Finished(_)
                | Event::Failed(_),
            ) => Effect::NONE,

            (
                State::InFlight { .. },
                &Event::Responded {
                    status,
                    hints,
                    error,
                },
            ) => {
                let class = classify(status, error, hints, Phase::Head);
                if class == Class::Success {
                    self.state = State::Streaming {
                        usage: None,
                        handed_on: false,
                    };
                    return Effect {
                        class: Some(class),
                        ..Effect::NONE
                    };
                }
                let server_wait = asked_wait(class, hints, &error);
                self.failed(now, class, server_wait, &policy());
                Effect {
                    charge: charge_of_refusal(status),
                    class: Some(class),
                    server_wait,
                }
            }
            (State::InFlight { .. }, Event::Failed(failure)) => {
                let charge = match failure {
                    Failure::NotSent => Charge::Nothing,
                    Failure::TimedOut | Failure::Lost | Failure::InStream(_) => Charge::Forecast,
                };
                let (class, server_wait) = class_of_failure(failure, Phase::Stream);
                self.failed(now, class, server_wait, &policy());
                Effect {
                    charge,
                    class: Some(class),
                    server_wait,
                }
            }
            (State::InFlight { .. }, Event::Cancelled) => {
                self.give_up(GiveUp::Cancelled);
                Effect {
                    charge: Charge::Forecast,
                    ..Effect::NONE
                }
            }
            (State::InFlight { .. }, Event::Progressed { .. } | Event::Finished(_)) => Effect::NONE,

            (
                State::Streaming { usage, handed_on },
                &Event::Progressed {
                    usage: more,
                    handed_on: now_handed_on,
                },
            ) => {
                self.state = State::Streaming {
                    usage: Some(usage.unwrap_or_default().max(more)),
                    handed_on: handed_on || now_handed_on,
                };
                Effect::NONE
            }
            (State::Streaming { usage, .. }, &Event::Finished(last)) => {
                self.state = State::Delivered;
                let taken = match (usage, last) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    (one, other) => one.or(other),
                };
                Effect {
                    charge: taken.map_or(Charge::Forecast, Charge::Taken),
                    ..Effect::NONE
                }
            }
            (State::Streaming { usage, handed_on }, Event::Failed(failure)) => {
                let phase = if handed_on {
                    Phase::HandedOn
                } else {
                    Phase::Stream
                };
                let (class, server_wait) = class_of_failure(failure, phase);
                if phase.is_replay_safe() {
                    self.failed(now, class, server_wait, &policy());
                } else {
                    self.give_up(GiveUp::HandedOn(class));
                }
                Effect {
                    charge: usage.map_or(Charge::Forecast, Charge::Taken),
                    class: Some(class),
                    server_wait,
                }
            }
            (State::Streaming { usage, .. }, Event::Cancelled) => {
                self.give_up(GiveUp::Cancelled);
                Effect {
                    charge: usage.map_or(Charge::Forecast, Charge::Taken),
                    ..Effect::NONE
                }
            }
            (State::Streaming { .. }, Event::Responded { .. }) => Effect::NONE,
        }
    }

    /// Settles with the pool's retry budget what `effect` means to it; gives up
    /// where a retry is due and the budget has none. `active` are under way.
    pub(crate) fn settle_budget(
        &mut self,
        now: Instant,
        effect: &Effect,
        active: u32,
        guard: &mut Guard,
    ) {
        if let Some(class) = effect.class {
            guard.settle(&mut self.receipt, class);
            let due = matches!(self.state, State::Queued { .. });
            if due && !guard.try_retry(now, class, active, &mut self.receipt) {
                self.give_up(GiveUp::BudgetSpent(class));
            }
        }
        if matches!(self.state, State::GivenUp(_)) {
            guard.release(&mut self.receipt);
        }
    }

    /// What becomes of it where client-side throttling refuses it at `now`, when
    /// it might be sent: until when it waits, or why it is over. That counts as
    /// an attempt, which met an overload. `None` where it is not refused.
    pub(crate) fn refused_here(
        &mut self,
        now: Instant,
        guard: &mut Guard,
        policy: &RetryPolicy,
    ) -> Option<Result<Wait, GiveUp>> {
        if !guard.refuses(now, &mut self.rng) {
            return None;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.failed(now, Class::Overloaded, None, policy);
        Some(match self.standing(now) {
            Standing::GiveUp(why) => Err(why),
            Standing::Hold(wait) => Ok(wait),
            // Full jitter may draw nothing; a wait is always in the future.
            Standing::Ask | Standing::Sent(_) | Standing::Deliver => Ok(Wait {
                until: now.just_after(),
                cause: Cause::Backoff,
            }),
        })
    }

    /// An attempt failed: queues the next one, or gives up.
    fn failed(
        &mut self,
        now: Instant,
        class: Class,
        server_wait: Option<Duration>,
        policy: &RetryPolicy,
    ) {
        self.state = match self.next_start(now, class, server_wait, policy) {
            Ok(hold) => State::Queued { hold: Some(hold) },
            Err(why) => State::GivenUp(why),
        };
    }

    fn next_start(
        &mut self,
        now: Instant,
        class: Class,
        server_wait: Option<Duration>,
        policy: &RetryPolicy,
    ) -> Result<Wait, GiveUp> {
        self.step = self.step.saturating_add(1);
        let mut none = 0;
        let of_class = place(class)
            .and_then(|place| self.retries.get_mut(place))
            .unwrap_or(&mut none);
        let failed = Failed {
            class,
            attempts: self.attempts,
            step: self.step,
            of_class: *of_class,
            previous: self.previous,
            asked: server_wait,
        };
        let (delay, cause) = policy.wait_after(&failed, &mut self.rng)?;
        *of_class = of_class.saturating_add(1);
        let until = now.saturating_add(delay);
        let spent = until.saturating_duration_since(self.begun.unwrap_or(now));
        if policy.max_total().is_some_and(|most| spent > most) {
            return Err(GiveUp::TimeSpent(class));
        }
        if self.deadline.is_some_and(|latest| until > latest) {
            return Err(GiveUp::DeadlineTooClose {
                earliest: until,
                cause,
            });
        }
        self.previous = delay;
        if server_wait.is_some() && policy.starts_over() {
            self.step = 0;
        }
        Ok(Wait { until, cause })
    }
}

/// What a server asks to wait: the longer of what head and body say, or else
/// what the message does, or else, after a rate limit, until what is spent is
/// there again; GitHub's documents ask for a minute where nothing else is said
/// ("Rate limits for the REST API").
fn asked_wait(class: Class, hints: &ServerHints, error: &ErrorDetails<'_>) -> Option<Duration> {
    let said = hints
        .retry_after
        .max(error.delay)
        .or_else(|| LimitMessage::read(error.message)?.delay);
    match class {
        Class::Throttled(_) => said
            .or_else(|| hints.spent_until_ms().map(Duration::from_millis))
            .or_else(|| (hints.dialect == Dialect::GitHub).then_some(Duration::from_secs(60))),
        _ => said,
    }
}

/// What a refused request took. Servers refuse most before they do any work;
/// after a fault inside the server nobody knows.
const fn charge_of_refusal(status: u16) -> Charge {
    match status {
        500..=502 | 504..=528 => Charge::Forecast,
        _ => Charge::Nothing,
    }
}

/// What a failure without a status means, and what the server asks to wait.
fn class_of_failure(failure: &Failure<'_>, phase: Phase) -> (Class, Option<Duration>) {
    match failure {
        Failure::InStream(error) => {
            let bare = ServerHints::NONE;
            let class = classify(200, *error, &bare, phase);
            (class, asked_wait(class, &bare, error))
        }
        Failure::NotSent | Failure::TimedOut | Failure::Lost => (Class::Transient, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "alloc")]
    #[test]
    fn a_life_that_streams_is_not_delivered() {
        let mut life = Life::new(1);
        life.sent(Instant::ZERO);
        let head = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
        let _taken = life.handle(Instant::ZERO, &head, RetryPolicy::new);
        assert!(!life.is_delivered());
        let _taken = life.handle(Instant::ZERO, &Event::Finished(None), RetryPolicy::new);
        assert!(life.is_delivered());
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn the_latest_start_is_the_one_that_was_set_last() {
        let mut life = Life::new(1);
        let [first, second] = [4, 9].map(Instant::from_secs);
        life.begin(Instant::ZERO, Some(first));
        life.begin(Instant::from_secs(1), Some(second));
        assert_eq!(life.deadline(), Some(first), "it begins once");
        life.set_deadline(Some(second));
        assert_eq!(life.deadline(), Some(second));
    }

    #[test]
    fn what_a_refusal_took_goes_by_its_status() {
        let forecast = [500, 501, 502, 504, 520, 524, 528];
        let nothing = [400, 401, 403, 429, 499, 503, 529, 599];
        assert!(forecast.map(charge_of_refusal) == [Charge::Forecast; 7]);
        assert!(nothing.map(charge_of_refusal) == [Charge::Nothing; 8]);
    }
}
