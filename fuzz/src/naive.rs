//! A scheduler as slow and as plain as can be: one list, of which everything is
//! asked anew each time. What the real one decides it must decide too.
//!
//! It asks by [`Call`]s on copies of the limiters, so that it shares no code
//! with the scheduler beyond these. It knows no urgent calls (what is left free
//! for them is not to be seen from outside), no latest starts and no stops.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use sendwhen::{Call, Cause, Decision, Event, Instant, Limiter, Priority, Request, RouteId, Wait};

/// How many are looked at behind one that cannot go.
const LOOKS: usize = 8;

pub struct Naive {
    aging: Duration,
    pub pools: Vec<Limiter>,
    turns: Vec<u8>,
    routes: Vec<Route>,
    weights: BTreeMap<u32, NonZeroU32>,
    /// By home pool, priority and tenant.
    tags: BTreeMap<(usize, Priority), Tags>,
    waiting: Vec<Waiting>,
    held: Vec<Waiting>,
    flying: BTreeMap<u64, (Waiting, Call, Vec<usize>)>,
}

struct Route {
    alternatives: Vec<Vec<usize>>,
    patience: Duration,
    id: RouteId,
}

#[derive(Default)]
struct Tags {
    clock: u128,
    latest: u128,
    of: BTreeMap<u32, u128>,
}

#[derive(Clone, Debug)]
struct Waiting {
    number: u64,
    submitted: Instant,
    not_before: Instant,
    route: usize,
    tenant: u32,
    priority: Priority,
    request: Request,
    cost: u64,
    paid: bool,
}

/// What it decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Send(u64, usize),
    Drop(u64),
    Wait(Instant),
    Idle,
}

#[derive(Clone, Copy)]
struct Top {
    call: usize,
    aged: bool,
    priority: Priority,
    tag: u128,
    due: (Instant, u64),
    home: usize,
}

#[derive(Clone)]
struct Refused {
    start: Instant,
    cause: Cause,
    pool: usize,
    alternative: usize,
    behind: bool,
}

/// A call that waits for pools, and must not be delayed.
#[derive(Clone)]
struct Claim {
    request: Request,
    route: usize,
    refused: Refused,
}

impl Naive {
    pub fn new(aging: Duration) -> Self {
        Self {
            aging,
            pools: vec![],
            turns: vec![],
            routes: vec![],
            weights: BTreeMap::new(),
            tags: BTreeMap::new(),
            waiting: vec![],
            held: vec![],
            flying: BTreeMap::new(),
        }
    }

    pub fn add_pool(&mut self, limiter: Limiter) {
        self.pools.push(limiter);
        self.turns.push(0);
    }

    pub fn add_route(&mut self, alternatives: Vec<Vec<usize>>, patience: Duration, id: RouteId) {
        self.routes.push(Route {
            alternatives,
            patience,
            id,
        });
    }

    pub fn set_weight(&mut self, tenant: u32, weight: NonZeroU32) {
        self.weights.insert(tenant, weight);
    }

    pub fn submit(
        &mut self,
        now: Instant,
        number: u64,
        request: Request,
        (route, tenant, priority): (usize, u32, Priority),
    ) {
        let pools = &self.routes[route].alternatives[0];
        let cost = pools
            .iter()
            .map(|pool| time_of(&self.pools[*pool], now, &request))
            .max()
            .unwrap_or(0);
        let call = Waiting {
            number,
            submitted: now,
            not_before: now,
            route,
            tenant,
            priority,
            request,
            cost: cost.max(1),
            paid: false,
        };
        self.queue(call);
    }

    fn home(&self, route: usize) -> usize {
        *self.routes[route].alternatives[0].last().unwrap()
    }

    fn due(&self, call: &Waiting) -> (Instant, u64) {
        (call.submitted.saturating_add(self.aging), call.number)
    }

    /// A tenant that comes begins where the others are.
    fn queue(&mut self, call: Waiting) {
        let key = (self.home(call.route), call.priority);
        let here = |other: &Waiting| {
            (self.home(other.route), other.priority) == key && other.tenant == call.tenant
        };
        let waits = self.waiting.iter().any(here);
        let tags = self.tags.entry(key).or_default();
        let clock = tags.clock;
        let tag = tags.of.entry(call.tenant).or_insert(clock);
        if !waits {
            *tag = (*tag).max(clock);
        }
        self.waiting.push(call);
    }

