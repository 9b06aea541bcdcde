//! Who is to be asked again, and when.
//!
//! A route that was refused sleeps until the instant that its pools named, or
//! until one of them opened. Of those that sleep at a pool only the first is
//! woken; the next when that one was sent, or when it turned out to be held up
//! elsewhere.

use alloc::vec::Vec;

use super::{
    Scheduler, index, looks,
    pool::Pool,
    route::{Block, Route, State, Top},
};
use crate::{decision::Cause, time::Instant};

impl Scheduler {
    /// What the clock brings about: backoffs end, latest starts come near,
    /// sleepers wake.
    pub(super) fn fall_due(&mut self, now: Instant) {
        while let Some((&(until, _), &slot)) = self.held.first_key_value() {
            if until > now {
                break;
            }
            self.held.pop_first();
            match self.aside_of(now, slot) {
                Some(aside) => {
                    self.aside.insert(aside);
                }
                None => self.enqueue(slot),
            }
        }
        while let Some(&(at, route)) = self.criticals.first() {
            if at > now {
                break;
            }
            self.look_at_criticals(now, route, now);
        }
        while let Some(&(until, route)) = self.alarms.first() {
            if until > now {
                break;
            }
            self.wake(route);
        }
    }

    /// Where a call that could come back stands, if it lets others ask whether the
    /// server is up again.
    fn aside_of(&self, now: Instant, slot: u32) -> Option<(u32, u64, u32)> {
        let call = self.calls.get(slot)?;
        let lets = self.active.get(call.active?)?.lets_others_ask;
        (lets && self.others_ask(now, call.route)).then_some((call.route, call.number, slot))
    }

    /// Whether over pools of a route whose server is down, and over no other, some
    /// wait for nothing but to ask whether it is up again.
    fn others_ask(&self, now: Instant, number: u32) -> bool {
        let asks = |number: &u32| {
            let route = self.routes.get(index(*number));
            route.is_some_and(|route| match route.state {
                State::Empty => false,
                State::Ready => true,
                State::Blocked(block) => block.cause == Cause::Outage,
            })
        };
        let Some(route) = self.routes.get(index(number)) else {
            return false;
        };
        route.alternatives.iter().all(|set| {
            let sites = set.iter().filter(|pool| is_down(&self.pools, now, **pool));
            let mut sites = sites.filter_map(|pool| self.sites.get(index(*pool)));
            sites.any(|site| site.over.iter().any(asks))
        })
    }

    /// Those who let others ask come back where none does, or the server is up: of
    /// all routes at once, or those of the first would ask all the time.
    pub(super) fn come_back_from_aside(&mut self, now: Instant) {
        if self.aside.is_empty() {
            return;
        }
        let mut back = Vec::new();
        let mut last = None;
        for &aside in &self.aside {
            let (number, ..) = aside;
            let (_, asked) = last
                .filter(|(route, _)| *route == number)
                .unwrap_or_else(|| (number, self.others_ask(now, number)));
            last = Some((number, asked));
            if !asked {
                back.push(aside);
            }
        }
        for aside in back {
            let (.., slot) = aside;
            self.aside.remove(&aside);
            self.enqueue(slot);
        }
    }

    /// The route whose first is to be asked for next. It is taken from those
    /// that are ready.
    pub(super) fn pick(&mut self, now: Instant) -> Option<u32> {
        let mut place = 0;
        while let Some(&pool) = self.open.get(place) {
            if self.wake_first_of(now, pool) {
                place = place.saturating_add(1);
            } else {
                self.open.swap_remove(place);
            }
        }
        let first = self.first_ready(now)?;
        self.ready.retain(|route| *route != first);
        Some(first)
    }

    /// Wakes the first of those who sleep at `pool`, unless one is awake. False
    /// where there is none, or the pool is not open.
    fn wake_first_of(&mut self, now: Instant, pool: u32) -> bool {
        let Some(place) = self.pools.get(index(pool)).and_then(Option::as_ref) else {
            return false;
        };
        if !place.open {
            return false;
        }
        let (routes, pools, firsts) = (&self.routes, &self.pools, &mut self.firsts);
        let Some(first) = firsts.first_of(now, &place.waiters, routes, pools) else {
            if let Some(place) = self.pools.get_mut(index(pool)).and_then(Option::as_mut) {
                place.open = false;
            }
            return false;
        };
        let awake = place.woken.filter(|route| {
            let route = routes.get(index(*route));
            route.is_some_and(|route| route.state == State::Ready)
        });
        let mut goes_on =
            |awake| firsts.first_of(now, &[awake, first], routes, pools) == Some(awake);
        if awake.is_some_and(&mut goes_on) {
            return true;
        }
        if let Some(place) = self.pools.get_mut(index(pool)).and_then(Option::as_mut) {
            place.woken = Some(first);
        }
        self.wake(first);
        true
    }

