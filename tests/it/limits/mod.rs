//! The limit algorithms of layer 1: each against its slow twin, against tables,
//! and against what its peers publish.

#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../../fuzz/src/limits_ops.rs"]
pub(crate) mod limits_ops;

mod corners;
mod joint;
mod model;
mod more;
mod peers;
mod props;
mod tables;
mod x_time_rate;

use proptest::test_runner::Config;

/// Ten thousand; more where `PROPTEST_CASES` says so.
fn config() -> Config {
    let default = Config::default();
    Config {
        cases: default.cases.max(10_000),
        ..default
    }
}
