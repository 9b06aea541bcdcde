//! What fails, and what is refused though the meters show enough.

use super::draw::{Draw, pace};
use crate::{server::Acceleration, world::World};

pub(super) fn overloads(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.overloaded = d.even(0.0, 0.1);
    world.server.stray_retry_after = d.even(0.0, 0.5);
    world
}

/// Down for one to a hundred and twenty seconds, one to three times.
pub(super) fn outages(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.overloaded = d.even(0.0, 0.03);
    for _ in 0..d.chance.usize(1..4) {
        let from = d.even(5.0, d.minutes * 60.0);
        world.server.outages.push((from, d.log(1.0, 120.0)));
    }
    world
}

/// Answers that never come, though the server did the work.
pub(super) fn lossy(d: &mut Draw) -> World {
    let mut world = d.any();
    world.lost = d.log(0.001, 0.03);
    world.timeout = d.log(10.0, 60.0);
    world
}

/// Somewhere in the middle all is spent.
pub(super) fn spend_cap(d: &mut Draw) -> World {
    let mut world = d.any();
    let [_, input, output] = world.work.mean();
    let all = world.work.jobs as f64 * (input + 5.0 * output);
    world.server.spend = Some(all * d.even(0.3, 0.7));
    world
}

/// Fewer at once than the limits would bear.
pub(super) fn concurrency(d: &mut Draw) -> World {
    let mut world = d.any();
    world.work.first_token = d.log(1.0, 10.0);
    world.server.says_why = d.chance.bool();
    let [_, _, output] = world.work.mean();
    let seconds = world.work.first_token + output / world.work.speed;
    let at_once = pace(&world) * seconds;
    let most = (at_once * d.even(0.2, 0.8)).clamp(3.0, 500.0).round();
    world.server.concurrency = Some(most as usize);
    // As many as pass in the drawn time.
    let jobs = most / seconds * d.minutes * 60.0;
    world.work.jobs = world.work.jobs.min(jobs as usize).max(20);
    world
}

/// Use of input may grow only from minute to minute.
pub(super) fn acceleration(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.skew = d.even(0.0, 60.0);
    world.server.says_why = d.chance.bool();
    let start = d.log(0.05, 0.4);
    let limit = world.server.limits[1];
    for sizes in &mut world.work.classes {
        sizes.input = sizes.input.min(limit * start / 20.0);
    }
    world.server.acceleration = Some(Acceleration {
        start,
        step: d.log(0.05, 0.3),
    });
    let mut world = d.fill(world);
    world.work.largest_input = world.work.largest_input.min((limit * start / 4.0) as u64);
    world
}
