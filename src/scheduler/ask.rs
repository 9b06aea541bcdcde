//! Whether the first of a route may go, over which alternative, and whether
//! another may pass it.

use alloc::vec::Vec;

use super::{
    Scheduler,
    entry::{Active, At},
    index,
    job::{Dropped, Next},
    looks,
    pool::Pool,
    route::{Block, Route, State, Top},
};
use crate::{
    decision::{Attempt, Cause, Denied, GiveUp, Never},
    life::Life,
    request::Request,
    time::Instant,
};

/// How many are looked at behind one that cannot go.
const LOOKS: usize = 8;

/// A call that is asked for.
#[derive(Clone, Copy, Debug)]
struct Wish {
    slot: u32,
    route: u32,
    class: usize,
    request: Request,
    start_by: Instant,
}

impl Wish {
    const fn is_urgent(&self) -> bool {
        self.class == super::job::Priority::Urgent.class()
    }
}

/// What became of asking.
enum Answer {
    /// It goes over this alternative.
    Go(usize),
    /// It does not, and these pools refused it.
    Wait(Block, Vec<u32>),
    Drop(Dropped),
}

/// What one alternative says.
#[derive(Debug)]
pub(super) enum Offer {
    Pass,
    Refuse(Refused),
    Never(Never),
    /// One of its pools is gone.
    Gone,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    start: Instant,
    cause: Cause,
    pool: u32,
    /// It would pass, but for one that goes before it.
    behind: bool,
}

/// One that goes before, and must not be delayed.
#[derive(Clone, Copy)]
struct Claim {
    wish: Wish,
    block: Block,
}

impl Scheduler {
    /// Asks for the first of a route that is awake. `None` where there is
    /// nothing to be done for it.
    pub(super) fn ask(&mut self, now: Instant, number: u32) -> Option<Next> {
        let top = self.routes.get(index(number))?.top(now, &self.pools)?;
        let wish = self.wish(top.slot)?;
        let answer = self.answer(now, &wish, &top, &[]);
        if wish.is_urgent() {
            self.learn_urgent(now, &wish, &answer);
        }
        match answer {
            Answer::Go(alternative) => {
                let order = self.send(now, &wish, alternative, top.aged);
                self.give_up_claim(number);
                self.rest(number);
                order
            }
            Answer::Drop(why) => {
                self.drop_call(top.slot, why);
                self.give_up_claim(number);
                self.rest(number);
                None
            }
            Answer::Wait(block, waits) => {
                let order = self.pass_by(now, number, &top, Claim { wish, block }, waits);
                self.look_for_late_of(now, number);
                order
            }
        }
    }

    /// Looks for one that may pass the first of its route without delaying it,
    /// and puts the route to sleep where there is none.
    fn pass_by(
        &mut self,
        now: Instant,
        number: u32,
        top: &Top,
        first: Claim,
        mut waits: Vec<u32>,
    ) -> Option<Next> {
        let mut block = first.block;
        let route = self.routes.get(index(number))?;
        if route.may_be_passed(&block) {
            let mut claims = Vec::new();
            if !block.behind {
                claims.push(first);
            }
            let mut behind = [None; LOOKS];
            let slots = route.lanes().rev().flat_map(|lane| lane.iter());
            let others = slots.filter(|slot| *slot != top.slot);
            for (place, slot) in behind.iter_mut().zip(others) {
                *place = Some(slot);
            }
            for slot in behind.into_iter().flatten() {
                let Some(wish) = self.wish(slot) else {
                    continue;
                };
                match self.answer(now, &wish, top, &claims) {
                    Answer::Go(alternative) => {
                        let order = self.send(now, &wish, alternative, false);
                        self.rest(number);
                        return order;
                    }
                    Answer::Drop(why) => {
                        self.drop_call(slot, why);
                        self.rest(number);
                        return None;
                    }
                    Answer::Wait(other, others) => {
                        if !other.behind {
                            claims.push(Claim { wish, block: other });
                        }
                        block.again = block.again.min(other.again);
                        block.held_up |= other.held_up;
                        for pool in others {
                            if !waits.contains(&pool) {
                                waits.push(pool);
                            }
                        }
                    }
                }
            }
        }
        self.block(now, number, block, waits);
        None
    }

