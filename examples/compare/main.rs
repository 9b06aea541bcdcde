//! Lets this crate and what people run today do the same work in the same
//! worlds, in virtual time, and compares them with what exact knowledge could
//! do.
//!
//! ```text
//! cargo run --release --example compare                       # all worlds, half a minute
//! cargo run --release --example compare -- --world "output"   # some of them
//! cargo run --release --example compare -- --worst --seeds 200    # this crate alone
//! cargo run --release --example compare -- --help
//! ```
//!
//! The worlds, the server and the clients are those of the crate in `sim/`.
//! `figures` runs them, `table` and `chart` show what came of it.
#![expect(
    clippy::float_arithmetic,
    clippy::std_instead_of_core,
    reason = "a program may show rounded figures, and has std"
)]

mod args;
mod chart;
mod figures;
mod table;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use args::Args;
use figures::Field;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("compare: no world has such a name; --list shows all");
            ExitCode::from(2)
        }
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

/// False where there is no such world.
fn run(args: &Args) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let names = args.names();
    if args.list {
        for name in &names {
            writeln!(out, "{name}")?;
        }
        return Ok(!names.is_empty());
    }
    let field = if args.worst {
        Field::ThisCrate
    } else {
        Field::Everyone
    };
    let worlds = figures::all(&names, args.seed, args.seeds, field);
    if args.json {
        for run in worlds.iter().flat_map(|world| &world.runs) {
            serde_json::to_writer(&mut out, run)?;
            writeln!(out)?;
        }
    } else if args.worst {
        table::worst(&mut out, &worlds, args.seeds)?;
    } else {
        table::write(&mut out, &worlds, args.seeds)?;
    }
    if !args.no_charts && !args.worst {
        std::fs::create_dir_all(&args.charts)?;
        for world in &worlds {
            chart::write(world, &args.charts)?;
        }
    }
    Ok(!worlds.is_empty())
}
