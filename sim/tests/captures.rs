//! The model of the server against real response heads: holding what a capture
//! shows, it shows the same.

use sendwhen::{HttpDate, Rfc3339, UnixTime, parse_http_date, parse_rfc3339};
use sendwhen_sim::{
    Answer, EPOCH, Job, OutputRule, Reception, SECOND, Server, ServerSpec, Shown, Workload,
};

const CAPTURES: &str = include_str!("../../tests/data/captures.jsonl");

/// The fields of the capture on that line, counted from 1.
struct Capture(Vec<(String, String)>);

impl Capture {
    fn on_line(line: usize) -> Self {
        let text = CAPTURES.lines().nth(line - 1).unwrap();
        let capture: serde_json::Value = serde_json::from_str(text).unwrap();
        let fields = capture["headers"].as_array().unwrap().iter();
        Self(
            fields
                .map(|field| {
                    let text = |i: usize| String::from(field[i].as_str().unwrap());
                    (text(0).to_ascii_lowercase(), text(1))
                })
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(field, _)| field == name);
        field.map(|(_, value)| value.as_str())
    }

    /// Limit, remaining and reset.
    fn meter(&self, dimension: &str) -> Option<(u64, u64, i64)> {
        let member = |member| self.get(&format!("anthropic-ratelimit-{dimension}-{member}"));
        Some((
            member("limit")?.parse().unwrap(),
            member("remaining")?.parse().unwrap(),
            parse_rfc3339(member("reset")?.as_bytes())
                .unwrap()
                .as_millis()
                / 1_000,
        ))
    }

    fn date(&self) -> Option<i64> {
        let date = parse_http_date(self.get("date")?.as_bytes(), None).unwrap();
        Some(date.as_millis() / 1_000)
    }
}

const DIMENSIONS: [&str; 3] = ["requests", "input-tokens", "output-tokens"];

/// A server with these limits whose clock begins at `clock`.
fn spec(limits: [u64; 3], clock: f64) -> ServerSpec {
    ServerSpec {
        limits: limits.map(|limit| limit as f64),
        skew: clock - EPOCH,
        ..ServerSpec::default()
    }
}

fn shown(limits: [u64; 3], levels: [f64; 3], clock: f64) -> Shown {
    Server::holding(spec(limits, clock), levels)
        .shown()
        .unwrap()
}

#[test]
fn levels_of_a_capture_show_its_resets() {
    // Of 200 000 and 80 000 there were 126 000 and 59 000, and one request less
    // than all; stamped in the last second before the head's date.
    let capture = Capture::on_line(4);
    let date = capture.date().unwrap();
    let limits = [4_000, 200_000, 80_000];
    let shown = shown(limits, [3_999.0, 126_000.0, 59_000.0], date as f64 - 0.8);
    assert_eq!(shown.limits, limits);
    assert_eq!(shown.remaining, [3_999, 126_000, 59_000]);
    for (dimension, reset) in DIMENSIONS.into_iter().zip(shown.reset) {
        assert_eq!(
            capture.meter(dimension).unwrap().2,
            reset,
            "reset of {dimension}"
        );
    }
    assert_eq!(shown.reset.map(|reset| reset - date), [-1, 21, 14]);
    assert_eq!(shown.combined(), capture.meter("tokens").unwrap());
}

/// Each meter of each capture of a bucket, by itself: there are a level within
/// the rounding and an instant, not after the date, at which the model shows
/// just that. Those before 2025 are fixed windows, which are not modelled.
#[test]
fn every_meter_of_a_capture_is_one_that_the_model_shows() {
    let mut compared = 0;
    for line in [4, 5, 9, 10, 11, 14, 15, 18] {
        let capture = Capture::on_line(line);
        let date = capture.date().unwrap();
        for (i, dimension) in DIMENSIONS.into_iter().enumerate() {
            let Some(meter @ (limit, remaining, _)) = capture.meter(dimension) else {
                continue;
            };
            let half = if i == 0 { 0 } else { 500 };
            // What shows as nothing may be a debt.
            let below = if remaining == 0 {
                limit as i64 / 10
            } else {
                half
            };
            let remaining = remaining as i64;
            let levels = (remaining - below..=remaining + half).step_by(20);
            let found = levels.into_iter().any(|level| {
                (0..=56).any(|quarters| {
                    let clock = date as f64 + 0.99 - f64::from(quarters) / 4.0;
                    let (mut limits, mut levels) = ([1_000_000; 3], [1_000_000.0; 3]);
                    limits[i] = limit;
                    levels[i] = (level as f64).min(limit as f64);
                    let shown = shown(limits, levels, clock);
                    (shown.limits[i], shown.remaining[i], shown.reset[i]) == meter
                })
            });
            assert!(found, "{dimension} of line {line}: {meter:?}");
            compared += 1;
        }
    }
    assert!(compared >= 22, "only {compared} meters");
}

