//! All that layers 0 to 2 let a caller do, with values that the compiler cannot
//! know: what of it may panic is linked, and found by its symbol.
//!
//! What prints is left out: `core`'s own formatting has panics of its own.

use core::{hint::black_box, time::Duration};

use sendwhen::{
    ActiveBudget, AdaptiveInFlight, Backoff, Breaker, Class, ClassRule, ClientThrottle, Control,
    Cost, CubicRate, Dimension, ErrorDetails, Event, Failure, Family, FixedWindow, HalfBudget,
    HeaderParser, HttpDate, InFlight, Instant, Jitter, Limit, LimitMessage, Limiter, LogEntry,
    LowWater, Meter, Of, Outcome, Pause, Phase, Profile, Pushback, Quota, Rate, RatioBudget,
    Request, RetryPolicy, Rfc3339, Sdk, ServerHints, ServerWait, SfDictionary, SfList,
    SlidingCounter, SlidingLog, SlidingMinute, SmoothRamp, Spacing, SpreadPause, StepRamp, Tier,
    TierLimits, Together, TokenBucket, TokenBudget, UnixTime, Usage, classify, parse_go_duration,
    parse_http_date, parse_rfc3339,
};

fn n() -> u64 {
    black_box(7)
}

fn small() -> u32 {
    black_box(3)
}

fn now() -> Instant {
    Instant::from_nanos(n())
}

fn span() -> Duration {
    Duration::from_nanos(n())
}

fn rate() -> Option<Rate> {
    Rate::per(n(), span()).ok()
}

fn text() -> &'static str {
    black_box("7")
}

fn bytes() -> &'static [u8] {
    black_box(b"7")
}

fn wall() -> UnixTime {
    UnixTime::from_millis(black_box(7))
}

/// Calls everything once.
pub(crate) fn all() {
    let _made = black_box(limits());
    let _made = black_box(presets());
    let _made = black_box(retry());
    black_box(headers());
    let _made = black_box(limiter());
}

fn drive<L: Limit>(mut limit: L, amount: L::Amount) {
    black_box(limit.leaves());
    black_box(limit.peek(now(), amount).is_ok());
    if let Ok(mut charge) = limit.try_acquire(now(), amount) {
        limit.refund(now(), &mut charge, amount);
    }
    let mut charge = limit.charge(now(), amount);
    limit.refund(now(), &mut charge, amount);
    black_box(&limit);
}

fn limits() -> Option<()> {
    let rate = rate()?;
    let mut bucket = TokenBucket::new(rate, n()).ok()?;
    let strict = TokenBucket::strict(n(), span(), n()).ok()?;
    drive(strict, n());
    black_box(bucket.acquire_up_to(now(), n()).is_ok());
    if let Ok(reservation) = bucket.reserve(now(), n(), span()) {
        black_box(reservation.at());
        bucket.cancel(reservation);
    }
    black_box((bucket.available(now()), bucket.debt(now())));
    black_box(bucket.set(now(), rate, n()).is_ok());
    drive(bucket, n());

    let mut spacing = Spacing::new(rate);
    if let Ok(turn) = spacing.reserve(now(), n(), span()) {
        spacing.cancel(turn);
    }
    drive(spacing, n());
    let log = SlidingLog::new(n(), span(), [LogEntry::EMPTY; 5]).ok()?;
    black_box(log.used(now()));
    drive(log, n());
    let counter = SlidingCounter::new(n(), span()).ok()?;
    black_box(counter.used(now()));
    drive(counter.clone().aligned_to(now()), n());
    drive(counter.aligned_to_epoch(now(), wall()), n());
    let fixed = FixedWindow::new(n(), span()).ok()?;
    black_box((fixed.used(now()), fixed.resets(now())));
    drive(fixed.clone().aligned_to(now()), n());
    drive(fixed.aligned_to_epoch(now(), wall()), n());
    let mut quota = Quota::new(n(), span()).ok()?.paced(n());
    quota.observe(n(), now());
    black_box((
        quota.spent(now()),
        quota.utilisation(now()),
        quota.resets(now()),
    ));
    drive(quota.clone().aligned_to(now()), n());
    drive(quota.aligned_to_epoch(now(), wall()), n());
    drive(Quota::shares(span()).ok()?, n());
    let steps = StepRamp::new(n(), n(), n(), span()).ok()?;
    black_box((steps.allowed(now()), steps.used(now())));
    drive(steps.clone().aligned_to(now()), n());
    drive(steps.aligned_to_epoch(now(), wall()), n());
    let ramp = SmoothRamp::new(n(), n(), n(), span(), n()).ok()?;
    black_box((ramp.available(now()), ramp.rate(now())));
    drive(ramp, n());
    let mut flights = InFlight::new(small(), span()).ok()?;
    black_box((flights.taken(now()), flights.set(small()).is_ok()));
    if let Ok(slot) = flights.try_acquire(now()) {
        flights.release(now(), slot);
    }
    drive(flights, small());
    let mut adaptive = AdaptiveInFlight::new(small(), small(), small(), span()).ok()?;
    for outcome in [Outcome::Admitted, Outcome::Refused] {
        if let Ok(slot) = adaptive.try_acquire(now()) {
            adaptive.release(now(), slot, outcome);
        }
    }
    black_box((adaptive.cap(), adaptive.taken(now())));
    let mut pause = Pause::new();
    pause.until(now());
    black_box(pause.peek(now()).is_ok());
    let mut spread = SpreadPause::new(span(), n());
    spread.until(now());
    black_box(spread.of(n()));
    let joint = Together((
        Of::new(Dimension::Requests, TokenBucket::new(rate, n()).ok()?),
        Together([Of::new(
            Dimension::InputTokens,
            FixedWindow::new(n(), span()).ok()?,
        )]),
        Some(Of::new(Dimension::OutputTokens, Spacing::new(rate))),
    ));
    drive(joint, cost());
    Some(())
}