    /// The one of `ready` whose first goes before those of the others.
    fn first_ready(&mut self, now: Instant) -> Option<u32> {
        let firsts = &mut self.firsts;
        firsts.first_of(now, &self.ready, &self.routes, &self.pools)
    }

    /// The first of `route` is to be asked for.
    pub(super) fn wake(&mut self, number: u32) {
        let Some(route) = self.routes.get_mut(index(number)) else {
            return;
        };
        let State::Blocked(block) = route.state else {
            return;
        };
        self.alarms.remove(&(block.again, number));
        let waits = core::mem::take(&mut route.waits);
        for pool in waits {
            if let Some(place) = self.pools.get_mut(index(pool)).and_then(Option::as_mut) {
                place.waiters.retain(|waiter| *waiter != number);
                // If it opened meanwhile, only the first was told.
                open(&mut self.open, place, pool);
            }
        }
        if !block.behind {
            let claimed = route.alternatives.get(block.alternative);
            for &pool in claimed.into_iter().flatten() {
                if let Some(place) = self.pools.get_mut(index(pool)).and_then(Option::as_mut) {
                    place.claims.retain(|claimant| *claimant != number);
                    open(&mut self.open, place, pool);
                }
            }
        }
        route.state = State::Ready;
        self.rest(number);
    }

    /// Puts a route that is awake where it belongs: among those that are ready,
    /// or nowhere if nothing waits there.
    pub(super) fn rest(&mut self, number: u32) {
        let Some(route) = self.routes.get_mut(index(number)) else {
            return;
        };
        if matches!(route.state, State::Blocked(_)) {
            return;
        }
        if route.is_empty() {
            route.state = State::Empty;
            self.ready.retain(|ready| *ready != number);
            self.give_up_claim(number);
        } else {
            route.state = State::Ready;
            if !self.ready.contains(&number) {
                self.ready.push(number);
            }
        }
    }

    /// A route slept when the snapshot was taken, and sleeps on; but not one on
    /// which nothing waits.
    #[cfg(feature = "serde")]
    pub(super) fn sleep_on(&mut self, number: u32, block: Block, waits: Vec<u32>) {
        let Some(route) = self.routes.get_mut(index(number)) else {
            return;
        };
        if matches!(route.state, State::Ready) {
            self.ready.retain(|ready| *ready != number);
            self.lie_down(number, block, waits);
        }
    }

    /// The first of a route that is awake was refused: it sleeps.
    pub(super) fn block(&mut self, now: Instant, number: u32, block: Block, waits: Vec<u32>) {
        let mut opened = Vec::new();
        for &pool in &waits {
            if let Some(place) = self.pools.get_mut(index(pool)).and_then(Option::as_mut) {
                if core::mem::replace(&mut place.open, false) {
                    opened.push(pool);
                }
            }
        }
        self.lie_down(number, block, waits);
        let claim = (!block.behind).then_some(block);
        let route = self.routes.get_mut(index(number));
        let old = route.and_then(|route| core::mem::replace(&mut route.claim, claim));
        self.come_of_age(now, number, block);
        if let Some(old) = old.filter(|old| !claim.is_some_and(|new| new.is_same_claim(old))) {
            self.wake_the_held_up(number, &old, &block);
        }
        for pool in opened {
            self.wake_those_who_may_avoid(pool, number, &block);
        }
    }

    /// Puts a route among those that sleep.
    fn lie_down(&mut self, number: u32, block: Block, waits: Vec<u32>) {
        let Some(route) = self.routes.get_mut(index(number)) else {
            return;
        };
        self.alarms.insert((block.again, number));
        for &pool in &waits {
            if let Some(place) = self.pools.get_mut(index(pool)).and_then(Option::as_mut) {
                place.waiters.push(number);
            }
        }
        if !block.behind {
            let claimed = route.alternatives.get(block.alternative);
            for &pool in claimed.into_iter().flatten() {
                if let Some(place) = self.pools.get_mut(index(pool)).and_then(Option::as_mut) {
                    place.claims.push(number);
                }
            }
        }
        route.waits = waits;
        route.state = State::Blocked(block);
    }

    /// The first of a route waits no longer: what would have delayed it may go.
    pub(super) fn give_up_claim(&mut self, number: u32) {
        let route = self.routes.get_mut(index(number));
        if let Some(old) = route.and_then(|route| route.claim.take()) {
            self.wake_the_held_up(number, &old, &old);
        }
    }

