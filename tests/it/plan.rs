//! The arithmetic of the example `plan`.

#[path = "../../examples/plan/estimate.rs"]
mod estimate;

use estimate::{Batch, Estimate, Limit, Limits, Speed, alternatives, estimate as closed_form};

const LIMITS: Limits = Limits {
    requests: 50,
    input: 30_000,
    output: 8_000,
};

const SPEED: Speed = Speed {
    first_token: 1.0,
    tokens_per_second: 100.0,
};

fn batch(requests: u64, input: u32, cached: f64, output: f64) -> Batch {
    Batch {
        requests,
        input: f64::from(input),
        cached,
        output,
    }
}

fn of(batch: Batch) -> Estimate {
    closed_form(&batch, &LIMITS, &SPEED)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6 * b.abs().max(1.0)
}

/// Requests, input, cached, output; seconds until the last is sent, until its
/// answer is whole, and what binds.
type Row = (u64, u32, f64, f64, f64, f64, Option<Limit>);

#[test]
fn a_batch_takes_what_the_largest_need_is_and_the_last_answer() {
    let (requests, input, output) = (Limit::Requests, Limit::InputTokens, Limit::OutputTokens);
    #[rustfmt::skip]
    let rows: [Row; 9] = [
        // All fits into the full buckets, to the last token of each.
        (50, 600, 0.0, 160.0,      0.0,    2.6, None),
        (1, 1, 0.0, 1.0,           0.0,   1.01, None),
        // One more than a bucket holds is one interval of its rate.
        (51, 10, 0.0, 10.0,        1.2,    2.3, Some(requests)),
        (100, 10, 0.0, 10.0,      60.0,   61.1, Some(requests)),
        (100, 600, 0.0, 10.0,     60.0,   61.1, Some(input)),
        (100, 1_200, 0.0, 10.0,  180.0,  181.1, Some(input)),
        // What is read from the cache does not count.
        (100, 1_200, 0.75, 10.0,  60.0,   61.1, Some(requests)),
        (100, 1_200, 1.0, 400.0, 240.0,  245.0, Some(output)),
        (300, 1_000, 0.0, 300.0, 615.0,  619.0, Some(output)),
    ];
    for (count, size, cached, answer, sending, total, binding) in rows {
        let case = batch(count, size, cached, answer);
        let it = of(case);
        assert!(close(it.sending_s, sending), "{case:?}: {it:?}");
        assert!(close(it.total_s, total), "{case:?}: {it:?}");
        // Where two need the same, either is right.
        let need = |limit| it.needs.iter().find(|need| need.limit == limit).unwrap();
        match (it.binding, binding) {
            (Some(is), Some(expected)) => {
                assert!(close(need(is).alone_s, need(expected).alone_s), "{it:?}");
            }
            (is, expected) => assert_eq!(is, expected, "{case:?}"),
        }
    }
}

#[test]
fn slack_is_what_the_others_still_offer_when_the_last_is_sent() {
    // Output binds at 615 s: then there were 50 + 512.5 requests, of which 300
    // were used, and 30 000 + 307 500 tokens, of which 300 000.
    let it = of(batch(300, 1_000, 0.0, 300.0));
    let [requests, input, output] = it.needs;
    assert!(close(requests.slack, 1.0 - 300.0 / 562.5), "{requests:?}");
    assert!(close(input.slack, 1.0 - 300_000.0 / 337_500.0), "{input:?}");
    assert!(close(output.slack, 0.0), "{output:?}");
    assert!(close(requests.alone_s, 300.0));
    assert!(close(input.alone_s, 540.0));
    assert!(close(output.alone_s, 615.0));
    // 8 000 / 300 a minute, each for four seconds.
    assert!(close(it.in_flight, 8_000.0 / 300.0 / 60.0 * 4.0));
}

/// What the others would let through within it passes, and one token more of the
/// one that binds takes longer.
#[test]
fn no_limit_alone_takes_longer_than_all() {
    for requests in [1, 49, 50, 51, 1_000, 1_000_000_000] {
        for input in [1, 599, 601, 30_000] {
            for cached in [0.0, 0.3, 1.0] {
                for output in [1.0, 159.0, 161.0, 8_000.0] {
                    let it = of(batch(requests, input, cached, output));
                    for need in it.needs {
                        assert!(need.alone_s <= it.sending_s, "{it:?}");
                        assert!((0.0..=1.0).contains(&need.slack), "{it:?}");
                        let offered = need.per_minute as f64 * (1.0 + it.sending_s / 60.0);
                        assert!(need.total <= offered * (1.0 + 1e-9), "{it:?}");
                    }
                    let more = of(batch(requests + 1, input, cached, output));
                    assert!(more.sending_s >= it.sending_s);
                    assert_eq!(it.binding.is_some(), it.sending_s > 0.0);
                    assert!(it.in_flight >= 1.0 && it.in_flight <= requests.max(1) as f64);
                }
            }
        }
    }
}

#[test]
fn alternatives_tell_what_each_would_change() {
    let it = alternatives(&batch(300, 2_000, 0.0, 200.0), &LIMITS, &SPEED, 200_000);
    let told: Vec<_> = it
        .iter()
        .map(|other| {
            let seconds = (other.total_s * 10.0).round() / 10.0;
            let price = (other.price * 1_000.0).round() / 10.0;
            (other.name, seconds, price, other.binding)
        })
        .collect();
    // 2 000 of input and 200 of output cost as much as 3 000 of input.
    assert_eq!(
        told,
        [
            ("as it is", 1_143.0, 100.0, Some("input tokens")),
            ("50 % of input cached", 543.0, 70.0, Some("input tokens")),
            ("90 % of input cached", 393.0, 46.0, Some("output tokens")),
            ("half the output", 1_142.0, 83.3, Some("input tokens")),
            (
                "90 % cached, half the output",
                302.0,
                29.3,
                Some("requests")
            ),
            ("Message Batches", 86_400.0, 50.0, None),
        ]
    );
    assert!(
        it.iter()
            .all(|other| other.at_most == (other.name == "Message Batches"))
    );
}

#[test]
fn what_is_cached_already_is_no_alternative() {
    for (cached, count) in [(0.0, 6), (0.5, 5), (0.6, 5), (0.9, 3), (1.0, 3)] {
        let it = alternatives(&batch(300, 1_000, cached, 200.0), &LIMITS, &SPEED, 200_000);
        assert_eq!(it.len(), count, "{it:?}");
    }
}

#[test]
fn what_the_queue_of_batches_cannot_hold_waits_for_it() {
    for (requests, rounds, binding) in [
        (200_000, 1.0, None),
        (200_001, 2.0, Some("its queue")),
        (1_000_000, 5.0, Some("its queue")),
    ] {
        let it = alternatives(&batch(requests, 10, 0.0, 10.0), &LIMITS, &SPEED, 200_000);
        let lane = it.last().unwrap();
        assert!(close(lane.total_s, rounds * estimate::LANE_SECONDS));
        assert_eq!(lane.binding, binding);
        assert!(close(lane.price, estimate::LANE_PRICE));
    }
    const { assert!(estimate::LANE_LARGEST <= 200_000) };
}
