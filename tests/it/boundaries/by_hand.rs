//! Verbs that take or give more than values: what is not to be copied, events,
//! functions, slices.

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use sendwhen::*;

use super::{
    Backoff, ErrorDetails, Of, SlidingLog, SlidingMinute, Told,
    world::{Answer, World},
};

pub(super) fn all(world: &mut World) {
    charges(world);
    texts(world);
    retries(world);
    limiters(world);
    calls(world);
    others(world);
}

/// Charges of this limit or of another: what is left of one never grows.
macro_rules! refunds {
    ($world:ident, $($limit:ident of $charge:ident;)+) => {$(
        $world.verb(
            concat!(stringify!($limit), "::refund"),
            |mut this: $limit, mut charge: $charge, back: u64| {
                let before = charge.amount();
                this.refund(&mut charge, back);
                assert!(charge.amount() <= before);
                (this, charge)
            },
        );
    )+};
}

fn charges(world: &mut World) {
    refunds! { world,
        FixedWindow of WindowCharge;
        Quota of QuotaCharge;
        SlidingCounter of WindowCharge;
        SlidingLog of LogCharge;
        SmoothRamp of RampCharge;
        Spacing of SpacingCharge;
        StepRamp of WindowCharge;
        TokenBucket of Charge;
    }
    world.verb(
        "TokenBucket::cancel",
        |mut this: TokenBucket, of: Reservation| {
            this.cancel(of);
            this
        },
    );
    world.verb("Spacing::cancel", |mut this: Spacing, turn: Turn| {
        this.cancel(turn);
        this
    });
    world.verb(
        "ActiveBudget::ended",
        |mut this: ActiveBudget, grant: RetryGrant| {
            this.ended(grant);
            this
        },
    );
    world.verb("SlidingLog::new", |limit: u64, window: Duration| {
        SlidingLog::new(limit, window, [LogEntry::EMPTY; 3])
    });
    world.verb("SlidingMinute::new", |limit: u64| {
        SlidingMinute::new(limit, [LogEntry::EMPTY; 3])
    });
    world.verb(
        "SlidingMinute::try_acquire",
        |mut this: SlidingMinute, now: Instant, request: Request| {
            let before = this;
            let answer = this.try_acquire(now, &request);
            assert!(
                answer.is_ok() || this == before,
                "a refusal changes nothing"
            );
            (this, answer)
        },
    );
    world.verb("Of::new", |dimension: Dimension, bucket: TokenBucket| {
        Of::new(dimension, bucket)
    });
    // Places are released, of their own cap or of another.
    world.verb(
        "InFlight::release",
        |mut this: InFlight, mut other: InFlight, taken: Instant, released: Instant| {
            let slot = this.try_acquire(taken);
            if let Ok(slot) = slot {
                other.release(released, slot);
            }
            let slot = other.try_acquire(taken);
            if let Ok(slot) = slot {
                other.release(released, slot);
            }
            (this, other)
        },
    );
    world.verb(
        "InFlight::try_acquire",
        |mut this: InFlight, now: Instant| {
            let peeked = this.peek(now);
            assert_eq!(
                this.try_acquire(now).map(drop),
                peeked,
                "peek agrees with acquire"
            );
            (this, peeked)
        },
    );
    world.verb(
        "AdaptiveInFlight::release",
        |mut this: AdaptiveInFlight, taken: Instant, released: Instant, outcome: Outcome| {
            if let Ok(slot) = this.try_acquire(taken) {
                this.release(released, slot, outcome);
            }
            this
        },
    );
    world.verb(
        "AdaptiveInFlight::try_acquire",
        |mut this: AdaptiveInFlight, now: Instant| {
            let peeked = this.peek(now);
            assert_eq!(
                this.try_acquire(now).map(drop),
                peeked,
                "peek agrees with acquire"
            );
            (this, peeked)
        },
    );
}

