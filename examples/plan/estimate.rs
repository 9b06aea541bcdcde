//! The arithmetic: how long a batch takes under limits that are full buckets at
//! its start, in closed form, and what would change it.

use serde::Serialize;

/// What there is to do.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Batch {
    pub(crate) requests: u64,
    /// Input tokens of a request in the mean, those from the cache included.
    pub(crate) input: f64,
    /// Which part of them is read from the cache, and so not counted: 0 to 1.
    pub(crate) cached: f64,
    /// Output tokens of an answer in the mean.
    pub(crate) output: f64,
}

/// What comes in a minute, and what a bucket holds that is full.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Limits {
    pub(crate) requests: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// How fast the model answers.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Speed {
    /// Seconds to the first token.
    pub(crate) first_token: f64,
    pub(crate) tokens_per_second: f64,
}

/// Which limit is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    Requests,
    InputTokens,
    OutputTokens,
}

impl Limit {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
        }
    }
}

/// What one limit asks for.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Need {
    pub(crate) limit: Limit,
    pub(crate) per_minute: u64,
    /// What all of the batch takes of it.
    pub(crate) total: f64,
    /// Seconds until it has let the last request through, if it were alone: 0
    /// where the full bucket is enough.
    pub(crate) alone_s: f64,
    /// Which part of what it offers until the last request is sent stays unused:
    /// 0 for the one that binds.
    pub(crate) slack: f64,
}

/// How long a batch takes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Estimate {
    pub(crate) needs: [Need; 3],
    /// The limit that is waited for, if one is.
    pub(crate) binding: Option<Limit>,
    /// Until the last request is sent.
    pub(crate) sending_s: f64,
    /// From then until its answer is whole.
    pub(crate) last_answer_s: f64,
    pub(crate) total_s: f64,
    /// How many are under way at once if the binding limit is used up: their
    /// rate times the time of an answer (Little's law).
    pub(crate) in_flight: f64,
}

/// All of `batch` under `limits`.
///
/// A bucket that is full at the start has let through what it holds and what
/// came in since. So the last request passes a limit at (total - bucket) / rate,
/// and all of them at the largest of those. Output is taken as if it counted
/// when a request is sent: where it counts as it is produced, the end may come
/// earlier by up to the time of an answer.
pub(crate) fn estimate(batch: &Batch, limits: &Limits, speed: &Speed) -> Estimate {
    let requests = batch.requests as f64;
    let all = [
        (Limit::Requests, limits.requests, 1.0),
        (Limit::InputTokens, limits.input, batch.counted_input()),
        (Limit::OutputTokens, limits.output, batch.output),
    ];
    let alone = |total: f64, per_minute: u64| {
        let minutes = (total - per_minute as f64) / per_minute as f64;
        (minutes * 60.0).max(0.0)
    };
    let times = all.map(|(_, per_minute, each)| alone(requests * each, per_minute));
    let sending_s = times.into_iter().fold(0.0, f64::max);
    let needs = all.map(|(limit, per_minute, each)| {
        let total = requests * each;
        let offered = per_minute as f64 * (1.0 + sending_s / 60.0);
        Need {
            limit,
            per_minute,
            total,
            alone_s: alone(total, per_minute),
            slack: (1.0 - total / offered).max(0.0),
        }
    });
    let binding = needs
        .iter()
        .filter(|need| need.alone_s > 0.0)
        .max_by(|a, b| a.alone_s.total_cmp(&b.alone_s))
        .map(|need| need.limit);
    let last_answer_s = speed.first_token + batch.output / speed.tokens_per_second;
    let pace = all.map(|(_, per_minute, each)| per_minute as f64 / each.max(f64::MIN_POSITIVE));
    let pace = pace.into_iter().fold(f64::MAX, f64::min) / 60.0;
    Estimate {
        needs,
        binding,
        sending_s,
        last_answer_s,
        total_s: sending_s + last_answer_s,
        in_flight: (pace * last_answer_s).min(requests).max(1.0),
    }
}

/// What an output token costs, in input tokens, and what one does that is read
/// from the cache: so it is for most models on
/// <https://platform.claude.com/docs/en/about-claude/pricing> in 2026. What
/// writing the cache adds is not counted.
const OUTPUT_PRICE: f64 = 5.0;
const CACHED_PRICE: f64 = 0.1;

/// What Message Batches cost of the usual price.
pub(crate) const LANE_PRICE: f64 = 0.5;

/// No batch holds more requests.
pub(crate) const LANE_LARGEST: u64 = 100_000;

/// Seconds after which a batch is through or expires.
pub(crate) const LANE_SECONDS: f64 = 24.0 * 3_600.0;

impl Batch {
    /// Input of a request that counts against the limit.
    pub(crate) fn counted_input(&self) -> f64 {
        self.input - self.input * self.cached
    }

    /// In input tokens.
    fn price(&self) -> f64 {
        let cached = self.input * self.cached * CACHED_PRICE;
        let each = self.counted_input() + cached + self.output * OUTPUT_PRICE;
        self.requests as f64 * each
    }
}

/// What the same work takes if it is done otherwise.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Alternative {
    pub(crate) name: &'static str,
    pub(crate) total_s: f64,
    /// Whether that is not an estimate, but the most that it may take.
    pub(crate) at_most: bool,
    /// What it costs of what the batch costs as it is.
    pub(crate) price: f64,
    /// What is waited for.
    pub(crate) binding: Option<&'static str>,
}

/// What caching, smaller outputs and the batches lane would change; the first is
/// the batch as it is. Of caching, only what is more than there is already.
/// `queue` is how many requests the batches lane holds at a time.
pub(crate) fn alternatives(
    batch: &Batch,
    limits: &Limits,
    speed: &Speed,
    queue: u64,
) -> Vec<Alternative> {
    let cached = |cached: f64| Batch { cached, ..*batch };
    let shorter = |batch: Batch| Batch {
        output: batch.output / 2.0,
        ..batch
    };
    let changed = [
        ("as it is", *batch, true),
        ("50 % of input cached", cached(0.5), batch.cached < 0.5),
        ("90 % of input cached", cached(0.9), batch.cached < 0.9),
        ("half the output", shorter(*batch), true),
        (
            "90 % cached, half the output",
            shorter(cached(0.9)),
            batch.cached < 0.9,
        ),
    ];
    let here = changed.into_iter().filter(|(.., is_more)| *is_more);
    let here = here.map(|(name, changed, _)| {
        let estimate = estimate(&changed, limits, speed);
        Alternative {
            name,
            total_s: estimate.total_s,
            at_most: false,
            price: changed.price() / batch.price(),
            binding: estimate.binding.map(Limit::name),
        }
    });
    here.chain([lane(batch, queue)]).collect()
}

/// Message Batches: nothing of the limits a minute. What does not fit into the
/// queue waits until what is there is through.
fn lane(batch: &Batch, queue: u64) -> Alternative {
    let rounds = batch.requests.div_ceil(queue.max(1));
    Alternative {
        name: "Message Batches",
        total_s: rounds as f64 * LANE_SECONDS,
        at_most: true,
        price: LANE_PRICE,
        binding: (rounds > 1).then_some("its queue"),
    }
}
