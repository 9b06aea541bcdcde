//! What can be asked for on the command line.

use std::path::PathBuf;

use clap::Parser;

/// Compares clients of rate-limited servers in simulated worlds.
///
/// A world is drawn from a seed: limits, sizes, latencies and what it is named
/// for. Nothing is sent anywhere, and nothing depends on the machine: the same
/// seeds give the same figures.
#[derive(Debug, Parser)]
#[command(name = "compare", version)]
pub(crate) struct Args {
    /// Only worlds whose name contains this
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) world: String,

    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// From how many seeds each world is drawn; shown is the worst of them
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) seeds: u64,

    /// Where the charts go, an SVG for each world, of the first seed
    #[arg(long, value_name = "DIR", default_value = "docs/worlds")]
    pub(crate) charts: PathBuf,

    /// Draws no charts
    #[arg(long)]
    pub(crate) no_charts: bool,

    /// Only this crate and the bound, and no charts: for many seeds. Shown are
    /// the worst and the mean, a line a world, and the seed of the worst
    #[arg(long)]
    pub(crate) worst: bool,

    /// One JSON object a line, for each world, seed and client
    #[arg(long)]
    pub(crate) json: bool,

    /// Lists the worlds and runs none
    #[arg(long)]
    pub(crate) list: bool,
}

impl Args {
    /// The worlds that are meant.
    pub(crate) fn names(&self) -> Vec<String> {
        let all = sendwhen_sim::worlds(self.seed).into_iter();
        all.map(|world| world.name)
            .filter(|name| name.contains(&self.world))
            .collect()
    }
}
