//! What a run is without a file and without a server of the user's: the prompts
//! that come with the example, and the embedded server.

use std::time::Duration;

use super::{
    input::{self, Faults, Prompt},
    limits::{self, Totals},
    server::{self, Config, Limits},
};

/// The prompts that come with the example.
const PROMPTS: (&str, &[u8]) = (
    "examples/data/prompts.jsonl",
    include_bytes!("../data/prompts.jsonl"),
);

/// So many prompts the embedded server answers in about half a minute, with limits
/// of this many requests, input and output tokens per minute. Output binds: the
/// answers take 83 000 tokens, so that 27 000 must come in while it runs.
const SCALE: u64 = 300;
const LIMITS: [u64; 3] = [250, 25_000, 56_000];

/// `count` of the prompts that come with the example, or all; over and over if
/// there are not so many.
pub(crate) fn prompts(count: Option<u32>) -> Result<Vec<Prompt>, Faults> {
    let all = input::parse(PROMPTS.0, PROMPTS.1)?;
    let Some(count) = count else {
        return Ok(all);
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let rounds = (1_u32..).flat_map(|round| all.iter().map(move |prompt| (round, prompt)));
    let prompts = rounds.map(|(round, prompt)| match round {
        1 => prompt.clone(),
        // A prompt of its own has an answer of its own.
        _ => Prompt {
            id: format!("{}-{round}", prompt.id),
            text: format!("{} ({round})", prompt.text),
            ..prompt.clone()
        },
    });
    Ok(prompts.take(count).collect())
}

/// The embedded server, with limits for so many prompts.
pub(crate) const fn server(prompts: u64) -> Config {
    let [requests, input_tokens, output_tokens] = LIMITS;
    let limits = Limits::new(
        scaled(requests, prompts),
        scaled(input_tokens, prompts),
        scaled(output_tokens, prompts),
    );
    Config {
        seed: 4,
        ..Config::new(limits).faults(80, 0)
    }
}

/// A limit for so many prompts; for fewer than [`SCALE`] it is as it is.
const fn scaled(limit: u64, prompts: u64) -> u64 {
    let prompts = if prompts > SCALE { prompts } else { SCALE };
    match limit.saturating_mul(prompts).checked_div(SCALE) {
        Some(limit) => limit,
        None => limit,
    }
}

/// What the embedded server let pass of what it allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charged {
    pub(crate) totals: Totals,
    /// Those of each model.
    pub(crate) limits: limits::Limits,
    /// The longest that an answer took.
    pub(crate) longest: Duration,
}

/// The same in the words of the report.
pub(crate) const fn charged(config: &Config, totals: server::Totals) -> Charged {
    Charged {
        totals: Totals {
            requests: totals.requests,
            input_tokens: totals.input_tokens,
            output_tokens: totals.output_tokens,
        },
        limits: limits::Limits {
            requests: Some(config.limits.requests),
            input_tokens: Some(config.limits.input_tokens),
            output_tokens: Some(config.limits.output_tokens),
        },
        longest: totals.longest,
    }
}
