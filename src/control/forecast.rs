//! What a request will take, from what those like it took.

use crate::{
    request::{Profile, Request, Usage},
    units::{Cost, Dimension},
};

/// Learns per profile how far estimates are off and how much output there is.
///
/// Input is a ratio of fading sums, actual over estimated: a mean of ratios
/// would give each small request the weight of a large one. Output is a fading
/// mean, never more than what the request allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Forecast {
    profiles: [Past; Profile::COUNT],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Past {
    /// How many were learnt from, up to [`MEMORY`].
    seen: u64,
    /// Mean output, in 256ths of a token.
    output: u64,
    errors: Errors,
    counted: Ratio,
    raw: Ratio,
}

/// How far off what one request is expected to take may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Spread {
    /// The variance, in square tokens.
    pub(crate) variance: u64,
    /// What a sum of such is held back beyond its deviations because they are
    /// skewed, in tokens.
    pub(crate) tail: u64,
}

impl Spread {
    /// Exactly known.
    pub(crate) const NONE: Self = Self {
        variance: 0,
        tail: 0,
    };

    /// Of the sum of two amounts that have nothing to do with each other.
    const fn and(self, other: Self) -> Self {
        Self {
            variance: self.variance.saturating_add(other.variance),
            tail: self.tail.saturating_add(other.tail),
        }
    }
}

/// How many requests back the past reaches: new ones weigh 1/32.
const MEMORY: u64 = 32;

impl Forecast {
    pub(crate) const fn new() -> Self {
        Self {
            profiles: [Past {
                seen: 0,
                output: 0,
                errors: Errors::NONE,
                counted: Ratio::ONE,
                raw: Ratio::ONE,
            }; Profile::COUNT],
        }
    }

    /// What `request` will take. Before anything is known: its estimates, and a
    /// quarter of the output that it allows.
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

    /// How far off that may be.
    pub(crate) fn spread(&self, profile: Profile, dimension: Dimension) -> Spread {
        let past = self.profiles.get(profile.index());
        past.map_or(Spread::NONE, |past| match dimension {
            Dimension::InputTokens => past.counted.errors.spread(),
            Dimension::RawInputTokens => past.raw.errors.spread(),
            Dimension::OutputTokens => past.errors.spread(),
            Dimension::TotalTokens => past.raw.errors.spread().and(past.errors.spread()),
            _ => Spread::NONE,
        })
    }

    /// `request` took `usage`.
    pub(crate) fn learn(&mut self, request: &Request, usage: &Usage) {
        let Some(past) = self.profiles.get_mut(request.profile.index()) else {
            return;
        };
        past.seen = past.seen.saturating_add(1).min(MEMORY);
        let expected = past.output.div_ceil(256);
        past.errors.learn(usage.output_tokens, expected, past.seen);
        let new = usage.output_tokens.saturating_mul(256);
        past.output = if new >= past.output {
            let step = new.abs_diff(past.output).checked_div(past.seen);
            past.output.saturating_add(step.unwrap_or_default())
        } else {
            let step = past.output.abs_diff(new).checked_div(past.seen);
            past.output.saturating_sub(step.unwrap_or_default())
        };
        let (counted, raw) = estimates(request);
        past.counted
            .learn(counted, usage.counted_input(), past.seen);
        past.raw.learn(raw, usage.raw_input(), past.seen);
    }
}

/// Output of which nothing is known: a quarter of what is allowed, and no more
/// than most answers have.
fn unknown(request: &Request) -> u64 {
    request.max_tokens.div_ceil(4).min(1_024)
}

/// So many answers say too little of the mean.
const FEW: u64 = 8;

/// The caller's estimates of counted and raw input, at least 1 each: with an
/// estimate of one for all, what is learnt is the mean.
fn estimates(request: &Request) -> (u64, u64) {
    let counted = request.input_tokens.saturating_sub(request.cached_tokens);
    (counted.max(1), request.input_tokens.max(1))
}

/// By how much expectations were missed: fading means of the squares, and of
/// the cubes of what was more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Errors {
    squares: u64,
    cubes: u128,
    /// The tail of the spread, so that asking needs no division.
    tail: u64,
}

impl Errors {
    const NONE: Self = Self {
        squares: 0,
        cubes: 0,
        tail: 0,
    };

    fn learn(&mut self, actual: u64, expected: u64, seen: u64) {
        let missed = u128::from(actual.abs_diff(expected).min(MOST));
        let square = missed.saturating_mul(missed);
        let cube = if actual > expected {
            square.saturating_mul(missed)
        } else {
            0
        };
        let squares = towards(u128::from(self.squares), square, seen);
        self.squares = u64::try_from(squares).unwrap_or(u64::MAX);
        self.cubes = towards(self.cubes, cube, seen);
        // The Cornish-Fisher expansion's (z^2 - 1) / 6 for the 3.5 deviations
        // that are held back, 15/8, times the third moment over the second.
        let tail = over(self.cubes, self.squares).saturating_mul(15) >> 3;
        self.tail = u64::try_from(tail).unwrap_or(u64::MAX);
    }

    const fn spread(&self) -> Spread {
        Spread {
            variance: self.squares,
            tail: self.tail,
        }
    }
}

/// No miss counts for more: its cube fits.
const MOST: u64 = 1 << 31;