    /// Takes a call out of the list. Where none is left that shares with it, who
    /// comes next begins where all have been.
    fn take(&mut self, place: usize) -> Waiting {
        let call = self.waiting.remove(place);
        let key = (self.home(call.route), call.priority);
        let any = |other: &Waiting| (self.home(other.route), other.priority) == key;
        if !self.waiting.iter().any(any) {
            let tags = self.tags.entry(key).or_default();
            tags.clock = tags.clock.max(tags.latest);
            tags.of.clear();
        }
        call
    }

    /// The calls that wait on a route, in order.
    fn line(&self, route: usize) -> Vec<usize> {
        let all = 0..self.waiting.len();
        let mut line: Vec<usize> = all.filter(|p| self.waiting[*p].route == route).collect();
        line.sort_by_key(|place| {
            let call = &self.waiting[*place];
            let tag = self.tag(call);
            (
                core::cmp::Reverse(call.priority),
                tag,
                call.tenant,
                self.due(call),
            )
        });
        line
    }

    fn tag(&self, call: &Waiting) -> u128 {
        let tags = &self.tags[&(self.home(call.route), call.priority)];
        tags.of.get(&call.tenant).copied().unwrap_or(tags.clock)
    }

    fn top(&self, now: Instant, route: usize) -> Option<Top> {
        let line = self.line(route);
        let top = |place: usize| Top {
            call: place,
            aged: false,
            priority: self.waiting[place].priority,
            tag: self.tag(&self.waiting[place]),
            due: self.due(&self.waiting[place]),
            home: self.home(route),
        };
        let turn = |set: &Vec<usize>| set.iter().all(|pool| self.turns[*pool] + 1 >= 8);
        if self.routes[route].alternatives.iter().any(turn) {
            let oldest = line
                .iter()
                .map(|place| (self.due(&self.waiting[*place]), *place))
                .min();
            if let Some((due, place)) = oldest.filter(|((due, _), _)| *due <= now) {
                let class = self.waiting[place].priority;
                let first = line.iter().find(|p| self.waiting[**p].priority == class)?;
                return Some(Top {
                    aged: true,
                    due,
                    ..top(*first)
                });
            }
        }
        line.first().map(|place| top(*place))
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: Instant) -> Step {
        self.held.sort_by_key(|call| (call.not_before, call.number));
        while self.held.first().is_some_and(|call| call.not_before <= now) {
            let call = self.held.remove(0);
            self.queue(call);
        }
        let mut rest: Vec<(usize, Top)> = (0..self.routes.len())
            .filter_map(|route| Some((route, self.top(now, route)?)))
            .collect();
        let mut claims: Vec<Claim> = vec![];
        let mut until: Option<Instant> = None;
        while !rest.is_empty() {
            let first = first_of(&rest);
            let (route, top) = rest.remove(first);
            let mut own = vec![];
            let (mut looked, line) = (0, self.line(route));
            let others = line.into_iter().filter(|place| *place != top.call);
            for place in core::iter::once(top.call).chain(others) {
                if looked > LOOKS {
                    break;
                }
                let call = self.waiting[place].clone();
                match self.answer(now, &call, &own, &claims) {
                    Ok(alternative) => {
                        let aged = top.aged && looked == 0;
                        return self.send(now, place, alternative, aged);
                    }
                    Err(None) => return Step::Drop(self.take(place).number),
                    Err(Some((refused, again))) => {
                        until = Some(until.map_or(again, |until| until.min(again)));
                        if !refused.behind {
                            own.push(Claim {
                                request: call.request,
                                route,
                                refused: refused.clone(),
                            });
                        }
                        if looked == 0 && !self.may_be_passed(route, &refused) {
                            break;
                        }
                    }
                }
                looked += 1;
            }
            // Only the first of a route keeps what it waits for from others.
            claims.extend(
                own.into_iter()
                    .take(1)
                    .filter(|claim| claim.request == self.waiting[top.call].request),
            );
        }
        let held = self.held.iter().map(|call| call.not_before).min();
        match until.into_iter().chain(held).min() {
            Some(until) => Step::Wait(until),
            None => Step::Idle,
        }
    }

    fn may_be_passed(&self, route: usize, refused: &Refused) -> bool {
        let lacks = |request: &Request| match refused.cause {
            Cause::Limit(sendwhen::Dimension::Own1) => request.own[0] == 0,
            Cause::Limit(sendwhen::Dimension::OutputTokens) => request.max_tokens == 0,
            _ => false,
        };
        let mut calls = self.waiting.iter().filter(|call| call.route == route);
        self.routes[route].alternatives.len() > 1 || calls.any(|call| lacks(&call.request))
    }

