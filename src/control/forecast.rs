//! What a request will take, from what those like it took.

use crate::{
    request::{Profile, Request, Usage},
    units::Cost,
};

/// Learns per profile how far estimates are off and how much output there is.
///
/// Input is a ratio of fading sums, actual over estimated: a mean of ratios
/// would give each small request the weight of a large one. Output is a fading
/// mean, never more than what the request allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Forecast {
    profiles: [Past; Profile::COUNT],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Past {
    /// How many were learnt from, up to [`MEMORY`].
    seen: u64,
    /// Mean output, in 256ths of a token.
    output: u64,
    counted: Ratio,
    raw: Ratio,
}

/// How many requests back the past reaches: new ones weigh 1/32.
const MEMORY: u64 = 32;

impl Forecast {
    pub(crate) const fn new() -> Self {
        Self {
            profiles: [Past {
                seen: 0,
                output: 0,
                counted: Ratio::ONE,
                raw: Ratio::ONE,
            }; Profile::COUNT],
        }
    }

    /// What `request` will take. Before anything is known: its estimates, and
    /// half of the output that it allows.
    pub(crate) fn of(&self, request: &Request) -> Cost {
        let Some(past) = self.profiles.get(request.profile.index()) else {
            return Cost::request();
        };
        let known = past.output.div_ceil(256);
        let output = if past.seen < FEW {
            // The first answers to come back are the short ones.
            known.max(unknown(request))
        } else {
            known
        };
        let output = output.min(request.max_tokens);
        let (counted, raw) = estimates(request);
        request.cost(past.counted.of(counted), past.raw.of(raw), output)
    }

    /// `request` took `usage`.
    pub(crate) fn learn(&mut self, request: &Request, usage: &Usage) {
        let Some(past) = self.profiles.get_mut(request.profile.index()) else {
            return;
        };
        past.seen = past.seen.saturating_add(1).min(MEMORY);
        let new = usage.output_tokens.saturating_mul(256);
        past.output = if new >= past.output {
            let step = new.abs_diff(past.output).checked_div(past.seen);
            past.output.saturating_add(step.unwrap_or_default())
        } else {
            let step = past.output.abs_diff(new).checked_div(past.seen);
            past.output.saturating_sub(step.unwrap_or_default())
        };
        let (counted, raw) = estimates(request);
        past.counted.learn(counted, usage.counted_input());
        past.raw.learn(raw, usage.raw_input());
    }
}

/// Output of which nothing is known: half of what is allowed, and no more than
/// most answers have.
fn unknown(request: &Request) -> u64 {
    request.max_tokens.div_ceil(2).min(2_048)
}

/// So many answers say too little of the mean.
const FEW: u64 = 8;

/// The caller's estimates of counted and raw input, at least 1 each: with an
/// estimate of one for all, what is learnt is the mean.
fn estimates(request: &Request) -> (u64, u64) {
    let counted = request.input_tokens.saturating_sub(request.cached_tokens);
    (counted.max(1), request.input_tokens.max(1))
}

/// Actual over estimated, of fading sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ratio {
    actual: u64,
    estimated: u64,
    /// Their quotient, in 2^-32, so that asking needs no division.
    quotient: u64,
}

impl Ratio {
    const ONE: Self = Self {
        actual: 0,
        estimated: 0,
        quotient: 1 << 32,
    };

    /// `estimate`, corrected; rounded up, saturating.
    fn of(&self, estimate: u64) -> u64 {
        let wide = u128::from(estimate).saturating_mul(u128::from(self.quotient));
        u64::try_from(wide.div_ceil(1 << 32)).unwrap_or(u64::MAX)
    }

    fn learn(&mut self, estimate: u64, actual: u64) {
        let fade = |sum: u64, new: u64| {
            let gone = sum.checked_div(MEMORY).unwrap_or_default();
            sum.saturating_sub(gone).saturating_add(new)
        };
        self.actual = fade(self.actual, actual);
        self.estimated = fade(self.estimated, estimate);
        let wide = u128::from(self.actual).wrapping_shl(32);
        let quotient = wide.checked_div(u128::from(self.estimated));
        self.quotient = quotient
            .and_then(|q| u64::try_from(q).ok())
            .unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Dimension::{InputTokens, OutputTokens, RawInputTokens};

    #[test]
    fn nothing_known_gives_the_estimates_and_half_of_the_output() {
        let request = Request::new()
            .input_tokens(1_000)
            .cached_tokens(400)
            .max_tokens(301);
        let cost = Forecast::new().of(&request);
        assert_eq!(cost.get(InputTokens), 600);
        assert_eq!(cost.get(RawInputTokens), 1_000);
        assert_eq!(cost.get(OutputTokens), 151);
    }

    #[test]
    fn the_first_answer_sets_what_is_expected() {
        let mut forecast = Forecast::new();
        let request = Request::new().input_tokens(1_000).max_tokens(8_000);
        forecast.learn(&request, &Usage::new(300, 500).cache(100, 3_600));
        let cost = forecast.of(&request.input_tokens(500));
        assert_eq!(cost.get(InputTokens), 200);
        assert_eq!(cost.get(RawInputTokens), 2_000);
        let other = request.profile(Profile::new(3));
        assert_eq!(forecast.of(&other).get(OutputTokens), 2_048);
    }

    #[test]
    fn a_few_answers_only_raise_what_is_expected() {
        let mut forecast = Forecast::new();
        let request = Request::new().max_tokens(1_000);
        for answers in 1..=FEW {
            let expected = if answers == 1 {
                500
            } else {
                forecast.of(&request).get(OutputTokens)
            };
            assert_eq!(expected, 500, "{answers}");
            forecast.learn(&request, &Usage::new(1, 30));
        }
        assert_eq!(forecast.of(&request).get(OutputTokens), 30);
    }

    #[test]
    fn output_is_never_more_than_allowed() {
        let mut forecast = Forecast::new();
        let request = Request::new().max_tokens(8_000);
        forecast.learn(&request, &Usage::new(1, 7_000));
        assert_eq!(forecast.of(&request.max_tokens(64)).get(OutputTokens), 64);
    }

    #[test]
    fn without_an_estimate_the_mean_is_learnt() {
        let mut forecast = Forecast::new();
        for tokens in [100, 300, 200] {
            forecast.learn(&Request::new(), &Usage::new(tokens, 1));
        }
        let mean = forecast.of(&Request::new()).get(InputTokens);
        assert!((195..=205).contains(&mean), "{mean}");
    }

    #[test]
    fn it_follows_a_drift_within_a_hundred() {
        let mut forecast = Forecast::new();
        let request = Request::new().max_tokens(8_000);
        for output in [200, 1_000] {
            for _ in 0..120 {
                forecast.learn(&request, &Usage::new(1, output));
            }
            let mean = forecast.of(&request).get(OutputTokens);
            assert!(mean.abs_diff(output) <= output / 20, "{mean} for {output}");
        }
    }

    #[test]
    fn the_largest_numbers_are_borne() {
        let mut forecast = Forecast::new();
        let request = Request::new().input_tokens(u64::MAX).max_tokens(u64::MAX);
        for _ in 0..100 {
            forecast.learn(
                &request,
                &Usage::new(u64::MAX, u64::MAX).cache(u64::MAX, u64::MAX),
            );
            forecast.learn(&Request::new(), &Usage::new(u64::MAX, u64::MAX));
        }
        let _cost = forecast.of(&request);
    }
}