fn presets() -> Option<()> {
    let mut minute = SlidingMinute::new(n(), [LogEntry::EMPTY; 5]).ok()?;
    black_box(minute.try_acquire(now(), &request()).is_ok());
    drive(TokenBucket::four_fifths_of(n()).ok()?, n());
    drive(InFlight::FIVE, small());
    black_box(LowWater::new(n(), span()).wait(&hints()));
    let tier = TierLimits::of(black_box(Tier::Build), text()).ok()?;
    black_box(tier.rates().is_ok());
    Some(())
}

fn retry() -> Option<()> {
    let list = black_box([span(); 3]);
    let jitters = [
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
        Jitter::Additive(span()),
        Jitter::Above {
            per_mille: black_box(7),
        },
        Jitter::Below {
            per_mille: black_box(7),
        },
    ];
    let backoff = [
        Backoff::constant(span()).ok()?,
        Backoff::linear(span(), span(), span()).ok()?,
        Backoff::polynomial(span(), small(), span()).ok()?,
        Backoff::exponential(span(), span())
            .ok()?
            .factor_per_mille(small())
            .ok()?,
        Backoff::fibonacci(span(), span()).ok()?,
        Backoff::list(&list).ok()?.at_most(span()),
    ];
    for backoff in backoff {
        let backoff = backoff.jitter(*jitters.get(black_box(2_usize))?);
        black_box(backoff.delay(small(), span(), n()));
        black_box((backoff.ceiling(small()), backoff.band(small(), span())));
        black_box(backoff.delays(n()).next());
    }
    for sdk in black_box([Sdk::Python, Sdk::TypeScript, Sdk::Go, Sdk::Java, Sdk::Ruby]) {
        black_box(sdk.retries(black_box(429), black_box(None)));
        black_box(sdk.accepts(span()));
        black_box((sdk.delay(small(), Some(span()), n()), sdk.band(small())));
    }
    for how in [
        ServerWait::Raises,
        ServerWait::Replaces,
        ServerWait::Within(span()),
    ] {
        let policy = policy()?.server_wait(how);
        black_box(policy.delay(Class::Overloaded, small(), span(), Some(span()), n()));
        black_box(policy.delays(Class::Transient, n()).next());
    }
    let mut tokens = TokenBudget::new(small(), small()).ok()?;
    black_box(tokens.try_spend(small()));
    tokens.succeeded(small());
    let mut half = HalfBudget::new(small(), small()).ok()?;
    half.failed();
    half.succeeded();
    black_box(half.allows());
    let mut ratio = RatioBudget::new(small(), small(), span()).ok()?;
    ratio.request(now());
    black_box(ratio.try_retry(now()));
    let mut active = ActiveBudget::new(small(), small(), span()).ok()?;
    if let Some(grant) = active.try_retry(now(), small()) {
        active.ended(grant);
    }
    let share = Breaker::after_share(black_box(7), small(), span(), span()).ok()?;
    for mut breaker in [share, Breaker::after_run(small(), span()).ok()?] {
        breaker.sent(now(), n());
        black_box(breaker.ended(now(), n(), black_box(false)));
        black_box(breaker.forgotten(now(), n()));
        black_box((breaker.peek(now()).is_ok(), breaker.earliest(now())));
    }
    let mut throttle = ClientThrottle::new(small(), span()).ok()?;
    black_box(throttle.admits(now(), n()));
    throttle.accepted(now());
    black_box(throttle.odds(now()));
    let mut cubic = CubicRate::new();
    black_box(cubic.answered(now(), black_box(true)));
    black_box((
        cubic.try_acquire(now()).is_ok(),
        CubicRate::recovers_in(n()),
    ));
    black_box(LimitMessage::read(text()));
    black_box(ErrorDetails::NONE.retry_delay(text()));
    black_box(Pushback::read(Some(bytes())).hints(hints()));
    Some(())
}

