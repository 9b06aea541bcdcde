//! The examples' server answers as the Claude API does: without its socket in
//! virtual time, and once with it.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

#[path = "../../examples/support/server/mod.rs"]
pub(crate) mod support;

use support::{Api, Body, Config, Incoming, Limits, Server};

const SECOND: Duration = Duration::from_secs(1);
/// 2026-03-01T12:00:00Z.
const START: i64 = 1_772_366_400;
const PREFIX: &str = "anthropic-ratelimit-";

const QUIET: Config = Config::new(Limits::new(50, 30_000, 8_000));

/// The server in virtual time.
struct Bench {
    api: Api,
}

struct Seen {
    status: u16,
    fields: BTreeMap<&'static str, String>,
    body: Value,
    after: Duration,
}

impl Bench {
    fn new(config: Config) -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(START as u64);
        Self {
            api: Api::new(config, start),
        }
    }

    fn raw(&mut self, now: Duration, incoming: Incoming<'_>) -> Seen {
        let (seen, body) = self.any(now, incoming);
        let Body::Whole(text) = body else {
            panic!("a stream: {body:?}")
        };
        let body = serde_json::from_str(&text).unwrap();
        Seen { body, ..seen }
    }

    fn any(&mut self, now: Duration, incoming: Incoming<'_>) -> (Seen, Body) {
        let reply = self.api.handle(now, &incoming);
        let count = reply.fields.len();
        let fields: BTreeMap<_, _> = reply.fields.into_iter().collect();
        assert_eq!(fields.len(), count, "a field came twice");
        let seen = Seen {
            status: reply.status,
            fields,
            body: Value::Null,
            after: reply.after,
        };
        (seen, reply.body)
    }

    fn post(&mut self, now: Duration, body: &Value) -> Seen {
        self.raw(now, posted(body.to_string().as_bytes()))
    }

    /// Asks for a stream, and reads its events: when each leaves, and its data.
    fn stream(&mut self, now: Duration, mut body: Value) -> (Seen, u64, Vec<(Duration, Value)>) {
        body["stream"] = json!(true);
        let (seen, body) = self.any(now, posted(body.to_string().as_bytes()));
        let Body::Stream(number, pieces) = body else {
            panic!("no stream: {body:?}")
        };
        let read = pieces.iter().map(|piece| {
            let (name, data) = piece.bytes.split_once('\n').unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            assert!(data.ends_with("\n\n") && data.lines().count() == 2);
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            (piece.after, data)
        });
        let events = read.collect();
        (seen, number, events)
    }

    /// Asks with a prompt of `input` tokens in all.
    fn ask(&mut self, now: Duration, input: usize, max_tokens: u64) -> Seen {
        self.post(now, &message(&"word ".repeat(input - 8), max_tokens))
    }
}

fn posted(body: &[u8]) -> Incoming<'_> {
    Incoming {
        method: "POST",
        path: "/v1/messages",
        key: Some("any"),
        body,
    }
}

/// The events' types, those of deltas once.
fn types(events: &[(Duration, Value)]) -> Vec<&str> {
    let mut types: Vec<_> = events
        .iter()
        .map(|(_, data)| data["type"].as_str().unwrap())
        .collect();
    types.dedup();
    types
}

/// What the deltas say.
fn text(events: &[(Duration, Value)]) -> String {
    let deltas = events.iter().map(|(_, data)| &data["delta"]["text"]);
    deltas.filter_map(Value::as_str).collect()
}

fn message(prompt: &str, max_tokens: u64) -> Value {
    json!({
        "model": "claude-test",
        "max_tokens": max_tokens,
        "messages": [{ "role": "user", "content": prompt }],
    })
}

