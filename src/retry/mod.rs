//! Layer 1, when to try again: one thought a file.
//!
//! What an attempt's end was: `classify`, `message`. How long to wait:
//! `schedule`, `jitter`, `sdk`, `pushback`, and `policy`, which chooses among
//! them. What all calls share: `budget`, `breaker`, `throttle`, `cubic`, and
//! `guard`, which holds the four for a limiter; they count in `window`s. What
//! others do: `presets`, `tiers`.
//!
//! In comes how often an attempt failed and how; out goes a span, an instant or
//! a [`Class`](crate::Class). Nothing here knows a limiter or a pool.

mod breaker;
mod budget;
mod classify;
mod cubic;
mod guard;
mod jitter;
mod message;
mod policy;
mod presets;
mod pushback;
mod schedule;
mod sdk;
mod throttle;
mod tiers;
mod window;

pub use breaker::Breaker;
pub use budget::{ActiveBudget, Budget, HalfBudget, RatioBudget, RetryGrant, TokenBudget};
pub use classify::{Phase, classify};
pub use cubic::CubicRate;
pub(crate) use guard::{Guard, Receipt};
pub use jitter::Jitter;
pub use message::{LimitKind, LimitMessage};
pub use policy::{ClassRule, PolicyDelays, RetryPolicy, ServerWait};
pub(crate) use policy::{Failed, RETRIED, place};
pub use presets::{LowWater, SlidingMinute};
pub use pushback::Pushback;
pub use schedule::{Backoff, Delays};
pub use sdk::Sdk;
pub use throttle::ClientThrottle;
pub use tiers::{Tier, TierLimits, UnknownModel};

/// For properties: ten thousand cases, or more where `PROPTEST_CASES` says so.
#[cfg(test)]
pub(crate) fn ten_thousand_cases() -> proptest::prelude::ProptestConfig {
    let default = proptest::prelude::ProptestConfig::default();
    proptest::prelude::ProptestConfig {
        cases: default.cases.max(10_000),
        ..default
    }
}
