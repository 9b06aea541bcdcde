//! The runs, and what is told of each.

use std::{
    fmt,
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use sendwhen_sim::{
    Ours, Outcome, World, bound, bound_when_told, bound_without_debt, peers, run_team, worlds,
};
use serde::Serialize;

use crate::chart::Drawn;

/// What came of one world, over all seeds.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) name: String,
    /// The world of the first seed, and what each client did in it, the bound
    /// first.
    pub(crate) world: World,
    pub(crate) drawn: Vec<Drawn>,
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
    /// Answers that never came.
    pub(crate) lost: usize,
    pub(crate) makespan_s: f64,
    /// The makespan of the bound that owes nothing over this one.
    pub(crate) without_debt: f64,
    /// The same of one that knows no more of limits than it was told.
    pub(crate) when_told: f64,
    /// The bound's makespan over this one.
    pub(crate) efficiency: f64,
    /// 429s for each completed job.
    pub(crate) refusals: f64,
    /// From when a job was wanted to when its last attempt was sent.
    pub(crate) wait_p50_s: f64,
    pub(crate) wait_p99_s: f64,
    /// Of those that go before all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) urgent_p99_s: Option<f64>,
    /// Jain's index of the shares of several clients while all had work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fairness: Option<f64>,
    /// The most under way at once of those sent when the server could be known
    /// to be down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) probes: Option<usize>,
    /// Sent when it was known that all is spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sent_in_vain: Option<usize>,
}

/// What a world is judged by besides what all are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Own {
    UrgentP99(f64),
    Fairness(f64),
    Probes(usize),
    InVain(usize),
}

impl Own {
    /// What it is called in a table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::UrgentP99(_) => "urgent p99",
            Self::Fairness(_) => "fairness",
            Self::Probes(_) => "probes",
            Self::InVain(_) => "in vain",
        }
    }

    /// The worse of two of a kind.
    fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::UrgentP99(a), Self::UrgentP99(b)) => Self::UrgentP99(a.max(b)),
            (Self::Fairness(a), Self::Fairness(b)) => Self::Fairness(a.min(b)),
            (Self::Probes(a), Self::Probes(b)) => Self::Probes(a.max(b)),
            (Self::InVain(a), Self::InVain(b)) => Self::InVain(a.max(b)),
            (own, _) => own,
        }
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UrgentP99(seconds) => write!(f, "{seconds:.1} s"),
            Self::Fairness(index) => write!(f, "{index:.3}"),
            Self::Probes(count) | Self::InVain(count) => write!(f, "{count}"),
        }
    }
}

/// The worst of what these runs have of their own.
pub(crate) fn own<'a>(runs: impl Iterator<Item = &'a Run>) -> Option<Own> {
    runs.filter_map(Run::own).reduce(Own::worse)
}

impl Run {
    fn new(
        world: &World,
        seed: u64,
        [bound, frugal, told]: [&Outcome; 3],
        outcome: &Outcome,
    ) -> Self {
        Self {
            world: world.name.clone(),
            seed,
            client: outcome.client.clone(),
            output: format!("{:?}", world.server.output),
            jobs: world.work.jobs,
            completed: outcome.completed,
            // Beyond what nobody could have done.
            given_up: outcome.given_up.saturating_sub(bound.given_up),
            refused: outcome.refused,
            overloaded: outcome.overloaded,
            lost: outcome.lost,
            makespan_s: outcome.makespan as f64 / 1e9,
            without_debt: outcome.efficiency(frugal),
            when_told: outcome.efficiency(told),
            efficiency: outcome.efficiency(bound),
            refusals: outcome.refusals(),
            wait_p50_s: outcome.wait(0.5),
            wait_p99_s: outcome.wait(0.99),
            urgent_p99_s: outcome.urgent_wait(0.99),
            fairness: outcome.fairness,
            probes: outcome.probes,
            sent_in_vain: outcome.sent_in_vain,
        }
    }

    fn own(&self) -> Option<Own> {
        let urgent = self.urgent_p99_s.map(Own::UrgentP99);
        let fairness = self.fairness.map(Own::Fairness);
        let probes = self.probes.map(Own::Probes);
        let in_vain = self.sent_in_vain.map(Own::InVain);
        urgent.or(fairness).or(probes).or(in_vain)
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

fn one(name: &str, seed: u64, keep: bool, field: Field) -> Option<Compared> {
    let world = worlds(seed).into_iter().find(|world| world.name == name)?;
    let bound = bound(&world, seed);
    let frugal = bound_without_debt(&world, seed);
    let told = bound_when_told(&world, seed);
    let bounds = [&bound, &frugal, &told];
    let mut everyone = vec![Ours::team(&world, seed)];
    if field == Field::Everyone {
        everyone.extend(peers::teams(&world, seed));
    }
    let mut runs = Vec::new();
    let mut drawn = vec![Drawn::new(&bound, bound.makespan)];
    for team in &mut everyone {
        let outcome = run_team(&world, seed, team);
        runs.push(Run::new(&world, seed, bounds, &outcome));
        if keep {
            drawn.push(Drawn::new(&outcome, bound.makespan));
        }
    }
    runs.insert(0, Run::new(&world, seed, bounds, &bound));
    Some(Compared {
        name: String::from(name),
        world,
        drawn,
        runs,
    })
}