impl Seen {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("(not there)", String::as_str)
    }

    /// One family: limit, remaining, and the reset in seconds after the start.
    fn family(&self, name: &str) -> (u64, u64, i64) {
        let number = |part: &str| self.field(&format!("{PREFIX}{name}-{part}")).parse();
        let reset = self.field(&format!("{PREFIX}{name}-reset"));
        assert_eq!(reset.len(), "2026-03-01T12:00:00Z".len(), "whole seconds");
        let at = time::OffsetDateTime::parse(reset, &time::format_description::well_known::Rfc3339)
            .unwrap();
        (
            number("limit").unwrap(),
            number("remaining").unwrap(),
            at.unix_timestamp() - START,
        )
    }

    fn usage(&self, name: &str) -> u64 {
        self.body["usage"][name].as_u64().unwrap()
    }

    fn rate_fields(&self) -> usize {
        self.fields
            .keys()
            .filter(|name| name.starts_with(PREFIX))
            .count()
    }
}

#[test]
fn an_answer_shows_the_buckets_as_they_were_when_it_was_let_pass() {
    let mut bench = Bench::new(QUIET);
    let seen = bench.ask(SECOND, 12_345, 500);
    assert_eq!((seen.status, seen.rate_fields()), (200, 12));
    assert_eq!(seen.usage("input_tokens"), 12_345);
    // 1.2 s to the fiftieth request, 24.69 s to the last input token.
    assert_eq!(seen.family("requests"), (50, 49, 2));
    assert_eq!(seen.family("input-tokens"), (30_000, 18_000, 25));
    assert_eq!(seen.family("output-tokens"), (8_000, 8_000, 1));
    // Sums, and the earlier of the two resets.
    assert_eq!(seen.family("tokens"), (38_000, 26_000, 1));
    // The head leaves when the answer is whole; what it shows is older.
    assert!(seen.after > Duration::from_millis(100));
    assert_eq!(
        seen.field("date").len(),
        "Sun, 01 Mar 2026 12:00:01 GMT".len()
    );
    assert!(seen.field("request-id").starts_with("req_"));
    assert!(seen.fields.contains_key("anthropic-organization-id"));
    assert!(!seen.fields.contains_key("retry-after"));
}

#[test]
fn remaining_is_rounded_to_the_nearest_thousand() {
    for (taken, shown) in [(9, 30_000), (500, 30_000), (501, 29_000), (1_499, 29_000)] {
        let seen = Bench::new(QUIET).ask(Duration::ZERO, taken, 10);
        assert_eq!(seen.family("input-tokens").1, shown, "{taken} taken");
    }
}

#[test]
fn a_refusal_takes_nothing_and_says_when_it_would_pass() {
    let mut bench = Bench::new(QUIET);
    assert_eq!(bench.ask(Duration::ZERO, 29_000, 10).status, 200);
    // 1000 are left, 2000 are wanted, 500 come in a second.
    let refused = bench.ask(Duration::ZERO, 2_250, 10);
    assert_eq!((refused.status, refused.rate_fields()), (429, 12));
    assert_eq!(refused.field("retry-after"), "3");
    assert_eq!(refused.field("x-should-retry"), "true");
    assert_eq!(refused.body["error"]["type"], "rate_limit_error");
    let words = refused.body["error"]["message"].as_str().unwrap();
    assert!(
        words.starts_with(
            "This request would exceed your organization's rate limit of 30,000 input tokens per \
             minute (org: "
        ) && words.ends_with(", model: claude-test)"),
        "{words}"
    );
    assert_eq!(refused.family("requests").1, 49, "the refusal took none");
    assert_eq!(refused.family("tokens").2, 0, "the earlier reset is now");
    assert_eq!(
        bench.ask(Duration::from_millis(2_499), 2_250, 10).status,
        429
    );
    assert_eq!(
        bench.ask(Duration::from_millis(2_500), 2_250, 10).status,
        200
    );
}