    fn wish(&self, slot: u32) -> Option<Wish> {
        let call = self.calls.get(slot)?;
        Some(Wish {
            slot,
            route: call.route,
            class: call.class(),
            request: call.request(),
            start_by: call.start_by,
        })
    }

    /// Whether a call may go. `order` is its route's first, by which it compares
    /// with other routes; `claims` are those of its own route that it would
    /// pass.
    fn answer(&mut self, now: Instant, wish: &Wish, order: &Top, claims: &[Claim]) -> Answer {
        if now > wish.start_by {
            return Answer::Drop(self.too_late(now, wish));
        }
        let count = self
            .routes
            .get(index(wish.route))
            .map_or(0, |route| route.alternatives.len());
        let mut offers = core::mem::take(&mut self.offers);
        for alternative in 0..count {
            let offer = self.offer(now, wish, alternative, order, claims);
            let passes = matches!(offer, Offer::Pass);
            offers.push(offer);
            if passes {
                // Nothing that is preferred less can be earlier.
                break;
            }
        }
        let answer = self.choose(now, wish, order.aged, &offers);
        offers.clear();
        self.offers = offers;
        answer
    }

    /// Of what the alternatives say, the most preferred that can start no later
    /// than the first possible and the patience for preference.
    fn choose(&mut self, now: Instant, wish: &Wish, aged: bool, offers: &[Offer]) -> Answer {
        let start = |offer: &Offer| match offer {
            Offer::Pass => Some(now),
            Offer::Refuse(refused) => Some(refused.start),
            Offer::Never(_) | Offer::Gone => None,
        };
        let Some(soonest) = offers.iter().filter_map(start).min() else {
            let never = offers.iter().find_map(|offer| match offer {
                Offer::Never(never) => Some(*never),
                _ => None,
            });
            return Answer::Drop(never.map_or(Dropped::NoPool, |never| {
                Dropped::GivenUp(GiveUp::Never(never))
            }));
        };
        let patience = self.routes.get(index(wish.route)).map(|r| r.patience);
        let latest = soonest
            .saturating_add(patience.unwrap_or_default())
            .min(wish.start_by)
            .max(soonest);
        let chosen = offers
            .iter()
            .enumerate()
            .find(|(_, offer)| start(offer).is_some_and(|start| start <= latest));
        let Some((alternative, offer)) = chosen else {
            return Answer::Drop(Dropped::NoPool);
        };
        let Offer::Refuse(refused) = offer else {
            return Answer::Go(alternative);
        };
        if wish.start_by < Instant::MAX && (now >= wish.start_by || self.is_late(now, wish)) {
            return Answer::Drop(self.too_late(now, wish));
        }
        let mut waits = Vec::new();
        let mut again = refused.start;
        for offer in offers {
            if let Offer::Refuse(other) = offer {
                again = again.min(other.start);
                if !waits.contains(&other.pool) {
                    waits.push(other.pool);
                }
            }
        }
        let block = Block {
            slot: wish.slot,
            aged,
            start: refused.start,
            again: again.min(wish.start_by).max(now.just_after()),
            cause: refused.cause,
            pool: refused.pool,
            alternative,
            behind: refused.behind,
            held_up: offers
                .iter()
                .any(|offer| matches!(offer, Offer::Refuse(refused) if refused.behind)),
        };
        Answer::Wait(block, waits)
    }

