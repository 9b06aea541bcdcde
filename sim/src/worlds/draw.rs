//! A draw of one world.

use crate::{
    server::{OutputRule, ServerSpec},
    work::{Sizes, Workload},
    world::World,
};

/// What is to run out first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Binding {
    Requests,
    Input,
    Output,
}

/// A draw of one world.
#[derive(Debug)]
pub(super) struct Draw {
    pub(super) chance: fastrand::Rng,
    /// How long the work lasts at least, once the full buckets are spent.
    pub(super) minutes: f64,
}

impl Draw {
    pub(super) fn new(name: &str, seed: u64) -> Self {
        // FNV-1a: worlds of one seed have nothing in common.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut chance = fastrand::Rng::with_seed(hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let minutes = 4.0 + 4.0 * chance.f64();
        Self { chance, minutes }
    }

    pub(super) fn even(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.chance.f64()
    }

    /// Even in the logarithm.
    pub(super) fn log(&mut self, from: f64, to: f64) -> f64 {
        (self.even(from.ln(), to.ln())).exp()
    }

    pub(super) fn any(&mut self) -> World {
        let all = [Binding::Requests, Binding::Input, Binding::Output];
        let binding = all[self.chance.usize(0..3)];
        self.world(binding)
    }

    pub(super) fn world(&mut self, binding: Binding) -> World {
        let output = self.log(50.0, 1_000.0);
        let sizes = Sizes {
            input: self.log(200.0, 8_000.0),
            output,
            max_tokens: (output * self.log(4.0, 40.0)).round() as u64,
            spread: self.even(0.1, 0.8),
        };
        let work = Workload {
            classes: vec![sizes],
            estimate: self.log(0.8, 1.25),
            estimate_spread: self.even(0.0, 0.2),
            first_token: self.log(0.3, 3.0),
            speed: self.log(30.0, 150.0),
            ..Workload::default()
        };
        let others = [OutputRule::Upfront, OutputRule::AtEnd, OutputRule::Reserved];
        let server = ServerSpec {
            limits: self.limits(binding, &work),
            // What the API documents, in every other world.
            output: if self.chance.bool() {
                OutputRule::Live
            } else {
                others[self.chance.usize(0..3)]
            },
            output_shown_early: self.chance.bool(),
            ..ServerSpec::default()
        };
        let world = World {
            server,
            work,
            round_trip: self.log(0.02, 0.3),
            jitter: self.even(0.1, 0.5),
            ..World::default()
        };
        self.fill(world)
    }

    /// Limits under which `binding` runs out first.
    pub(super) fn limits(&mut self, binding: Binding, work: &Workload) -> [f64; 3] {
        let requests = self.log(60.0, 1_500.0);
        let slack = [(); 3].map(|()| self.log(1.3, 6.0));
        let mean = work.mean();
        let mut limits = [0.0; 3];
        for i in 0..3 {
            let slack = if i == binding as usize { 1.0 } else { slack[i] };
            let step = if i == 0 { 1.0 } else { 1_000.0 };
            limits[i] = (requests * mean[i] * slack / step).ceil() * step;
        }
        limits
    }

    /// Makes one limit of those for input and output, and one of both the first
    /// to run out.
    pub(super) fn together(&mut self, mut world: World) -> World {
        world.server.together = true;
        world.server.limits = self.limits(Binding::Requests, &world.work);
        let [requests, ..] = world.server.limits;
        let [_, tokens, _] = mean(&world);
        let slack = self.log(0.3, 3.0);
        world.server.limits[1] = (requests * tokens * slack / 1_000.0).ceil() * 1_000.0;
        self.fill(world)
    }

    /// As many jobs as last for the drawn time, each small enough to pass.
    pub(super) fn fill(&mut self, mut world: World) -> World {
        let server = &world.server;
        let limits = server.least_limits();
        let halved = server.change.map_or(1.0, |(_, factor)| factor.min(1.0));
        let most = limits.map(|limit| limit * server.capacity * halved / 2.0);
        // Both have to find room in what is one.
        let most_of_both = [most[1] / 2.0; 2];
        let [most_input, most_output] = if server.together {
            most_of_both
        } else {
            [most[1], most[2]]
        };
        world.work.largest_input = (most_input as u64).max(1);
        let reserved = server.output == OutputRule::Reserved;
        for sizes in &mut world.work.classes {
            // Some reservations at a time, or it is no question of limits.
            let part = if reserved { 4 } else { 1 };
            sizes.max_tokens = sizes.max_tokens.min(most_output as u64 / part).max(1);
            sizes.output = sizes.output.min(sizes.max_tokens as f64 / 2.0).max(1.0);
        }
        let mean = mean(&world);
        let others = world.server.others.map_or(0.0, |others| others.share);
        let jobs = (0..if world.server.together { 2 } else { 3 }).map(|i| {
            // What is reserved and given back must be there at the start alone.
            let rate = limits[i] * self.minutes * (1.0 - others);
            let full = if reserved && i == 2 { 0.0 } else { limits[i] };
            (full * world.server.capacity + rate) / mean[i]
        });
        world.work.jobs = jobs.fold(40_000.0, f64::min).ceil() as usize;
        world
    }
}

/// What a job takes of each limit, in the mean.
pub(super) fn mean(world: &World) -> [f64; 3] {
    let [requests, input, mut output] = world.work.mean();
    if world.server.output == OutputRule::Asked {
        let classes = &world.work.classes;
        let asked: u64 = classes.iter().map(|sizes| sizes.max_tokens).sum();
        output = asked as f64 / classes.len().max(1) as f64;
    }
    if world.server.together {
        [requests, input + output, 0.0]
    } else {
        [requests, input, output]
    }
}

/// How many jobs a second the limits let through in the long run.
pub(super) fn pace(world: &World) -> f64 {
    let (limits, mean) = (world.server.least_limits(), mean(world));
    let paces = (0..3)
        .filter(|&i| mean[i] > 0.0)
        .map(|i| limits[i] / mean[i] / 60.0);
    paces.fold(f64::MAX, f64::min)
}
