//! What an event of one call means to the pools that let it pass: shared by
//! [`Call`](crate::Call), which has them lent, and by the scheduler, which owns
//! them.

use crate::{
    decision::{Class, Event},
    hints::ServerHints,
    life::{Charge, Effect, Life},
    pools::Told,
    request::{Request, Usage},
    retry::{Guard, RetryPolicy},
    time::Instant,
    units::Cost,
};

/// The permits of one attempt, with the pools that gave them. All instants are
/// the pools' own.
pub(crate) trait Holder {
    fn policy(&self) -> RetryPolicy;
    /// What their retries are measured against, and how many calls are under
    /// way, if that counts; `None` where the pool is gone.
    fn guard(&mut self, now: Instant) -> Option<(&mut Guard, u32)>;
    fn refund(&mut self);
    fn observe(&mut self, now: Instant, hints: &ServerHints);
    fn report(&mut self, now: Instant, class: Class, told: Told<'_>);
    /// So much was taken already.
    fn progress(&mut self, now: Instant, taken: &Cost);
    fn learn(&mut self, request: &Request, usage: &Usage);
    /// After this there are no permits any more.
    fn settle(&mut self, now: Instant, actual: Option<Cost>);
}

/// Takes note of `event` in a life and in its pools.
pub(crate) fn take_note(
    life: &mut Life,
    request: &Request,
    holder: &mut impl Holder,
    now: Instant,
    event: &Event<'_>,
) -> Effect {
    let was_in_flight = life.is_in_flight();
    let effect = life.handle(now, event, || holder.policy());
    if effect.charge == Charge::Nothing {
        // Before its head is read: what that shows does not hold the charge.
        holder.refund();
    }
    let hints = match event {
        Event::Responded { hints, .. } if was_in_flight => Some(*hints),
        _ => None,
    };
    if let Some(hints) = hints {
        holder.observe(now, hints);
    }
    if let Some(class) = effect.class {
        let told = Told {
            wait: effect.server_wait,
            hints,
        };
        holder.report(now, class, told);
    }
    if let (Event::Progressed { usage, .. }, true) = (event, life.is_streaming()) {
        holder.progress(now, &request.cost_of(usage));
    }
    if let Some((guard, active)) = holder.guard(now) {
        life.settle_budget(now, &effect, active, guard);
    }
    let actual = match effect.charge {
        Charge::Keep => return effect,
        Charge::Nothing => Some(Cost::ZERO),
        Charge::Forecast => None,
        Charge::Taken(usage) => {
            holder.learn(request, &usage);
            Some(request.cost_of(&usage))
        }
    };
    holder.settle(now, actual);
    effect
}
