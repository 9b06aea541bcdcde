//! What can be asked for on the command line.

use std::{
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
};

use clap::Parser;

use super::limits::Limits;

/// Sends the prompts of a JSONL file to the Claude API, as fast as its rate
/// limits allow and no faster.
///
/// Without --base-url it starts a server of its own on this machine, which
/// limits as the Claude API does, and needs neither a key nor a network. Its
/// limits grow with the number of prompts, so that a run takes about half a
/// minute.
#[derive(Debug, Parser)]
#[command(name = "batch", version)]
pub(crate) struct Args {
    /// One JSON object a line: `id`, `prompt`, and if wanted `system`,
    /// `max_tokens`, `tenant` (a name) and `priority` (low, normal, high or
    /// urgent) [default: the 300 prompts that come with this example]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,

    /// So many prompts: those that come with this example, over and over
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["input", "base_url"],
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) prompts: Option<u32>,

    /// Where the answers go, a line each, in the order of completion. A file
    /// that holds answers is never overwritten [default: batch-output.jsonl
    /// with --base-url, else sendwhen-batch-demo.jsonl in the directory for
    /// temporary files, which is begun anew each time]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Goes on where an earlier run stopped: prompts that the output has an
    /// answer to are skipped
    #[arg(long)]
    pub(crate) resume: bool,

    /// The server, such as https://api.anthropic.com; the key is taken from the
    /// environment variable ANTHROPIC_API_KEY
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,

    /// Which model answers
    #[arg(long, value_name = "NAME", default_value = "claude-haiku-4-5")]
    pub(crate) model: String,

    /// Which model answers instead, where a prompt would have to wait for the
    /// limits of the first; it has limits of its own
    #[arg(long, value_name = "NAME")]
    pub(crate) fallback_model: Option<String>,

    /// How much longer a prompt rather waits for the first model than to go to
    /// the other
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "0",
        requires = "fallback_model"
    )]
    pub(crate) patience: u32,

    /// Among how many tenants to deal out the prompts that name none, or the
    /// weights of these tenants: 3:1 is two, of which the first may have three
    /// times as much while both want it
    #[arg(long, value_name = "N|WEIGHTS", default_value = "1", value_parser = tenants)]
    pub(crate) tenants: Tenants,

    /// Which part of the prompts that name no priority is urgent, as 0.02 or 2%;
    /// these come one by one, as others are answered, and go first
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub(crate) urgent: f64,

    /// The most output tokens for prompts that do not say
    #[arg(long, value_name = "TOKENS", default_value = "1024", value_parser = above_zero)]
    pub(crate) max_tokens: NonZeroU64,

    /// Requests per minute of each model, if known; else learnt from the answers
    #[arg(long, value_name = "LIMIT", value_parser = above_zero)]
    pub(crate) rpm: Option<NonZeroU64>,

    /// Input tokens per minute, if known
    #[arg(long, value_name = "LIMIT", value_parser = above_zero)]
    pub(crate) itpm: Option<NonZeroU64>,

    /// Output tokens per minute, if known
    #[arg(long, value_name = "LIMIT", value_parser = above_zero)]
    pub(crate) otpm: Option<NonZeroU64>,

    /// How many requests to a model may be under way at once, each on a
    /// connection of its own
    #[arg(long, value_name = "COUNT", default_value = "512",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) concurrency: u32,

    /// Gives up what cannot start within so many seconds after it was wanted
    #[arg(long, value_name = "SECONDS", value_parser = above_zero)]
    pub(crate) deadline: Option<NonZeroU64>,

    /// Ends with one line of JSON on stdout instead of a summary in words
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    /// The limits that the command line names.
    pub(crate) fn limits(&self) -> Limits {
        let known = |limit: Option<NonZeroU64>| limit.map(NonZeroU64::get);
        Limits {
            requests: known(self.rpm),
            input_tokens: known(self.itpm),
            output_tokens: known(self.otpm),
        }
    }

    /// The models, in the order of preference.
    pub(crate) fn models(&self) -> Vec<String> {
        let models = [Some(&self.model), self.fallback_model.as_ref()];
        models.into_iter().flatten().cloned().collect()
    }

    /// What no single option is wrong in.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.fallback_model.as_ref() == Some(&self.model) {
            return Err(format!(
                "--fallback-model is the same as --model, {:?}; name another, with limits of its own",
                self.model
            ));
        }
        Ok(())
    }
}

/// The weights of the tenants among which prompts are dealt out.
#[derive(Clone, Debug)]
pub(crate) struct Tenants(pub(crate) Vec<NonZeroU32>);

/// More would make a report that nobody reads.
const MOST_TENANTS: usize = 100;

fn tenants(text: &str) -> Result<Tenants, String> {
    let wrong = || {
        String::from("not a number of tenants, such as 4, nor the weights of several, such as 3:1")
    };
    let numbers: Option<Vec<NonZeroU32>> = text.split(':').map(|part| part.parse().ok()).collect();
    let numbers = numbers.ok_or_else(wrong)?;
    let weights = match numbers.as_slice() {
        [count] => {
            let count = usize::try_from(count.get()).unwrap_or(usize::MAX);
            vec![NonZeroU32::MIN; count.min(MOST_TENANTS.saturating_add(1))]
        }
        _ => numbers,
    };
    if weights.len() > MOST_TENANTS {
        return Err(format!("at most {MOST_TENANTS} tenants are dealt to"));
    }
    Ok(Tenants(weights))
}

/// A count above zero; `_` and `,` may stand between digits.
fn above_zero(text: &str) -> Result<NonZeroU64, String> {
    let digits = text.replace(['_', ','], "");
    let wrong = || String::from("not a whole number above 0, such as 30000 or 30_000");
    digits.parse().map_err(|_| wrong())
}

fn share(text: &str) -> Result<f64, String> {
    let (digits, whole) = match text.strip_suffix('%') {
        Some(digits) => (digits.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let share = digits.parse::<f64>().ok().map(|share| share / whole);
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| String::from("not a part of the whole, such as 0.02 or 2%"))
}
