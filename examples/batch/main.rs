//! Sends a file of prompts through a rate-limited API, as fast as its limits
//! allow and no faster.
//!
//! ```text
//! cargo run --release --example batch                  # offline, about half a minute
//! cargo run --release --example batch -- --help
//! ANTHROPIC_API_KEY=.. cargo run --release --example batch -- \
//!     --base-url https://api.anthropic.com --input prompts.jsonl --output answers.jsonl
//! ```
//!
//! `driver` is what another program would take over: it asks the limiter and
//! obeys. `work` does one job after another with it, `transport` sends, `input`
//! and `output` are the files, `report` and `progress` say how it goes.
//!
//! Exit status: 0 if all was answered, 1 if something was given up, 2 if
//! nothing was sent because something is wrong with what was asked for, 130
//! after Ctrl-C.
#![expect(
    clippy::disallowed_methods,
    clippy::std_instead_of_core,
    reason = "a program reads the clock, starts threads, and has std"
)]

mod args;
mod driver;
mod input;
mod output;
mod progress;
mod report;
#[path = "../support/server/mod.rs"]
mod server;
mod transport;
mod work;

use std::{
    hash::{BuildHasher, RandomState},
    io::Write,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use clap::Parser;
use sendwhen::{ConfigError, Dimension, Instant, Limiter, Rate, RetryPolicy};

use args::Args;
use driver::Driver;
use input::Job;
use output::{Existing, Output};
use progress::Progress;
use report::{Limits, Summary, Tally, Totals};
use server::Server;
use transport::{Key, Transport};
use work::Batch;

/// The prompts that come with the example.
const PROMPTS: (&str, &[u8]) = (
    "examples/data/prompts.jsonl",
    include_bytes!("../data/prompts.jsonl"),
);

/// The embedded server. Its output limit is what binds: the answers to the
/// prompts take 83 000 tokens, so that 27 000 must come in while it runs.
const DEMO: server::Config = server::Config {
    seed: 4,
    ..server::Config::new(server::Limits::new(250, 25_000, 56_000)).faults(80, 0)
};

/// A batch is patient: it rather comes late than without an answer.
const ATTEMPTS: u32 = 30;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(status) => ExitCode::from(status),
        Err(fault) => {
            progress::say(&fault);
            ExitCode::from(2)
        }
    }
}

/// The whole run. Its answer is the exit status, or why nothing was sent.
fn run(args: &Args) -> Result<u8, String> {
    let jobs = match &args.input {
        Some(path) => input::read(path),
        None => input::parse(PROMPTS.0, PROMPTS.1),
    }
    .map_err(|faults| faults.to_string())?;

    let key = match &args.base_url {
        Some(_) => Key::from_environment()?,
        None => Key::demo(),
    };
    let limiter = limiter(args).map_err(|error| format!("the limits do not fit: {error}"))?;
    let server = match &args.base_url {
        Some(_) => None,
        None => Some(Server::start(DEMO).map_err(|error| format!("the embedded server: {error}"))?),
    };
    let base_url = server.as_ref().map_or_else(
        || args.base_url.clone().unwrap_or_default(),
        Server::base_url,
    );
    let transport = Transport::new(
        &base_url,
        key,
        args.model.clone(),
        usize::from(args.concurrency),
        server.is_some(),
    )?;
    let (path, existing) = output_place(args);
    let (output, done) = Output::open(&path, existing)?;
    let before = jobs.len();
    let jobs: Vec<Job> = jobs
        .into_iter()
        .filter(|job| !done.contains(&job.id))
        .collect();
    if jobs.len() < before {
        let skipped = before.saturating_sub(jobs.len());
        progress::say(&format!("{skipped} of {before} are answered already"));
    }

    let all = work::count(jobs.len());
    let batch = Batch {
        driver: Arc::new(Driver::new(limiter)),
        tally: Tally::default(),
        progress: Progress::new(all),
        transport,
        output,
        max_tokens: args.max_tokens,
        deadline: args
            .deadline
            .map(|seconds| Instant::from_secs(seconds.get())),
        cached: Mutex::default(),
        failed: AtomicBool::new(false),
    };
    stop_on_ctrl_c(&batch)?;
    let begun = std::time::Instant::now();
    batch.work(jobs, args.concurrency);
    let elapsed = begun.elapsed();
    batch.progress.end();
    Ok(conclude(args, &batch, server.as_ref(), all, elapsed))
}