#[test]
fn output_is_charged_as_it_is_produced_and_may_leave_a_debt() {
    let mut bench = Bench::new(Config {
        limits: Limits {
            output_tokens: 1_000,
            ..QUIET.limits
        },
        ..QUIET
    });
    let seen = bench.ask(Duration::ZERO, 100, 5_000);
    let (produced, span) = (seen.usage("output_tokens"), seen.after);
    let halfway = bench.ask(span / 2, 100, 1);
    assert_eq!(halfway.status, 429, "half of the answer is charged already");

    let refused = bench.ask(span, 100, 1);
    assert_eq!(refused.status, 429, "{produced} in {span:?}");
    assert_eq!(refused.family("output-tokens").1, 0, "clamped");
    let wait: u64 = refused.field("retry-after").parse().unwrap();
    // The debt, less what came in meanwhile.
    let exact = (produced - 1_000) * 60 / 1_000 - span.as_secs();
    assert!((exact - 1..=exact + 1).contains(&wait), "{wait}, {exact}");
    let passes = span + SECOND * wait as u32;
    assert_eq!(bench.ask(passes - SECOND, 100, 1).status, 429);
    assert_eq!(bench.ask(passes, 100, 1).status, 200);
    let totals = bench.api.totals(span * 100);
    assert_eq!(totals.requests, 2);
    assert_eq!(totals.output_tokens, produced + 1);
    assert_eq!(totals.longest, span);
}

#[test]
fn a_system_prompt_is_written_to_the_cache_once_and_then_read_for_nothing() {
    let mut bench = Bench::new(QUIET);
    let mut body = message("Hello", 10);
    body["system"] = json!([{
        "type": "text",
        "text": "rule ".repeat(2_000),
        "cache_control": { "type": "ephemeral" },
    }]);
    let cache = |seen: &Seen| {
        (
            seen.usage("input_tokens"),
            seen.usage("cache_creation_input_tokens"),
            seen.usage("cache_read_input_tokens"),
            seen.family("input-tokens").1,
        )
    };
    assert_eq!(
        cache(&bench.post(Duration::ZERO, &body)),
        (9, 2_000, 0, 28_000)
    );
    // Before the first answer has begun there is nothing to read.
    assert_eq!(
        cache(&bench.post(Duration::ZERO, &body)),
        (9, 2_000, 0, 26_000)
    );
    assert_eq!(cache(&bench.post(SECOND, &body)), (9, 0, 2_000, 26_000));
    let hours = Duration::from_secs(7_200);
    assert_eq!(cache(&bench.post(hours, &body)), (9, 2_000, 0, 28_000));
}

#[test]
fn now_and_then_it_is_overloaded_and_says_nothing_of_limits() {
    let config = Config {
        limits: Limits {
            requests: 100_000,
            ..QUIET.limits
        },
        ..QUIET.faults(80, 0)
    };
    let run = || {
        let mut bench = Bench::new(config);
        let overloads: Vec<usize> = (0..4_000)
            .filter(|_| {
                let seen = bench.ask(Duration::ZERO, 9, 10);
                if seen.status == 529 {
                    assert_eq!(seen.rate_fields(), 0);
                    assert!(!seen.fields.contains_key("retry-after"));
                    assert_eq!(seen.field("x-should-retry"), "true");
                    assert_eq!(seen.body["error"]["type"], "overloaded_error");
                }
                seen.status == 529
            })
            .collect();
        overloads
    };
    let overloads = run();
    assert!((25..=100).contains(&overloads.len()), "{}", overloads.len());
    assert_eq!(overloads, run(), "the same seed, the same overloads");
}

