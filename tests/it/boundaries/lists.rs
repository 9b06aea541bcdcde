//! The signatures of all verbs that take values and give them.

use std::time::Duration;

use sendwhen::*;

use super::{
    Backoff, ErrorDetails, Of, SlidingLog,
    world::{Answer, World},
};

/// What makes something of values.
macro_rules! make {
    ($world:ident, $($made:ident::$verb:ident($($name:ident: $value:ty),*);)+) => {$(
        $world.verb(
            concat!(stringify!($made), "::", stringify!($verb)),
            |$($name: $value),*| $made::$verb($($name),*),
        );
    )+};
}

/// What changes nothing.
macro_rules! ask {
    ($world:ident, $($asked:ident::$verb:ident($($name:ident: $value:ty),*);)+) => {$(
        $world.verb(
            concat!(stringify!($asked), "::", stringify!($verb)),
            |this: $asked $(, $name: $value)*| this.$verb($($name),*),
        );
    )+};
}

/// What changes what it is asked of, but where it refuses.
macro_rules! tell {
    ($world:ident, $($told:ident::$verb:ident($($name:ident: $value:ty),*);)+) => {$(
        $world.verb(
            concat!(stringify!($told), "::", stringify!($verb)),
            |mut this: $told $(, $name: $value)*| {
                let before = this;
                let answer = this.$verb($($name),*);
                assert!(!answer.refuses() || this == before, "a refusal changes nothing");
                (this, answer)
            },
        );
    )+};
}

/// What changes a limiter, whose clock goes on even where it refuses.
macro_rules! turn {
    ($world:ident, $($told:ident::$verb:ident($($name:ident: $value:ty),*);)+) => {$(
        $world.verb(
            concat!(stringify!($told), "::", stringify!($verb)),
            |mut this: $told $(, $name: $value)*| {
                let answer = this.$verb($($name),*);
                (this, answer)
            },
        );
    )+};
}

/// What each limit does as one of several.
macro_rules! limit {
    ($world:ident, $($limit:ident($amount:ty);)+) => {$(
        $world.verb(
            concat!("Limit for ", stringify!($limit)),
            |mut this: $limit, now: Instant, amount: $amount, back: $amount| {
                let before = this;
                let peeked = Limit::peek(&this, now, amount);
                assert_eq!(this.leaves(), 1);
                match Limit::try_acquire(&mut this, now, amount) {
                    Ok(mut charge) => {
                        assert_eq!(peeked, Ok(()));
                        Limit::refund(&mut this, now, &mut charge, back);
                    }
                    Err(blocked) => {
                        assert_eq!((peeked, this), (Err(blocked), before));
                        let mut charge = Limit::charge(&mut this, now, amount);
                        Limit::refund(&mut this, now, &mut charge, back);
                    }
                }
                (this, peeked)
            },
        );
    )+};
}