    /// What one alternative says to a call.
    fn offer(
        &mut self,
        now: Instant,
        wish: &Wish,
        alternative: usize,
        order: &Top,
        claims: &[Claim],
    ) -> Offer {
        let Some(set) = set_of(&self.routes, wish.route, alternative) else {
            return Offer::Gone;
        };
        match check(&mut self.pools, set, now, &wish.request, wish.is_urgent()) {
            Offer::Pass => {}
            refused => return refused,
        }
        for claim in claims {
            if let Some(refused) = self.delays(now, wish, alternative, claim) {
                return Offer::Refuse(refused);
            }
        }
        for claim in self.claims_on(now, wish.route, alternative, order) {
            if let Some(refused) = self.delays(now, wish, alternative, &claim) {
                return Offer::Refuse(refused);
            }
        }
        Offer::Pass
    }

    /// The firsts of other routes that go before `order` and have a claim on a
    /// pool of this alternative.
    fn claims_on(&self, now: Instant, number: u32, alternative: usize, order: &Top) -> Vec<Claim> {
        let mut found: Vec<Claim> = Vec::new();
        let home = self.routes.get(index(number)).map(|route| route.home);
        let set = set_of(&self.routes, number, alternative).unwrap_or_default();
        for pool in set {
            let place = self.pools.get(index(*pool)).and_then(Option::as_ref);
            for &claimant in place.into_iter().flat_map(|pool| &pool.claims) {
                let Some(route) = self.routes.get(index(claimant)) else {
                    continue;
                };
                let State::Blocked(block) = route.state else {
                    continue;
                };
                let seen = found.iter().any(|claim| claim.wish.route == claimant);
                let before = route
                    .top(now, &self.pools)
                    .is_some_and(|top| top.goes_before(order, home == Some(route.home)));
                if seen || claimant == number || !before {
                    continue;
                }
                if let Some(wish) = self.wish(block.slot) {
                    found.push(Claim { wish, block });
                }
            }
        }
        // In an order that does not depend on who fell asleep when.
        found.sort_unstable_by_key(|claim| claim.wish.route);
        found
    }

    /// Whether to let `wish` pass would delay the one that has the claim: not if
    /// that could still go at the same instant on a copy of its pools with
    /// `wish` charged.
    fn delays(
        &mut self,
        now: Instant,
        wish: &Wish,
        alternative: usize,
        claim: &Claim,
    ) -> Option<Refused> {
        let set = set_of(&self.routes, wish.route, alternative)?;
        let claimed = set_of(&self.routes, claim.wish.route, claim.block.alternative)?;
        let &shared = set.iter().find(|pool| claimed.contains(pool))?;
        // Anew: others that went before it may have delayed it since, or its
        // pools let it go earlier.
        let mut start = now;
        for &number in claimed {
            let pool = self.pools.get_mut(index(number)).and_then(Option::as_mut);
            let checked =
                pool.map(|pool| pool.check(now, &claim.wish.request, claim.wish.is_urgent()));
            match checked {
                Some(Ok(())) => {}
                Some(Err(Denied::Until { wait, .. })) => start = start.max(wait.until),
                Some(Err(Denied::Never(_))) => return None,
                None => start = start.max(claim.block.start),
            }
        }
        let waits_here = set.contains(&claim.block.pool);
        let behind = Refused {
            start: start.max(now.just_after()),
            cause: claim.block.cause,
            pool: if waits_here { claim.block.pool } else { shared },
            behind: true,
        };
        if waits_here && takes(&self.pools, wish, &claim.block) {
            return Some(behind);
        }
        let mut trial = Vec::new();
        for &number in claimed {
            let Some(pool) = self.pools.get(index(number)).and_then(Option::as_ref) else {
                return Some(behind);
            };
            let mut copy = pool.clone();
            if set.contains(&number) {
                if copy.release.is_under_way(now) {
                    return Some(behind);
                }
                let _on_the_copy = copy.admit(now, &wish.request);
            }
            trial.push((number, copy));
        }
        for (number, copy) in &mut trial {
            match copy.check(now, &claim.wish.request, claim.wish.is_urgent()) {
                Ok(()) => {}
                Err(Denied::Until { wait, .. }) if wait.until <= start => {}
                Err(denied) => {
                    // It waits for that now, too.
                    let pool = self.pools.get_mut(index(*number));
                    if let Some(pool) = pool.and_then(Option::as_mut) {
                        pool.limiter.tell(&denied);
                    }
                    return Some(Refused {
                        pool: *number,
                        ..behind
                    });
                }
            }
        }
        None
    }