    /// Others may go before the first of a route that did not: to these it is
    /// no longer in the way.
    pub(super) fn let_others_by(&mut self, number: u32) {
        let Some(route) = self.routes.get(index(number)) else {
            return;
        };
        let State::Blocked(block) = route.state else {
            return;
        };
        let claimed = route.alternatives.get(block.alternative);
        let claimed = claimed.filter(|_| !block.behind).into_iter().flatten();
        for &pool in claimed.chain(&route.waits) {
            if let Some(place) = self.pools.get_mut(index(pool)).and_then(Option::as_mut) {
                open(&mut self.open, place, pool);
            }
        }
    }

    /// A claim is another than it was: some that would have delayed the old one
    /// may go.
    fn wake_the_held_up(&mut self, number: u32, old: &Block, new: &Block) {
        let Some(route) = self.routes.get(index(number)) else {
            return;
        };
        let mut held_up = Vec::new();
        let claimed = route.alternatives.get(old.alternative);
        for pool in claimed.into_iter().flatten() {
            let place = self.pools.get(index(*pool)).and_then(Option::as_ref);
            for &waiter in place.into_iter().flat_map(|place| &place.waiters) {
                let Some(other) = self.routes.get(index(waiter)) else {
                    continue;
                };
                let State::Blocked(block) = other.state else {
                    continue;
                };
                let seen = waiter == number || held_up.contains(&waiter);
                if block.held_up && !seen && other.may_avoid(new) {
                    held_up.push(waiter);
                }
            }
        }
        for waiter in held_up {
            self.wake(waiter);
        }
    }

    /// A pool was open, and the first of those who sleep there was refused all
    /// the same. Others who sleep there are asked, if what it waits for may be
    /// nothing to them.
    fn wake_those_who_may_avoid(&mut self, pool: u32, number: u32, block: &Block) {
        let Some(place) = self.pools.get(index(pool)).and_then(Option::as_ref) else {
            return;
        };
        let waiters = place.waiters.iter().copied();
        let others: Vec<u32> = waiters
            .filter(|waiter| {
                let other = self.routes.get(index(*waiter));
                *waiter != number && other.is_some_and(|other| other.may_avoid(block))
            })
            .collect();
        for other in others {
            self.wake(other);
        }
    }

    /// Something began to wait on `number`.
    pub(super) fn news_of(&mut self, number: u32) {
        let Some(route) = self.routes.get(index(number)) else {
            return;
        };
        match route.state {
            State::Ready => {}
            State::Empty => self.rest(number),
            State::Blocked(block) => {
                let now = self.clock.latest();
                if !route.is_still_first(&block, now, &self.pools) || route.may_be_passed(&block) {
                    self.wake(number);
                } else {
                    self.come_of_age(now, number, block);
                }
            }
        }
    }

    /// Something that waits on a route that sleeps may have waited long, and so
    /// go first, before the route is to be asked again: then it sleeps until
    /// that.
    fn come_of_age(&mut self, now: Instant, number: u32, mut block: Block) {
        let Some(route) = self.routes.get_mut(index(number)) else {
            return;
        };
        let due = route.comes_of_age(now, &self.pools);
        if let Some(due) = due.filter(|due| *due < block.again) {
            self.alarms.remove(&(block.again, number));
            block.again = due;
            self.alarms.insert((due, number));
            route.state = State::Blocked(block);
        }
    }

    /// Something waits no longer on `number`.
    pub(super) fn loss_of(&mut self, number: u32) {
        let Some(route) = self.routes.get(index(number)) else {
            return;
        };
        match route.state {
            State::Empty => {}
            State::Ready => {
                if route.is_empty() {
                    self.rest(number);
                }
            }
            State::Blocked(block) => {
                let now = self.clock.latest();
                if !route.is_still_first(&block, now, &self.pools) || route.may_be_passed(&block) {
                    self.wake(number);
                }
            }
        }
    }

    /// A pool was changed or taken away: all that might go over it are asked.
    pub(super) fn wake_all_of(&mut self, pool: u32) {
        let mut place = 0;
        while let Some(number) = self.over(pool, place) {
            self.wake(number);
            place = place.saturating_add(1);
        }
    }

    /// The route at `place` among those that go over `pool`.
    pub(super) fn over(&self, pool: u32, place: usize) -> Option<u32> {
        self.sites.get(index(pool))?.over.get(place).copied()
    }

    /// Something was reported to `pool`.
    pub(super) fn look_at(&mut self, now: Instant, number: u32, failed: bool) {
        let Some(pool) = self.pools.get_mut(index(number)).and_then(Option::as_mut) else {
            return;
        };
        if pool.opened != pool.limiter.opened() {
            pool.opened = pool.limiter.opened();
            open(&mut self.open, pool, number);
        }
        if failed {
            if let Some(until) = pool.notice_stop(now) {
                self.tell_of_stop(number, until);
            }
        }
        self.look_for_late(now, number);
        self.look_at_claims(now, number);
    }

