//! What the Claude API's documents said of its tiers, with the day on which they
//! said it.
//!
//! For those who know only their tier's name. Limits were changed several times
//! a year, models come and go, and an organisation's own limits may differ: the
//! `anthropic-ratelimit-*` fields of any response are right, and a
//! [`Limiter`](crate::Limiter) reads them by itself. Source:
//! platform.claude.com/docs/en/api/rate-limits, as it was on the day named.

use thiserror::Error;

use crate::{
    error::ConfigError,
    units::{Dimension, Rate},
};

/// A usage tier of the Claude API.
///
/// ```
/// use sendwhen::{Tier, TierLimits};
///
/// let limits = TierLimits::of(Tier::Scale, "claude-sonnet-5").unwrap();
/// assert_eq!((limits.requests_per_minute, limits.as_of), (10_000, "2026-08-22"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Tier {
    /// The first of the tiers that were numbered, in January 2026. They were
    /// renamed between April and July of that year.
    Tier1,
    /// Spends up to 500 dollars a month.
    Start,
    /// Up to 1 000.
    Build,
    /// Up to 200 000.
    Scale,
}

/// The limits of one model in one tier.
///
/// ```
/// use sendwhen::{Limiter, Tier, TierLimits};
///
/// let limits = TierLimits::of(Tier::Build, "claude-opus-4-5-20251101").unwrap();
/// assert_eq!(limits.requests_per_minute, 5_000);
/// assert_eq!(limits.pool, "Opus 4.x");
///
/// let mut limiter = Limiter::new(42);
/// for (dimension, rate, burst) in limits.rates()? {
///     limiter = limiter.limit(dimension, rate, burst)?;
/// }
///
/// let unknown = TierLimits::of(Tier::Build, "claude-opus-9").unwrap_err();
/// assert!(unknown.to_string().contains("anthropic-ratelimit-"));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TierLimits {
    /// The models that share these limits.
    pub pool: &'static str,
    /// Requests per minute.
    pub requests_per_minute: u64,
    /// Input tokens per minute.
    pub input_tokens_per_minute: u64,
    /// Output tokens per minute.
    pub output_tokens_per_minute: u64,
    /// Whether tokens that are read from the cache count as input.
    pub counts_cache_reads: bool,
    /// The day, or the month, on which this was true: `YYYY-MM[-DD]`.
    pub as_of: &'static str,
}

/// A model that is not in the tables.
///
/// ```
/// use sendwhen::{Tier, TierLimits};
///
/// let unknown = TierLimits::of(Tier::Start, "claude-2").unwrap_err();
/// assert_eq!((unknown.model, unknown.as_of), ("claude-2", "2026-08-22"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "no limits of {model} are known for this tier (as of {as_of}); read them from the \
     anthropic-ratelimit-* fields of any response, as a Limiter does by itself"
)]
#[non_exhaustive]
pub struct UnknownModel<'a> {
    /// The model that was asked for.
    pub model: &'a str,
    /// How old the tier's table is.
    pub as_of: &'static str,
}

