//! What the header fields of recorded responses say: what was understood, what
//! was ignored, and why.
//!
//! ```sh
//! curl -si https://api.example.com/v1/messages | cargo run --release --example headers
//! cargo run --release --example headers -- captures.jsonl
//! cargo run --release --example headers -- --json captures.jsonl
//! ```
//!
//! The input is one JSON object a line, each a response with its `status` and
//! `headers`, or the raw output of `curl -i`. See `input.rs` for all that is
//! read. What cannot be read is told with its line, and the rest goes on.
mod error;
mod explain;
mod input;
mod json;
mod table;

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, ValueEnum};
use sendwhen::{BareReset, Dialect, UnixTime, WaitRule, parse_rfc3339};

use crate::explain::Settings;

#[derive(Parser)]
#[command(about = "What the header fields of recorded responses say of limits and waits")]
struct Args {
    /// One JSON object a line, or the output of `curl -i`; standard input where
    /// it is `-` or not given.
    file: Option<PathBuf>,
    /// One JSON object a line, in the input's order.
    #[arg(long)]
    json: bool,
    /// Whose responses these are, instead of finding it out.
    #[arg(long, value_parser = dialect)]
    dialect: Option<Dialect>,
    /// What Azure's bare resets count.
    #[arg(long, value_enum, default_value_t = Bare::Auto)]
    bare_resets: Bare,
    /// Which of `retry-after` and `retry-after-ms` counts.
    #[arg(long, value_enum, default_value_t = Rule::Longer)]
    wait: Rule,
    /// When the responses were received, in RFC 3339, for those that do not say
    /// it themselves.
    #[arg(long, value_parser = time)]
    received: Option<UnixTime>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bare {
    Auto,
    Seconds,
    Millis,
}

#[derive(Clone, Copy, ValueEnum)]
enum Rule {
    Longer,
    Millis,
    Seconds,
}

fn dialect(name: &str) -> Result<Dialect, String> {
    let known = Dialect::ALL.into_iter();
    known
        .clone()
        .find(|dialect| dialect.as_str() == name)
        .ok_or_else(|| {
            let names: Vec<_> = known.map(Dialect::as_str).collect();
            format!("one of {}", names.join(", "))
        })
}

fn time(text: &str) -> Result<UnixTime, &'static str> {
    parse_rfc3339(text.as_bytes()).ok_or("a time such as 2026-05-18T22:01:00Z")
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads the output has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all of the input could be read.
fn run(args: &Args) -> io::Result<bool> {
    let text = read(args)?;
    let settings = Settings {
        dialect: args.dialect,
        bare: match args.bare_resets {
            Bare::Auto => BareReset::Auto,
            Bare::Seconds => BareReset::Seconds,
            Bare::Millis => BareReset::Millis,
        },
        rule: match args.wait {
            Rule::Longer => WaitRule::Longer,
            Rule::Millis => WaitRule::Millis,
            Rule::Seconds => WaitRule::Seconds,
        },
        received: args.received,
    };
    let (mut all_read, mut count) = (true, 0_u32);
    let mut out = io::stdout().lock();
    for response in input::responses(&text) {
        count = count.saturating_add(1);
        match response {
            Ok(response) => {
                let explained = explain::explain(&response, settings);
                if args.json {
                    writeln!(out, "{}", json::object(&explained))?;
                } else {
                    write!(out, "{}", table::text(count, &explained))?;
                }
            }
            Err(error) => {
                all_read = false;
                eprintln!("{error}");
                if args.json {
                    writeln!(out, "{}", json::error(&error.to_string()))?;
                }
            }
        }
    }
    if count == 0 {
        eprintln!("no response in the input: JSON objects, one a line, or the output of curl -i");
    }
    Ok(all_read && count > 0)
}

/// The input as text; bytes that are none are replaced.
fn read(args: &Args) -> io::Result<String> {
    let bytes = match &args.file {
        Some(path) if path.as_os_str() != "-" => fs::read(path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?,
        _ => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes)?;
            bytes
        }
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
