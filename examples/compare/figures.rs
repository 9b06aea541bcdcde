//! The runs, and what is told of each.

use std::{
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use sendwhen_sim::{Client, Ours, Outcome, World, bound, peers::peers, worlds};
use serde::Serialize;

/// What came of one world, over all seeds.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) name: String,
    /// The world of the first seed, and what each client did in it, the bound
    /// first.
    pub(crate) world: World,
    pub(crate) outcomes: Vec<Outcome>,
    /// All clients of the first seed, of the next, ..
    pub(crate) runs: Vec<Run>,
}

/// What came of one client in one world.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) world: String,
    pub(crate) seed: u64,
    pub(crate) client: String,
    /// When the server counts output.
    pub(crate) output: String,
    /// Jobs there were.
    pub(crate) jobs: usize,
    pub(crate) completed: usize,
    pub(crate) given_up: usize,
    /// 429s.
    pub(crate) refused: usize,
    /// 529s.
    pub(crate) overloaded: usize,
    pub(crate) makespan_s: f64,
    /// The bound's makespan over this one.
    pub(crate) efficiency: f64,
    /// 429s for each completed job.
    pub(crate) refusals: f64,
    /// From when a job was wanted to when its last attempt was sent.
    pub(crate) wait_p50_s: f64,
    pub(crate) wait_p99_s: f64,
}

impl Run {
    fn new(world: &World, seed: u64, bound: &Outcome, outcome: &Outcome) -> Self {
        Self {
            world: world.name.clone(),
            seed,
            client: outcome.client.clone(),
            output: format!("{:?}", world.server.output),
            jobs: world.work.jobs,
            completed: outcome.completed,
            given_up: outcome.given_up,
            refused: outcome.refused,
            overloaded: outcome.overloaded,
            makespan_s: outcome.makespan as f64 / 1e9,
            efficiency: bound.makespan as f64 / outcome.makespan.max(1) as f64,
            refusals: outcome.refusals(),
            wait_p50_s: outcome.wait(0.5),
            wait_p99_s: outcome.wait(0.99),
        }
    }
}

/// Who runs, beside the bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Field {
    Everyone,
    ThisCrate,
}

/// Runs the worlds of these names, drawn from `seeds` seeds from `first` on.
pub(crate) fn all(names: &[String], first: u64, seeds: u64, field: Field) -> Vec<Compared> {
    let tasks =
        seeds_of(first, seeds).flat_map(|seed| names.iter().map(move |name| (name.as_str(), seed)));
    let tasks = Mutex::new(tasks);
    let done = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let task = locked(&tasks).next();
                    let Some((name, seed)) = task else { break };
                    if let Some(compared) = one(name, seed, seed == first, field) {
                        locked(&done).push((name, seed, compared));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(_, seed, _)| seed.wrapping_sub(first));
    let mut worlds: Vec<Compared> = Vec::new();
    for name in names {
        let (of_it, rest): (Vec<_>, Vec<_>) = done.into_iter().partition(|(of, ..)| of == name);
        done = rest;
        let whole = of_it.into_iter().map(|(.., compared)| compared);
        worlds.extend(whole.reduce(|mut whole, more| {
            whole.runs.extend(more.runs);
            whole
        }));
    }
    worlds
}

fn seeds_of(first: u64, seeds: u64) -> impl Iterator<Item = u64> {
    (0..seeds).map(move |i| first.wrapping_add(i))
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Only the outcomes that are drawn are kept: they are large.
fn one(name: &str, seed: u64, keep: bool, field: Field) -> Option<Compared> {
    let world = worlds(seed).into_iter().find(|world| world.name == name)?;
    let bound = bound(&world, seed);
    let mut clients: Vec<Box<dyn Client>> = vec![Box::new(Ours::new(&world, seed))];
    if field == Field::Everyone {
        clients.extend(peers(&world, seed));
    }
    let mut runs = Vec::new();
    let mut outcomes = Vec::new();
    for client in &mut clients {
        let outcome = sendwhen_sim::run(&world, seed, client.as_mut());
        runs.push(Run::new(&world, seed, &bound, &outcome));
        if keep {
            outcomes.push(outcome);
        }
    }
    runs.insert(0, Run::new(&world, seed, &bound, &bound));
    outcomes.insert(0, bound);
    Some(Compared {
        name: String::from(name),
        world,
        outcomes,
        runs,
    })
}
