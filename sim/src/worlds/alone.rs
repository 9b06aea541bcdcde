//! A lone client with the Claude API's headers.

use super::draw::{Binding, Draw};
use crate::{server::OutputRule, work::Sizes, world::World};

pub(super) fn binding(d: &mut Draw, binding: Binding) -> World {
    d.world(binding)
}

pub(super) fn output(d: &mut Draw, rule: OutputRule) -> World {
    let mut world = d.world(Binding::Output);
    world.server.output = rule;
    d.fill(world)
}

pub(super) fn smallest_tier(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.limits = [50.0, 30_000.0, 8_000.0];
    for sizes in &mut world.work.classes {
        sizes.input = d.log(100.0, 2_000.0);
        sizes.output = d.log(30.0, 500.0);
        sizes.max_tokens = sizes.max_tokens.min(4_096);
    }
    d.fill(world)
}

pub(super) fn limits_known(d: &mut Draw) -> World {
    let mut world = d.any();
    world.limits_known = true;
    world
}

pub(super) fn cached(d: &mut Draw, known: bool) -> World {
    let mut world = d.world(Binding::Input);
    world.work.cached = d.even(0.0, 0.95);
    world.work.cached_known = known;
    d.fill(world)
}

pub(super) fn short_intervals(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.capacity = d.log(0.05, 0.5);
    d.fill(world)
}

pub(super) fn clock_skew(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.skew = d.even(-600.0, 600.0);
    world
}

pub(super) fn clock_step(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.skew = d.even(-600.0, 600.0);
    world.server.skew_step = Some((d.even(10.0, 120.0), d.even(-600.0, 600.0)));
    world
}

pub(super) fn estimates_off(d: &mut Draw) -> World {
    let mut world = d.world(Binding::Input);
    world.work.estimate = d.log(0.25, 4.0);
    world.work.estimate_spread = d.even(0.1, 0.6);
    world
}

pub(super) fn two_classes(d: &mut Draw, known: bool) -> World {
    let mut world = d.world(Binding::Output);
    let short = world.work.classes[0];
    world.work.classes.push(Sizes {
        output: short.output * d.log(5.0, 30.0),
        ..short
    });
    world.work.classes_known = known;
    world.server.limits = d.limits(Binding::Output, &world.work);
    d.fill(world)
}

pub(super) fn outputs_drift(d: &mut Draw) -> World {
    let mut world = d.world(Binding::Output);
    world.work.drift = d.log(2.0, 6.0).powi(if d.chance.bool() { 1 } else { -1 });
    d.fill(world)
}

pub(super) fn limits_change(d: &mut Draw, factor: f64) -> World {
    let mut world = d.any();
    world.server.change = Some((d.even(20.0, 120.0), factor));
    d.fill(world)
}

pub(super) fn process_sleeps(d: &mut Draw) -> World {
    let mut world = d.any();
    world.sleep = Some((d.even(10.0, 120.0), 3_600.0));
    world
}

pub(super) fn fast_answers(d: &mut Draw) -> World {
    let mut world = d.any();
    world.work.first_token = d.log(0.05, 0.2);
    world.work.speed = d.log(1_000.0, 5_000.0);
    world
}

pub(super) fn slow_answers(d: &mut Draw) -> World {
    let mut world = d.any();
    world.work.first_token = d.log(10.0, 60.0);
    world.work.speed = d.log(15.0, 60.0);
    world
}

pub(super) fn few_in_flight(d: &mut Draw) -> World {
    let mut world = d.any();
    world.in_flight = d.log(10.0, 100.0) as usize;
    world.work.jobs = world.work.jobs.min(world.in_flight * 30);
    world
}

/// The highest tier, and answers so slow that thousands are out at once.
pub(super) fn ten_thousand_in_flight(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.limits = [10_000.0, 10_000_000.0, 2_000_000.0];
    for sizes in &mut world.work.classes {
        sizes.input = d.log(200.0, 2_000.0);
        sizes.output = d.log(50.0, 400.0);
    }
    world.work.first_token = d.log(20.0, 60.0);
    world.work.speed = d.log(5.0, 20.0);
    d.fill(world)
}

pub(super) fn answers_in_one_piece(d: &mut Draw) -> World {
    let mut world = d.any();
    world.streaming = false;
    world.server.input_shown_late = d.chance.bool();
    world
}

pub(super) fn jitter(d: &mut Draw) -> World {
    let mut world = d.any();
    world.round_trip = d.log(0.05, 0.8);
    world.jitter = d.even(0.5, 1.2);
    world
}

/// From a load that is borne to one of more than the limits give.
pub(super) fn arrivals_over_time(d: &mut Draw) -> World {
    let mut world = d.any();
    world.work.over = d.minutes * 60.0 * d.even(0.8, 1.8);
    world
}

/// Some of everything.
pub(super) fn all_at_once(d: &mut Draw) -> World {
    let mut world = d.any();
    world.limits_known = d.chance.bool();
    world.streaming = d.chance.bool();
    world.server.input_shown_late = d.chance.bool();
    world.work.cached = d.even(0.0, 0.95);
    world.work.cached_known = d.chance.bool();
    world.work.estimate = d.log(0.25, 4.0);
    world.work.estimate_spread = d.even(0.0, 0.6);
    world.work.drift = d.log(0.5, 2.0);
    world.work.first_token = d.log(0.1, 60.0);
    world.work.speed = d.log(10.0, 500.0);
    world.server.capacity = d.log(0.1, 1.0);
    world.server.skew = d.even(-600.0, 600.0);
    world.server.skew_step = Some((d.even(10.0, 120.0), d.even(-600.0, 600.0)));
    world.server.overloaded = d.even(0.0, 0.05);
    world.server.stray_retry_after = d.even(0.0, 0.5);
    world.round_trip = d.log(0.01, 0.5);
    world.jitter = d.even(0.1, 1.0);
    world.server.limits = d.limits(Binding::Input, &world.work);
    d.fill(world)
}

/// A backlog, and among it what cannot wait.
pub(super) fn urgent(d: &mut Draw) -> World {
    let mut world = d.any();
    world.work.urgent = d.even(0.005, 0.1);
    world.work.urgent_over = d.minutes * 60.0 * 0.9;
    world
}
