//! The seeds of each fuzz target, run through what the target checks.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "in a test, a panic is a failure, and seeds are few"
)]

use std::{fs, path::Path};

#[cfg(feature = "http")]
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/adapter.rs"]
mod adapter;
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/backoff.rs"]
mod backoff;
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/go_duration.rs"]
mod go_duration;

#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/classify.rs"]
mod classify;

#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/header_set.rs"]
mod header_set;
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/http_date.rs"]
mod http_date;
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/retry_after.rs"]
mod retry_after;
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/rfc3339.rs"]
mod rfc3339;
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/structured_fields.rs"]
mod structured_fields;

#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/call_ops.rs"]
mod call_ops;
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/hostile.rs"]
mod hostile;
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/limiter_ops.rs"]
mod limiter_ops;

#[cfg(feature = "serde")]
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/replay.rs"]
mod replayed;
#[cfg(feature = "serde")]
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../fuzz/src/snapshot.rs"]
mod snapshot;

/// What all targets but that of whole sets check.
pub(crate) fn check_all(data: &[u8]) {
    go_duration::check(data);
    http_date::check(data);
    retry_after::check(data);
    rfc3339::check(data);
    structured_fields::check(data);
}

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

#[cfg(feature = "http")]
#[test]
fn adapter() {
    // Any set of fields will do.
    replay("adapter", adapter::check);
    replay("header_set", adapter::check);
}

#[test]
fn go_duration() {
    replay("go_duration", go_duration::check);
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

#[test]
fn http_date() {
    replay("http_date", http_date::check);
}

#[test]
fn retry_after() {
    replay("retry_after", retry_after::check);
}

#[test]
fn rfc3339() {
    replay("rfc3339", rfc3339::check);
}

#[test]
fn structured_fields() {
    replay("structured_fields", structured_fields::check);
}

#[test]
fn limits_ops() {
    replay("limits_ops", crate::limits::limits_ops::check);
}

#[test]
fn limiter_ops() {
    replay("limiter_ops", limiter_ops::check);
}

#[test]
fn call_ops() {
    replay("call_ops", call_ops::check);
}

#[cfg(feature = "alloc")]
#[test]
fn scheduler_ops() {
    replay("scheduler_ops", crate::scheduler::scheduler_ops::check);
}

#[cfg(feature = "serde")]
#[test]
fn snapshot() {
    replay("snapshot", snapshot::check);
}

#[cfg(feature = "serde")]
#[test]
fn recorded() {
    replay("replay", replayed::check);
}

/// A fuzzer that does not know the names of a snapshot makes none.
#[cfg(feature = "serde")]
#[test]
fn all_names_of_a_snapshot_are_in_the_dictionary() {
    fn names(value: &serde_json::Value, all: &mut std::collections::BTreeSet<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    all.insert(format!("\\\"{name}\\\":"));
                    names(value, all);
                }
            }
            serde_json::Value::Array(values) => values.iter().for_each(|one| names(one, all)),
            _ => {}
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let words = fs::read_to_string(root.join("dict/snapshot.dict")).unwrap();
    let mut all = std::collections::BTreeSet::new();
    for target in ["snapshot", "replay"] {
        for entry in fs::read_dir(root.join("seeds").join(target)).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            for value in text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
            {
                names(&value, &mut all);
            }
        }
    }
    assert!(all.len() > 100);
    for name in all {
        assert!(words.contains(&format!("\"{name}\"\n")), "{name}");
    }
}
