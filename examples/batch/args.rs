//! What can be asked for on the command line.

use std::{num::NonZeroU64, path::PathBuf};

use clap::Parser;

use crate::report::Limits;

/// Sends the prompts of a JSONL file to the Claude API, as fast as its rate
/// limits allow and no faster.
///
/// Without --base-url it starts a server of its own on this machine, which
/// limits as the Claude API does, and needs neither a key nor a network.
#[derive(Debug, Parser)]
#[command(name = "batch", version)]
pub(crate) struct Args {
    /// One JSON object a line: `id`, `prompt`, and if wanted `system` and
    /// `max_tokens` [default: the 300 prompts that come with this example]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,

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
    #[arg(long, default_value = "claude-haiku-4-5")]
    pub(crate) model: String,

    /// The most output tokens for prompts that do not say
    #[arg(long, value_name = "TOKENS", default_value = "1024")]
    pub(crate) max_tokens: NonZeroU64,

    /// Requests per minute, if known; else learnt from the answers
    #[arg(long, value_name = "LIMIT")]
    pub(crate) rpm: Option<NonZeroU64>,

    /// Input tokens per minute, if known
    #[arg(long, value_name = "LIMIT")]
    pub(crate) itpm: Option<NonZeroU64>,

    /// Output tokens per minute, if known
    #[arg(long, value_name = "LIMIT")]
    pub(crate) otpm: Option<NonZeroU64>,

    /// How many requests may be under way or waiting at once
    #[arg(long, value_name = "THREADS", default_value = "64",
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) concurrency: u16,

    /// Gives up what cannot start within so many seconds
    #[arg(long, value_name = "SECONDS")]
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
}