/// Pool, the model names in it without their dates, requests, input and output
/// tokens per minute.
type Row = (&'static str, &'static [&'static str], u64, u64, u64);

const FABLE_5: &[&str] = &["claude-fable-5"];
const OPUS_5: &[&str] = &["claude-opus-5"];
const OPUS_4: &[&str] = &[
    "claude-opus-4-8",
    "claude-opus-4-7",
    "claude-opus-4-6",
    "claude-opus-4-5",
];
const SONNET_5: &[&str] = &["claude-sonnet-5"];
const SONNET_4: &[&str] = &["claude-sonnet-4-6", "claude-sonnet-4-5"];
const HAIKU_4_5: &[&str] = &["claude-haiku-4-5"];
const HAIKU_3_5: &[&str] = &["claude-3-5-haiku"];

/// The one pool in which cache reads count.
const COUNTS_CACHE_READS: &str = "Haiku 3.5";

const AUGUST_2026: &str = "2026-08-22";
const JANUARY_2026: &str = "2026-01";

#[rustfmt::skip]
const START: &[Row] = &[
    ("Fable 5",    FABLE_5,   1_000,    500_000,   100_000),
    ("Opus 5",     OPUS_5,    1_000,  2_000_000,   400_000),
    ("Opus 4.x",   OPUS_4,    1_000,  2_000_000,   400_000),
    ("Sonnet 5",   SONNET_5,  1_000,  2_000_000,   400_000),
    ("Sonnet 4.x", SONNET_4,  1_000,  2_000_000,   400_000),
    ("Haiku 4.5",  HAIKU_4_5, 1_000,  2_000_000,   400_000),
    ("Haiku 3.5",  HAIKU_3_5, 1_000,    100_000,    20_000),
];

#[rustfmt::skip]
const BUILD: &[Row] = &[
    ("Fable 5",    FABLE_5,   2_000,  1_500_000,   300_000),
    ("Opus 5",     OPUS_5,    5_000,  5_000_000, 1_000_000),
    ("Opus 4.x",   OPUS_4,    5_000,  5_000_000, 1_000_000),
    ("Sonnet 5",   SONNET_5,  5_000,  5_000_000, 1_000_000),
    ("Sonnet 4.x", SONNET_4,  5_000,  5_000_000, 1_000_000),
    ("Haiku 4.5",  HAIKU_4_5, 5_000,  5_000_000, 1_000_000),
    ("Haiku 3.5",  HAIKU_3_5, 2_000,    200_000,    40_000),
];

#[rustfmt::skip]
const SCALE: &[Row] = &[
    ("Fable 5",    FABLE_5,    4_000,  4_000_000,   800_000),
    ("Opus 5",     OPUS_5,    10_000, 10_000_000, 2_000_000),
    ("Opus 4.x",   OPUS_4,    10_000, 10_000_000, 2_000_000),
    ("Sonnet 5",   SONNET_5,  10_000, 10_000_000, 2_000_000),
    ("Sonnet 4.x", SONNET_4,  10_000, 10_000_000, 2_000_000),
    ("Haiku 4.5",  HAIKU_4_5, 10_000, 10_000_000, 2_000_000),
    ("Haiku 3.5",  HAIKU_3_5,  4_000,    400_000,    80_000),
];

#[rustfmt::skip]
const TIER_1: &[Row] = &[
    ("Opus 4.x",   &["claude-opus-4-5"],   50, 30_000,  8_000),
    ("Sonnet 4.x", &["claude-sonnet-4-5"], 50, 30_000,  8_000),
    ("Haiku 4.5",  HAIKU_4_5,              50, 50_000, 10_000),
];

impl TierLimits {
    /// The limits of `model`, a name with or without its date, in `tier`.
    ///
    /// ```
    /// use sendwhen::{Tier, TierLimits};
    ///
    /// let of = |model| TierLimits::of(Tier::Start, model);
    /// assert_eq!(of("claude-haiku-4-5"), of("claude-haiku-4-5-20251001"));
    /// assert!(of("claude-haiku-4-5-turbo").is_err());
    /// ```
    ///
    /// # Errors
    /// Where the model is not in the table; the error says where its limits are
    /// to be read.
    pub fn of(tier: Tier, model: &str) -> Result<Self, UnknownModel<'_>> {
        let (rows, as_of) = tier.table();
        let is_model = |name: &&str| is_of(model, name);
        let found = rows
            .iter()
            .find(|(_, models, ..)| models.iter().any(is_model));
        let &(pool, _, requests, input, output) = found.ok_or(UnknownModel { model, as_of })?;
        Ok(Self {
            pool,
            requests_per_minute: requests,
            input_tokens_per_minute: input,
            output_tokens_per_minute: output,
            counts_cache_reads: pool == COUNTS_CACHE_READS,
            as_of,
        })
    }

    /// What a [`Limiter`](crate::Limiter) needs: each dimension with its rate
    /// and its burst, which is a minute's worth.
    ///
    /// ```
    /// use sendwhen::{Dimension, Rate, Tier, TierLimits};
    ///
    /// let limits = TierLimits::of(Tier::Start, "claude-opus-5").unwrap();
    /// let [requests, input, _output] = limits.rates()?;
    /// assert_eq!(requests, (Dimension::Requests, Rate::per_minute(1_000)?, 1_000));
    /// assert_eq!(input, (Dimension::InputTokens, Rate::per_minute(2_000_000)?, 2_000_000));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where a field was set to 0 or out of range; those of the tables are not.
    pub const fn rates(&self) -> Result<[(Dimension, Rate, u64); 3], ConfigError> {
        let input = if self.counts_cache_reads {
            Dimension::RawInputTokens
        } else {
            Dimension::InputTokens
        };
        let requests = self.requests_per_minute;
        let (read, written) = (self.input_tokens_per_minute, self.output_tokens_per_minute);
        match (
            Rate::per_minute(requests),
            Rate::per_minute(read),
            Rate::per_minute(written),
        ) {
            (Ok(first), Ok(second), Ok(third)) => Ok([
                (Dimension::Requests, first, requests),
                (input, second, read),
                (Dimension::OutputTokens, third, written),
            ]),
            (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => Err(error),
        }
    }
}

impl Tier {
    /// The most that may be spent in a month, in dollars, on 2026-08-22; `None`
    /// of the tier that was renamed before.
    ///
    /// ```
    /// use sendwhen::Tier;
    ///
    /// assert_eq!(Tier::Start.dollars_per_month(), Some(500));
    /// ```
    pub const fn dollars_per_month(self) -> Option<u64> {
        match self {
            Self::Tier1 => None,
            Self::Start => Some(500),
            Self::Build => Some(1_000),
            Self::Scale => Some(200_000),
        }
    }

    /// How many requests to count tokens there may be in a minute, on
    /// 2026-08-22.
    ///
    /// ```
    /// use sendwhen::Tier;
    ///
    /// assert_eq!(Tier::Scale.token_counts_per_minute(), Some(8_000));
    /// ```
    pub const fn token_counts_per_minute(self) -> Option<u64> {
        match self {
            Self::Tier1 => None,
            Self::Start => Some(2_000),
            Self::Build => Some(4_000),
            Self::Scale => Some(8_000),
        }
    }

    /// How many requests to the batch endpoints there may be in a minute, and
    /// how many requests may wait in batches, on 2026-08-22.
    ///
    /// ```
    /// use sendwhen::Tier;
    ///
    /// assert_eq!(Tier::Build.batches(), Some((2_000, 300_000)));
    /// ```
    pub const fn batches(self) -> Option<(u64, u64)> {
        match self {
            Self::Tier1 => None,
            Self::Start => Some((1_000, 200_000)),
            Self::Build => Some((2_000, 300_000)),
            Self::Scale => Some((4_000, 500_000)),
        }
    }

    const fn table(self) -> (&'static [Row], &'static str) {
        match self {
            Self::Tier1 => (TIER_1, JANUARY_2026),
            Self::Start => (START, AUGUST_2026),
            Self::Build => (BUILD, AUGUST_2026),
            Self::Scale => (SCALE, AUGUST_2026),
        }
    }
}

/// Whether `model` is `name`, with or without a date. What else may follow makes
/// another model of it: `claude-opus-5-5` is not `claude-opus-5`.
fn is_of(model: &str, name: &str) -> bool {
    match model.strip_prefix(name).map(str::as_bytes) {
        Some([]) | Some(b"-latest") => true,
        Some([b'-', date @ ..]) => date.len() == 8 && date.iter().all(u8::is_ascii_digit),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Tier; 4] = [Tier::Tier1, Tier::Start, Tier::Build, Tier::Scale];

    #[test]
    fn a_name_with_or_without_its_date_is_found() {
        let limits = |model| TierLimits::of(Tier::Start, model).map(|limits| limits.pool);
        assert_eq!(limits("claude-sonnet-4-5"), Ok("Sonnet 4.x"));
        assert_eq!(limits("claude-sonnet-4-5-20250929"), Ok("Sonnet 4.x"));
        assert_eq!(limits("claude-3-5-haiku-latest"), Ok("Haiku 3.5"));
        for model in [
            "",
            "claude-opus-5-5",
            "claude-opus-4",
            "claude-sonnet-4-5-2025092",
            "gpt-5",
        ] {
            let unknown = UnknownModel {
                model,
                as_of: AUGUST_2026,
            };
            assert_eq!(limits(model), Err(unknown));
        }
    }

    #[test]
    fn cache_reads_count_in_one_pool_only() {
        let counts = |model| TierLimits::of(Tier::Scale, model).unwrap();
        assert!(counts("claude-3-5-haiku").counts_cache_reads);
        assert_eq!(
            counts("claude-3-5-haiku").rates().unwrap()[1].0,
            Dimension::RawInputTokens
        );
        assert!(!counts("claude-haiku-4-5").counts_cache_reads);
        assert_eq!(
            counts("claude-haiku-4-5").rates().unwrap()[1].0,
            Dimension::InputTokens
        );
    }

    /// No name is in two pools of a tier, and output is a fifth of input or more
    /// nearly so, as it is in the documents.
    #[test]
    fn the_tables_are_consistent() {
        for tier in ALL {
            let (rows, as_of) = tier.table();
            for (pool, models, requests, input, output) in rows {
                for model in *models {
                    let limits = TierLimits::of(tier, model).unwrap();
                    assert_eq!((limits.pool, limits.as_of), (*pool, as_of));
                    assert_eq!(limits.requests_per_minute, *requests);
                    assert!(limits.rates().is_ok());
                }
                assert!((3..=5).contains(&(input / output)), "{pool}");
            }
        }
    }

    #[test]
    fn the_error_says_where_to_look() {
        let text =
            std::string::ToString::to_string(&TierLimits::of(Tier::Tier1, "claude-2").unwrap_err());
        assert!(
            text.contains("claude-2")
                && text.contains("2026-01")
                && text.contains("anthropic-ratelimit-")
        );
    }
}
