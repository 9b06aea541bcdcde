//! What this crate reaches in each simulated world: floors, so that a change
//! which loses a point shows. Two seeds, a few seconds in release mode; for more,
//! `cargo run --release --example compare -- --worst --seeds 200`.

use std::{fmt, sync::Mutex, thread};

use sendwhen_sim::{Ours, Outcome, World, bound, run_team, worlds};

use Own::{Fair, Plain, Probes, Urgent, Vain};

/// World; the least efficiency, in percent of what exact knowledge reaches; the
/// most refusals, for a thousand completed jobs; what it has of its own. Of the
/// worse seed each.
const FLOORS: &[(&str, f64, f64, Own)] = &[
    ("requests bind", 99.4, 0.0, Plain),
    ("input binds", 99.6, 0.0, Plain),
    ("output binds, upfront", 97.6, 0.0, Plain),
    ("output binds, live", 94.7, 0.0, Plain),
    ("output binds, at the end", 98.1, 1.4, Plain),
    ("output binds, reserved", 97.2, 2.5, Plain),
    ("smallest tier", 98.1, 0.0, Plain),
    ("limits known", 98.3, 0.0, Plain),
    ("cache, share known", 99.6, 0.0, Plain),
    ("cache, share unknown", 99.7, 0.0, Plain),
    ("short intervals", 91.5, 1.4, Plain),
    ("clock skew", 99.4, 0.0, Plain),
    ("clock step", 92.5, 3.0, Plain),
    ("estimates off", 99.4, 0.0, Plain),
    ("two classes, told apart", 99.3, 0.6, Plain),
    ("two classes, unknown", 96.5, 6.1, Plain),
    ("outputs drift", 98.3, 1.8, Plain),
    ("limits double", 98.5, 0.0, Plain),
    ("limits halve", 99.1, 0.0, Plain),
    ("process sleeps", 99.7, 0.3, Plain),
    ("fast answers", 99.4, 0.0, Plain),
    ("slow answers", 98.1, 0.0, Plain),
    ("few in flight", 99.0, 0.0, Plain),
    ("ten thousand in flight", 87.4, 0.0, Plain),
    ("answers in one piece", 98.8, 0.0, Plain),
    ("overloads", 92.5, 3.0, Plain),
    ("jitter", 98.5, 0.0, Plain),
    ("arrivals over time", 99.8, 0.0, Plain),
    ("all at once", 92.8, 19.0, Plain),
    ("urgent arrivals", 99.6, 0.0, Urgent(0.6)),
    ("fixed windows", 99.5, 4.0, Plain),
    ("sliding logs", 96.3, 4.4, Plain),
    ("OpenAI, buckets", 99.5, 3.6, Plain),
    ("OpenAI, fixed windows", 99.8, 0.1, Plain),
    ("OpenAI, sliding logs", 98.9, 1.7, Plain),
    ("OpenAI, counted as asked", 99.0, 0.5, Plain),
    ("bare proxy", 98.0, 21.0, Plain),
    ("outages", 99.5, 0.1, Probes(4)),
    ("lossy", 97.0, 0.0, Plain),
    ("spend cap", 99.1, 4.1, Vain(0)),
    ("concurrency cap", 98.3, 19.0, Plain),
    ("acceleration", 97.3, 13.5, Plain),
    ("workspace", 99.4, 0.0, Plain),
    ("others, steady", 97.2, 5.1, Plain),
    ("others, in bursts", 91.4, 0.5, Plain),
    ("many clients", 98.1, 27.5, Fair(0.96)),
];

/// What else a world is judged by.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Own {
    Plain,
    /// Jain's index of the clients' shares, at least.
    Fair(f64),
    /// So many under way at once while the server is known to be down.
    Probes(usize),
    /// The p99 wait of what is urgent, in seconds.
    Urgent(f64),
    /// Sent when it was known that all is spent.
    Vain(usize),
}

const SEEDS: [u64; 2] = [1, 2];

#[test]
#[cfg_attr(debug_assertions, ignore = "a minute without optimisation")]
fn no_world_falls_below_its_floor() {
    let mut tasks: Vec<(usize, World, u64)> = Vec::new();
    for seed in SEEDS {
        let worlds = worlds(seed).into_iter().enumerate();
        tasks.extend(worlds.map(|(place, world)| (place, world, seed)));
    }
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
                    let out = run_team(&world, seed, &mut Ours::team(&world, seed));
                    let reached = Reached::new(&world, &out, &bound(&world, seed));
                    done.lock().unwrap().push((place, reached));
                }
            });
        }
    });
    let mut reached: Vec<Option<Reached>> = FLOORS.iter().map(|_| None).collect();
    for (place, more) in done.into_inner().unwrap() {
        if reached.len() <= place {
            reached.resize_with(place + 1, || None);
        }
        reached[place] = Some(match reached[place].take() {
            Some(so_far) => so_far.worse(more),
            None => more,
        });
    }
    let reached: Vec<Reached> = reached.into_iter().flatten().collect();

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
        .filter(|(floor, world)| world.is_below(floor))
        .map(|(floor, world)| format!("{world} where the floor is {floor:?}"))
        .collect();
    assert!(
        below.is_empty(),
        "{}\n\nall that was reached:\n{all}",
        below.join("\n")
    );
}

