//! The limits of the models, what was taken of them, and the least time in which
//! that can be had.

use std::time::Duration;

use sendwhen::Usage;

/// What may be taken each minute, where it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) requests: Option<u64>,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
}

/// What was taken, as the limits count it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    /// What was read from the cache is not in it.
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

impl Limits {
    /// These limits, and `others` where one is not known.
    pub(crate) const fn or(self, others: Self) -> Self {
        const fn or(one: Option<u64>, other: Option<u64>) -> Option<u64> {
            if one.is_some() { one } else { other }
        }
        Self {
            requests: or(self.requests, others.requests),
            input_tokens: or(self.input_tokens, others.input_tokens),
            output_tokens: or(self.output_tokens, others.output_tokens),
        }
    }

    /// What two pools let pass together.
    pub(crate) fn and(self, other: Self) -> Self {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        Self {
            requests: sum(self.requests, other.requests),
            input_tokens: sum(self.input_tokens, other.input_tokens),
            output_tokens: sum(self.output_tokens, other.output_tokens),
        }
    }

    /// The least time in which `totals` can be had from buckets that are full
    /// at first: what goes beyond them must come in, in each dimension.
    pub(crate) fn least_time(&self, totals: &Totals) -> Duration {
        let spans = [
            (self.requests, totals.requests),
            (self.input_tokens, totals.input_tokens),
            (self.output_tokens, totals.output_tokens),
        ]
        .map(|(limit, total)| {
            let beyond = u128::from(total.saturating_sub(limit?));
            let nanos = beyond
                .saturating_mul(60_000_000_000)
                .checked_div(u128::from(limit?))?;
            Some(Duration::from_nanos(
                u64::try_from(nanos).unwrap_or(u64::MAX),
            ))
        });
        spans.into_iter().flatten().max().unwrap_or_default()
    }
}

impl Totals {
    /// One more request was answered, and took so much.
    pub(crate) const fn add(&mut self, usage: &Usage) {
        self.requests = self.requests.saturating_add(1);
        self.input_tokens = self.input_tokens.saturating_add(usage.counted_input());
        self.output_tokens = self.output_tokens.saturating_add(usage.output_tokens);
    }
}