/// One part in `seen` of the way from `old` to `new`.
fn towards(old: u128, new: u128, seen: u64) -> u128 {
    let step = over(old.abs_diff(new), seen.max(1));
    if new > old {
        old.saturating_add(step)
    } else {
        old.saturating_sub(step)
    }
}

/// The quotient, rounded down; 0 over nothing. Wide numbers are seldom wide.
fn over(wide: u128, by: u64) -> u128 {
    match u64::try_from(wide) {
        Ok(narrow) => narrow.checked_div(by).unwrap_or_default().into(),
        Err(_) => wide.checked_div(by.into()).unwrap_or_default(),
    }
}

/// Actual over estimated, of fading sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Ratio {
    actual: u64,
    estimated: u64,
    errors: Errors,
    /// Their quotient, in 2^-32, so that asking needs no division.
    quotient: u64,
}

impl Ratio {
    const ONE: Self = Self {
        actual: 0,
        estimated: 0,
        errors: Errors::NONE,
        quotient: 1 << 32,
    };

    /// `estimate`, corrected; rounded up, saturating.
    fn of(&self, estimate: u64) -> u64 {
        let wide = u128::from(estimate).saturating_mul(u128::from(self.quotient));
        u64::try_from(wide.div_ceil(1 << 32)).unwrap_or(u64::MAX)
    }

    fn learn(&mut self, estimate: u64, actual: u64, seen: u64) {
        self.errors.learn(actual, self.of(estimate), seen);
        let fade = |sum: u64, new: u64| {
            let gone = sum.checked_div(MEMORY).unwrap_or_default();
            sum.saturating_sub(gone).saturating_add(new)
        };
        self.actual = fade(self.actual, actual);
        self.estimated = fade(self.estimated, estimate);
        let wide = u128::from(self.actual).wrapping_shl(32);
        self.quotient = if self.estimated == 0 {
            u64::MAX
        } else {
            u64::try_from(over(wide, self.estimated)).unwrap_or(u64::MAX)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Dimension::{InputTokens, OutputTokens, RawInputTokens};

    #[test]
    fn nothing_known_gives_the_estimates_and_a_quarter_of_the_output() {
        let request = Request::new()
            .input_tokens(1_000)
            .cached_tokens(400)
            .max_tokens(301);
        let cost = Forecast::new().of(&request);
        assert_eq!(cost.get(InputTokens), 600);
        assert_eq!(cost.get(RawInputTokens), 1_000);
        assert_eq!(cost.get(OutputTokens), 76);
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
        assert_eq!(forecast.of(&other).get(OutputTokens), 1_024);
    }

    #[test]
    fn a_few_answers_only_raise_what_is_expected() {
        let mut forecast = Forecast::new();
        let request = Request::new().max_tokens(1_000);
        for answers in 1..=FEW {
            let expected = if answers == 1 {
                250
            } else {
                forecast.of(&request).get(OutputTokens)
            };
            assert_eq!(expected, 250, "{answers}");
            forecast.learn(&request, &Usage::new(1, 30));
        }
        assert_eq!(forecast.of(&request).get(OutputTokens), 30);
    }

    #[test]
    fn what_never_varies_has_no_spread() {
        let mut forecast = Forecast::new();
        let request = Request::new().input_tokens(1_000).max_tokens(8_000);
        for _ in 0..400 {
            forecast.learn(&request, &Usage::new(1_000, 500));
        }
        let spread = |dimension| forecast.spread(request.profile, dimension);
        assert_eq!(spread(InputTokens), Spread::NONE);
        assert_eq!(spread(Dimension::Requests), Spread::NONE);
        assert!(spread(OutputTokens).variance < 32);
    }

    #[test]
    fn the_spread_is_that_of_what_was_missed() {
        let mut forecast = Forecast::new();
        let request = Request::new().input_tokens(1_000).max_tokens(8_000);
        for odd in [false, true].into_iter().cycle().take(400) {
            let output = if odd { 400 } else { 600 };
            forecast.learn(&request, &Usage::new(1_000, output));
        }
        // A hundred either way, and no tail: half of the cubes are of what was
        // more, and 15/8 of 100 is what they come to.
        let spread = forecast.spread(request.profile, OutputTokens);
        assert!((9_000..12_000).contains(&spread.variance), "{spread:?}");
        assert!((85..110).contains(&spread.tail), "{spread:?}");
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

    #[test]
    fn the_spread_of_a_sum_is_that_of_its_parts() {
        let mut forecast = Forecast::new();
        let request = Request::new().input_tokens(1_000).max_tokens(8_000);
        for odd in [false, true].into_iter().cycle().take(400) {
            let (output, cached) = if odd { (400, 0) } else { (600, 2_000) };
            forecast.learn(&request, &Usage::new(1_000, output).cache(0, cached));
        }
        let spread = |dimension| forecast.spread(request.profile, dimension);
        assert_eq!(spread(InputTokens), Spread::NONE);
        let (raw, output) = (spread(RawInputTokens), spread(OutputTokens));
        assert!(raw.variance > 500_000, "{raw:?}");
        let sum = spread(Dimension::TotalTokens);
        assert_eq!(sum.variance, raw.variance + output.variance);
        assert_eq!(sum.tail, raw.tail + output.tail);
    }
}