#[test]
fn the_combined_family_is_the_sums_and_the_earlier_reset() {
    let mut compared = 0;
    for line in 4..=18 {
        let capture = Capture::on_line(line);
        let [_, input, output] = DIMENSIONS.map(|dimension| capture.meter(dimension));
        let (Some(input), Some(output), Some(both)) = (input, output, capture.meter("tokens"))
        else {
            continue;
        };
        let shown = Shown {
            limits: [1, input.0, output.0],
            remaining: [1, input.1, output.1],
            reset: [0, input.2, output.2],
            ..Shown::default()
        };
        assert_eq!(shown.combined(), both, "line {line}");
        compared += 1;
    }
    assert_eq!(compared, 9);
}

/// Requests are stamped at the admission and output when the head is written:
/// the answer of line 14 took eleven seconds, and its output is back only after
/// its date, while its request is back long before. That it is back so late
/// shows, too, that it was taken all at once and at the end.
#[test]
fn a_head_in_one_piece_shows_the_output_that_it_took() {
    let capture = Capture::on_line(14);
    let date = capture.date().unwrap();
    let limits = [50, 30_000, 8_000];
    let spec = ServerSpec {
        output: OutputRule::AtEnd,
        ..spec(limits, date as f64 - 11.5)
    };
    let mut server = Server::new(spec);
    let job = Job {
        input: 6_300,
        output: 490,
        silence: 0,
        span: 12 * SECOND,
        ..job()
    };
    let mut chance = fastrand::Rng::with_seed(1);
    let Reception::Admitted(shown) = server.receive(0, &job, job.silence, job.span, &mut chance)
    else {
        panic!("refused");
    };
    let mut answer = Answer {
        shown,
        ..server.answer(200)
    };
    server.write(12 * SECOND, &mut answer);
    let shown = answer.shown.unwrap();
    assert_eq!(answer.date, date);
    for (i, dimension) in DIMENSIONS.into_iter().enumerate() {
        let meter = (shown.limits[i], shown.remaining[i], shown.reset[i]);
        assert_eq!(meter.1, capture.meter(dimension).unwrap().1, "{dimension}");
        let apart = meter.2.abs_diff(capture.meter(dimension).unwrap().2);
        assert!(apart <= 1, "reset of {dimension} is {apart} s off");
    }
}

/// Lines 17 and 18: input below zero, so that its reset is more than a minute
/// off while `retry-after` is short, and the combined reset is now.
#[test]
fn a_refusal_shows_what_the_captured_ones_do() {
    for (line, debt, input) in [(17, 11_000.0, 42_000), (18, 2_000.0, 4_500)] {
        let capture = Capture::on_line(line);
        let meters = DIMENSIONS.map(|dimension| capture.meter(dimension).unwrap());
        let limits = meters.map(|(limit, ..)| limit);
        // Full buckets are full now: that is what the clock shows.
        let (_, _, now) = meters[0];
        let mut levels = limits.map(|limit| limit as f64);
        levels[1] = -debt;
        let mut server = Server::holding(spec(limits, now as f64 + 0.3), levels);
        let job = Job { input, ..job() };
        let mut chance = fastrand::Rng::with_seed(1);
        let reception = server.receive(0, &job, job.silence, job.span, &mut chance);
        let Reception::Refused(shown, wait, _) = reception else {
            panic!("line {line}: {reception:?}");
        };
        let answer = Answer {
            shown,
            retry_after: wait,
            ..server.answer(429)
        };
        let mut fields = 0;
        answer.fields(|name, value| {
            if name != "date" {
                assert_eq!(capture.get(name), Some(value), "{name} of line {line}");
                fields += 1;
            }
        });
        assert_eq!(fields, 14, "line {line}");
    }
}

#[test]
fn fields_are_printed_as_the_captured_ones() {
    let capture = Capture::on_line(4);
    let time = UnixTime::from_secs(capture.meter("requests").unwrap().2);
    let printed = Rfc3339::new(time).unwrap().to_string();
    assert_eq!(
        capture.get("anthropic-ratelimit-requests-reset"),
        Some(printed.as_str())
    );
    let date = UnixTime::from_secs(capture.date().unwrap());
    let printed = HttpDate::new(date).unwrap().to_string();
    assert_eq!(capture.get("date"), Some(printed.as_str()));
}

fn job() -> Job {
    let work = Workload {
        jobs: 1,
        ..Workload::default()
    };
    work.draw(1)[0]
}

#[test]
fn the_default_rule_is_the_documented_one() {
    assert_eq!(ServerSpec::default().output, OutputRule::Live);
}
