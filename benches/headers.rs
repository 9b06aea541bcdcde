//! What it takes to read the header fields of a response.
//!
//! The dates in the Claude API's full set stand beside the whole, because they
//! are what is left of it when everything else is free. The last two groups
//! show that the time grows with the input and with nothing else: lists of a
//! thousand bytes, and a value of a mebibyte that is not looked at.
#![expect(
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "sums of dates are far from the end"
)]

use core::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sendwhen::{HeaderParser, ServerHints};

type Fields = [(&'static str, &'static str)];

fn parse(fields: &Fields) -> ServerHints {
    let mut parser = HeaderParser::new();
    for (name, value) in fields {
        let _what = parser.field(name.as_bytes(), value.as_bytes());
    }
    parser.finish()
}

/// The twelve rate headers of the Claude API among twenty.
const FIELDS: [(&str, &str); 20] = [
    ("date", "Sat, 15 Mar 2025 12:57:59 GMT"),
    ("content-type", "text/event-stream; charset=utf-8"),
    ("transfer-encoding", "chunked"),
    ("connection", "keep-alive"),
    ("anthropic-ratelimit-input-tokens-limit", "200000"),
    ("anthropic-ratelimit-input-tokens-remaining", "126000"),
    (
        "anthropic-ratelimit-input-tokens-reset",
        "2025-03-15T12:58:20Z",
    ),
    ("anthropic-ratelimit-output-tokens-limit", "80000"),
    ("anthropic-ratelimit-output-tokens-remaining", "59000"),
    (
        "anthropic-ratelimit-output-tokens-reset",
        "2025-03-15T12:58:13Z",
    ),
    ("anthropic-ratelimit-requests-limit", "4000"),
    ("anthropic-ratelimit-requests-remaining", "3999"),
    ("anthropic-ratelimit-requests-reset", "2025-03-15T12:57:58Z"),
    ("anthropic-ratelimit-tokens-limit", "280000"),
    ("anthropic-ratelimit-tokens-remaining", "185000"),
    ("anthropic-ratelimit-tokens-reset", "2025-03-15T12:58:13Z"),
    ("request-id", "req_011CP5xYzPQRSTUVWXYZabcd"),
    ("via", "1.1 google"),
    ("cf-cache-status", "DYNAMIC"),
    ("server", "cloudflare"),
];

/// The same, with names as some libraries hand them out.
const CAPITALS: [(&str, &str); 4] = [
    ("Anthropic-Ratelimit-Requests-Limit", "4000"),
    ("Anthropic-Ratelimit-Requests-Remaining", "3999"),
    ("Anthropic-Ratelimit-Requests-Reset", "2025-03-15T12:57:58Z"),
    ("Content-Type", "application/json"),
];

const OPENAI: [(&str, &str); 10] = [
    ("date", "Mon, 18 Mar 2024 09:49:12 GMT"),
    ("content-type", "text/event-stream"),
    ("openai-processing-ms", "235"),
    ("x-ratelimit-limit-requests", "200"),
    ("x-ratelimit-limit-tokens", "40000"),
    ("x-ratelimit-remaining-requests", "197"),
    ("x-ratelimit-remaining-tokens", "39974"),
    ("x-ratelimit-reset-requests", "20m52.666s"),
    ("x-ratelimit-reset-tokens", "39ms"),
    ("server", "cloudflare"),
];

const IETF: [(&str, &str); 3] = [
    ("date", "Mon, 18 Mar 2024 09:49:12 GMT"),
    ("ratelimit", "\"burst\";r=50;t=30"),
    (
        "ratelimit-policy",
        "\"burst\";q=100;w=60,\"daily\";q=1000;w=86400",
    ),
];

fn sets(c: &mut Criterion) {
    let mut group = c.benchmark_group("headers");
    let sets: [(&str, &Fields); 4] = [
        ("the Claude API's twelve among twenty", &FIELDS),
        ("four in capitals", &CAPITALS),
        ("OpenAI's six among ten", &OPENAI),
        ("a limit and two policies", &IETF),
    ];
    for (name, fields) in sets {
        group.bench_function(name, |b| b.iter(|| parse(black_box(fields))));
    }
    group.bench_function("the dates in the twenty alone", |b| {
        b.iter(|| {
            let mut sum = 0;
            for (name, value) in black_box(&FIELDS) {
                let at = if name.ends_with("-reset") {
                    sendwhen::parse_rfc3339(value.as_bytes())
                } else if *name == "date" {
                    sendwhen::parse_http_date(value.as_bytes(), None)
                } else {
                    None
                };
                sum += at.map_or(0, |at| at.as_millis());
            }
            sum
        });
    });
    group.finish();
}

fn long(c: &mut Criterion) {
    let mut group = c.benchmark_group("headers, long values");
    for (name, value) in [
        ("numbers", "7,".repeat(500)),
        ("what is no number", "x".repeat(1_000)),
        ("what may be dates", "Sun, ".repeat(200)),
        ("a mebibyte", "7".repeat(1 << 20)),
    ] {
        group.throughput(Throughput::Bytes(value.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut parser = HeaderParser::new();
                let what = parser.field(b"retry-after", black_box(value.as_bytes()));
                (what, parser.finish().retry_after)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, sets, long);
criterion_main!(benches);