    /// Whether what `block` holds cannot start at this pool when it should.
    pub(super) fn is_delayed_at(&mut self, now: Instant, pool: u32, block: &Block) -> bool {
        let Some(wish) = self.wish(block.slot) else {
            return false;
        };
        let pool = self.pools.get_mut(index(pool)).and_then(Option::as_mut);
        pool.is_some_and(
            |pool| match pool.check(now, &wish.request, wish.is_urgent()) {
                Ok(()) => false,
                Err(Denied::Until { wait, .. }) => wait.until > block.start,
                Err(Denied::Never(_)) => true,
            },
        )
    }

    /// Sends a call that may go, unless client-side throttling keeps it back.
    fn send(&mut self, now: Instant, wish: &Wish, alternative: usize, aged: bool) -> Option<Next> {
        let mut set = core::mem::take(&mut self.set);
        set.extend_from_slice(set_of(&self.routes, wish.route, alternative)?);
        let order = self.send_over(now, wish, alternative, aged, &set);
        set.clear();
        self.set = set;
        order
    }

    fn send_over(
        &mut self,
        now: Instant,
        wish: &Wish,
        alternative: usize,
        aged: bool,
        set: &[u32],
    ) -> Option<Next> {
        let life = self.life_of(wish.slot)?;
        if self.is_kept_back(now, wish.slot, life, set) {
            return None;
        }
        for &number in set {
            self.watch_before(now, number);
        }
        self.withdraw(wish.slot);
        let call = self.calls.get_mut(wish.slot)?;
        call.at = At::Flying;
        let active = self.active.get_mut(life)?;
        active.life.sent(now);
        for &number in set {
            if let Some(pool) = self.pools.get_mut(index(number)).and_then(Option::as_mut) {
                let permit = pool.admit(now, &wish.request);
                if active.permits.is_empty() && active.life.attempts() == 1 {
                    // Of the innermost pool, as all that retries draw on.
                    let here = pool.limiter.advance(now);
                    pool.limiter.retry_guard().first_sent(here);
                }
                active.permits.push((number, permit));
            }
        }
        let attempt = Attempt {
            number: active.life.attempts(),
        };
        let id = call.id(wish.slot);
        self.flying = self.flying.saturating_add(1);
        let (tenant, cost) = (call.tenant, call.cost);
        if !core::mem::replace(&mut call.paid, true) {
            self.charge(now, wish.route, wish.class, tenant, cost);
        }
        self.unload(tenant, cost);
        for &number in set {
            self.passed(now, number, aged);
        }
        Some(Next::Send {
            id,
            alternative,
            attempt,
        })
    }

    /// Where the life of a call is, which begins when it is first to be sent.
    fn life_of(&mut self, slot: u32) -> Option<u32> {
        let call = self.calls.get_mut(slot)?;
        if call.active.is_none() {
            let mut life = Life::new(self.rng.next());
            life.begin(call.submitted, call.deadline());
            call.active = self.active.insert(Active::new(life));
        }
        call.active
    }

    /// Whether client-side throttling of the innermost pool refuses a call that
    /// may go. That counts as an attempt: it backs off, or is dropped.
    fn is_kept_back(&mut self, now: Instant, slot: u32, life: u32, set: &[u32]) -> bool {
        let inner = set
            .first()
            .and_then(|pool| self.pools.get_mut(index(*pool)));
        let Some(pool) = inner.and_then(Option::as_mut) else {
            return false;
        };
        let (Some(call), Some(active)) = (self.calls.get(slot), self.active.get_mut(life)) else {
            return false;
        };
        if !pool.limiter.retry_guard().throttles() {
            return false;
        }
        let policy = call.policy(*pool.limiter.retry_policy());
        let guard = pool.limiter.retry_guard();
        match active.life.refused_here(now, guard, &policy) {
            None => return false,
            Some(Err(why)) => self.drop_call(slot, Dropped::GivenUp(why)),
            Some(Ok(wait)) => {
                self.withdraw(slot);
                self.hold(slot, wait);
            }
        }
        true
    }