/// Numbers as text.
fn texts(world: &mut World) {
    world.verb("parse_go_duration", |text: &'static [u8]| {
        let read = parse_go_duration(text);
        read.map(|nanos| GoDuration(nanos).to_string())
    });
    world.verb(
        "parse_http_date",
        |text: &'static [u8], received: Option<UnixTime>| parse_http_date(text, received),
    );
    world.verb("parse_rfc3339", |text: &'static [u8]| parse_rfc3339(text));
    world.verb("Rfc3339::new", |time: UnixTime| {
        Rfc3339::new(time).map(|date| date.to_string())
    });
    world.verb("HttpDate::new", |time: UnixTime| {
        HttpDate::new(time).map(|date| date.to_string())
    });
    world.verb("Pushback::read", |text: Option<&'static [u8]>| {
        Pushback::read(text)
    });
    world.verb(
        "HeaderParser::field",
        |mut this: HeaderParser, name: &'static str, text: &'static [u8]| {
            let field = this.field(name.as_bytes(), text);
            (this.finish(), format!("{field:?}"))
        },
    );
    world.verb(
        "HeaderParser::fields",
        |mut this: HeaderParser, name: &'static str, text: &'static [u8]| {
            this.fields([(name, text), (name, text)]);
            this.finish()
        },
    );
    world.verb(
        "ServerHints::parse",
        |name: &'static str, text: &'static [u8], received: Option<UnixTime>| {
            ServerHints::parse([(name, text)], received)
        },
    );
    world.verb("Label::new", |text: &'static [u8]| {
        Label::new(text).to_string()
    });
    world.verb("Label::as_bytes", |text: &'static [u8]| {
        Label::new(text).as_bytes().len() as u64
    });
    world.verb("Label::is_empty", |text: &'static [u8]| {
        assert_eq!(Label::new(text).is_empty(), text.is_empty());
    });
    world.verb("SfList::parse", |text: &'static [u8]| {
        SfList::parse(text).map(|list| list.count() as u64)
    });
    world.verb("SfDictionary::parse", |text: &'static [u8]| {
        SfDictionary::parse(text).map(|dictionary| dictionary.count() as u64)
    });
    world.verb("SfParams::get", |text: &'static [u8], key: &'static str| {
        let found = SfList::parse(text).into_iter().flatten();
        let first = found
            .filter_map(|(_, params)| params.get(key.as_bytes()))
            .next();
        first.map(|item| item.to_string())
    });
    world.verb("LimitMessage::read", |message: &'static str| {
        LimitMessage::read(message).map(|read| format!("{read:?}"))
    });
    for_errors(world);
    world.verb("Usage::find", |count: u64| Usage::find(|_| Some(count)));
    world.verb("TierLimits::of", |tier: Tier, model: &'static str| {
        TierLimits::of(tier, model).ok()
    });
    world.verb("TierLimits::rates", |limits: TierLimits, count: u64| {
        let mut limits = limits;
        limits.requests_per_minute = count;
        limits
            .rates()
            .map(|rates| rates.map(|(_, rate, _)| rate).to_vec())
    });
}

fn for_errors(world: &mut World) {
    world.verb("ErrorDetails::new", |text: &'static str| {
        ErrorDetails::new(text)
    });
    world.verb(
        "ErrorDetails::code",
        |this: ErrorDetails, text: &'static str| this.code(text),
    );
    world.verb(
        "ErrorDetails::message",
        |this: ErrorDetails, text: &'static str| this.message(text),
    );
    world.verb(
        "ErrorDetails::retry_delay",
        |this: ErrorDetails, text: &'static str| this.retry_delay(text),
    );
    world.verb("ErrorDetails::find", |text: &'static str| {
        ErrorDetails::find(|_| Some(text))
    });
    world.verb(
        "classify",
        |status: u16, error: ErrorDetails, hints: ServerHints, phase: Phase| {
            classify(status, error, &hints, phase)
        },
    );
    world.verb("LowWater::wait", |this: LowWater, hints: ServerHints| {
        this.wait(&hints)
    });
}