    /// A call was sent over `pool`.
    pub(super) fn passed(&mut self, now: Instant, number: u32, aged: bool) {
        if let Some(pool) = self.pools.get_mut(index(number)).and_then(Option::as_mut) {
            let was_turn = pool.is_aged_turn();
            pool.turn = if aged { 0 } else { pool.turn.saturating_add(1) };
            open(&mut self.open, pool, number);
            if pool.is_aged_turn() != was_turn {
                self.look_at_turns(now, number);
            }
        }
        self.look_at_claims(now, number);
    }

    /// `pool` has less than it had: those with a claim on it that it makes later
    /// may be better off elsewhere.
    pub(super) fn look_at_claims(&mut self, now: Instant, number: u32) {
        let place = self.pools.get(index(number)).and_then(Option::as_ref);
        let claims = place.into_iter().flat_map(|place| &place.claims);
        let choosers: Vec<(u32, Block)> = claims
            .filter_map(|&claimant| {
                let route = self.routes.get(index(claimant))?;
                match route.state {
                    State::Blocked(block) if route.alternatives.len() > 1 => {
                        Some((claimant, block))
                    }
                    _ => None,
                }
            })
            .collect();
        for (claimant, block) in choosers {
            if self.is_delayed_at(now, number, &block) {
                self.wake(claimant);
            }
        }
    }

    /// At `pool` it is the turn of those that have waited long, or no longer:
    /// another may be first now on routes that go over it.
    fn look_at_turns(&mut self, now: Instant, pool: u32) {
        let mut place = 0;
        while let Some(number) = self.over(pool, place) {
            place = place.saturating_add(1);
            let Some(route) = self.routes.get(index(number)) else {
                continue;
            };
            let State::Blocked(block) = route.state else {
                continue;
            };
            if route.is_still_first(&block, now, &self.pools) {
                self.come_of_age(now, number, block);
            } else {
                self.wake(number);
            }
        }
    }

    /// Sets when the scheduler is to look at the criticals of a route.
    pub(super) fn set_critical_alarm(&mut self, number: u32) {
        let Some(route) = self.routes.get_mut(index(number)) else {
            return;
        };
        let now = self.clock.latest();
        let alarm = route.looks.first().map(|first| looks::due(first, now));
        if alarm == route.alarm {
            return;
        }
        if let Some(old) = route.alarm {
            self.criticals.remove(&(old, number));
        }
        if let Some(new) = alarm {
            self.criticals.insert((new, number));
        }
        route.alarm = alarm;
    }
}

/// Room for the firsts of each home pool; empty between decisions.
#[derive(Debug)]
pub(super) struct Firsts {
    of: Vec<Option<(u32, Top)>>,
    /// Where there is one.
    homes: Vec<u32>,
}

impl Firsts {
    pub(super) const NONE: Self = Self {
        of: Vec::new(),
        homes: Vec::new(),
    };

    /// The one of `among` whose first goes before those of the others. Of those
    /// that share by the same pool, by tags; of what is left, by age.
    fn first_of(
        &mut self,
        now: Instant,
        among: &[u32],
        routes: &[Route],
        pools: &[Option<Pool>],
    ) -> Option<u32> {
        if let [only] = among {
            return Some(*only);
        }
        if self.of.len() < pools.len() {
            self.of.resize(pools.len(), None);
        }
        for &number in among {
            let Some(route) = routes.get(index(number)) else {
                continue;
            };
            let top = route.top(now, pools);
            let (Some(top), Some(first)) = (top, self.of.get_mut(index(route.home))) else {
                continue;
            };
            match first {
                Some((_, first)) if !top.goes_before(first, true) => continue,
                Some(_) => {}
                None => self.homes.push(route.home),
            }
            *first = Some((number, top));
        }
        let mut best: Option<(u32, Top)> = None;
        for home in self.homes.drain(..) {
            let first = self.of.get_mut(index(home)).and_then(Option::take);
            let Some((number, top)) = first else {
                continue;
            };
            if best.is_none_or(|(_, best)| top.goes_before(&best, false)) {
                best = Some((number, top));
            }
        }
        best.map(|(number, _)| number)
    }
}

/// Whether the server of the pool of this number is down.
pub(super) fn is_down(pools: &[Option<Pool>], now: Instant, number: u32) -> bool {
    let pool = pools.get(index(number)).and_then(Option::as_ref);
    pool.is_some_and(|pool| pool.limiter.is_down(now))
}

/// Something may pass at `pool`.
fn open(list: &mut Vec<u32>, pool: &mut Pool, number: u32) {
    if !pool.open {
        pool.open = true;
        if !list.contains(&number) {
            list.push(number);
        }
    }
}
