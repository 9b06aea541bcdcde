//! The catalogue, the runs and the bound.

use sendwhen_sim::{
    Client, Job, Kind, Ours, Outcome, SECOND, Why, World, bound, peers::teams, run_team, worlds,
};

/// A world of each name, small.
fn small_worlds(seed: u64) -> Vec<World> {
    let mut worlds = worlds(seed);
    for world in &mut worlds {
        world.work.jobs = world.work.jobs.min(300);
    }
    worlds
}

fn everyone(world: &World, seed: u64) -> Vec<Vec<Box<dyn Client>>> {
    let mut all = teams(world, seed);
    all.push(Ours::team(world, seed));
    all
}

#[test]
fn the_same_seed_gives_the_same_outcome() {
    for (world, again) in small_worlds(7).iter().zip(&small_worlds(7)) {
        let outcomes = |world: &World| {
            let mut outcomes = vec![bound(world, 7)];
            let mut all = everyone(world, 7);
            outcomes.extend(all.iter_mut().map(|team| run_team(world, 7, team)));
            outcomes
                .iter()
                .map(|out| (out.makespan, out.completed, out.refused, out.asked))
                .collect::<Vec<_>>()
        };
        assert_eq!(outcomes(world), outcomes(again), "{}", world.name);
    }
}

#[test]
fn every_job_is_completed_or_given_up() {
    for world in small_worlds(3) {
        for team in &mut everyone(&world, 3) {
            let out = run_team(&world, 3, team);
            let all = out.completed + out.given_up;
            assert_eq!(all, world.work.jobs, "{} in {}", out.client, world.name);
        }
        let out = bound(&world, 3);
        let all = out.completed + out.given_up;
        assert_eq!(all, world.work.jobs, "{}", world.name);
        let ends_early = world.server.spend.is_some();
        assert!(out.given_up == 0 || ends_early, "{}", world.name);
    }
}

/// The fluid bound: whoever gives nothing up takes at least as long as what is
/// not there at the start needs to come in.
#[test]
fn nobody_is_faster_than_the_refill() {
    for world in worlds(5) {
        let server = &world.server;
        if server.change.is_some() || server.spend.is_some() {
            continue;
        }
        let jobs = world.jobs(5);
        let input: u64 = jobs.iter().map(Job::counted_input).sum();
        let output: u64 = jobs.iter().map(|job| job.output).sum();
        let needed = if server.together {
            [jobs.len() as f64, (input + output) as f64, 0.0]
        } else {
            [jobs.len() as f64, input as f64, output as f64]
        };
        // A window may begin just before its edge.
        let fillings = if server.kind == Kind::Window {
            2.0
        } else {
            1.0
        };
        let least = (0..3)
            .map(|i| {
                let limit = server.least_limits()[i].max(1.0);
                (needed[i] - limit * server.capacity * fillings) / (limit / 60.0)
            })
            .fold(0.0, f64::max);
        let bound = bound(&world, 5).makespan as f64 / SECOND as f64;
        assert!(bound > least - 0.01, "{}: {bound} < {least}", world.name);
    }
}

#[test]
fn all_worlds_have_names_of_their_own() {
    let mut names: Vec<String> = worlds(1).into_iter().map(|world| world.name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

fn world(name: &str, seed: u64) -> World {
    let found = worlds(seed).into_iter().find(|world| world.name == name);
    found.unwrap()
}

fn ours(world: &World, seed: u64) -> Outcome {
    run_team(world, seed, &mut Ours::team(world, seed))
}

#[test]
fn each_world_has_figures_of_its_own() {
    for world in small_worlds(2) {
        let out = ours(&world, 2);
        let own = (
            out.fairness.is_some(),
            out.probes.is_some(),
            out.sent_in_vain.is_some(),
            !out.urgent.is_empty(),
            out.lost > 0,
        );
        let expected = match world.name.as_str() {
            "many clients" => (true, false, false, false, false),
            "outages" => (false, true, false, false, false),
            "spend cap" => (false, false, true, false, false),
            "urgent arrivals" => (false, false, false, true, false),
            "lossy" => (false, false, false, false, true),
            _ => (false, false, false, false, false),
        };
        assert_eq!(own, expected, "{}", world.name);
    }
}

#[test]
fn the_same_answers_are_lost_to_all() {
    let world = world("lossy", 4);
    let (bound, ours) = (bound(&world, 4), ours(&world, 4));
    assert_eq!(bound.lost, ours.lost);
    assert!(bound.lost > 0);
}

#[test]
fn clients_alike_share_the_work_evenly() {
    let world = world("many clients", 2);
    let jobs = world.jobs(2);
    for owner in 0..world.clients {
        let own = jobs.iter().filter(|job| job.owner == owner).count();
        assert!(own.abs_diff(jobs.len() / world.clients) <= 1);
    }
    let alone = World {
        clients: 1,
        joins: 0.0,
        ..world
    };
    assert_eq!(ours(&alone, 2).fairness, None);
}

/// The urgent go first: in a world where all others wait for minutes.
#[test]
fn the_bound_lets_the_urgent_pass() {
    for seed in 1..4 {
        let world = world("urgent arrivals", seed);
        let out = bound(&world, seed);
        let urgent = out.urgent_wait(0.5).unwrap();
        assert!(
            urgent < out.wait(0.5) / 10.0,
            "{urgent} of {}",
            out.wait(0.5)
        );
    }
}

#[test]
fn what_a_spent_budget_refuses_is_told_apart() {
    let world = world("spend cap", 1);
    let out = ours(&world, 1);
    assert!(out.given_up > 0);
    assert!(out.refused >= 1);
    let answer = sendwhen_sim::Answer {
        status: 429,
        why: Some(Why::Spent),
        ..sendwhen_sim::Server::new(world.server).answer(429)
    };
    assert_eq!(answer.error().unwrap().code, "enforced_spend_limit_reached");
}