fn retries(world: &mut World) {
    world.verb("Backoff::list", |first: Duration, second: Duration| {
        let delays: &'static [Duration] = Box::leak(Box::new([first, second]));
        Backoff::list(delays)
    });
    world.verb("Backoff::delays", |this: Backoff, seed: u64| {
        this.delays(seed).take(3).collect::<Vec<_>>()
    });
    world.verb(
        "RetryPolicy::delays",
        |this: RetryPolicy, class: Class, seed: u64| {
            this.delays(class, seed).take(3).collect::<Vec<_>>()
        },
    );
    world.verb("RetryPolicy::rule", |this: RetryPolicy, class: Class| {
        this.rule(class).copied()
    });
    world.verb(
        "RetryPolicy::backoff",
        |this: RetryPolicy, backoff: Backoff| this.backoff(backoff),
    );
    world.verb("ClassRule::new", |backoff: Backoff| ClassRule::new(backoff));
    world.verb(
        "Sdk::asked",
        |this: Sdk, millis: Option<&'static [u8]>, text: Option<&'static [u8]>, now: UnixTime| {
            this.asked(millis, text, now)
        },
    );
    // A delay lies in its band, whatever the numbers.
    world.verb(
        "so: a delay lies in its band",
        |this: Backoff, failures: u32, before: Duration, seed: u64| {
            let (least, most) = this.band(failures, before);
            let delay = this.delay(failures, before, seed);
            assert!(least <= delay && delay <= most);
        },
    );
    world.verb(
        "so: an SDK's delay lies in its band",
        |this: Sdk, failures: u32, seed: u64| {
            let (least, most) = this.band(failures);
            let delay = this.delay(failures, None, seed);
            assert!(least <= delay && delay <= most);
        },
    );
    world.verb(
        "so: budgets are budgets",
        |a: ActiveBudget, b: HalfBudget, c: RatioBudget| {
            vec![Budget::Active(a), Budget::Half(b), Budget::Ratio(c)]
        },
    );
    world.verb("so: tokens are a budget", |tokens: TokenBudget| {
        Budget::Tokens(tokens)
    });
}

fn limiters(world: &mut World) {
    #[cfg(feature = "std")]
    {
        world.verb("Instant::to_std", |this: Instant| {
            let origin = std::time::Instant::now();
            let there = this.to_std(origin);
            assert!(there.is_none_or(|there| Instant::from_std(origin, there) == this));
        });
        world.verb("Instant::from_std", |span: Duration| {
            let origin = std::time::Instant::now();
            if let Some(later) = origin.checked_add(span) {
                let there = Instant::from_std(origin, later);
                assert_eq!(there, Instant::ZERO.saturating_add(span));
                assert_eq!(Instant::from_std(later, origin), Instant::ZERO);
            }
        });
    }
    world.verb("Cost::saturating_add", |this: Cost, other: Cost| {
        let sum = this.saturating_add(&other);
        assert!(
            Dimension::ALL
                .iter()
                .all(|one| sum.get(*one) >= this.get(*one))
        );
        sum
    });
    world.verb("Cost::saturating_sub", |this: Cost, other: Cost| {
        let rest = this.saturating_sub(&other);
        assert!(
            Dimension::ALL
                .iter()
                .all(|one| rest.get(*one) <= this.get(*one))
        );
        rest
    });
    world.verb("Cost::iter", |this: Cost| {
        assert!(
            this.iter()
                .all(|(dimension, amount)| this.get(dimension) == amount)
        );
    });
    world.verb("so: hints hold meters", |this: ServerHints| this.meters);
    world.verb("Meters::iter", |this: ServerHints| {
        assert_eq!(this.meters.iter().count(), this.meters.len());
    });
    world.verb("Meters::leading", |this: ServerHints| {
        assert!(this.meters.leading().count() <= this.meters.len());
    });
    world.verb("Problems::iter", |this: Problems| {
        assert_eq!(this.iter().next().is_none(), this.is_empty());
    });
    world.verb("Request::own", |this: Request, a: u64, b: u64| {
        this.own([a, b, a])
    });
    world.verb("Request::cost_of", |this: Request, usage: Usage| {
        this.cost_of(&usage)
    });
    world.verb(
        "Limiter::peek",
        |this: Limiter, now: Instant, cost: Cost| this.peek(now, &cost),
    );
    world.verb(
        "Limiter::try_acquire",
        |mut this: Limiter, now: Instant, cost: Cost| {
            let peeked = this.peek(now, &cost);
            let permit = this.try_acquire(now, &cost);
            assert_eq!(permit.as_ref().map(|_| ()), peeked.as_ref().map(|_| ()));
            let Ok(permit) = permit else {
                return (this, peeked);
            };
            assert_eq!(*permit.cost(), cost);
            drop(permit);
            (this, peeked)
        },
    );
    world.verb(
        "Limiter::settle",
        |mut this: Limiter, now: Instant, cost: Cost, later: Instant, actual: Option<Cost>| {
            if let Ok(permit) = this.try_acquire(now, &cost) {
                this.settle(later, permit, actual);
            }
            this
        },
    );
    world.verb(
        "Limiter::observe",
        |mut this: Limiter, now: Instant, cost: Cost, later: Instant, hints: ServerHints| {
            let permit = this.try_acquire(now, &cost).ok();
            this.observe(later, permit.as_ref(), &hints);
            if let Some(permit) = permit {
                this.settle(later, permit, None);
            }
            this.observe(now, None, &hints);
            this
        },
    );
    world.verb(
        "Limiter::close",
        |mut this: Limiter, now: Instant, until: Option<Instant>| {
            this.close(now, until);
            this
        },
    );
    world.verb("Limiter::forecast", |this: Limiter, request: Request| {
        this.forecast(&request)
    });
    world.verb(
        "Limiter::explain",
        |this: Limiter, now: Instant, request: Request| {
            let why = this.explain(now, &request);
            (why, why.to_string())
        },
    );
    #[cfg(feature = "serde")]
    {
        world.verb("Limiter::snapshot", |this: Limiter| this.snapshot());
        world.verb(
            "LimiterSnapshot::restore",
            |this: LimiterSnapshot, now: Instant, asleep: Duration, policy: RetryPolicy| {
                this.restore(now, asleep, policy)
            },
        );
    }
}