pub(super) fn all(world: &mut World) {
    make! { world,
        ActiveBudget::new(a: u32, b: u32, c: Duration);
        AdaptiveInFlight::new(a: u32, b: u32, c: u32, d: Duration);
        Backoff::constant(a: Duration);
        Backoff::exponential(a: Duration, b: Duration);
        Backoff::fibonacci(a: Duration, b: Duration);
        Backoff::linear(a: Duration, b: Duration, c: Duration);
        Backoff::polynomial(a: Duration, b: u32, c: Duration);
        Blocked::alone(a: Refusal);
        Breaker::after_run(a: u32, b: Duration);
        Breaker::after_share(a: u16, b: u32, c: Duration, d: Duration);
        ClientThrottle::new(a: u32, b: Duration);
        Control::new();
        Cost::request();
        CubicRate::new();
        CubicRate::recovers_in(a: u64);
        FixedWindow::new(a: u64, b: Duration);
        HalfBudget::new(a: u32, b: u32);
        HeaderParser::new();
        InFlight::new(a: u32, b: Duration);
        Instant::from_millis(a: u64);
        Instant::from_nanos(a: u64);
        Instant::from_secs(a: u64);
        Limiter::new(a: u64);
        LowWater::new(a: u64, b: Duration);
        Meter::new(a: Family, b: Dimension);
        Meter::of(a: Family, b: Unit);
        Pause::new();
        Profile::new(a: u8);
        Quota::new(a: u64, b: Duration);
        Quota::shares(a: Duration);
        Rate::per(a: u64, b: Duration);
        Rate::per_minute(a: u64);
        Rate::per_second(a: u64);
        RatioBudget::new(a: u32, b: u32, c: Duration);
        Request::new();
        Reset::new(a: ResetGiven, b: Option<UnixTime>);
        RetryPolicy::new();
        SlidingCounter::new(a: u64, b: Duration);
        SmoothRamp::new(a: u64, b: u64, c: u64, d: Duration, e: u64);
        Spacing::new(a: Rate);
        SpreadPause::new(a: Duration, b: u64);
        StepRamp::new(a: u64, b: u64, c: u64, d: Duration);
        TenantId::new(a: u32);
        TokenBucket::four_fifths_of(a: u64);
        TokenBucket::new(a: Rate, b: u64);
        TokenBucket::strict(a: u64, b: Duration, c: u64);
        TokenBudget::new(a: u32, b: u32);
        UnixTime::from_millis(a: i64);
        UnixTime::from_secs(a: i64);
        Usage::new(a: u64, b: u64);
    }
    ask! { world,
        AdaptiveInFlight::cap();
        AdaptiveInFlight::peek(a: Instant);
        AdaptiveInFlight::taken(a: Instant);
        Backoff::at_most(a: Duration);
        Backoff::band(a: u32, b: Duration);
        Backoff::ceiling(a: u32);
        Backoff::delay(a: u32, b: Duration, c: u64);
        Backoff::factor_per_mille(a: u32);
        Backoff::jitter(a: Jitter);
        Bounds::calls(a: usize);
        Bounds::cost(a: Duration);
        Breaker::earliest(a: Instant);
        Breaker::is_closed();
        Breaker::or_after_run(a: u32);
        Breaker::peek(a: Instant);
        Breaker::probe_for(a: Duration);
        Cause::is_shared();
        Charge::amount();
        Class::as_str();
        Class::is_retryable();
        ClassRule::cost(a: u32);
        ClassRule::retries(a: u32);
        ClientThrottle::odds(a: Instant);
        Control::detect_outages(a: bool);
        Control::hold_back_surprises(a: bool);
        Control::learn_from_refusals(a: bool);
        Control::output_rule(a: OutputRule);
        Control::patience(a: Duration);
        Control::share_with_others(a: bool);
        Control::tenths_of_deviations(a: u16);
        Control::unheard(a: u32);
        Cost::get(a: Dimension);
        Cost::with(a: Dimension, b: u64);
        CubicRate::peek(a: Instant);
        CubicRate::per_second_nano();
        Dialect::as_str();
        Dialect::refuses_under_success();
        Dimension::index();
        ErrorDetails::delay(a: Duration);
        Family::as_str();
        FixedWindow::aligned_to(a: Instant);
        FixedWindow::aligned_to_epoch(a: Instant, b: UnixTime);
        FixedWindow::peek(a: Instant, b: u64);
        FixedWindow::resets(a: Instant);
        FixedWindow::used(a: Instant);
        HalfBudget::allows();
        HeaderParser::bare_resets(a: BareReset);
        HeaderParser::dialect(a: Dialect);
        HeaderParser::finish();
        HeaderParser::received(a: UnixTime);
        HeaderParser::wait_rule(a: WaitRule);
        InFlight::peek(a: Instant);
        InFlight::taken(a: Instant);
        Instant::as_nanos();
        Instant::checked_add(a: Duration);
        Instant::checked_duration_since(a: Instant);
        Instant::saturating_add(a: Duration);
        Instant::saturating_duration_since(a: Instant);
        Instant::saturating_sub(a: Duration);
        Level::held();
        Level::needed();
        Limiter::control(a: Control);
        Limiter::family(a: Family);
        Limiter::flying(a: Instant);
        Limiter::in_flight(a: u32);
        Limiter::initial_window(a: u32);
        Limiter::learn_limits(a: bool);
        Limiter::level(a: Instant, b: Dimension);
        Limiter::limit(a: Dimension, b: Rate, c: u64);
        Limiter::opened();
        Limiter::paused_until(a: Instant);
        Limiter::permit_lifetime(a: Duration);
        Limiter::retry(a: RetryPolicy);
        LogCharge::amount();
        Meter::dimension();
        Meter::limit(a: u64);
        Meter::remaining(a: i64, b: u32);
        Meter::window(a: Duration);
        Meters::find(a: Family, b: Unit);
        Meters::get(a: Family, b: Dimension);
        Meters::is_empty();
        Meters::len();
        OverageDisabled::as_str();
        Pause::peek(a: Instant);
        Phase::is_replay_safe();
        Problems::contains(a: Problems);
        Problems::is_empty();
        Profile::index();
        Pushback::hints(a: ServerHints);
        Quota::aligned_to(a: Instant);
        Quota::aligned_to_epoch(a: Instant, b: UnixTime);
        Quota::limit();
        Quota::paced(a: u64);
        Quota::peek(a: Instant, b: u64);
        Quota::resets(a: Instant);
        Quota::spent(a: Instant);
        Quota::utilisation(a: Instant);
        QuotaCharge::amount();
        RampCharge::amount();
        Rate::count();
        Rate::in_span(a: Duration);
        Rate::period();
        Remaining::at_least();
        Remaining::at_most();
        Request::cached_tokens(a: u64);
        Request::input_tokens(a: u64);
        Request::max_tokens(a: u64);
        Request::profile(a: Profile);
        Request::start_by(a: Instant);
        Reservation::at();
        Reservation::charge();
        RetryPolicy::adaptive(a: bool);
        RetryPolicy::attempts(a: u32);
        RetryPolicy::breaker(a: Breaker);
        RetryPolicy::budget(a: Budget);
        RetryPolicy::class(a: Class, b: ClassRule);
        RetryPolicy::delay(a: Class, b: u32, c: Duration, d: Option<Duration>, e: u64);
        RetryPolicy::longest_wait(a: Duration);
        RetryPolicy::sdk(a: Sdk);
        RetryPolicy::server_wait(a: ServerWait);
        RetryPolicy::throttle(a: ClientThrottle);
        RetryPolicy::total(a: Duration);
        RetryPolicy::verbatim(a: bool);
        Sdk::accepts(a: Duration);
        Sdk::band(a: u32);
        Sdk::delay(a: u32, b: Option<Duration>, c: u64);
        Sdk::retries(a: u16, b: Option<bool>);
        ServerHints::spent_until_ms();
        ServerHints::with_meter(a: Meter);
        ServerHints::with_retry_after(a: Duration);
        SlidingCounter::aligned_to(a: Instant);
        SlidingCounter::aligned_to_epoch(a: Instant, b: UnixTime);
        SlidingCounter::peek(a: Instant, b: u64);
        SlidingCounter::used(a: Instant);
        SlidingLog::peek(a: Instant, b: u64);
        SlidingLog::used(a: Instant);
        SmoothRamp::available(a: Instant);
        SmoothRamp::peek(a: Instant, b: u64);
        SmoothRamp::rate(a: Instant);
        Spacing::peek(a: Instant, b: u64);
        Spacing::rate();
        SpacingCharge::amount();
        SpreadPause::of(a: u64);
        Status::as_str();
        Status::refuses();
        StepRamp::aligned_to(a: Instant);
        StepRamp::aligned_to_epoch(a: Instant, b: UnixTime);
        StepRamp::allowed(a: Instant);
        StepRamp::peek(a: Instant, b: u64);
        StepRamp::used(a: Instant);
        TenantId::number();
        Tier::batches();
        Tier::dollars_per_month();
        Tier::token_counts_per_minute();
        TokenBucket::available(a: Instant);
        TokenBucket::burst();
        TokenBucket::debt(a: Instant);
        TokenBucket::peek(a: Instant, b: u64);
        TokenBucket::rate();
        TokenBudget::level();
        Turn::at();
        Turn::charge();
        Unit::as_str();
        Unit::dimension();
        UnixTime::as_millis();
        UnixTime::millis_since(a: UnixTime);
        Usage::cache(a: u64, b: u64);
        Usage::counted_input();
        Usage::max(a: Usage);
        Usage::raw_input();
        WindowCharge::amount();
    }
    tell! { world,
        ActiveBudget::try_retry(a: Instant, b: u32);
        Breaker::ended(a: Instant, b: u64, c: bool);
        Breaker::forgotten(a: Instant, b: u64);
        Breaker::sent(a: Instant, b: u64);
        ClientThrottle::accepted(a: Instant);
        ClientThrottle::admits(a: Instant, b: u64);
        CubicRate::answered(a: Instant, b: bool);
        CubicRate::try_acquire(a: Instant);
        FixedWindow::charge(a: Instant, b: u64);
        FixedWindow::try_acquire(a: Instant, b: u64);
        HalfBudget::failed();
        HalfBudget::succeeded();
        InFlight::set(a: u32);
        Pause::lift();
        Pause::until(a: Instant);
        Quota::charge(a: Instant, b: u64);
        Quota::observe(a: u64, b: Instant);
        Quota::try_acquire(a: Instant, b: u64);
        RatioBudget::request(a: Instant);
        RatioBudget::try_retry(a: Instant);
        SlidingCounter::charge(a: Instant, b: u64);
        SlidingCounter::try_acquire(a: Instant, b: u64);
        SlidingLog::charge(a: Instant, b: u64);
        SlidingLog::try_acquire(a: Instant, b: u64);
        SmoothRamp::charge(a: Instant, b: u64);
        SmoothRamp::try_acquire(a: Instant, b: u64);
        Spacing::charge(a: Instant, b: u64);
        Spacing::reserve(a: Instant, b: u64, c: Duration);
        Spacing::try_acquire(a: Instant, b: u64);
        SpreadPause::lift();
        SpreadPause::until(a: Instant);
        StepRamp::charge(a: Instant, b: u64);
        StepRamp::try_acquire(a: Instant, b: u64);
        TokenBucket::acquire_up_to(a: Instant, b: u64);
        TokenBucket::charge(a: Instant, b: u64);
        TokenBucket::reserve(a: Instant, b: u64, c: Duration);
        TokenBucket::set(a: Instant, b: Rate, c: u64);
        TokenBucket::try_acquire(a: Instant, b: u64);
        TokenBudget::succeeded(a: u32);
        TokenBudget::try_spend(a: u32);
    }
    turn! { world,
        Limiter::rebase(a: Instant);
        Limiter::reopen();
        Limiter::set_limit(a: Instant, b: Dimension, c: Rate, d: u64);
    }
    limit! { world,
        AdaptiveInFlight(u32);
        FixedWindow(u64);
        InFlight(u32);
        Of(Cost);
        Pause(());
        Quota(u64);
        SlidingCounter(u64);
        SlidingLog(u64);
        SmoothRamp(u64);
        Spacing(u64);
        StepRamp(u64);
        TokenBucket(u64);
    }
    world.verb(
        "Limit for Together",
        |a: TokenBucket, b: Spacing, now: Instant, amount: u64, back: u64| {
            let mut both = Together((a, b));
            let peeked = both.peek(now, amount);
            if let Ok(mut charge) = both.try_acquire(now, amount) {
                both.refund(now, &mut charge, back);
            } else {
                assert_eq!(both, Together((a, b)), "a refusal changes nothing");
            }
            let Together((a, b)) = both;
            (a, b, peeked)
        },
    );
    world.verb(
        "Limit for Borrowed",
        |mut bucket: TokenBucket, now: Instant, amount: u64, back: u64| {
            let mut alone = bucket;
            let mut borrowed = Borrowed(&mut bucket);
            let mut charge = Limit::charge(&mut borrowed, now, amount);
            borrowed.refund(now, &mut charge, back);
            let mut charge = Limit::charge(&mut alone, now, amount);
            Limit::refund(&mut alone, now, &mut charge, back);
            assert_eq!(bucket, alone);
            bucket
        },
    );
}
