//! The server: levels, rules of output, kinds of meter, and what else it refuses
//! for.

use sendwhen_sim::{
    Acceleration, Heads, Job, Kind, OthersSpec, OutputRule, Reception, SECOND, Server, ServerSpec,
    Shown, Time, Why,
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
    urgent: false,
    owner: 0,
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
        Reception::Refused(Some(shown), Some(59), _) if shown.remaining[..2] == [59, 500]
    ));
    assert!(matches!(
        receive(&mut server, 59 * SECOND - 1_000_000),
        Reception::Refused(_, Some(1), _)
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

/// A server by whose clock the world begins at a whole minute.
fn counting(kind: Kind, capacity: f64) -> Server {
    Server::new(ServerSpec {
        limits: [60.0, 60_000.0, 6_000.0],
        kind,
        capacity,
        output: OutputRule::Upfront,
        rounding: 1.0,
        skew: -(sendwhen_sim::EPOCH % 60.0),
        ..ServerSpec::default()
    })
}

fn send(server: &mut Server, at: Time, job: &Job) -> Reception {
    let mut chance = fastrand::Rng::with_seed(1);
    server.receive(at, job, job.silence, job.span, &mut chance)
}

fn admitted(reception: Reception) -> Shown {
    match reception {
        Reception::Admitted(Some(shown)) => shown,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_window_is_whole_again_at_its_edge_and_not_before() {
    let mut server = counting(Kind::Window, 1.0);
    let large = Job {
        input: 40_000,
        ..JOB
    };
    let shown = admitted(send(&mut server, 50 * SECOND, &large));
    assert_eq!(shown.remaining, [59, 20_000, 5_400]);
    assert_eq!(shown.whole_in_ms, [10_000; 3]);
    let refusal = send(&mut server, 60 * SECOND - 1, &large);
    assert!(matches!(
        refusal,
        Reception::Refused(_, Some(1), Why::Short([false, true, false]))
    ));
    let shown = admitted(send(&mut server, 60 * SECOND, &large));
    assert_eq!(shown.remaining, [59, 20_000, 5_400]);
    assert_eq!(shown.whole_in_ms, [60_000; 3]);
}

#[test]
fn a_log_gives_back_each_amount_a_window_later() {
    let mut server = counting(Kind::Log, 1.0);
    let large = Job {
        input: 30_000,
        ..JOB
    };
    let _first = admitted(send(&mut server, 0, &large));
    let shown = admitted(send(&mut server, 20 * SECOND, &large));
    assert_eq!(shown.remaining, [58, 0, 4_800]);
    assert_eq!(shown.whole_in_ms, [60_000; 3]);
    let refusal = send(&mut server, 59 * SECOND, &large);
    assert!(matches!(refusal, Reception::Refused(_, Some(1), _)));
    let shown = admitted(send(&mut server, 60 * SECOND, &large));
    assert_eq!(shown.remaining, [58, 0, 4_800]);
    let refusal = send(&mut server, 61 * SECOND, &large);
    assert!(matches!(refusal, Reception::Refused(_, Some(19), _)));
}

/// Over any span, each kind lets through what comes in, and at most one filling
/// more; a fixed window two, one at either side of an edge.
#[test]
fn every_kind_lets_its_limit_through() {
    for (kind, fillings) in [(Kind::Bucket, 1), (Kind::Window, 2), (Kind::Log, 1)] {
        for part in [1, 6] {
            let mut server = counting(kind, 1.0 / f64::from(part));
            let job = Job {
                input: 100,
                output: 10,
                ..JOB
            };
            let times: Vec<Time> = (0..6_000)
                .map(|step| step * SECOND / 20)
                .filter(|&at| matches!(send(&mut server, at, &job), Reception::Admitted(_)))
                .collect();
            let filling = 60 / part as usize;
            for span in [1, 10, 60, 120] {
                let most = times
                    .iter()
                    .enumerate()
                    .map(|(first, &from)| {
                        let within = |at: &&Time| **at < from + span * SECOND;
                        times[first..].iter().take_while(within).count()
                    })
                    .max();
                let allowed = span as usize + fillings * filling;
                assert!(
                    most <= Some(allowed),
                    "{kind:?} {part}: {most:?} in {span} s"
                );
            }
            let whole = 300 / filling * filling;
            assert!(times.len() >= whole, "{kind:?} {part}: {}", times.len());
        }
    }
}

#[test]
fn what_was_reserved_comes_back_to_every_kind() {
    for kind in [Kind::Bucket, Kind::Window, Kind::Log] {
        let mut server = Server::new(ServerSpec {
            limits: [60.0, 60_000.0, 6_000.0],
            kind,
            output: OutputRule::Reserved,
            rounding: 1.0,
            skew: -(sendwhen_sim::EPOCH % 60.0),
            ..ServerSpec::default()
        });
        let shown = admitted(send(&mut server, 0, &JOB));
        assert_eq!(shown.remaining[2], 2_000, "{kind:?}");
        server.advance(8 * SECOND);
        let left = server.shown().unwrap().remaining[2];
        let refilled = if kind == Kind::Bucket { 6_000 } else { 5_400 };
        assert_eq!(left, refilled, "{kind:?}");
    }
}

#[test]
fn one_limit_for_all_tokens_counts_both() {
    let mut server = Server::new(ServerSpec {
        limits: [60.0, 60_000.0, 0.0],
        together: true,
        output: OutputRule::Asked,
        heads: Heads::OpenAi,
        rounding: 1.0,
        refusals_count: true,
        ..ServerSpec::default()
    });
    let Reception::Admitted(shown) = send(&mut server, 0, &JOB) else {
        panic!("refused");
    };
    assert_eq!(shown.unwrap().remaining, [59, 55_000, 0]);
    let large = Job {
        input: 55_000,
        ..JOB
    };
    let Reception::Refused(shown, wait, why) = send(&mut server, 0, &large) else {
        panic!("admitted");
    };
    assert_eq!((wait, why), (Some(4), Why::Short([false, true, false])));
    // What is refused counts, too.
    assert_eq!(shown.unwrap().remaining, [58, 55_000, 0]);
    let mut answer = server.answer(429);
    answer.shown = shown;
    let mut fields = Vec::new();
    answer.fields(|name, value| fields.push(format!("{name}: {value}")));
    for field in [
        "x-ratelimit-limit-tokens: 60000",
        "x-ratelimit-remaining-requests: 58",
        "x-ratelimit-reset-requests: 2s",
        "x-ratelimit-reset-tokens: 5s",
    ] {
        assert!(
            fields.iter().any(|has| has == field),
            "{field} in {fields:?}"
        );
    }
    assert_eq!(fields.len(), 8, "{fields:?}");
}

#[test]
fn a_request_must_pass_workspace_and_organisation() {
    let mut server = Server::new(ServerSpec {
        limits: [f64::INFINITY, 3_000.0, f64::INFINITY],
        organisation: Some([2.0, 60_000.0, 6_000.0]),
        output: OutputRule::Upfront,
        rounding: 1.0,
        ..ServerSpec::default()
    });
    let shown = admitted(send(&mut server, 0, &JOB));
    // Of each the one of which less is left.
    assert_eq!(shown.limits, [2, 3_000, 6_000]);
    assert_eq!(shown.remaining, [1, 2_000, 5_400]);
    let _second = admitted(send(&mut server, 0, &JOB));
    let refusal = send(&mut server, 0, &JOB);
    assert!(matches!(
        refusal,
        Reception::Refused(_, Some(30), Why::Short([true, false, false]))
    ));
}

#[test]
fn others_take_their_share_before_all_else() {
    for bursts in [None, Some((6.0, 14.0))] {
        let mut server = Server::new(ServerSpec {
            limits: [60.0, 60_000.0, 6_000.0],
            output: OutputRule::Upfront,
            others: Some(OthersSpec {
                share: 0.5,
                every: 0.3,
                bursts,
                seed: 7,
            }),
            ..ServerSpec::default()
        });
        let tries = (0..60_000).map(|step| step * SECOND / 50);
        let through = tries
            .filter(|&at| matches!(send(&mut server, at, &JOB), Reception::Admitted(_)))
            .count();
        // Ten a minute; of twenty minutes half, and one filling.
        assert!((95..=115).contains(&through), "{through} with {bursts:?}");
    }
}

#[test]
fn no_more_are_under_way_than_may_be() {
    let mut server = Server::new(ServerSpec {
        concurrency: Some(2),
        ..ServerSpec::default()
    });
    let _first = admitted(send(&mut server, 0, &JOB));
    let _second = admitted(send(&mut server, SECOND, &JOB));
    let refusal = send(&mut server, 2 * SECOND, &JOB);
    assert!(matches!(
        refusal,
        Reception::Refused(Some(shown), Some(1), Why::Concurrency) if shown.remaining[0] > 40
    ));
    let _third = admitted(send(&mut server, 8 * SECOND, &JOB));
}

#[test]
fn use_grows_by_a_step_a_minute() {
    let mut server = Server::new(ServerSpec {
        limits: [1_000.0, 100_000.0, 100_000.0],
        acceleration: Some(Acceleration {
            start: 0.1,
            step: 0.2,
        }),
        skew: -(sendwhen_sim::EPOCH % 60.0),
        ..ServerSpec::default()
    });
    let mut through = [0; 6];
    for half in 0..6 * 120 {
        let at = half * SECOND / 2;
        match send(&mut server, at, &JOB) {
            Reception::Admitted(_) => through[half as usize / 120] += 1,
            Reception::Refused(_, Some(wait), Why::Acceleration([now, next])) => {
                assert_eq!(wait, (60 * SECOND - at % (60 * SECOND)).div_ceil(SECOND));
                assert_eq!(now as usize, through[half as usize / 120] * 1_000);
                assert_eq!(next, (now + 20_000).min(100_000));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(through, [10, 30, 50, 70, 90, 120]);
}

#[test]
fn an_outage_and_a_spent_budget_refuse_everyone() {
    let mut server = Server::new(ServerSpec {
        outages: vec![(5.0, 10.0)],
        spend: Some(4_000.0),
        ..ServerSpec::default()
    });
    let _first = admitted(send(&mut server, 0, &JOB));
    let reception = send(&mut server, 5 * SECOND, &JOB);
    assert!(matches!(reception, Reception::Overloaded));
    // A thousand tokens in and six hundred out are four thousand.
    let reception = send(&mut server, 15 * SECOND, &JOB);
    assert!(matches!(reception, Reception::Refused(_, None, Why::Spent)));
    assert_eq!(server.admits_at(15 * SECOND, &JOB), Err(Time::MAX));
}