fn headers() {
    black_box(parse_go_duration(bytes()));
    black_box(parse_http_date(bytes(), Some(wall())));
    black_box(parse_rfc3339(bytes()));
    black_box((HttpDate::new(wall()), Rfc3339::new(wall())));
    for item in SfList::parse(bytes()).into_iter().flatten() {
        black_box(item);
    }
    for member in SfDictionary::parse(bytes()).into_iter().flatten() {
        black_box(member);
    }
    let mut parser = HeaderParser::new().received(wall());
    black_box(parser.field(bytes(), bytes()));
    black_box(parser.finish());
}

fn cost() -> Cost {
    let more = Cost::request().with(Dimension::InputTokens, n());
    more.with(Dimension::OutputTokens, n())
        .saturating_add(&more)
        .saturating_sub(&more)
}

fn request() -> Request {
    Request::new()
        .input_tokens(n())
        .cached_tokens(n())
        .max_tokens(n())
        .own([n(); 3])
        .profile(Profile::new(black_box(7)))
}

fn usage() -> Usage {
    Usage::new(n(), n()).cache(n(), n())
}

fn hints() -> ServerHints {
    let meter = Meter::new(black_box(Family::Standard), black_box(Dimension::Requests));
    let hints = ServerHints::NONE.with_retry_after(span());
    hints.with_meter(
        meter
            .limit(n())
            .remaining(black_box(7), small())
            .window(span()),
    )
}

fn policy() -> Option<RetryPolicy> {
    let wait = Backoff::exponential(span(), span()).ok()?;
    let breaker = Breaker::after_run(small(), span())
        .ok()?
        .or_after_run(small())
        .ok()?;
    Some(
        RetryPolicy::new()
            .attempts(small())
            .ok()?
            .backoff(wait)
            .class(Class::Overloaded, ClassRule::new(wait).retries(small()))
            .ok()?
            .breaker(breaker.probe_for(span()).ok()?)
            .throttle(ClientThrottle::new(small(), span()).ok()?)
            .total(span())
            .longest_wait(span())
            .adaptive(black_box(true)),
    )
}

fn limiter() -> Option<()> {
    let made = |seed| {
        let limiter = Limiter::new(seed)
            .limit(Dimension::Requests, rate()?, n())
            .and_then(|limiter| limiter.in_flight(small()))
            .and_then(|limiter| limiter.initial_window(small()))
            .and_then(|limiter| limiter.permit_lifetime(Duration::from_secs(n())))
            .ok()?
            .control(Control::new().unheard(small()))
            .retry(policy()?);
        Some(limiter)
    };
    let mut limiter: Limiter = made(n())?;
    let mut outer: Limiter = made(n())?;
    black_box(
        limiter
            .set_limit(now(), Dimension::OutputTokens, rate()?, n())
            .is_ok(),
    );
    let hints = hints();
    black_box(limiter.peek(now(), &cost()).is_ok());
    black_box(limiter.explain(now(), &request()));
    if let Ok(permit) = limiter.try_acquire(now(), &cost()) {
        limiter.observe(now(), Some(&permit), &hints);
        limiter.settle(now(), permit, black_box(Some(cost())));
    }
    black_box((
        limiter.flying(now()),
        limiter.paused_until(now()),
        limiter.opened(),
    ));
    black_box((
        limiter.level(now(), Dimension::InputTokens),
        limiter.forecast(&request()),
    ));
    let mut alone = limiter.call(request().start_by(now()));
    let mut in_two = limiter.call(request());
    let error = ErrorDetails::new(text())
        .code(text())
        .message(text())
        .delay(span());
    black_box(classify(
        black_box(429),
        error,
        &hints,
        black_box(Phase::Head),
    ));
    let events = [
        Event::Submitted,
        Event::Woken,
        Event::responded(black_box(429), &hints, error),
        Event::progressed(usage(), black_box(false)),
        Event::Finished(black_box(Some(usage()))),
        Event::Failed(black_box(Failure::Lost)),
        Event::Failed(black_box(Failure::InStream(error))),
        Event::Cancelled,
    ];
    for event in events {
        let _said = black_box(alone.handle(&mut limiter, now(), event));
        black_box(alone.explain(&limiter, now()));
        let mut pools = [&mut limiter, &mut outer];
        let _said = black_box(in_two.handle(&mut pools, now(), event));
        black_box(in_two.explain(&pools, now()));
    }
    limiter.rebase(now());
    limiter.close(now(), black_box(Some(now())));
    limiter.reopen();
    Some(())
}
