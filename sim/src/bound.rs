//! The client that sees the server's meters and every true cost.

use crate::{
    Time,
    run::Outcome,
    server::{Reception, Server},
    world::World,
};

/// What could be done at best, in the same world and seed: each job, in order,
/// reaches the server at the first instant at which that admits it and output
/// does not fall into debt. It needs no answer to know what to do next, and is never refused.
pub fn bound(world: &World, seed: u64) -> Outcome {
    let jobs = world.work.draw(seed);
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
    for job in &jobs {
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
            match server.sustains_at(at, job) {
                Ok(()) => break,
                Err(then) => at = then,
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
    out
}