/// A limiter with the limits that are known. Its seed differs each time, so
/// that two clients do not wait in step.
fn limiter(args: &Args) -> Result<Limiter, ConfigError> {
    let mut limiter =
        Limiter::new(RandomState::new().hash_one(0)).retry(RetryPolicy::new().attempts(ATTEMPTS)?);
    let known = args.limits();
    let limits = [
        (Dimension::Requests, known.requests),
        (Dimension::InputTokens, known.input_tokens),
        (Dimension::OutputTokens, known.output_tokens),
    ];
    for (dimension, limit) in limits {
        if let Some(limit) = limit {
            limiter = limiter.limit(dimension, Rate::per_minute(limit)?, limit)?;
        }
    }
    Ok(limiter)
}

/// Where the answers go, and what becomes of those that are there.
fn output_place(args: &Args) -> (PathBuf, Existing) {
    let existing = if args.resume {
        Existing::Keep
    } else {
        Existing::Refuse
    };
    match (&args.output, &args.base_url) {
        (Some(path), _) => (path.clone(), existing),
        (None, Some(_)) => (PathBuf::from("batch-output.jsonl"), existing),
        (None, None) => {
            let path = std::env::temp_dir().join("sendwhen-batch-demo.jsonl");
            let demo = if args.resume {
                existing
            } else {
                Existing::Overwrite
            };
            (path, demo)
        }
    }
}

/// The first Ctrl-C stops sending and hears those under way to their end, the
/// second ends at once.
fn stop_on_ctrl_c(batch: &Batch) -> Result<(), String> {
    let driver = Arc::clone(&batch.driver);
    let progress = batch.progress.clone();
    ctrlc::set_handler(move || {
        if driver.is_stopped() {
            std::process::exit(130);
        }
        progress.line("stopping when those under way are answered; Ctrl-C again ends at once");
        driver.stop();
    })
    .map_err(|error| format!("Ctrl-C cannot be watched for: {error}"))
}

/// Says what came of it, and finds the exit status.
fn conclude(
    args: &Args,
    batch: &Batch,
    server: Option<&Server>,
    jobs: u64,
    elapsed: Duration,
) -> u8 {
    let counts = batch.counts();
    let (totals, limits, longest) = match server {
        Some(server) => {
            let charged = server.totals();
            let totals = Totals {
                requests: charged.requests,
                input_tokens: charged.input_tokens,
                output_tokens: charged.output_tokens,
            };
            let limits = Limits {
                requests: Some(DEMO.limits.requests),
                input_tokens: Some(DEMO.limits.input_tokens),
                output_tokens: Some(DEMO.limits.output_tokens),
            };
            (totals, limits, charged.longest)
        }
        None => {
            let known = args.limits();
            let told = batch.transport.limits();
            let limits = Limits {
                requests: told.requests.or(known.requests),
                input_tokens: told.input_tokens.or(known.input_tokens),
                output_tokens: told.output_tokens.or(known.output_tokens),
            };
            (counts.totals, limits, counts.longest)
        }
    };
    let least = limits.least_time(&totals).max(longest);
    let summary = Summary::new(&counts, &totals, jobs, elapsed, least);
    let words = if args.json {
        serde_json::to_string(&summary).unwrap_or_default()
    } else {
        format!("{summary}\nanswers: {}", batch.output.path().display())
    };
    // Where stdout is closed, nobody listens.
    let _written = writeln!(std::io::stdout(), "{words}");
    if counts.given_up > 0 || batch.has_failed() {
        1
    } else if counts.completed < jobs {
        130
    } else {
        0
    }
}
