//! What each dialect's fields come to: rows of fields and meters.

use sendwhen::{
    BareReset, Dialect, Dimension, Family, Field, HeaderParser, Meters, Problems, ServerHints,
    UnixTime,
};

type Fields = [(&'static str, &'static str)];

/// Each meter as a line: family, pool, unit, limit, remaining, reset after the
/// date in milliseconds, window in seconds; then the problems.
fn lines(hints: &ServerHints) -> Vec<String> {
    let meters = hints.meters.iter().map(|meter| {
        let mut line = String::new();
        if meter.family != Family::Standard {
            line += &format!("{}/", meter.family.as_str());
        }
        if !meter.pool.is_empty() {
            line += &format!("{}/", meter.pool);
        }
        line += meter.unit.as_str();
        let mut say = |name: &str, value: Option<String>| {
            line += &value.map_or_else(String::new, |value| format!(" {name} {value}"));
        };
        say("limit", meter.limit.map(|v| v.to_string()));
        say("left", meter.remaining.map(|v| v.shown.to_string()));
        let after = |ms: Option<i64>| ms.map_or_else(|| "?".to_owned(), |ms| ms.to_string());
        say("reset", meter.reset.map(|reset| after(reset.after_date_ms)));
        say("window", meter.window.map(|v| v.as_secs().to_string()));
        line
    });
    meters
        .chain(hints.problems.iter().map(str::to_owned))
        .collect()
}

const DATE: (&str, &str) = ("date", "Mon, 13 Jun 2022 11:48:53 GMT");

