//! The client that sees the server's meters and every true cost.

use crate::{
    Time,
    run::Outcome,
    server::{OutputRule, Reception, Server},
    work::Job,
    world::World,
};

/// What could be done at best, in the same world and seed: each job, in order,
/// reaches the server at the first instant at which that admits it and output
/// does not fall further into debt than planned. The best of several plans, or
/// one that takes 0.3 % longer and borrows less. It needs no answer to know what
/// to do next, and is never refused.
pub fn bound(world: &World, seed: u64) -> Outcome {
    let jobs = world.work.draw(seed);
    // In minutes of output.
    let plans = [0.0, 0.25, 1.0, 4.0, f64::INFINITY];
    // It knows the present, not the future: it borrows nothing against a sleep
    // or a change of limits.
    let foreseen = world.sleep.is_some() || world.server.change.is_some();
    let charged_late = matches!(world.server.output, OutputRule::Live | OutputRule::AtEnd);
    let borrows = charged_late && !foreseen;
    let plans = &plans[..if borrows { plans.len() } else { 1 }];
    let outcomes = plans.iter().map(|&debt| planned(world, seed, &jobs, debt));
    let outcomes: Vec<Outcome> = outcomes.collect();
    let best = outcomes.iter().map(|outcome| outcome.makespan).min();
    // Of those that are as good, the one that borrows least.
    let good = best.unwrap_or_default() / 1_000 * 1_003;
    let mut outcomes = outcomes.into_iter();
    outcomes
        .find(|outcome| outcome.makespan <= good)
        .unwrap_or_default()
}

fn planned(world: &World, seed: u64, jobs: &[Job], debt: f64) -> Outcome {
    let mut spec = world.server.clone();
    // Overloads cost it nothing: it sees them coming.
    spec.overloaded = 0.0;
    let mut server = Server::new(spec);
    let mut chance = fastrand::Rng::with_seed(seed);
    let way = crate::seconds(world.round_trip / 2.0);
    let mut out = Outcome {
        client: String::from("bound"),
        ..Outcome::default()
    };
    let mut ends: std::collections::BinaryHeap<std::cmp::Reverse<Time>> = Default::default();
    let mut at: Time = way;
    for job in jobs {
        at = at.max(job.at + way);
        while ends.len() >= world.in_flight {
            let Some(std::cmp::Reverse(free)) = ends.pop() else {
                break;
            };
            at = at.max(free + way);
        }
        loop {
            if let Some((from, span)) = world.sleep {
                let (from, to) = (
                    crate::seconds(from) + way,
                    crate::seconds(from + span) + way,
                );
                if (from..to).contains(&at) {
                    at = to;
                }
            }
            match server.sustains_at(at, job, debt) {
                Ok(()) => break,
                // What is given back may come before what refills.
                Err(then) => at = server.next_change().map_or(then, |next| then.min(next)),
            }
        }
        match server.receive(at, job, job.silence, job.span, &mut chance) {
            Reception::Admitted(_) => {}
            other => unreachable!("the bound was answered {other:?}"),
        }
        let end = at + job.silence + job.span + way;
        ends.push(std::cmp::Reverse(end));
        out.completed += 1;
        out.makespan = out.makespan.max(end);
        out.waits.push(at - way - job.at);
        out.marks.push(crate::run::Mark {
            at: end,
            completed: true,
        });
    }
    server.advance(out.makespan);
    out.makespan = server.settled();
    out
}
