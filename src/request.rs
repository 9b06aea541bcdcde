//! What one call wants, and what it turned out to take.

use crate::{
    time::Instant,
    units::{Cost, Dimension},
};

/// A request that is wanted: what is known of it before it is sent.
///
/// Estimates need not be good. The limiter learns per [`profile`](Self::profile)
/// how far they are off.
///
/// ```
/// use sendwhen::{Instant, Request};
///
/// let request = Request::new()
///     .input_tokens(1_800)
///     .max_tokens(1_024)
///     .start_by(Instant::from_secs(90));
/// # let _ = request;
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Request {
    /// Estimated tokens of the whole prompt, those that a cache may serve
    /// included.
    pub input_tokens: u64,
    /// How many of `input_tokens` are expected to be read from the cache.
    pub cached_tokens: u64,
    /// The most output tokens that it may produce.
    pub max_tokens: u64,
    /// What it takes of the caller's own three dimensions.
    pub own: [u64; 3],
    /// Which requests it resembles, for the forecast.
    pub profile: Profile,
    /// The latest instant at which an attempt may start. How long an answer may
    /// take is the transport's timeout.
    pub start_by: Option<Instant>,
}

impl Request {
    /// A request of which nothing is known but that it produces at most 4096
    /// output tokens.
    pub const fn new() -> Self {
        Self {
            input_tokens: 0,
            cached_tokens: 0,
            max_tokens: 4_096,
            own: [0; 3],
            profile: Profile::DEFAULT,
            start_by: None,
        }
    }

    /// Sets the estimate of the whole prompt, in tokens.
    #[must_use]
    pub const fn input_tokens(mut self, tokens: u64) -> Self {
        self.input_tokens = tokens;
        self
    }

    /// Sets how much of the prompt is expected to be read from the cache.
    #[must_use]
    pub const fn cached_tokens(mut self, tokens: u64) -> Self {
        self.cached_tokens = tokens;
        self
    }

    /// Sets the most output tokens that it may produce.
    #[must_use]
    pub const fn max_tokens(mut self, tokens: u64) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// Sets what it takes of the caller's own three dimensions.
    #[must_use]
    pub const fn own(mut self, amounts: [u64; 3]) -> Self {
        self.own = amounts;
        self
    }

    /// Sets which requests it resembles.
    #[must_use]
    pub const fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Sets the latest instant at which an attempt may start.
    #[must_use]
    pub const fn start_by(mut self, latest: Instant) -> Self {
        self.start_by = Some(latest);
        self
    }
}

impl Request {
    /// What it cost, given what its answer says that it took.
    #[must_use]
    pub const fn cost_of(&self, usage: &Usage) -> Cost {
        let raw = usage.raw_input();
        self.cost(usage.counted_input(), raw, usage.output_tokens)
    }

    pub(crate) const fn cost(&self, counted: u64, raw: u64, output: u64) -> Cost {
        let [own1, own2, own3] = self.own;
        Cost::request()
            .with(Dimension::InputTokens, counted)
            .with(Dimension::RawInputTokens, raw)
            .with(Dimension::OutputTokens, output)
            .with(Dimension::TotalTokens, raw.saturating_add(output))
            .with(Dimension::Own1, own1)
            .with(Dimension::Own2, own2)
            .with(Dimension::Own3, own3)
    }
}

impl Default for Request {
    fn default() -> Self {
        Self::new()
    }
}

/// Groups requests that resemble each other (short answers, long essays), so
/// that each group is forecast by its own past. There are 16; all higher
/// numbers share the last.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Profile(u8);

impl Profile {
    /// How many there are.
    pub const COUNT: usize = 16;
    /// The group of all that name none.
    pub const DEFAULT: Self = Self(0);

    /// Group `number`, or the last where there is no such group.
    pub const fn new(number: u8) -> Self {
        if number < 16 { Self(number) } else { Self(15) }
    }

    /// Its number, below [`COUNT`](Self::COUNT).
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a request took, as its answer reports it. In a stream the numbers are
/// cumulative; of several reports the largest wins, field by field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Usage {
    /// Input tokens neither read from nor written to the cache.
    pub input_tokens: u64,
    /// Input tokens written to the cache.
    pub cache_creation_input_tokens: u64,
    /// Input tokens read from the cache.
    pub cache_read_input_tokens: u64,
    /// Output tokens produced.
    pub output_tokens: u64,
}

impl Usage {
    /// Of `input` uncached input tokens and `output` output tokens.
    pub const fn new(input: u64, output: u64) -> Self {
        Self {
            input_tokens: input,
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: 0,
            output_tokens: output,
        }
    }

    /// What an answer reports, or an event of its stream; `None` where it
    /// reports nothing. `count` says which number is at a JSON pointer (RFC
    /// 6901), if there is one; so with `serde_json`:
    /// `Usage::find(|at| body.pointer(at)?.as_u64())`.
    ///
    /// ```
    /// use sendwhen::Usage;
    ///
    /// // {"type": "message_delta", "usage": {"output_tokens": 15}}
    /// let count = |at: &str| (at == "/usage/output_tokens").then_some(15);
    /// assert_eq!(Usage::find(count), Some(Usage::new(0, 15)));
    /// assert_eq!(Usage::find(|_| None), None);
    /// ```
    pub fn find(count: impl Fn(&'static str) -> Option<u64>) -> Option<Self> {
        // The first event of a stream bears a whole message.
        let [input, created, read, output] = [
            ["/usage/input_tokens", "/message/usage/input_tokens"],
            [
                "/usage/cache_creation_input_tokens",
                "/message/usage/cache_creation_input_tokens",
            ],
            [
                "/usage/cache_read_input_tokens",
                "/message/usage/cache_read_input_tokens",
            ],
            ["/usage/output_tokens", "/message/usage/output_tokens"],
        ]
        .map(|[answer, start]| count(answer).or_else(|| count(start)));
        input.or(created).or(read).or(output)?;
        let usage = Self::new(input.unwrap_or(0), output.unwrap_or(0));
        Some(usage.cache(created.unwrap_or(0), read.unwrap_or(0)))
    }

    /// The same with what was written to and read from the cache.
    #[must_use]
    pub const fn cache(mut self, created: u64, read: u64) -> Self {
        self.cache_creation_input_tokens = created;
        self.cache_read_input_tokens = read;
        self
    }

    /// Input that counts where cache reads do not; saturating.
    pub const fn counted_input(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.cache_creation_input_tokens)
    }

    /// Input that counts where cache reads do too; saturating.
    pub const fn raw_input(&self) -> u64 {
        self.counted_input()
            .saturating_add(self.cache_read_input_tokens)
    }

    /// The larger of the two, field by field.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.max(other.input_tokens),
            cache_creation_input_tokens: self
                .cache_creation_input_tokens
                .max(other.cache_creation_input_tokens),
            cache_read_input_tokens: self
                .cache_read_input_tokens
                .max(other.cache_read_input_tokens),
            output_tokens: self.output_tokens.max(other.output_tokens),
        }
    }
}