    /// The alternative over which a call may go; else why not and when it is
    /// worth to ask again; nothing where it never may.
    fn answer(
        &self,
        now: Instant,
        call: &Waiting,
        own: &[Claim],
        others: &[Claim],
    ) -> Result<usize, Option<(Refused, Instant)>> {
        let route = &self.routes[call.route];
        let mut offers = vec![];
        for (alternative, set) in route.alternatives.iter().enumerate() {
            let offer = self.offer(now, call, alternative, set, own, others);
            if let Some(offer) = offer {
                offers.push(offer);
            }
        }
        let start = |offer: &Result<usize, Refused>| match offer {
            Ok(_) => now,
            Err(refused) => refused.start,
        };
        let Some(soonest) = offers.iter().map(start).min() else {
            return Err(None);
        };
        let latest = soonest.saturating_add(route.patience);
        let chosen = offers.iter().find(|offer| start(offer) <= latest).unwrap();
        match chosen {
            Ok(alternative) => Ok(*alternative),
            Err(refused) => {
                let refusals = offers.iter().filter_map(|offer| offer.as_ref().err());
                let again = refusals.map(|refused| refused.start).min().unwrap();
                Err(Some((refused.clone(), again)))
            }
        }
    }

    fn offer(
        &self,
        now: Instant,
        call: &Waiting,
        alternative: usize,
        set: &[usize],
        own: &[Claim],
        others: &[Claim],
    ) -> Option<Result<usize, Refused>> {
        let mut refused: Option<Refused> = None;
        for pool in set {
            match check(&self.pools[*pool], now, &call.request) {
                Ok(()) => {}
                Err(None) => return None,
                Err(Some(wait)) => {
                    if refused.as_ref().is_none_or(|held| held.start < wait.until) {
                        refused = Some(Refused {
                            start: wait.until,
                            cause: wait.cause,
                            pool: *pool,
                            alternative,
                            behind: false,
                        });
                    }
                }
            }
        }
        if let Some(refused) = refused {
            return Some(Err(refused));
        }
        let claims = own.iter().chain(others);
        for claim in claims {
            if self.delays(now, call, set, claim) {
                let start = claim.refused.start;
                return Some(Err(Refused {
                    start: start.max(Instant::from_nanos(now.as_nanos() + 1)),
                    alternative,
                    behind: true,
                    ..claim.refused.clone()
                }));
            }
        }
        Some(Ok(alternative))
    }

    fn delays(&self, now: Instant, call: &Waiting, set: &[usize], claim: &Claim) -> bool {
        let claimed = &self.routes[claim.route].alternatives[claim.refused.alternative];
        if !set.iter().any(|pool| claimed.contains(pool)) {
            return false;
        }
        if set.contains(&claim.refused.pool) {
            let Cause::Limit(dimension) = claim.refused.cause else {
                return true;
            };
            let pool = &self.pools[claim.refused.pool];
            if pool.forecast(&call.request).get(dimension) > 0 {
                return true;
            }
        }
        claimed.iter().any(|pool| {
            let mut limiter = self.pools[*pool].clone();
            if set.contains(pool) {
                let mut trial = limiter.call(call.request);
                let sent = trial.handle(&mut limiter, now, Event::Submitted);
                assert!(matches!(sent, Decision::Send(_)), "it passes alone");
            }
            match check(&limiter, now, &claim.request) {
                Ok(()) => false,
                Err(None) => true,
                Err(Some(wait)) => wait.until > claim.refused.start,
            }
        })
    }

    fn send(&mut self, now: Instant, place: usize, alternative: usize, aged: bool) -> Step {
        let key = {
            let call = &self.waiting[place];
            (self.home(call.route), call.priority)
        };
        let mut call = self.take(place);
        let set = self.routes[call.route].alternatives[alternative].clone();
        let request = call.request;
        let mut sent = self.pools[set[0]].call(request);
        let decision = match set[..] {
            [only] => sent.handle(&mut self.pools[only], now, Event::Submitted),
            [inner, outer] => {
                let (a, b) = two(&mut self.pools, inner, outer);
                sent.handle(&mut [a, b], now, Event::Submitted)
            }
            _ => unreachable!("one pool or two"),
        };
        assert!(matches!(decision, Decision::Send(_)), "it passes");
        if !call.paid {
            call.paid = true;
            let weight = self
                .weights
                .get(&call.tenant)
                .map_or(1, |weight| weight.get());
            let tags = self.tags.entry(key).or_default();
            let clock = tags.clock;
            let tag = tags.of.entry(call.tenant).or_insert(clock);
            tags.clock = tags.clock.max(*tag);
            *tag += (u128::from(call.cost) << 16) / u128::from(weight);
            tags.latest = tags.latest.max(*tag);
        }
        for pool in &set {
            self.turns[*pool] = if aged {
                0
            } else {
                self.turns[*pool].saturating_add(1)
            };
        }
        let number = call.number;
        self.flying.insert(number, (call, sent, set));
        Step::Send(number, alternative)
    }