#[test]
fn each_shape_of_the_ietf_draft_is_read() {
    let rows: &[(&Fields, &[&str])] = &[
        // 01 to 03.
        (
            &[
                ("RateLimit-Limit", "100, 100;w=10"),
                ("RateLimit-Remaining", "50"),
                ("RateLimit-Reset", "50"),
            ],
            &["requests limit 100 left 50 reset 50000 window 10"],
        ),
        (
            &[
                ("ratelimit-limit", "10, 10;w=1, 50;w=60, 1000;w=3600"),
                ("ratelimit-remaining", "9"),
                ("ratelimit-reset", "1"),
            ],
            &[
                "requests limit 10 left 9 reset 1000 window 1",
                "requests limit 50 window 60",
                "requests limit 1000 window 3600",
            ],
        ),
        // 05 and 06.
        (
            &[
                ("ratelimit-limit", "100"),
                ("ratelimit-policy", "10;w=1, 100;w=60;comment=\"x\""),
                ("ratelimit-remaining", "99"),
                ("ratelimit-reset", "50"),
            ],
            &[
                "requests limit 100 left 99 reset 50000 window 60",
                "requests limit 10 window 1",
            ],
        ),
        // Without what remains, the limit in force still speaks for all.
        (
            &[
                ("ratelimit-policy", "50;w=60"),
                ("ratelimit-reset", "7"),
                ("ratelimit-policy", "10;w=1;comment=\"x, y\""),
                ("ratelimit-limit", "50"),
            ],
            &[
                "requests limit 50 reset 7000 window 60",
                "requests limit 10 window 1",
            ],
        ),
        // 07.
        (
            &[
                ("ratelimit", "limit=100, remaining=50, reset=5"),
                ("ratelimit-policy", "100;w=10"),
            ],
            &["requests limit 100 left 50 reset 5000 window 10"],
        ),
        (
            &[("ratelimit", "limit=10, reset=1")],
            &["requests limit 10 reset 1000"],
        ),
        (
            &[
                ("ratelimit", "remaining=5, reset=1"),
                ("ratelimit-policy", "10;w=60"),
            ],
            &["requests limit 10 left 5 reset 1000 window 60"],
        ),
        // 08 to 10.
        (
            &[
                ("ratelimit", "\"default\";r=50;t=30"),
                ("ratelimit-policy", "\"default\";q=100;w=60"),
            ],
            &["default/requests limit 100 left 50 reset 30000 window 60"],
        ),
        (
            &[
                (
                    "ratelimit-policy",
                    "\"burst\";q=100;w=60, \"daily\";q=1000;w=86400;pk=:cHsdsRa894==:",
                ),
                (
                    "ratelimit-policy",
                    "\"size\";q=65535;qu=\"content-bytes\";w=10,\"par\";q=5;qu=\"concurrent-requests\"",
                ),
                ("ratelimit", "\"daily\";r=1;t=36000;new=?1"),
                ("ratelimit", "\"par\";r=0"),
            ],
            &[
                "daily/requests limit 1000 left 1 reset 36000000 window 86400",
                "burst/requests limit 100 window 60",
                "size/content_bytes limit 65535 window 10",
                "par/concurrent_requests limit 5 left 0",
            ],
        ),
        (
            &[
                ("ratelimit", "default;r=50"),
                ("ratelimit-policy", "default;q=100;qu=bytes"),
            ],
            &["default/content_bytes limit 100 left 50"],
        ),
        // Names that do not match.
        (
            &[
                ("ratelimit", "\"default\";r=50;t=30"),
                ("ratelimit-policy", "\"burst\";q=100;w=60"),
            ],
            &[
                "default/requests left 50 reset 30000",
                "burst/requests limit 100 window 60",
                "unmatched",
            ],
        ),
        // Hugging Face.
        (
            &[
                ("ratelimit", "\"api\";r=999;t=295"),
                (
                    "ratelimit-policy",
                    "\"fixed window\";\"api\";q=1000;w=300, \"fixed window\";\"res,olvers\";q=5;w=3",
                ),
            ],
            &[
                "api/requests limit 1000 left 999 reset 295000 window 300",
                "res,olvers/requests limit 5 window 3",
            ],
        ),
        // Envoy.
        (
            &[
                ("x-ratelimit-limit", "10, 10;w=1;name=\"foo\", 100;w=60"),
                ("x-ratelimit-remaining", "9"),
                ("x-ratelimit-reset", "1"),
            ],
            &[
                "requests limit 10 left 9 reset 1000 window 1",
                "requests limit 100 window 60",
            ],
        ),
        // Points in time where spans should be.
        (
            &[
                DATE,
                ("ratelimit-limit", "5"),
                ("ratelimit-reset", "1655120964"),
            ],
            &["requests limit 5 reset 31000"],
        ),
    ];
    for &(fields, expected) in rows {
        let hints = ServerHints::parse(fields.iter().copied(), None);
        assert_eq!(lines(&hints), expected, "{fields:?}");
    }
}

#[test]
fn what_the_draft_forbids_says_nothing() {
    for (name, value) in [
        ("ratelimit", ""),
        ("ratelimit", "\"default\";r=50;t=30, \"other\";r="),
        ("ratelimit", "\"default\";t=30"),
        ("ratelimit", "\"default\";r=-1"),
        ("ratelimit", "\"default\";r=5.0"),
        ("ratelimit", "\"default\";r=5;t=-1"),
        ("ratelimit", "5;r=5"),
        ("ratelimit", "limit=-5"),
        ("ratelimit", "limit=\"5\""),
        ("ratelimit-policy", ""),
        ("ratelimit-policy", "\"burst\";w=60"),
        ("ratelimit-policy", "\"burst\";q=-1"),
        ("ratelimit-policy", "5"),
        ("ratelimit-policy", "(1 2)"),
        ("ratelimit-policy", "\"a\";\"b\", \"c\";\"d\""),
        ("ratelimit-limit", "5, 5;w"),
        ("ratelimit-limit", "5;w=1,"),
        ("ratelimit-limit", "-"),
        ("ratelimit-reset", "soon"),
    ] {
        let mut parser = HeaderParser::new();
        let what = parser.field(name.as_bytes(), value.as_bytes());
        let hints = parser.finish();
        assert_eq!(what, Field::Malformed, "{name}: {value}");
        assert!(hints.problems.contains(Problems::MALFORMED));
        let known = hints
            .meters
            .iter()
            .all(|m| m.limit == Some(5) && m.window.is_none());
        assert!(known, "{name}: {value} {hints:?}");
    }
}

