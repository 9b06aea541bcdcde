//! What this crate reaches in each simulated world: floors, so that a change
//! which loses a point shows. Two seeds, a few seconds in release mode; for more,
//! `cargo run --release --example compare -- --worst --seeds 200`.

use std::{fmt, sync::Mutex, thread};

use sendwhen_sim::{Ours, World, bound, run, worlds};

/// World; the least efficiency, in percent of what exact knowledge reaches; the
/// most refusals, for a thousand completed jobs. Of the worse seed each.
const FLOORS: &[(&str, f64, f64)] = &[
    ("requests bind", 99.4, 0.0),
    ("input binds", 99.6, 0.0),
    ("output binds, upfront", 97.6, 0.0),
    ("output binds, live", 94.7, 0.0),
    ("output binds, at the end", 98.1, 1.4),
    ("output binds, reserved", 97.8, 2.4),
    ("smallest tier", 98.1, 0.0),
    ("limits known", 98.3, 0.0),
    ("cache, share known", 99.6, 0.0),
    ("cache, share unknown", 99.7, 0.0),
    ("short intervals", 92.1, 0.7),
    ("clock skew", 99.4, 0.0),
    ("clock step", 92.5, 1.3),
    ("estimates off", 99.4, 0.0),
    ("two classes, told apart", 99.3, 0.6),
    ("two classes, unknown", 99.2, 2.3),
    ("outputs drift", 98.3, 1.0),
    ("limits double", 98.9, 0.0),
    ("limits halve", 99.2, 0.0),
    ("process sleeps", 99.7, 0.3),
    ("fast answers", 99.4, 0.0),
    ("slow answers", 98.1, 0.0),
    ("few in flight", 99.2, 0.0),
    ("ten thousand in flight", 87.4, 0.0),
    ("answers in one piece", 98.8, 0.0),
    ("overloads", 93.2, 1.5),
    ("jitter", 98.5, 0.0),
    ("arrivals over time", 99.8, 0.0),
    ("all at once", 92.2, 0.0),
];

const SEEDS: [u64; 2] = [1, 2];

#[test]
#[cfg_attr(debug_assertions, ignore = "a minute without optimisation")]
fn no_world_falls_below_its_floor() {
    let mut tasks: Vec<(usize, World, u64)> = Vec::new();
    for seed in SEEDS {
        let worlds = worlds(seed).into_iter().enumerate();
        tasks.extend(worlds.map(|(place, world)| (place, world, seed)));
    }
    let mut reached: Vec<Reached> = worlds(1).iter().map(Reached::new).collect();
    let (tasks, done) = (Mutex::new(tasks), Mutex::new(Vec::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let task = tasks.lock().unwrap().pop();
                    let Some((place, world, seed)) = task else {
                        break;
                    };
                    let out = run(&world, seed, &mut Ours::new(&world, seed));
                    let least = bound(&world, seed).makespan as f64;
                    let efficiency = least / out.makespan as f64 * 100.0;
                    let figures = (efficiency, out.refusals() * 1_000.0, out.given_up);
                    done.lock().unwrap().push((place, figures));
                }
            });
        }
    });
    for (place, (efficiency, refusals, given_up)) in done.into_inner().unwrap() {
        let world = &mut reached[place];
        world.efficiency = world.efficiency.min(efficiency);
        world.refusals = world.refusals.max(refusals);
        world.given_up += given_up;
    }

    let names: Vec<&str> = FLOORS.iter().map(|(name, ..)| *name).collect();
    let catalogue: Vec<&str> = reached.iter().map(|world| world.name.as_str()).collect();
    let all: String = reached.iter().map(|world| format!("{world}\n")).collect();
    assert_eq!(
        names, catalogue,
        "one floor for each world; reached:\n{all}"
    );
    let below: Vec<String> = FLOORS
        .iter()
        .zip(&reached)
        .filter(|((_, efficiency, refusals), world)| {
            world.given_up > 0 || world.efficiency < *efficiency || world.refusals > *refusals
        })
        .map(|(floor, world)| format!("{world} where the floor is {floor:?}"))
        .collect();
    assert!(
        below.is_empty(),
        "{}\n\nall that was reached:\n{all}",
        below.join("\n")
    );
}

/// The worst of all seeds.
struct Reached {
    name: String,
    efficiency: f64,
    refusals: f64,
    given_up: usize,
}

impl Reached {
    fn new(world: &World) -> Self {
        Self {
            name: world.name.clone(),
            efficiency: f64::MAX,
            refusals: 0.0,
            given_up: 0,
        }
    }
}

/// As a line of the table, rounded to its loser side.
impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let efficiency = (self.efficiency * 10.0 - 1.0).floor() / 10.0;
        let refusals = if self.refusals > 0.0 {
            (self.refusals * 10.0 + 1.0).ceil() / 10.0
        } else {
            0.0
        };
        write!(f, "    ({:?}, {efficiency:.1}, {refusals:.1}),", self.name)?;
        if self.given_up > 0 {
            write!(f, " // {} given up", self.given_up)?;
        }
        Ok(())
    }
}
