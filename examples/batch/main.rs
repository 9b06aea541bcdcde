//! Sends a file of prompts through a rate-limited API, as fast as its limits
//! allow and no faster.
//!
//! ```text
//! cargo run --release --example batch                  # offline, about half a minute
//! cargo run --release --example batch -- --help
//! cargo run --release --example batch -- --prompts 10000 --tenants 3:1 --urgent 2% \
//!     --fallback-model claude-sonnet-4-5
//! ANTHROPIC_API_KEY=.. cargo run --release --example batch -- \
//!     --base-url https://api.anthropic.com --input prompts.jsonl --output answers.jsonl
//! ```
//!
//! All prompts wait in a `Scheduler`; only those that are under way have a task and
//! a connection. `driver` is what another program would take over: it asks the
//! scheduler and obeys; `pools` is the scheduler. `attempt` is one sending, over `transport`. `work` makes
//! calls of prompts and puts answers where they belong. `input`, `deal` and
//! `output` are what is wanted, by whom, and where it goes; `tally`, `limits`,
//! `words` and `report` what came of it; `progress` shows it; `demo` is what runs
//! without a file and a server.
//!
//! Exit status: 0 if all was answered, 1 if something was given up, 2 if
//! nothing was sent because something is wrong with what was asked for, 130
//! after Ctrl-C.
#![expect(
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    clippy::std_instead_of_core,
    reason = "a program reads the clock, may deal in shares, and has std"
)]

mod args;
mod attempt;
mod deal;
mod demo;
mod driver;
mod input;
mod limits;
mod output;
mod pools;
mod progress;
mod report;
#[path = "../support/server/mod.rs"]
mod server;
mod tally;
mod transport;
mod words;
mod work;

use std::{
    io::Write,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::Parser;

use args::Args;
use demo::Charged;
use driver::Driver;
use limits::Limits;
use output::{Existing, Output};
use progress::Progress;
use report::{Run, Summary};
use server::Server;
use tally::Tally;
use transport::{Key, Transport};
use work::{Batch, count};

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(&args)),
        Err(error) => Err(format!("the runtime does not start: {error}")),
    };
    match ended {
        Ok(status) => ExitCode::from(status),
        Err(fault) => {
            progress::say(&fault);
            ExitCode::from(2)
        }
    }
}

/// The whole run. Its answer is the exit status, or why nothing was sent.
async fn run(args: &Args) -> Result<u8, String> {
    args.check()?;
    let prompts = match &args.input {
        Some(path) => input::read(path),
        None => demo::prompts(args.prompts),
    }
    .map_err(|faults| faults.to_string())?;
    let all = prompts.len();

    let config = demo::server(count(all));
    let (key, server) = match &args.base_url {
        Some(_) => (Key::from_environment()?, None),
        None => {
            let server = Server::start(config)
                .map_err(|error| format!("the embedded server does not start: {error}"))?;
            (Key::demo(), Some(server))
        }
    };
    let embedded = server.as_ref().map(Server::base_url);
    let base_url = embedded.as_ref().or(args.base_url.as_ref());
    let transport = Transport::new(
        base_url.map_or("", String::as_str),
        key,
        args.models(),
        args.concurrency,
        server.is_some(),
    )?;

    let (path, existing) = output_place(args);
    let (output, done) = Output::open(&path, existing)?;
    let mut dealt = deal::deal(prompts, &args.tenants.0, args.urgent);
    dealt.leave_out(|prompt| done.contains(&prompt.id));
    let left = dealt.wanted.len();
    if left < all {
        let skipped = all.saturating_sub(left);
        progress::say(&format!("{skipped} of {all} are answered already"));
    }

    let (scheduler, route) = pools::scheduler(args, &dealt.tenants)
        .map_err(|error| format!("the limits do not fit: {error}"))?;
    let batch = Arc::new(Batch {
        driver: Arc::new(Driver::new(scheduler)),
        route,
        tally: Tally::new(dealt.tenants.clone()),
        dealt,
        progress: Progress::new(count(left)),
        transport,
        output,
        max_tokens: args.max_tokens,
        deadline: args.deadline.map(|it| Duration::from_secs(it.get())),
        calls: Mutex::default(),
        told: 0.into(),
        failed: false.into(),
    });
    tokio::spawn(stop_on_ctrl_c(Arc::clone(&batch)));
    let begun = std::time::Instant::now();
    batch.run().await;
    let elapsed = begun.elapsed();
    batch.progress.end();
    let charged = server.map(|server| demo::charged(&config, server.totals()));
    Ok(conclude(args, &batch, charged, elapsed))
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
async fn stop_on_ctrl_c(batch: Arc<Batch>) {
    let pressed = tokio::signal::ctrl_c;
    if pressed().await.is_err() {
        // Then the system's own way holds.
        return;
    }
    let words = "stopping when those under way are answered; Ctrl-C again ends at once";
    batch.progress.line(words);
    batch.driver.stop();
    if pressed().await.is_ok() {
        std::process::exit(130);
    }
}

/// Says what came of it, and finds the exit status. What the embedded server
/// `charged` is more exact than what the answers said.
fn conclude(args: &Args, batch: &Batch, charged: Option<Charged>, elapsed: Duration) -> u8 {
    let account = batch.tally.account();
    let counts = account.counts;
    let (totals, longest) = match charged {
        Some(charged) => (charged.totals, charged.longest),
        None => (counts.totals, counts.longest),
    };
    let known = args.limits();
    let told = batch.transport.limits().into_iter();
    let limits = told.map(|told| charged.map_or(told, |it| it.limits).or(known));
    let least = limits.reduce(Limits::and).unwrap_or_default();
    let prompts = count(batch.dealt.wanted.len());
    let summary = Summary::new(
        account,
        &Run {
            prompts,
            elapsed,
            least: least.least_time(&totals).max(longest),
            totals,
            with_fallback: args.fallback_model.is_some(),
        },
    );
    let words = if args.json {
        serde_json::to_string(&summary).unwrap_or_default()
    } else {
        format!("{summary}\nanswers: {}", batch.output.path().display())
    };
    // Where stdout is closed, nobody listens.
    let _written = writeln!(std::io::stdout(), "{words}");
    if counts.given_up > 0 || batch.has_failed() {
        1
    } else if counts.completed < prompts {
        130
    } else {
        0
    }
}