/// World, seed, and the least efficiency since it was mended, in percent; why it
/// was less.
const MENDED: &[(&str, u64, f64, &str)] = &[
    (
        "sliding logs",
        38,
        86.0,
        "31: a log taken for a shared bucket",
    ),
    (
        "sliding logs",
        33,
        84.0,
        "42: a log taken for a shared bucket",
    ),
    (
        "sliding logs",
        19,
        95.0,
        "88: one refusal spoke for reservations",
    ),
    (
        "fixed windows",
        17,
        95.0,
        "85: one refusal spoke for reservations",
    ),
    (
        "limits halve",
        19,
        98.0,
        "95: one refusal spoke for reservations",
    ),
    (
        "few in flight",
        15,
        97.0,
        "94: one refusal spoke for reservations",
    ),
    (
        "bare proxy",
        15,
        95.0,
        "37: a rate was never found to be too low",
    ),
];

#[test]
#[cfg_attr(debug_assertions, ignore = "half a minute without optimisation")]
fn what_once_fell_short_does_no_more() {
    for &(name, seed, least, why) in MENDED {
        let world = worlds(seed).into_iter().find(|world| world.name == name);
        let world = world.unwrap();
        let out = run_team(&world, seed, &mut Ours::team(&world, seed));
        let reached = Reached::new(&world, &out, &bound(&world, seed));
        assert!(
            reached.efficiency >= least,
            "{reached} with seed {seed}, {least} asked; once {why}"
        );
    }
}

/// The worst of all seeds.
struct Reached {
    name: String,
    efficiency: f64,
    refusals: f64,
    own: Own,
    /// More than the bound.
    given_up: usize,
}

impl Reached {
    fn new(world: &World, out: &Outcome, bound: &Outcome) -> Self {
        let fair = out.fairness.map(Fair);
        let probes = out.probes.map(Probes);
        let urgent = out.urgent_wait(0.99).map(Urgent);
        let vain = out.sent_in_vain.map(Vain);
        // Where it ends, a few more or less were through.
        let ends_early = bound.given_up > 0;
        Self {
            name: world.name.clone(),
            efficiency: out.efficiency(bound) * 100.0,
            refusals: out.refusals() * 1_000.0,
            own: fair.or(probes).or(urgent).or(vain).unwrap_or(Plain),
            given_up: if ends_early { 0 } else { out.given_up },
        }
    }

    fn worse(self, other: Self) -> Self {
        Self {
            efficiency: self.efficiency.min(other.efficiency),
            refusals: self.refusals.max(other.refusals),
            own: match (self.own, other.own) {
                (Fair(a), Fair(b)) => Fair(a.min(b)),
                (Probes(a), Probes(b)) => Probes(a.max(b)),
                (Urgent(a), Urgent(b)) => Urgent(a.max(b)),
                (Vain(a), Vain(b)) => Vain(a.max(b)),
                (own, _) => own,
            },
            given_up: self.given_up + other.given_up,
            ..self
        }
    }

    fn is_below(&self, &(_, efficiency, refusals, own): &(&str, f64, f64, Own)) -> bool {
        let own_falls_short = match (self.own, own) {
            (Plain, Plain) => false,
            (Fair(is), Fair(least)) => is < least,
            (Probes(is), Probes(most)) => is > most,
            (Urgent(is), Urgent(most)) => is > most,
            (Vain(is), Vain(most)) => is > most,
            _ => true,
        };
        self.given_up > 0
            || self.efficiency < efficiency
            || self.refusals > refusals
            || own_falls_short
    }
}

/// As a line of the table, rounded to its loser side.
impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let up = |x: f64| ((x * 10.0 + 1.0).ceil() / 10.0).max(0.0);
        let efficiency = (self.efficiency * 10.0 - 1.0).floor() / 10.0;
        let refusals = if self.refusals > 0.0 {
            up(self.refusals)
        } else {
            0.0
        };
        let own = match self.own {
            Fair(is) => Fair((is * 100.0 - 1.0).floor() / 100.0),
            Urgent(is) => Urgent(up(is)),
            own => own,
        };
        write!(
            f,
            "    ({:?}, {efficiency:.1}, {refusals:.1}, {own:?}),",
            self.name
        )?;
        if self.given_up > 0 {
            write!(f, " // {} given up", self.given_up)?;
        }
        Ok(())
    }
}
