//! What can be asked for on the command line.

use std::num::NonZeroU64;

use clap::Parser;

use crate::estimate::{Batch, Limits, Speed};

/// How long a batch of requests takes under rate limits, which of them binds, and
/// what caching, smaller outputs or Message Batches would change.
///
/// The buckets are taken to be full at the start, and nobody else to use them.
/// What it says in closed form is tried in a simulation with this crate; nothing
/// is sent anywhere.
#[derive(Debug, Parser)]
#[command(name = "plan", version)]
pub(crate) struct Args {
    /// Requests per minute
    #[arg(long, value_name = "LIMIT", value_parser = count)]
    rpm: NonZeroU64,

    /// Input tokens per minute
    #[arg(long, value_name = "LIMIT", value_parser = count)]
    itpm: NonZeroU64,

    /// Output tokens per minute
    #[arg(long, value_name = "LIMIT", value_parser = count)]
    otpm: NonZeroU64,

    /// How many requests there are
    #[arg(long, value_name = "COUNT", value_parser = count)]
    requests: NonZeroU64,

    /// Input tokens of a request in the mean, those from the cache included
    #[arg(long, value_name = "TOKENS", value_parser = count)]
    input: NonZeroU64,

    /// Output tokens of an answer in the mean
    #[arg(long, value_name = "TOKENS", value_parser = count)]
    output: NonZeroU64,

    /// The most that an answer may have [default: four times --output]
    #[arg(long, value_name = "TOKENS", value_parser = count)]
    max_tokens: Option<NonZeroU64>,

    /// Which part of the input is read from the cache, as 0.5 or 50%
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    cached: f64,

    /// Seconds to the first token of an answer
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = positive)]
    latency_first_token: f64,

    /// Tokens a second after it
    #[arg(long, value_name = "TOKENS", default_value = "80", value_parser = positive)]
    tokens_per_second: f64,

    /// How many requests Message Batches hold at a time, which depends on the
    /// tier
    #[arg(long, value_name = "COUNT", default_value = "200000", value_parser = count)]
    batch_queue: NonZeroU64,

    /// By how much sizes differ in the simulation: the sigma of a lognormal
    #[arg(long, value_name = "SIGMA", default_value = "0.3", value_parser = spread)]
    spread: f64,

    /// What the simulation is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// One JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// What was asked for, and makes sense.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Asked {
    pub(crate) batch: Batch,
    pub(crate) limits: Limits,
    pub(crate) speed: Speed,
    pub(crate) max_tokens: u64,
    pub(crate) queue: u64,
    pub(crate) spread: f64,
}

impl Args {
    /// What was asked for, or what is wrong with it and what to do.
    pub(crate) fn asked(&self) -> Result<Asked, String> {
        let (input, output) = (self.input.get(), self.output.get());
        let max_tokens = self
            .max_tokens
            .map_or_else(|| output.saturating_mul(4), NonZeroU64::get);
        if output > max_tokens {
            return Err(format!(
                "--output {output} is above --max-tokens {max_tokens}, where answers are cut \
                 off: raise that, or give the output that is left"
            ));
        }
        let batch = Batch {
            requests: self.requests.get(),
            input: input as f64,
            cached: self.cached,
            output: output as f64,
        };
        let counted = batch.counted_input();
        if counted > self.itpm.get() as f64 {
            return Err(format!(
                "a request of {counted:.0} counted input tokens never passes --itpm {}: send \
                 less, or more of it from the cache (--cached)",
                self.itpm
            ));
        }
        if output > self.otpm.get() {
            return Err(format!(
                "an answer of {output} tokens takes more than a full minute of --otpm {}: ask \
                 for less in each, or for a higher limit",
                self.otpm
            ));
        }
        Ok(Asked {
            batch,
            limits: Limits {
                requests: self.rpm.get(),
                input: self.itpm.get(),
                output: self.otpm.get(),
            },
            speed: Speed {
                first_token: self.latency_first_token,
                tokens_per_second: self.tokens_per_second,
            },
            max_tokens,
            queue: self.batch_queue.get(),
            spread: self.spread,
        })
    }
}

/// A count above zero; `_` and `,` may stand between digits.
fn count(text: &str) -> Result<NonZeroU64, String> {
    let digits = text.replace(['_', ','], "");
    let count: u64 = digits
        .parse()
        .map_err(|_| String::from("not a whole number, such as 30000 or 30_000"))?;
    NonZeroU64::new(count)
        .ok_or_else(|| String::from("with 0 nothing is ever sent; it must be 1 or more"))
}

fn share(text: &str) -> Result<f64, String> {
    let (digits, whole) = match text.strip_suffix('%') {
        Some(digits) => (digits.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let share = digits.parse::<f64>().ok().map(|share| share / whole);
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| String::from("not a part of the whole, such as 0.5 or 50%"))
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok();
    number
        .filter(|number: &f64| number.is_finite() && *number > 0.0)
        .ok_or_else(|| String::from("not a number above 0"))
}

fn spread(text: &str) -> Result<f64, String> {
    let sigma = text.parse().ok();
    sigma
        .filter(|sigma| (0.0..=2.0).contains(sigma))
        .ok_or_else(|| String::from("not a number from 0, where all are equal, to 2"))
}
