//! The example `batch`: its parts, its loop in virtual time, and all of it over a
//! socket.
#![expect(dead_code, reason = "the example uses all of it")]

#[path = "../../../examples/batch/args.rs"]
mod args;
#[path = "../../../examples/batch/attempt.rs"]
mod attempt;
#[path = "../../../examples/batch/deal.rs"]
mod deal;
#[path = "../../../examples/batch/demo.rs"]
mod demo;
#[path = "../../../examples/batch/driver.rs"]
mod driver;
#[path = "../../../examples/batch/input.rs"]
mod input;
#[path = "../../../examples/batch/limits.rs"]
mod limits;
#[path = "../../../examples/batch/output.rs"]
mod output;
#[path = "../../../examples/batch/pools.rs"]
mod pools;
#[path = "../../../examples/batch/progress.rs"]
mod progress;
#[path = "../../../examples/batch/report.rs"]
mod report;
#[path = "../../../examples/batch/tally.rs"]
mod tally;
#[path = "../../../examples/batch/transport.rs"]
mod transport;
#[path = "../../../examples/batch/words.rs"]
mod words;
#[path = "../../../examples/batch/work.rs"]
mod work;

use super::server::support as server;

mod looped;
mod parts;
mod whole;
