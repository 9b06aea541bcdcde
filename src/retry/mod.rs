//! Layer 1, when to try again: schedules, the policy that holds one, and the
//! classifier that says what an attempt's end was.
//!
//! In comes how often an attempt failed and how; out goes a span or a
//! [`Class`](crate::Class). Nothing here knows a limit or a pool.

mod breaker;
mod budget;
mod classify;
mod cubic;
mod guard;
mod jitter;
mod message;
mod policy;
mod presets;
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
pub use presets::LowWater;
pub use schedule::{Backoff, Delays};
pub use sdk::Sdk;
pub use throttle::ClientThrottle;
pub use tiers::{Tier, TierLimits, UnknownModel};

/// For properties: ten thousand cases, or more where `PROPTEST_CASES` says so.
#[cfg(test)]
fn ten_thousand_cases() -> proptest::prelude::ProptestConfig {
    let default = proptest::prelude::ProptestConfig::default();
    proptest::prelude::ProptestConfig {
        cases: default.cases.max(10_000),
        ..default
    }
}
