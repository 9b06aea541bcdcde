//! Levels, rules of output, and determinism.

use sendwhen_sim::{
    Job, Ours, OutputRule, Reception, SECOND, Server, ServerSpec, World, bound, peers::peers, run,
    worlds,
};

const JOB: Job = Job {
    at: 0,
    input: 1_000,
    cached: 0,
    output: 600,
    max_tokens: 4_000,
    estimate: 1_000,
    estimate_cached: 0,
    class: 0,
    silence: 2 * SECOND,
    span: 6 * SECOND,
};

fn server(output: OutputRule) -> Server {
    Server::new(ServerSpec {
        // One token of output a second: what is taken shows.
        limits: [60.0, 60_000.0, 6_000.0],
        rounding: 1.0,
        output,
        ..ServerSpec::default()
    })
}

/// What output remains at these seconds after one job.
fn output_left(rule: OutputRule, seconds: [u64; 4]) -> [u64; 4] {
    let mut server = server(rule);
    let mut chance = fastrand::Rng::with_seed(1);
    let reception = server.receive(0, &JOB, JOB.silence, JOB.span, &mut chance);
    assert!(matches!(reception, Reception::Admitted(_)));
    seconds.map(|second| {
        server.advance(second * SECOND);
        server.shown().unwrap().remaining[2]
    })
}

#[test]
fn each_rule_takes_output_at_its_time() {
    // 100 tokens come in a second; the first token after 2 s, the last after 8.
    let at = [0, 2, 5, 8];
    let left = |rule| output_left(rule, at);
    assert_eq!(left(OutputRule::Upfront), [5_400, 5_600, 5_900, 6_000]);
    assert_eq!(left(OutputRule::Live), [6_000, 6_000, 6_000, 6_000]);
    assert_eq!(left(OutputRule::AtEnd), [6_000, 6_000, 6_000, 5_400]);
    assert_eq!(left(OutputRule::Reserved), [2_000, 2_200, 2_500, 6_000]);
}

#[test]
fn each_rule_takes_the_same_in_the_end() {
    for rule in [
        OutputRule::Upfront,
        OutputRule::Live,
        OutputRule::AtEnd,
        OutputRule::Reserved,
    ] {
        let mut server = server(rule);
        let mut chance = fastrand::Rng::with_seed(1);
        let _admitted = server.receive(0, &JOB, JOB.silence, JOB.span, &mut chance);
        server.advance(9 * SECOND);
        let [requests, input, output] = server.charged;
        assert_eq!((requests, input), (1.0, 1_000.0));
        assert!((output - 600.0).abs() < 1e-6, "{rule:?}: {output}");
    }
}

#[test]
fn a_refusal_takes_nothing_and_says_when_it_fits() {
    let mut server = server(OutputRule::Live);
    let mut chance = fastrand::Rng::with_seed(1);
    let large = Job {
        input: 59_500,
        ..JOB
    };
    let mut receive =
        |server: &mut Server, at| server.receive(at, &large, JOB.silence, JOB.span, &mut chance);
    assert!(matches!(
        receive(&mut server, 0),
        Reception::Admitted(Some(shown)) if shown.remaining[..2] == [59, 500]
    ));
    // 59 000 are missing, at 1 000 a second.
    assert!(matches!(
        receive(&mut server, 0),
        Reception::Refused(Some(shown), 59, _) if shown.remaining[..2] == [59, 500]
    ));
    assert!(matches!(
        receive(&mut server, 59 * SECOND - 1_000_000),
        Reception::Refused(_, 1, _)
    ));
    assert!(matches!(
        receive(&mut server, 59 * SECOND),
        Reception::Admitted(_)
    ));
}

#[test]
fn shorter_intervals_hold_less_and_come_in_as_fast() {
    let mut server = Server::new(ServerSpec {
        limits: [60.0, 60_000.0, 6_000.0],
        capacity: 0.05,
        ..ServerSpec::default()
    });
    let mut chance = fastrand::Rng::with_seed(1);
    let mut admitted = 0;
    let job = Job { output: 50, ..JOB };
    for tenth in 0..600 {
        let at = tenth * SECOND / 10;
        if let Reception::Admitted(_) = server.receive(at, &job, 0, SECOND, &mut chance) {
            admitted += 1;
        }
    }
    assert!((60..=63).contains(&admitted), "{admitted}");
}

#[test]
fn meters_never_show_more_than_the_limit_or_less_than_nothing() {
    let spec = ServerSpec {
        limits: [50.0, 30_600.0, 8_000.0],
        ..ServerSpec::default()
    };
    let full = Server::new(spec.clone()).shown().unwrap();
    assert_eq!(full.remaining, [50, 30_600, 8_000]);
    let owing = Server::holding(spec, [0.4, -20_000.0, -1.0])
        .shown()
        .unwrap();
    assert_eq!(owing.remaining, [0, 0, 0]);
}

#[test]
fn the_clock_may_step() {
    let mut server = Server::new(ServerSpec {
        skew_step: Some((10.0, -300.0)),
        ..ServerSpec::default()
    });
    let before = server.date();
    server.advance(9 * SECOND);
    assert_eq!(server.date() - before, 9);
    server.advance(10 * SECOND);
    assert_eq!(server.date() - before, -290);
}

/// A world of each name, small.
fn small_worlds(seed: u64) -> Vec<World> {
    let mut worlds = worlds(seed);
    for world in &mut worlds {
        world.work.jobs = world.work.jobs.min(300);
    }
    worlds
}

#[test]
fn the_same_seed_gives_the_same_outcome() {
    for (world, again) in small_worlds(7).iter().zip(&small_worlds(7)) {
        let outcomes = |world: &World| {
            let mut outcomes = vec![bound(world, 7), run(world, 7, &mut Ours::new(world, 7))];
            let mut clients = peers(world, 7);
            outcomes.extend(
                clients
                    .iter_mut()
                    .map(|client| run(world, 7, client.as_mut())),
            );
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
        let mut clients = peers(&world, 3);
        clients.push(Box::new(Ours::new(&world, 3)));
        for client in &mut clients {
            let out = run(&world, 3, client.as_mut());
            let all = out.completed + out.given_up;
            assert_eq!(all, world.work.jobs, "{} in {}", out.client, world.name);
        }
        assert_eq!(
            bound(&world, 3).completed,
            world.work.jobs,
            "{}",
            world.name
        );
    }
}

/// The fluid bound: whoever gives nothing up takes at least as long as what is
/// not in the full buckets needs to come in.
#[test]
fn nobody_is_faster_than_the_refill() {
    for world in worlds(5) {
        if world.server.change.is_some() {
            continue;
        }
        let jobs = world.work.draw(5);
        let input: u64 = jobs.iter().map(Job::counted_input).sum();
        let output: u64 = jobs.iter().map(|job| job.output).sum();
        let needed = [jobs.len() as f64, input as f64, output as f64];
        let least = (0..3)
            .map(|i| {
                let limit = world.server.limits[i];
                (needed[i] - limit * world.server.capacity) / (limit / 60.0)
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