#[test]
fn each_dialect_is_read() {
    let rows: &[(Dialect, &Fields, &[&str])] = &[
        (
            Dialect::OpenAi,
            &[
                ("x-ratelimit-limit-requests", "200"),
                ("x-ratelimit-remaining-requests", "197"),
                ("x-ratelimit-reset-requests", "20m52.666s"),
                ("x-ratelimit-limit-input-images", "50000"),
                ("x-ratelimit-remaining-project-tokens", "99000"),
                ("x-ratelimit-limit-project-tokens", "100000"),
                ("x-ratelimit-reset-project-tokens", "600ms"),
                ("x-ratelimit-limit-tokens_usage_based", "1"),
            ],
            &[
                "requests limit 200 left 197 reset 1252666 window 86400",
                "input_images limit 50000",
                "project/tokens limit 100000 left 99000 reset 600 window 60",
            ],
        ),
        (
            Dialect::Groq,
            &[
                ("x-groq-region", "x"),
                ("x-ratelimit-limit-requests", "1000"),
                ("x-ratelimit-reset-requests", "2m52.8s"),
                ("x-ratelimit-limit-tokens", "6000"),
            ],
            &[
                "requests limit 1000 reset 172800 window 86400",
                "tokens limit 6000 window 60",
            ],
        ),
        // Nothing but what 3 of 14400 take to come back.
        (
            Dialect::Groq,
            &[
                ("x-ratelimit-limit-requests", "14400"),
                ("x-ratelimit-remaining-requests", "14397"),
                ("x-ratelimit-reset-requests", "17.399999999s"),
                ("x-ratelimit-limit-tokens", "30000"),
            ],
            &[
                "requests limit 14400 left 14397 reset 17400 window 86400",
                "tokens limit 30000 window 60",
            ],
        ),
        (
            Dialect::OpenAi,
            &[
                ("openai-processing-ms", "235"),
                ("x-ratelimit-limit-requests", "10000"),
                ("x-ratelimit-remaining-requests", "9999"),
                ("x-ratelimit-reset-requests", "8.64s"),
            ],
            &["requests limit 10000 left 9999 reset 8640 window 86400"],
        ),
        // Milliseconds, as one host has it: 1 of 120 a minute.
        (
            Dialect::Azure,
            &[
                ("x-ratelimit-limit-requests", "120"),
                ("x-ratelimit-remaining-requests", "119"),
                ("x-ratelimit-reset-requests", "500"),
                ("x-ratelimit-renewalperiod-requests", "60"),
                ("x-ratelimit-reset-tokens", "64"),
                ("x-ratelimit-remaining-tokens", "-27689"),
            ],
            &[
                "requests limit 120 left 119 reset 500 window 60",
                "tokens left -27689 reset 64 window 60",
            ],
        ),
        // Seconds, as another has it.
        (
            Dialect::Azure,
            &[
                ("x-ratelimit-limit-tokens", "50000"),
                ("x-ratelimit-remaining-tokens", "25000"),
                ("x-ratelimit-reset-tokens", "30"),
            ],
            &["tokens limit 50000 left 25000 reset 30000 window 60"],
        ),
        // What settles nothing: seconds, and told so.
        (
            Dialect::Azure,
            &[
                ("x-ratelimit-remaining-tokens", "-27689"),
                ("x-ratelimit-reset-tokens", "64"),
            ],
            &["tokens left -27689 reset 64000 window 60", "in doubt"],
        ),
        (
            Dialect::Azure,
            &[
                ("azureai-fe-offer-type", "paygo"),
                ("x-ratelimit-reset-tokens", "64"),
            ],
            &["tokens reset 64000 window 60"],
        ),
        (
            Dialect::Azure,
            &[
                ("x-ratelimit-limit-tokens", "-1"),
                ("x-ratelimit-remaining-tokens", "-1"),
                ("x-ratelimit-reset-tokens", "0"),
            ],
            &["tokens reset 0 window 60"],
        ),
        (
            Dialect::Mistral,
            &[
                ("x-ratelimit-limit-tokens-month", "200000000000"),
                ("x-ratelimit-remaining-tokens-month", "9999999893"),
                ("x-ratelimit-limit-tokens-minute", "2000000"),
                ("x-ratelimit-remaining-tokens-minute", "1999893"),
                ("x-ratelimit-limit-req-10-second", "60"),
                ("x-ratelimit-limit-audio-seconds-minute", "3600"),
                ("x-ratelimit-remaining-input-characters-minute", "7"),
                ("x-ratelimit-limit-ocr-pages-minute", "1250"),
                ("x-ratelimit-tokens-query-cost", "107"),
            ],
            &[
                "requests limit 60 window 10",
                "tokens limit 2000000 left 1999893 window 60",
                "tokens limit 200000000000 left 9999999893 window 2592000",
                "ocr_pages limit 1250 window 60",
                "audio_seconds limit 3600 window 60",
                "input_characters left 7 window 60",
            ],
        ),
        (
            Dialect::Cerebras,
            &[
                ("x-ratelimit-reset-requests-day", "33011.382867813"),
                ("x-ratelimit-limit-requests-day", "14400"),
                ("x-ratelimit-remaining-tokens-minute", "60000"),
                ("x-ratelimit-reset-tokens-minute", "5.5"),
            ],
            &[
                "requests limit 14400 reset 33011383 window 86400",
                "tokens left 60000 reset 5500 window 60",
            ],
        ),
        (
            Dialect::Together,
            &[
                ("x-ratelimit-limit", "2"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1"),
                ("x-tokenlimit-limit", "3000"),
            ],
            &[
                "requests limit 2 left 0 reset 1000 window 1",
                "tokens limit 3000 window 1",
            ],
        ),
        (
            Dialect::Replicate,
            &[("ratelimit-remaining", "2999"), ("ratelimit-reset", "1")],
            &["requests left 2999 reset 1000"],
        ),
        (
            Dialect::GitHub,
            &[
                DATE,
                ("x-ratelimit-resource", "search"),
                ("x-ratelimit-limit", "30"),
                ("x-ratelimit-remaining", "14"),
                ("x-ratelimit-used", "16"),
                ("x-ratelimit-reset", "1655120964"),
            ],
            &["search/requests limit 30 left 14 reset 31000 window 60"],
        ),
        (
            Dialect::OpenRouter,
            &[
                DATE,
                ("X-RateLimit-Limit", "50"),
                ("X-RateLimit-Remaining", "0"),
                ("X-RateLimit-Reset", "1655164800000"),
            ],
            &["requests limit 50 left 0 reset 43867000"],
        ),
        (
            Dialect::Generic,
            &[
                ("x-rate-limit-limit", "10,000"),
                ("x-rate-limit-reset", "600000"),
            ],
            &["requests limit 10000 reset 600000", "in doubt"],
        ),
        (
            Dialect::Generic,
            &[
                DATE,
                (
                    "x-ratelimit-reset",
                    "Mon Jun 13 2022 13:49:53 GMT+0200 (CEST)",
                ),
                ("x-ratelimit-remaining", "598.0"),
            ],
            &["requests left 598 reset 60000"],
        ),
        (
            Dialect::Generic,
            &[
                DATE,
                ("x-ratelimit-next", "2022-06-13T11:49:53Z"),
                ("x-sib-ratelimit-limit", "100"),
            ],
            &["requests limit 100 reset 60000"],
        ),
        (
            Dialect::Generic,
            &[
                ("x-ratelimit-reset-after", "1.5"),
                ("x-ratelimit-limit-hour", "1000"),
                ("x-ratelimit-remaining-hour", "3"),
            ],
            &[
                "requests limit 1000 left 3 window 3600",
                "requests reset 1500",
            ],
        ),
        (
            Dialect::Claude,
            &[
                ("llm_provider-anthropic-ratelimit-requests-limit", "50"),
                ("llm_provider-date", "Mon, 13 Jun 2022 11:48:53 GMT"),
                ("claude-ratelimit-tokens-remaining", "29873"),
                ("x-ratelimit-limit-requests", "40"),
            ],
            &[
                "requests limit 40 window 60",
                "tokens left 29873 window 60",
                "conflict",
            ],
        ),
    ];
    for &(dialect, fields, expected) in rows {
        let hints = ServerHints::parse(fields.iter().copied(), None);
        assert_eq!(hints.dialect, dialect, "{fields:?}");
        assert_eq!(lines(&hints), expected, "{fields:?}");
    }
}

#[test]
fn what_is_said_of_a_response_goes_before_what_is_found_out() {
    let reset = |dialect, value: &str| {
        let mut parser = HeaderParser::new().dialect(dialect);
        parser.field(b"x-ratelimit-reset", value.as_bytes());
        lines(&parser.finish()).join(", ")
    };
    assert_eq!(
        reset(Dialect::Generic, "600000"),
        "requests reset 600000, in doubt"
    );
    assert_eq!(reset(Dialect::Ietf, "600000"), "requests reset 600000000");
    assert_eq!(
        reset(Dialect::Together, "60000"),
        "requests reset 60000000 window 1"
    );
    let mut parser = HeaderParser::new().bare_resets(BareReset::Millis);
    parser.fields([("x-ratelimit-reset", "600000")]);
    assert_eq!(lines(&parser.finish()), ["requests reset 600000"]);
}

/// The epoch is checked against the response's date, or when it was received;
/// a span is counted from the date alone.
#[test]
fn a_point_in_time_far_from_now_is_doubted() {
    let fields = [("x-ratelimit-reset", "1655120964")];
    let at = |seconds| {
        let hints = ServerHints::parse(fields, Some(UnixTime::from_secs(seconds)));
        lines(&hints).join(", ")
    };
    assert_eq!(at(1_655_120_933), "requests reset ?");
    assert_eq!(at(1_555_120_933), "requests reset ?, in doubt");
}

/// Twenty pools, of which the one that is spent must not get lost.
#[test]
fn of_too_many_meters_the_most_binding_stay() {
    let mut fields: Vec<(String, String)> = Vec::new();
    for window in 1..=20 {
        let name = |member: &str| format!("x-ratelimit-{member}-tokens-{window}-second");
        fields.push((name("limit"), (window * 100).to_string()));
        let left = if window == 20 { -5 } else { window * 10 };
        fields.push((name("remaining"), left.to_string()));
    }
    let hints = super::parse(&fields);
    fields.reverse();
    assert_eq!(hints, super::parse(&fields));
    assert_eq!(hints.meters.len(), Meters::CAPACITY);
    assert_eq!(hints.problems, Problems::OVERFLOW);
    let shown: Vec<_> = hints
        .meters
        .iter()
        .map(|m| m.remaining.unwrap().shown)
        .collect();
    assert!(shown.contains(&-5));
    assert_eq!(shown.iter().max(), Some(&150));
    let spent = hints.meters.get(Family::Standard, Dimension::TotalTokens);
    assert_eq!(
        spent.unwrap().limit,
        Some(100),
        "the shortest window speaks for all"
    );

    let policies: Vec<_> = (1..=40)
        .map(|n| format!("\"p{n:02}\";q={n};w=60"))
        .collect();
    let fields = [
        ("ratelimit", "\"p40\";r=0;t=5"),
        ("ratelimit-policy", &policies.join(",")),
    ];
    let hints = ServerHints::parse(fields, None);
    assert!(hints.problems.contains(Problems::OVERFLOW));
    assert_eq!(lines(&hints)[0], "p40/requests left 0 reset 5000");
}
