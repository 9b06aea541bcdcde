//! The header parser against recorded responses, hostile input, and other
//! crates' parsers.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "in a test, a panic is a failure, and numbers are small"
)]

mod any_input;
mod captures;
mod dates;
mod dialects;
mod example;

mod printed;

use std::path::{Path, PathBuf};

use sendwhen::{HttpDate, ServerHints, UnixTime, parse_rfc3339};

type Pairs = Vec<(String, String)>;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn parse(fields: &[(String, String)]) -> ServerHints {
    ServerHints::parse(fields.iter().map(|(name, value)| (name, value)), None)
}

fn at(text: &str) -> UnixTime {
    parse_rfc3339(text.as_bytes()).unwrap()
}

fn imf(time: UnixTime) -> String {
    HttpDate::new(time).unwrap().to_string()
}