    /// Moves a tenant on, on every route on which it waits beside others that
    /// share by the same pool.
    fn charge(&mut self, now: Instant, number: u32, class: usize, tenant: u32, cost: u64) {
        let Some(home) = self.routes.get(index(number)).map(|route| route.home) else {
            return;
        };
        let weight = self.weight_of(tenant);
        let Some(site) = self.sites.get_mut(index(home)) else {
            return;
        };
        let Some(flows) = site.flows.get_mut(class) else {
            return;
        };
        let flow = flows.serve(tenant, cost, weight);
        if flow.routes == 0 {
            return;
        }
        let (mut other_first, mut later) = (Vec::new(), Vec::new());
        for &number in &site.sharing {
            let Some(route) = self.routes.get_mut(index(number)) else {
                continue;
            };
            if !route.lane(class).is_some_and(|lane| lane.has(tenant)) {
                continue;
            }
            let before = route.top(now, &self.pools);
            route.change(class, |lane| lane.retag(tenant, flow.tag));
            if let State::Blocked(block) = route.state {
                if !route.is_still_first(&block, now, &self.pools) {
                    other_first.push(number);
                } else if route.top(now, &self.pools) != before {
                    later.push(number);
                }
            }
        }
        for number in other_first {
            self.wake(number);
        }
        for number in later {
            self.let_others_by(number);
        }
    }

    /// What the fate of an urgent call says of the room that is left for such.
    fn learn_urgent(&mut self, now: Instant, wish: &Wish, answer: &Answer) {
        let Some(call) = self.calls.get_mut(wish.slot) else {
            return;
        };
        // Once, when it is first asked for.
        if core::mem::replace(&mut call.asked, true) {
            return;
        }
        let (alternative, could_go) = match answer {
            Answer::Go(alternative) => (*alternative, true),
            Answer::Wait(block, _) if is_shortage(block.cause) => (block.alternative, false),
            Answer::Wait(..) | Answer::Drop(_) => return,
        };
        let set = set_of(&self.routes, wish.route, alternative);
        for number in set.unwrap_or_default().to_vec() {
            if let Some(pool) = self.pools.get_mut(index(number)).and_then(Option::as_mut) {
                let cost = *pool.wanted(&wish.request).cost();
                pool.headroom.learn(&cost, could_go);
            }
            self.look_at_claims(now, number);
        }
    }
}

/// Late or not.
impl Scheduler {
    /// Begins to watch whether a call that waits can start in time; where it
    /// cannot, it is dropped when it is next asked what to do.
    pub(super) fn watch_start(&mut self, slot: u32) {
        let now = self.clock.latest();
        self.watch_no_more(slot);
        let Some(wish) = self.wish(slot).filter(|wish| wish.start_by < Instant::MAX) else {
            return;
        };
        let late = self.is_late(now, &wish);
        let time = self
            .calls
            .get(slot)
            .map(|call| self.time_of(now, call, usize::MAX));
        if let Some(call) = self.calls.get_mut(slot) {
            let first = call.first_critical(time.unwrap_or_default());
            call.critical = if late { now } else { first };
        }
        self.watch_on(slot);
    }

    /// Watches whether a call can start in time, from when it says.
    pub(super) fn watch_on(&mut self, slot: u32) {
        let Some(call) = self
            .calls
            .get(slot)
            .filter(|call| call.deadline().is_some())
        else {
            return;
        };
        let (number, place) = (call.route, call.critical_place());
        let now = self.clock.latest();
        if let Some(route) = self.routes.get_mut(index(number)) {
            route.looks.put_in_order(&mut self.links, &self.calls, now);
            route.looks.insert(&mut self.links, place, slot);
            let due = looks::due(place.due, now);
            if route.alarm.is_none_or(|alarm| due < alarm) {
                self.set_critical_alarm(number);
            }
        }
    }

