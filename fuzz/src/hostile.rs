//! Bytes as what a caller and a server may say: small and likely in most cases,
//! at the ends of their ranges in some.

use core::time::Duration;

use sendwhen::{
    Backoff, Breaker, Budget, ClientThrottle, Cost, Dimension, ErrorDetails, Failure, Family,
    Instant, Limiter, Meter, Rate, Reset, ResetGiven, RetryPolicy, ServerHints, TokenBudget,
    UnixTime, Usage,
};

/// Takes bytes one by one; zeros where there are none left.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// What is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// Below 192 itself, above that any power of two, less one, up to the end.
    pub fn amount(&mut self) -> u64 {
        match self.byte() {
            small @ 0..192 => small.into(),
            large => u64::MAX >> (255 - large),
        }
    }

    /// From nothing to the end of the clock, rarely round.
    pub fn span(&mut self) -> Duration {
        let (mantissa, places) = (u64::from(self.byte()), u32::from(self.byte() % 64));
        Duration::from_nanos(mantissa.checked_shl(places).unwrap_or(u64::MAX))
    }

    pub fn cost(&mut self) -> Cost {
        let dimension = |byte: u8| Dimension::ALL[usize::from(byte) % Dimension::COUNT];
        let flags = self.byte();
        let mut cost = Cost::ZERO.with(Dimension::Requests, u64::from(flags & 1));
        if flags & 2 != 0 {
            cost = cost.with(Dimension::InputTokens, self.amount());
        }
        if flags & 4 != 0 {
            cost = cost.with(Dimension::OutputTokens, self.amount());
        }
        if flags & 8 != 0 {
            cost = cost.with(dimension(self.byte()), self.amount());
        }
        cost
    }

    pub fn usage(&mut self) -> Usage {
        let usage = Usage::new(self.amount(), self.amount());
        match self.byte() {
            byte if byte & 1 == 0 => usage,
            _ => usage.cache(self.amount(), self.amount()),
        }
    }

    fn meter(&mut self) -> Meter {
        let (flags, which) = (self.byte(), self.byte());
        let dimension = Dimension::ALL[usize::from(which) % Dimension::COUNT];
        let family = if which & 0x80 == 0 {
            Family::Standard
        } else {
            Family::Overage
        };
        let mut meter = Meter::new(family, dimension);
        if flags & 1 != 0 {
            meter = meter.limit(self.amount());
        }
        if flags & 2 != 0 {
            let shown = i64::try_from(self.amount()).unwrap_or(i64::MIN);
            meter = meter.remaining(shown, u32::from(self.byte()).pow(4));
        }
        if flags & 4 != 0 {
            let millis = i64::try_from(self.amount()).unwrap_or(i64::MIN);
            let millis = millis.saturating_sub(96);
            let given = if flags & 8 == 0 {
                ResetGiven::In { millis }
            } else {
                ResetGiven::At(UnixTime::from_millis(millis))
            };
            meter.reset = Some(Reset::new(given, Some(UnixTime::from_millis(0))));
        }
        if flags & 16 != 0 {
            meter = meter.window(self.span());
        }
        meter
    }

    pub fn hints(&mut self) -> ServerHints {
        let flags = self.byte();
        let mut hints = ServerHints::NONE;
        for _ in 0..flags & 3 {
            hints = hints.with_meter(self.meter());
        }
        if flags & 4 != 0 {
            hints = hints.with_retry_after(self.span());
        }
        if flags & 8 != 0 {
            let millis = i64::try_from(self.amount()).unwrap_or(i64::MIN);
            hints.date = Some(UnixTime::from_millis(millis));
        }
        if flags & 16 != 0 {
            hints.should_retry = Some(flags & 32 != 0);
        }
        hints
    }

    pub fn status(&mut self) -> u16 {
        match self.byte() {
            0..96 => 200,
            96..144 => 429,
            144..160 => 529,
            160..176 => 500,
            176..192 => 503,
            other => u16::from(other) * 3,
        }
    }

    pub fn error(&mut self) -> ErrorDetails<'static> {
        match self.byte() {
            0..192 => ErrorDetails::NONE,
            192..208 => ErrorDetails::new("overloaded_error"),
            208..224 => ErrorDetails::new("rate_limit_error").delay(self.span()),
            224..240 => ErrorDetails::new("billing_error"),
            _ => ErrorDetails::new("rate_limit_error").message(
                "This request would exceed your organization's rate limit of \
                 30,000 input tokens per minute",
            ),
        }
    }

    pub fn failure(&mut self) -> Failure<'static> {
        match self.byte() % 4 {
            0 => Failure::NotSent,
            1 => Failure::TimedOut,
            2 => Failure::Lost,
            _ => Failure::InStream(self.error()),
        }
    }

    /// Settings of any kind; those that are refused are not made.
    pub fn limiter(&mut self) -> Limiter {
        let flags = self.byte();
        let mut limiter = Limiter::new(u64::from(flags));
        let dimensions = [
            Dimension::Requests,
            Dimension::InputTokens,
            Dimension::OutputTokens,
        ];
        for (place, dimension) in dimensions.into_iter().enumerate() {
            if flags & (1 << place) != 0 {
                let rate = Rate::per(self.amount(), self.span());
                let burst = self.amount();
                if let Ok(rate) = rate {
                    limiter = limiter
                        .clone()
                        .limit(dimension, rate, burst)
                        .unwrap_or(limiter);
                }
            }
        }
        if flags & 8 != 0 {
            let cap = u32::from(self.byte());
            limiter = limiter.clone().in_flight(cap).unwrap_or(limiter);
        }
        if flags & 16 != 0 {
            let first = u32::from(self.byte());
            limiter = limiter.clone().initial_window(first).unwrap_or(limiter);
        }
        if flags & 32 != 0 {
            limiter = limiter
                .clone()
                .permit_lifetime(self.span())
                .unwrap_or(limiter);
        }
        if flags & 64 != 0 {
            limiter = limiter.retry(self.policy());
        }
        limiter.learn_limits(flags & 128 == 0)
    }

    fn policy(&mut self) -> RetryPolicy {
        let flags = self.byte();
        let policy = match flags & 7 {
            1 => RetryPolicy::AWS_ADAPTIVE,
            2 => RetryPolicy::GRPC,
            3 => RetryPolicy::RETRY_AFTER_AND_A_QUARTER,
            _ => RetryPolicy::new(),
        };
        let mut policy = policy.attempts(u32::from(self.byte())).unwrap_or(policy);
        let asked = (flags & 8 != 0).then(|| Backoff::exponential(self.span(), self.span()));
        if let Some(Ok(backoff)) = asked {
            policy = policy.backoff(backoff);
        }
        let asked =
            (flags & 16 != 0).then(|| Breaker::after_run(u32::from(self.byte()), self.span()));
        if let Some(Ok(breaker)) = asked {
            policy = policy.breaker(breaker);
        }
        let asked =
            (flags & 32 != 0).then(|| TokenBudget::new(self.byte().into(), self.byte().into()));
        if let Some(Ok(budget)) = asked {
            policy = policy.budget(Budget::Tokens(budget));
        }
        let asked = (flags & 64 != 0)
            .then(|| ClientThrottle::new(u32::from(self.byte()) * 20, self.span()));
        if let Some(Ok(throttle)) = asked {
            policy = policy.throttle(throttle);
        }
        policy.verbatim(flags & 128 != 0)
    }
}

/// The nanosecond before, if there is one.
pub const fn just_before(at: Instant) -> Instant {
    Instant::from_nanos(at.as_nanos().saturating_sub(1))
}