#[test]
fn a_stream_says_the_same_as_one_message_piece_by_piece() {
    let mut body = message("Tell me something about rivers", 300);
    body["system"] = json!([{
        "type": "text",
        "text": "rule ".repeat(2_000),
        "cache_control": { "type": "ephemeral" },
    }]);
    let whole = Bench::new(QUIET).post(Duration::ZERO, &body);
    let (seen, _, events) = Bench::new(QUIET).stream(Duration::ZERO, body);
    assert_eq!((seen.status, seen.rate_fields()), (200, 12));
    assert_eq!(
        seen.field("content-type"),
        "text/event-stream; charset=utf-8"
    );
    assert_eq!(whole.field("content-type"), "application/json");
    assert_eq!(
        types(&events),
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );

    let mut start = events[0].1["message"].clone();
    assert_eq!(start["usage"]["input_tokens"], whole.usage("input_tokens"));
    assert_eq!(start["usage"]["cache_creation_input_tokens"], 2_000);
    assert_eq!(start["usage"]["cache_read_input_tokens"], 0);
    assert_eq!(start["usage"]["output_tokens"], 1);
    assert_eq!(start["stop_reason"], Value::Null);
    assert_eq!(start["content"], json!([]));
    let last = &events[events.len() - 2].1;
    start["usage"]["output_tokens"] = last["usage"]["output_tokens"].clone();
    start["stop_reason"] = last["delta"]["stop_reason"].clone();
    start["content"] = json!([{ "type": "text", "text": text(&events) }]);
    assert_eq!(start, whole.body);

    // The head leaves with the first event, the end when one message would.
    assert_eq!(seen.after, events[0].0);
    assert!(events.is_sorted_by_key(|(after, _)| *after));
    assert_eq!(events.last().unwrap().0, whole.after);
    let deltas: Vec<_> = events[3..]
        .iter()
        .take_while(|e| e.1["index"] == 0)
        .collect();
    let steps = deltas.windows(2).map(|two| two[1].0 - two[0].0);
    assert!(steps.max().unwrap() < Duration::from_millis(50));
}

#[test]
fn a_stream_is_counted_until_its_client_leaves() {
    let body = || message("Tell me something about rivers", 1_000);
    let mut bench = Bench::new(QUIET);
    let (_, left, events) = bench.stream(Duration::ZERO, body());
    let half = events[events.len() / 2].0;
    bench.api.stop(half, left);
    let (_, heard, _) = bench.stream(half, body());
    let end = half + events.last().unwrap().0;
    // Whole: that the client leaves then makes no difference.
    bench.api.stop(end, heard);
    let total = bench.api.totals(end * 2).output_tokens;
    let whole = events[events.len() - 2].1["usage"]["output_tokens"].as_u64();
    let part = total - whole.unwrap();
    let share = part as f64 / whole.unwrap() as f64;
    assert!((0.4..0.6).contains(&share), "{part} of {whole:?}");
}

#[test]
fn now_and_then_a_stream_breaks_off_under_a_status_of_200() {
    let config = Config {
        limits: Limits {
            requests: 100_000,
            input_tokens: 1_000_000,
            output_tokens: 1_000_000,
        },
        ..QUIET.faults(0, 10)
    };
    let run = || {
        let mut bench = Bench::new(config);
        let mut produced = 0;
        let broken: Vec<usize> = (0..400)
            .filter(|_| {
                let body = message("Tell me something about rivers", 100);
                let (seen, _, events) = bench.stream(Duration::ZERO, body);
                assert_eq!(seen.status, 200);
                let (_, last) = events.last().unwrap();
                let broke = last["type"] == "error";
                if broke {
                    assert_eq!(last["error"]["type"], "overloaded_error");
                    assert!(!types(&events).contains(&"message_delta"));
                } else {
                    let usage = &events[events.len() - 2].1["usage"];
                    produced += usage["output_tokens"].as_u64().unwrap();
                }
                broke
            })
            .collect();
        // What the broken ones said is counted too, and no more than that.
        let total = bench.api.totals(SECOND).output_tokens;
        (broken, total - produced)
    };
    let (broken, said) = run();
    assert!((20..=60).contains(&broken.len()), "{}", broken.len());
    assert!((1..broken.len() as u64 * 100).contains(&said), "{said}");
    assert_eq!((broken, said), run(), "the same seed, the same streams");
    // An answer in one piece does not break.
    let mut bench = Bench::new(config);
    assert!((0..100).all(|_| bench.ask(SECOND, 9, 10).status == 200));
}

