//! A log as somebody may have left it: it replays, or not, and that is told.

use sendwhen::{Record, Replay};

/// Lines of JSON, each a record.
pub fn check(data: &[u8]) {
    let mut replay = Replay::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(record) = serde_json::from_slice::<Record>(line) else {
            continue;
        };
        if let Err(error) = replay.step(record) {
            assert!(!error.to_string().is_empty());
        }
    }
}
