//! Goes through the log of a recorded scheduler, one record in JSON a line, and
//! shows the first decision that is another now.
//!
//! ```sh
//! cargo run --example replay -- LOG
//! ```
//!
//! The log holds how the scheduler was set up: its pools, their limits and how
//! calls are retried.

use std::{
    fs::File,
    io::{BufRead, BufReader, Result},
    process::ExitCode,
};

use sendwhen::{Record, Replay};

fn main() -> Result<ExitCode> {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: replay LOG");
        return Ok(ExitCode::from(2));
    };
    let mut replay = Replay::new();
    let mut records = 0_u64;
    for (number, line) in (1_u64..).zip(BufReader::new(File::open(path)?).lines()) {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let record: Record = match serde_json::from_str(&line) {
            Ok(record) => record,
            Err(error) => {
                eprintln!("line {number} is no record: {error}");
                return Ok(ExitCode::from(2));
            }
        };
        if let Err(error) = replay.step(record) {
            println!("line {number}: {error}\n{line}");
            return Ok(ExitCode::FAILURE);
        }
        records = records.saturating_add(1);
    }
    println!("{records} records, and every decision is the same");
    if let Some(scheduler) = replay.scheduler() {
        let (waiting, flying) = (scheduler.waiting(), scheduler.flying());
        println!("{waiting} calls wait, {flying} are under way");
    }
    Ok(ExitCode::SUCCESS)
}
