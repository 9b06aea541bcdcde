//! The catalogue: each world a function of a seed, its parameters drawn from
//! ranges, so that nothing can be fitted to one setting.

use crate::{
    server::{OutputRule, ServerSpec},
    work::{Sizes, Workload},
    world::World,
};

/// All worlds, drawn from `seed`.
pub fn worlds(seed: u64) -> Vec<World> {
    CATALOGUE
        .iter()
        .map(|&(name, draw)| {
            let mut world = draw(&mut Draw::new(name, seed));
            world.name = String::from(name);
            world
        })
        .collect()
}

/// A name, and how a world of it is drawn.
type Entry = (&'static str, fn(&mut Draw) -> World);

const CATALOGUE: &[Entry] = &[
    ("requests bind", |d| d.world(Binding::Requests)),
    ("input binds", |d| d.world(Binding::Input)),
    ("output binds, upfront", |d| d.output(OutputRule::Upfront)),
    ("output binds, live", |d| d.output(OutputRule::Live)),
    ("output binds, at the end", |d| d.output(OutputRule::AtEnd)),
    ("output binds, reserved", |d| d.output(OutputRule::Reserved)),
    ("smallest tier", smallest_tier),
    ("limits known", limits_known),
    ("cache, share known", |d| cached(d, true)),
    ("cache, share unknown", |d| cached(d, false)),
    ("short intervals", short_intervals),
    ("clock skew", clock_skew),
    ("clock step", clock_step),
    ("estimates off", estimates_off),
    ("two classes, told apart", |d| two_classes(d, true)),
    ("two classes, unknown", |d| two_classes(d, false)),
    ("outputs drift", outputs_drift),
    ("limits double", |d| limits_change(d, 2.0)),
    ("limits halve", |d| limits_change(d, 0.5)),
    ("process sleeps", process_sleeps),
    ("fast answers", fast_answers),
    ("slow answers", slow_answers),
    ("few in flight", few_in_flight),
    ("ten thousand in flight", ten_thousand_in_flight),
    ("answers in one piece", answers_in_one_piece),
    ("overloads", overloads),
    ("jitter", jitter),
    ("arrivals over time", arrivals_over_time),
    ("all at once", all_at_once),
];

/// What is to run out first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Binding {
    Requests,
    Input,
    Output,
}

fn smallest_tier(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.limits = [50.0, 30_000.0, 8_000.0];
    for sizes in &mut world.work.classes {
        sizes.input = d.log(100.0, 2_000.0);
        sizes.output = d.log(30.0, 500.0);
        sizes.max_tokens = sizes.max_tokens.min(4_096);
    }
    d.fill(world)
}

fn limits_known(d: &mut Draw) -> World {
    let mut world = d.any();
    world.limits_known = true;
    world
}

fn cached(d: &mut Draw, known: bool) -> World {
    let mut world = d.world(Binding::Input);
    world.work.cached = d.even(0.0, 0.95);
    world.work.cached_known = known;
    d.fill(world)
}

fn short_intervals(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.capacity = d.log(0.05, 0.5);
    d.fill(world)
}

fn clock_skew(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.skew = d.even(-600.0, 600.0);
    world
}

fn clock_step(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.skew = d.even(-600.0, 600.0);
    world.server.skew_step = Some((d.even(10.0, 120.0), d.even(-600.0, 600.0)));
    world
}

fn estimates_off(d: &mut Draw) -> World {
    let mut world = d.world(Binding::Input);
    world.work.estimate = d.log(0.25, 4.0);
    world.work.estimate_spread = d.even(0.1, 0.6);
    world
}

