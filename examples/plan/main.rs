//! How long a batch takes under rate limits, which of them binds, and what
//! caching, smaller outputs or Message Batches would change.
//!
//! ```text
//! cargo run --release --example plan -- --rpm 1000 --itpm 450000 --otpm 90000 \
//!     --requests 20000 --input 1200 --output 350
//! cargo run --release --example plan -- --help
//! ```
//!
//! `estimate` is the arithmetic; `simulation` tries it with this crate in virtual
//! time.
#![expect(
    clippy::float_arithmetic,
    clippy::std_instead_of_core,
    reason = "a program may show rounded figures, and has std"
)]

mod args;
mod estimate;
mod report;
mod simulation;

use std::{io, process::ExitCode};

use clap::Parser;

use args::Args;
use report::Report;

fn main() -> ExitCode {
    let args = Args::parse();
    let asked = match args.asked() {
        Ok(asked) => asked,
        Err(wrong) => {
            eprintln!("plan: {wrong}");
            return ExitCode::from(2);
        }
    };
    let report = Report::new(&asked, simulation::check(&asked, args.seed));
    let mut out = io::stdout().lock();
    let written = if args.json {
        report.json(&mut out)
    } else {
        report.write(&mut out)
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plan: {error}");
            ExitCode::FAILURE
        }
    }
}