#[test]
fn what_is_wrong_is_said_as_the_api_says_it() {
    let good = message("Hello", 10).to_string();
    let (post, path, key) = ("POST", "/v1/messages", Some("any"));
    let rows = [
        (post, path, key, "{", 400, "invalid_request_error"),
        (
            post,
            path,
            key,
            r#"{"model":"m"}"#,
            400,
            "invalid_request_error",
        ),
        (post, path, None, &good, 401, "authentication_error"),
        ("GET", path, key, &good, 404, "not_found_error"),
        (post, "/v1/complete", key, &good, 404, "not_found_error"),
    ];
    let mut bench = Bench::new(QUIET);
    for (method, path, key, body, status, kind) in rows {
        let body = body.as_bytes();
        let seen = bench.raw(
            Duration::ZERO,
            Incoming {
                method,
                path,
                key,
                body,
            },
        );
        assert_eq!(seen.status, status);
        assert_eq!(seen.body["error"]["type"], kind);
        assert_eq!(seen.field("x-should-retry"), "false");
        assert_eq!(seen.rate_fields(), 0);
    }
    assert_eq!(bench.api.totals(SECOND).requests, 0);
}

/// Many connections at once, each used again and again.
#[test]
fn it_serves_many_connections_over_a_socket() {
    let config = Config {
        limits: Limits {
            requests: 100,
            ..QUIET.limits
        },
        latency_percent: 10,
        ..QUIET
    };
    let server = Server::start(config).unwrap();
    let url = format!("{}/v1/messages", server.base_url());
    let post = |agent: &ureq::Agent| {
        let body = message("Hello", 20).to_string();
        let request = agent.post(&url).header("x-api-key", "any");
        let response = request.send(body).unwrap();
        let fields = response.headers().len();
        let remaining = response.headers()["anthropic-ratelimit-requests-remaining"].clone();
        assert!(remaining.to_str().unwrap().parse::<u64>().unwrap() < 100);
        assert!(fields >= 16, "{fields}");
        assert_eq!(response.status(), 200);
        let body: Value = serde_json::from_reader(response.into_body().into_reader()).unwrap();
        assert_eq!(body["type"], "message");
    };
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let agent = ureq::Agent::config_builder()
                    .proxy(None)
                    .build()
                    .new_agent();
                for _ in 0..3 {
                    post(&agent);
                }
            });
        }
    });
    assert_eq!(server.totals().requests, 96);
    assert!(!server.totals().longest.is_zero());
}

/// Events come over a socket as they are produced, and to leave stops them.
#[test]
fn it_streams_over_a_socket_until_the_client_leaves() {
    use std::io::{BufRead, BufReader};

    let server = Server::start(QUIET).unwrap();
    let agent = ureq::Agent::config_builder()
        .proxy(None)
        .build()
        .new_agent();
    let open = |max_tokens| {
        let mut body = message("Tell me something about rivers", max_tokens);
        body["stream"] = json!(true);
        let url = format!("{}/v1/messages", server.base_url());
        let request = agent.post(&url).header("x-api-key", "any");
        let response = request.send(body.to_string()).unwrap();
        BufReader::new(response.into_body().into_reader()).lines()
    };
    let begun = std::time::Instant::now();
    let mut lines = open(200).map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "event: message_start");
    let head = begun.elapsed();
    let rest: Vec<String> = lines.collect();
    assert_eq!(rest[rest.len() - 3], "event: message_stop");
    let gap = Duration::from_millis(50);
    assert!(begun.elapsed() > head + gap, "as it is produced");
    let whole = server.totals().output_tokens;

    // An answer of minutes.
    let mut lines = open(100_000).map(Result::unwrap);
    assert!(lines.any(|line| line == "event: content_block_delta"));
    drop(lines);
    let told = || server.totals().output_tokens - whole;
    let patience = std::time::Instant::now() + SECOND * 10;
    while told() > 10_000 && std::time::Instant::now() < patience {
        std::thread::sleep(gap);
    }
    assert!((8..10_000).contains(&told()), "{}", told());
}