fn calls(world: &mut World) {
    world.verb(
        "Event::responded",
        |status: u16, hints: ServerHints, error: ErrorDetails| {
            Told::Responded(status, Box::new(hints), error)
        },
    );
    world.verb("Event::progressed", |usage: Usage, handed_on: bool| {
        Told::Progressed(usage, handed_on)
    });
    world.verb("so: what ends an answer", |usage: Option<Usage>| {
        Told::Finished(usage)
    });
    // Any two events after the first, at any instants.
    world.verb(
        "Call::handle",
        |mut pool: Limiter,
         request: Request,
         at: Instant,
         one: Told,
         then: Instant,
         other: Told| {
            let held = pool.flying(at);
            let mut call = pool.call(request);
            let mut last = call.handle(&mut pool, at, Event::Submitted);
            for (now, event) in [(at, &one), (then, &other), (then, &one)] {
                let ended = matches!(last, Decision::GiveUp(_));
                let decision = call.handle(&mut pool, now, event.event());
                assert!(!ended || decision == last, "terminal is sticky");
                decision.holds(Some(now));
                last = decision;
            }
            let _over = call.handle(&mut pool, then, Event::Cancelled);
            assert!(pool.flying(then) <= held, "no permit leaks");
            (pool, format!("{last:?}"))
        },
    );
    for name in ["Limiter::call", "Call::attempts", "Call::request"] {
        world.verb(name, |mut pool: Limiter, request: Request, at: Instant| {
            let mut call = pool.call(request);
            assert_eq!((call.attempts(), *call.request()), (0, request));
            let decision = call.handle(&mut pool, at, Event::Submitted);
            let sent = matches!(decision, Decision::Send(_));
            assert_eq!(call.attempts(), u32::from(sent));
            (pool, decision)
        });
    }
    world.verb(
        "Call::explain",
        |mut pool: Limiter, request: Request, at: Instant, one: Told, then: Instant| {
            let mut call = pool.call(request);
            let _decided = call.handle(&mut pool, at, Event::Submitted);
            let _decided = call.handle(&mut pool, at, one.event());
            call.explain(&pool, then).to_string()
        },
    );
    #[cfg(feature = "serde")]
    for name in ["Call::snapshot", "CallSnapshot::restore"] {
        world.verb(name, |mut pool: Limiter, request: Request, at: Instant| {
            let held = pool.flying(at);
            let mut call = pool.call(request);
            let _decided = call.handle(&mut pool, at, Event::Submitted);
            let written = serde_json::to_string(&call.snapshot()).unwrap();
            let read: CallSnapshot = serde_json::from_str(&written).unwrap();
            let mut again = read.restore();
            let decided = again.handle(&mut pool, at, Event::Cancelled);
            assert!(pool.flying(at) <= held, "no permit leaks");
            (pool, decided)
        });
    }
}

