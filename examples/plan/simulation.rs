//! The same batch in virtual time, sent by this crate.

use sendwhen_sim::{Ours, ServerSpec, Sizes, Workload, World, bound, run};
use serde::Serialize;

use crate::{
    args::Asked,
    estimate::{Batch, estimate},
};

/// Of larger batches so many are simulated, and compared with as many in closed
/// form: it stays a matter of seconds.
const MOST: u64 = 20_000;

/// What came of it, beside what was said.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Checked {
    pub(crate) requests: u64,
    /// Of the sizes that were drawn, whose means are not quite those that were
    /// asked for.
    pub(crate) closed_form_s: f64,
    /// By a client that sees the server's meters and every true cost.
    pub(crate) exact_knowledge_s: f64,
    pub(crate) simulated_s: f64,
    /// 429s.
    pub(crate) refused: usize,
    pub(crate) given_up: usize,
}

/// Does what was asked in a world of these limits and sizes, which counts output
/// as it is produced.
pub(crate) fn check(asked: &Asked, seed: u64) -> Checked {
    let batch = Batch {
        requests: asked.batch.requests.min(MOST),
        ..asked.batch
    };
    let world = world(asked, &batch);
    let ours = run(&world, seed, &mut Ours::new(&world, seed));
    let jobs = world.jobs(seed);
    let count = jobs.len().max(1) as f64;
    let drawn = Batch {
        input: jobs.iter().map(|job| job.input as f64).sum::<f64>() / count,
        cached: 0.0,
        output: jobs.iter().map(|job| job.output as f64).sum::<f64>() / count,
        ..batch
    };
    let seconds = |time: u64| time as f64 / 1e9;
    Checked {
        requests: batch.requests,
        closed_form_s: estimate(&drawn, &asked.limits, &asked.speed).total_s,
        exact_knowledge_s: seconds(bound(&world, seed).makespan),
        simulated_s: seconds(ours.makespan),
        refused: ours.refused,
        given_up: ours.given_up,
    }
}

fn world(asked: &Asked, batch: &Batch) -> World {
    let limits = asked.limits;
    World {
        name: String::from("plan"),
        server: ServerSpec {
            limits: [limits.requests, limits.input, limits.output].map(|limit| limit as f64),
            ..ServerSpec::default()
        },
        work: Workload {
            jobs: usize::try_from(batch.requests).unwrap_or(usize::MAX),
            classes: vec![Sizes {
                input: batch.input,
                output: batch.output,
                max_tokens: asked.max_tokens,
                spread: asked.spread,
            }],
            // What is counted of one request has to pass.
            largest_input: largest(limits.input, batch.cached),
            cached: batch.cached,
            cached_known: true,
            first_token: asked.speed.first_token,
            speed: asked.speed.tokens_per_second,
            ..Workload::default()
        },
        limits_known: true,
        ..World::default()
    }
}

/// The largest input of which no more than `limit` counts.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and no limit is the same as a very large one"
)]
fn largest(limit: u64, cached: f64) -> u64 {
    (limit as f64 / (1.0 - cached)) as u64
}