fn two_classes(d: &mut Draw, known: bool) -> World {
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

fn outputs_drift(d: &mut Draw) -> World {
    let mut world = d.world(Binding::Output);
    world.work.drift = d.log(2.0, 6.0).powi(if d.chance.bool() { 1 } else { -1 });
    d.fill(world)
}

fn limits_change(d: &mut Draw, factor: f64) -> World {
    let mut world = d.any();
    world.server.change = Some((d.even(20.0, 120.0), factor));
    d.fill(world)
}

fn process_sleeps(d: &mut Draw) -> World {
    let mut world = d.any();
    world.sleep = Some((d.even(10.0, 120.0), 3_600.0));
    world
}

fn fast_answers(d: &mut Draw) -> World {
    let mut world = d.any();
    world.work.first_token = d.log(0.05, 0.2);
    world.work.speed = d.log(1_000.0, 5_000.0);
    world
}

fn slow_answers(d: &mut Draw) -> World {
    let mut world = d.any();
    world.work.first_token = d.log(10.0, 60.0);
    world.work.speed = d.log(15.0, 60.0);
    world
}

fn few_in_flight(d: &mut Draw) -> World {
    let mut world = d.any();
    world.in_flight = d.log(10.0, 100.0) as usize;
    world.work.jobs = world.work.jobs.min(world.in_flight * 30);
    world
}

/// The highest tier, and answers so slow that thousands are out at once.
fn ten_thousand_in_flight(d: &mut Draw) -> World {
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

fn answers_in_one_piece(d: &mut Draw) -> World {
    let mut world = d.any();
    world.streaming = false;
    world.server.input_shown_late = d.chance.bool();
    world
}

fn overloads(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.overloaded = d.even(0.0, 0.1);
    world.server.stray_retry_after = d.even(0.0, 0.5);
    world
}

fn jitter(d: &mut Draw) -> World {
    let mut world = d.any();
    world.round_trip = d.log(0.05, 0.8);
    world.jitter = d.even(0.5, 1.2);
    world
}

/// From a load that is borne to one of more than the limits give.
fn arrivals_over_time(d: &mut Draw) -> World {
    let mut world = d.any();
    world.work.over = d.minutes * 60.0 * d.even(0.8, 1.8);
    world
}

/// Some of everything.
fn all_at_once(d: &mut Draw) -> World {
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

/// A draw of one world.
#[derive(Debug)]
struct Draw {
    chance: fastrand::Rng,
    /// How long the work lasts at least, once the full buckets are spent.
    minutes: f64,
}

impl Draw {
    fn new(name: &str, seed: u64) -> Self {
        // FNV-1a: worlds of one seed have nothing in common.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut chance = fastrand::Rng::with_seed(hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let minutes = 4.0 + 4.0 * chance.f64();
        Self { chance, minutes }
    }

    fn even(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.chance.f64()
    }

    /// Even in the logarithm.
    fn log(&mut self, from: f64, to: f64) -> f64 {
        (self.even(from.ln(), to.ln())).exp()
    }

    fn any(&mut self) -> World {
        let all = [Binding::Requests, Binding::Input, Binding::Output];
        let binding = all[self.chance.usize(0..3)];
        self.world(binding)
    }

    fn output(&mut self, rule: OutputRule) -> World {
        let mut world = self.world(Binding::Output);
        world.server.output = rule;
        self.fill(world)
    }

    fn world(&mut self, binding: Binding) -> World {
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
    fn limits(&mut self, binding: Binding, work: &Workload) -> [f64; 3] {
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

    /// As many jobs as last for the drawn time, each small enough to pass.
    fn fill(&mut self, mut world: World) -> World {
        let limits = world.server.limits;
        let halved = world
            .server
            .change
            .map_or(1.0, |(_, factor)| factor.min(1.0));
        let most = limits.map(|limit| (limit * world.server.capacity * halved / 2.0) as u64);
        world.work.largest_input = most[1].max(1);
        let reserved = world.server.output == OutputRule::Reserved;
        for sizes in &mut world.work.classes {
            // Some reservations at a time, or it is no question of limits.
            let part = if reserved { 4 } else { 1 };
            sizes.max_tokens = sizes.max_tokens.min(most[2] / part).max(1);
            sizes.output = sizes.output.min(sizes.max_tokens as f64 / 2.0).max(1.0);
        }
        let mean = world.work.mean();
        let jobs = (0..3).map(|i| {
            // What is reserved and given back must be there at the start alone.
            let rate = limits[i] * self.minutes;
            let full = if reserved && i == 2 { 0.0 } else { limits[i] };
            (full * world.server.capacity + rate) / mean[i]
        });
        world.work.jobs = jobs.fold(40_000.0, f64::min).ceil() as usize;
        world
    }
}