/// Layer 3: one pool, one call that was sent if it could be, and what is done.
#[cfg(feature = "alloc")]
fn others(world: &mut World) {
    fn of(limiter: Limiter, request: Request, at: Instant) -> (Scheduler, PoolId, RouteId, CallId) {
        let mut scheduler = Scheduler::new(1);
        let pool = scheduler.add_pool(limiter);
        let route = scheduler.add_route(&[&[pool]]).unwrap();
        let job = Job::new(request, route).tenant(TenantId::new(u32::MAX));
        let id = scheduler.submit(at, job).unwrap();
        (scheduler, pool, route, id)
    }
    fn next(scheduler: &mut Scheduler, now: Instant) -> Next {
        let mut said = vec![];
        for _ in 0..4 {
            let next = scheduler.next(now);
            said.push(format!("{next:?}"));
            next.holds(Some(now));
            if matches!(next, Next::Wait(_) | Next::Idle) {
                return next;
            }
        }
        panic!("one call goes on for ever: {said:?}");
    }
    macro_rules! scheduled {
        ($($name:literal: |$scheduler:ident, $pool:pat_param, $route:pat_param, $id:pat_param $(, $arg:ident: $of:ty)*| $what:expr;)+) => {$(
            world.verb(
                $name,
                |limiter: Limiter, request: Request, at: Instant $(, $arg: $of)*| {
                    // Where its clock is at its end there is no later instant to wait for.
                    if limiter.explain(at, &request).now == Instant::MAX {
                        return String::new();
                    }
                    let (mut $scheduler, $pool, $route, $id) = of(limiter, request, at);
                    $what;
                    let waits = next(&mut $scheduler, at);
                    assert!($scheduler.waiting() + $scheduler.flying() <= 2);
                    format!("{waits:?}")
                },
            );
        )+};
    }
    #[cfg(feature = "serde")]
    {
        world.verb("Scheduler::snapshot", |limiter: Limiter| {
            let (scheduler, ..) = of(limiter, Request::new(), Instant::ZERO);
            restored(&scheduler, Instant::MAX, Duration::ZERO).waiting() as u64
        });
        world.verb(
            "Snapshot::restore",
            |limiter: Limiter, later: Instant, asleep: Duration| {
                let (scheduler, ..) = of(limiter, Request::new(), Instant::ZERO);
                restored(&scheduler, later, asleep).waiting() as u64
            },
        );
    }
    scheduled! {
        "Scheduler::new": |s, _, _, _, seed: u64| { let _other = Scheduler::new(seed); };
        "Scheduler::add_pool": |s, _, _, _, other: Limiter| { let _pool = s.add_pool(other); };
        "Scheduler::add_route": |s, pool, _, _| { s.add_route(&[&[pool], &[pool, pool]]).unwrap(); };
        "Scheduler::aging": |s, _, _, _, aging: Duration| s = s.aging(aging);
        "Scheduler::bounds": |s, _, _, _, all: Bounds, each: Bounds| s = s.bounds(all, each, Shed::Oldest);
        "Bounds::calls": |s, _, _, _, most: usize| s = s.bounds(Bounds::NONE.calls(most), Bounds::NONE, Shed::New);
        "Bounds::cost": |s, _, _, _, most: Duration| s = s.bounds(Bounds::NONE.cost(most), Bounds::NONE, Shed::Lowest);
        "Scheduler::set_bounds": |s, _, _, _, tenant: TenantId, each: Bounds| s.set_bounds(tenant, each);
        "Scheduler::set_weight": |s, _, _, _, tenant: TenantId, weight: NonZeroU32| s.set_weight(tenant, weight);
        "Scheduler::set_patience": |s, _, route, _, patience: Duration| s.set_patience(route, patience);
        "Scheduler::submit": |s, _, route, _, priority: Priority, tenant: TenantId| {
            let job = Job::new(request_of(tenant), route).priority(priority).tenant(tenant);
            let _submitted = s.submit(Instant::ZERO, job);
        };
        "Scheduler::next": |s, _, _, _, later: Instant| { let _first = next(&mut s, later); };
        "Scheduler::handle": |s, _, _, id, later: Instant, told: Told| {
            let _first = s.next(later);
            let _verdict = s.handle(later, id, told.event());
        };
        "Scheduler::postpone": |s, _, _, id, until: Option<Instant>| s.postpone(id, until);
        "Scheduler::prioritise": |s, _, _, id, priority: Priority| s.prioritise(id, priority);
        "Scheduler::rebase": |s, _, _, _, later: Instant| s.rebase(later);
        "Scheduler::explain": |s, _, _, id, later: Instant| assert!(s.explain(later, id).is_some());
        "Scheduler::explain_pool": |s, pool, _, _, later: Instant| assert!(s.explain_pool(later, pool).is_some());
        "Scheduler::remove_pool": |s, pool, _, _| assert!(s.remove_pool(pool).is_some());
        "Scheduler::remove_route": |s, _, route, _| assert!(s.remove_route(route));
        "Scheduler::change_pool": |s, pool, _, _, later: Instant| s.change_pool(pool, |pool| pool.rebase(later));
        "Scheduler::pool": |s, pool, _, _| assert!(s.pool(pool).is_some());
        "Scheduler::flights": |s, _, _, _| assert!(s.flights().count() <= 1);
        "Scheduler::waiting": |s, _, _, _| assert_eq!(s.waiting(), 1);
        "Scheduler::flying": |s, _, _, _| assert_eq!(s.flying(), 0);
        "Scheduler::notice": |s, _, _, _| { let _none = s.notice(); };
        "Job::new": |s, _, route, _, tenant: TenantId| {
            let _submitted = s.submit(Instant::ZERO, Job::new(request_of(tenant), route));
        };
        "Job::priority": |s, _, route, _, priority: Priority| {
            let job = Job::new(Request::new(), route).priority(priority);
            let _submitted = s.submit(Instant::ZERO, job);
        };
        "Job::tenant": |s, _, route, _, tenant: TenantId| {
            let _submitted = s.submit(Instant::MAX, Job::new(Request::new(), route).tenant(tenant));
        };
        "Job::attempts": |s, _, route, _, most: NonZeroU16| {
            let job = Job::new(Request::new(), route).attempts(most);
            let _submitted = s.submit(Instant::ZERO, job);
        };
        "PoolId::index": |s, pool, _, _| assert_eq!(pool.index(), 0);
        "RouteId::index": |s, _, route, _| assert_eq!(route.index(), 0);
        "CallId::number": |s, _, _, id| { let _first = id.number(); };
    }
}

/// A scheduler is written and read at any instants.
#[cfg(feature = "serde")]
fn restored(scheduler: &Scheduler, now: Instant, asleep: Duration) -> Scheduler {
    let written = serde_json::to_string(&scheduler.snapshot()).unwrap();
    let read: Snapshot = serde_json::from_str(&written).unwrap();
    read.restore(now, asleep, |_| RetryPolicy::new()).unwrap()
}

/// One for each tenant.
#[cfg(feature = "alloc")]
fn request_of(tenant: TenantId) -> Request {
    Request::new().input_tokens(tenant.number().into())
}

#[cfg(not(feature = "alloc"))]
fn others(_world: &mut World) {}