    /// Something happened to a call.
    pub fn handle(&mut self, now: Instant, number: u64, event: Event<'_>) {
        let Some((mut call, mut sent, set)) = self.flying.remove(&number) else {
            if matches!(event, Event::Cancelled) {
                self.held.retain(|call| call.number != number);
                if let Some(place) = self.waiting.iter().position(|c| c.number == number) {
                    self.take(place);
                }
            }
            return;
        };
        let unsent = matches!(event, Event::Failed(sendwhen::Failure::NotSent));
        let over = matches!(event, Event::Finished(_) | Event::Cancelled);
        let decision = match set[..] {
            [only] => sent.handle(&mut self.pools[only], now, event),
            [inner, outer] => {
                let (a, b) = two(&mut self.pools, inner, outer);
                sent.handle(&mut [a, b], now, event)
            }
            _ => unreachable!("one pool or two"),
        };
        match decision {
            Decision::Wait(Wait { until, cause, .. }) if unsent => {
                assert!(!cause.is_shared(), "it backs off");
                call.not_before = until;
                call.paid = false;
                self.held.push(call);
            }
            Decision::GiveUp(_) => {}
            _ if over => {}
            _ => {
                self.flying.insert(number, (call, sent, set));
            }
        }
    }

    pub fn route_ids(&self) -> Vec<RouteId> {
        self.routes.iter().map(|route| route.id).collect()
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.held.len()
    }

    pub fn flying(&self) -> Vec<u64> {
        self.flying.keys().copied().collect()
    }
}

/// Two of many, both to be changed.
fn two(pools: &mut [Limiter], a: usize, b: usize) -> (&mut Limiter, &mut Limiter) {
    let (low, high) = pools.split_at_mut(a.max(b));
    if a < b {
        (&mut low[a], &mut high[0])
    } else {
        (&mut high[0], &mut low[b])
    }
}

fn check(limiter: &Limiter, now: Instant, request: &Request) -> Result<(), Option<Wait>> {
    let mut copy = limiter.clone();
    let mut call = copy.call(*request);
    match call.handle(&mut copy, now, Event::Submitted) {
        Decision::Send(_) => Ok(()),
        Decision::Wait(wait) => Err(Some(wait)),
        Decision::GiveUp(_) => Err(None),
        Decision::Deliver => unreachable!("nothing was sent"),
    }
}

fn first_of(rest: &[(usize, Top)]) -> usize {
    let mut firsts: BTreeMap<usize, usize> = BTreeMap::new();
    for (place, (_, top)) in rest.iter().enumerate() {
        let first = firsts.entry(top.home).or_insert(place);
        if before(top, &rest[*first].1) {
            *first = place;
        }
    }
    let firsts = firsts.into_values();
    firsts
        .reduce(|a, b| if before(&rest[b].1, &rest[a].1) { b } else { a })
        .unwrap()
}

fn before(a: &Top, b: &Top) -> bool {
    if a.aged != b.aged {
        return a.aged;
    }
    if !a.aged && a.priority != b.priority {
        return a.priority > b.priority;
    }
    if !a.aged && a.home == b.home && a.tag != b.tag {
        return a.tag < b.tag;
    }
    a.due < b.due
}

fn time_of(limiter: &Limiter, now: Instant, request: &Request) -> u64 {
    let cost = limiter.forecast(request);
    let of = |amount: u64, count: u64, period: u64| {
        let wide = (u128::from(amount) * u128::from(period)).div_ceil(u128::from(count));
        u64::try_from(wide).unwrap_or(u64::MAX)
    };
    let known = cost.iter().filter_map(|(dimension, amount)| {
        let rate = limiter.level(now, dimension)?.rate;
        let period = u64::try_from(rate.period().as_nanos()).unwrap();
        Some(of(amount, rate.count(), period))
    });
    known.max().unwrap_or(0)
}
