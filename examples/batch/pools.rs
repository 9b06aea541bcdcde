//! The scheduler that the batch runs on: one pool for each model.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use sendwhen::{
    ConfigError, Dimension, Limiter, PoolId, Rate, RetryPolicy, RouteId, Scheduler, TenantId,
};

use super::{args::Args, deal::Tenant};

/// A batch is patient: it rather comes late than without an answer.
const ATTEMPTS: u32 = 30;

/// A scheduler with a pool for each model, in the order of preference, and the
/// route over all of them.
pub(crate) fn scheduler(
    args: &Args,
    tenants: &[Tenant],
) -> Result<(Scheduler, RouteId), ConfigError> {
    let mut scheduler = Scheduler::new(seed());
    let mut pools = Vec::new();
    for _model in args.models() {
        pools.push(scheduler.add_pool(limiter(args)?));
    }
    let alternatives: Vec<&[PoolId]> = pools.chunks(1).collect();
    let route = scheduler.add_route(&alternatives)?;
    scheduler.set_patience(route, Duration::from_secs(args.patience.into()));
    for (tenant, number) in tenants.iter().zip(0..) {
        scheduler.set_weight(TenantId::new(number), tenant.weight);
    }
    Ok((scheduler, route))
}

/// The limits of one model, as far as they are known; the others are learnt.
fn limiter(args: &Args) -> Result<Limiter, ConfigError> {
    let mut limiter = Limiter::new(seed())
        .retry(RetryPolicy::new().attempts(ATTEMPTS)?)
        .in_flight(args.concurrency)?;
    let known = args.limits();
    let limits = [
        (Dimension::Requests, known.requests),
        (Dimension::InputTokens, known.input_tokens),
        (Dimension::OutputTokens, known.output_tokens),
    ];
    for (dimension, limit) in limits {
        if let Some(limit) = limit {
            limiter = limiter.limit(dimension, Rate::per_minute(limit)?, limit)?;
        }
    }
    Ok(limiter)
}

/// Another each time, so that two clients do not wait in step.
fn seed() -> u64 {
    RandomState::new().hash_one(0)
}