    /// Watches a call no more.
    pub(super) fn watch_no_more(&mut self, slot: u32) {
        let Some(call) = self
            .calls
            .get(slot)
            .filter(|call| call.critical < Instant::MAX)
        else {
            return;
        };
        let (number, place) = (call.route, call.critical_place());
        if let Some(route) = self.routes.get_mut(index(number)) {
            if route.looks.remove(&mut self.links, place, slot) {
                self.set_critical_alarm(number);
            }
        }
    }

    /// The limits of a pool are others than they were: all that might go over it
    /// are watched anew.
    pub(super) fn reconsider(&mut self, pool: u32) {
        let mut all = Vec::new();
        let site = self.sites.get(index(pool));
        for number in site.into_iter().flat_map(|site| &site.over) {
            let route = self.routes.get(index(*number));
            let links = &self.links;
            all.extend(route.into_iter().flat_map(|route| route.looks.slots(links)));
        }
        for slot in all {
            self.watch_start(slot);
        }
    }

    /// Whether a call cannot start in time, whatever those in flight report.
    fn is_late(&mut self, now: Instant, wish: &Wish) -> bool {
        let (earliest, _) = self.earliest(now, wish);
        now > wish.start_by || earliest > wish.start_by
    }

    /// Why it is given up.
    fn too_late(&mut self, now: Instant, wish: &Wish) -> Dropped {
        let (mut earliest, mut cause) = self.earliest(now, wish);
        if earliest <= now {
            // Alone it might go: what holds up those before it held it up.
            let route = self.routes.get(index(wish.route));
            let held_up = route.and_then(|route| match route.state {
                State::Blocked(block) => Some(block),
                State::Empty | State::Ready => route.claim,
            });
            if let Some(block) = held_up {
                (earliest, cause) = (block.start.max(now), Some(block.cause));
            }
        }
        let cause = cause.unwrap_or(Cause::AskedLate);
        Dropped::GivenUp(GiveUp::DeadlineTooClose { earliest, cause })
    }

    /// When a call can start at the earliest over any alternative, and what
    /// binds there until then. Where none ever lets it pass, now: it is dropped
    /// for that when it is asked for.
    fn earliest(&mut self, now: Instant, wish: &Wish) -> (Instant, Option<Cause>) {
        let (routes, pools) = (&self.routes, &mut self.pools);
        let bound = earliest(routes, pools, now, wish.route, &wish.request);
        let (earliest, cause) = bound.unwrap_or((now, None));
        let call = self.calls.get(wish.slot).filter(|call| call.at == At::Held);
        let active = call.and_then(|call| self.active.get(call.active?));
        match active.map(|active| active.hold) {
            Some(hold) if earliest < hold.until => (hold.until, Some(hold.cause)),
            _ => (earliest, cause),
        }
    }

    /// Something was reported to a pool: if it stopped or fell into debt for it,
    /// some that wait for it may be late now.
    pub(super) fn look_for_late(&mut self, now: Instant, pool: u32) {
        let mut place = 0;
        while let Some(number) = self.over(pool, place) {
            self.look_for_late_of(now, number);
            place = place.saturating_add(1);
        }
    }

    /// Looks at those of a route of which an empty pool would be late once
    /// anything at all can pass.
    pub(super) fn look_for_late_of(&mut self, now: Instant, number: u32) {
        let Some(route) = self.routes.get(index(number)) else {
            return;
        };
        let Some(first) = route.looks.first() else {
            return;
        };
        let least = route.least();
        let floor = earliest(&self.routes, &mut self.pools, now, number, &least);
        if let Some((floor, _)) = floor.filter(|(floor, _)| first < *floor) {
            self.look_at_criticals(now, number, floor);
        }
    }

