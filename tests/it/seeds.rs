//! The seeds of each fuzz target, run through what the target checks.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "in a test, a panic is a failure, and seeds are few"
)]

use std::{fs, path::Path};

#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/backoff.rs"]
mod backoff;

#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/classify.rs"]
mod classify;

#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/header_set.rs"]
mod header_set;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "no seeds in {}", folder.display());
}

#[test]
fn backoff() {
    replay("backoff", backoff::check);
}

#[test]
fn classify() {
    replay("classify", classify::check);
}

#[test]
fn header_set() {
    replay("header_set", header_set::check);
}