    /// Looks at all criticals of a route that are due by `by`: drops those that
    /// are late, and sets when the others are to be looked at again.
    pub(super) fn look_at_criticals(&mut self, now: Instant, number: u32, by: Instant) {
        let mut due = Vec::new();
        if let Some(route) = self.routes.get_mut(index(number)) {
            route
                .looks
                .put_in_order(&mut self.links, &self.calls, by.max(now));
            due.extend(core::iter::from_fn(|| route.looks.pop(by)));
        }
        for slot in due {
            let Some(wish) = self.wish(slot) else {
                continue;
            };
            if self.is_late(now, &wish) {
                let why = self.too_late(now, &wish);
                self.drop_call(slot, why);
                continue;
            }
            let (earliest, _) = self.earliest(now, &wish);
            // Half of what is left, so that a few looks find it in time.
            let left = wish.start_by.saturating_duration_since(earliest.max(now));
            let half = left.checked_div(2).unwrap_or_default();
            let next = by.max(now).saturating_add(half).min(wish.start_by);
            if let Some(call) = self.calls.get_mut(slot) {
                call.critical = next.max(now.just_after()).max(by.just_after());
                let place = call.critical_place();
                if let Some(route) = self.routes.get_mut(index(number)) {
                    route.looks.insert(&mut self.links, place, slot);
                }
            }
        }
        self.set_critical_alarm(number);
    }
}

/// The pools of an alternative.
fn set_of(routes: &[Route], route: u32, alternative: usize) -> Option<&[u32]> {
    let set = routes.get(index(route))?.alternatives.get(alternative)?;
    Some(set.as_slice())
}

/// What the pools of a set say together: the latest of their waits.
fn check(
    pools: &mut [Option<Pool>],
    set: &[u32],
    now: Instant,
    request: &Request,
    urgent: bool,
) -> Offer {
    let mut refused: Option<Refused> = None;
    for &number in set {
        let Some(pool) = pools.get_mut(index(number)).and_then(Option::as_mut) else {
            return Offer::Gone;
        };
        match pool.check(now, request, urgent) {
            Ok(()) => {}
            Err(Denied::Never(never)) => return Offer::Never(never),
            Err(Denied::Until { wait, .. }) => {
                let start = wait.until.max(now.just_after());
                if refused.is_none_or(|refused| refused.start < start) {
                    refused = Some(Refused {
                        start,
                        cause: wait.cause,
                        pool: number,
                        behind: false,
                    });
                }
            }
        }
    }
    refused.map_or(Offer::Pass, Offer::Refuse)
}

/// When a request can start at the earliest over any alternative of a route, and
/// what binds there until then. `None` where none ever lets it pass.
fn earliest(
    routes: &[Route],
    pools: &mut [Option<Pool>],
    now: Instant,
    route: u32,
    request: &Request,
) -> Option<(Instant, Option<Cause>)> {
    let alternatives = &routes.get(index(route))?.alternatives;
    let over = alternatives.iter().filter_map(|set| {
        let mut latest = (now, None);
        for &number in set {
            let pool = pools.get_mut(index(number))?.as_mut()?;
            let (at, cause) = pool.earliest(now, request).ok()?;
            if latest.0 < at || latest.1.is_none() {
                latest = (at, cause);
            }
        }
        Some(latest)
    });
    over.min_by_key(|(at, _)| *at)
}

/// Whether a call takes any of what another waits for in the pool that binds:
/// then it delays it, without a trial.
fn takes(pools: &[Option<Pool>], wish: &Wish, block: &Block) -> bool {
    match block.cause {
        Cause::Limit(dimension) => {
            let pool = pools.get(index(block.pool)).and_then(Option::as_ref);
            pool.is_none_or(|pool| pool.wanted(&wish.request).cost().get(dimension) > 0)
        }
        _ => true,
    }
}

/// Whether a call waits because others took what it needs.
const fn is_shortage(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::Limit(_) | Cause::InFlight | Cause::Confirmation
    )
}
