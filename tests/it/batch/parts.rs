//! The parts of it, one by one.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use clap::Parser;
use sendwhen::{Cause, Dimension, GiveUp, Instant, Usage};
use serde_json::json;

use super::{
    args::Args,
    deal::{Dealt, Tenant, deal},
    demo, input,
    limits::{Limits, Totals},
    report::{Run, Summary},
    tally::{Place, Tally},
    words,
};

fn args(options: &[&str]) -> Result<Args, String> {
    let all = [&["batch"], options].concat();
    Args::try_parse_from(all).map_err(|error| error.to_string())
}

#[test]
fn tenants_are_a_number_or_weights() {
    for (text, weights) in [
        ("1", &[1][..]),
        ("3", &[1, 1, 1]),
        ("3:1", &[3, 1]),
        ("5:2:1", &[5, 2, 1]),
    ] {
        let args = args(&["--tenants", text]).unwrap();
        let told: Vec<u32> = args.tenants.0.iter().map(|weight| weight.get()).collect();
        assert_eq!(told, weights, "{text}");
    }
    for wrong in ["0", "3:0", "1.5", "3:", "a", ""] {
        let said = args(&["--tenants", wrong]).unwrap_err();
        assert!(said.contains("weights of several, such as 3:1"), "{said}");
    }
    assert!(args(&["--tenants", "101"]).unwrap_err().contains("at most"));
}

#[test]
fn what_does_not_fit_together_is_said() {
    for (options, said) in [
        (&["--urgent", "120%"][..], "such as 0.02 or 2%"),
        (&["--patience", "3"], "--fallback-model"),
        (&["--prompts", "9", "--input", "x"], "cannot be used with"),
        (&["--prompts", "0"], "1..=1000000"),
        (&["--concurrency", "0"], "1..=10000"),
    ] {
        let told = args(options).unwrap_err();
        assert!(told.contains(said), "{told}");
    }
    let same = args(&["--model", "m", "--fallback-model", "m"]).unwrap();
    assert!(same.check().unwrap_err().contains("name another"));
    assert!((args(&["--urgent", "2%"]).unwrap().urgent - 0.02).abs() < 1e-12);
}

#[test]
fn what_is_wrong_in_a_line_is_said_with_its_number() {
    for (line, said) in [
        (r#"{"id":"a","prompt":"p""#, "not JSON"),
        ("Hello", "not a JSON object"),
        (r#"{"id":"a"}"#, "missing field `prompt`"),
        (r#"{"id":"","prompt":"p"}"#, "`id` is empty"),
        (r#"{"id":"a","prompt":" "}"#, "`prompt` is empty"),
        (r#"{"id":"b","prompt":"p"}"#, "that of line 1 too"),
        (
            r#"{"id":"a","prompt":"p","max_tokens":0}"#,
            "ask for at least 1",
        ),
        (
            r#"{"id":"a","prompt":"p","priority":"soon"}"#,
            "low, normal, high or urgent",
        ),
        (
            r#"{"id":"a","prompt":"p","tenant":7}"#,
            "`tenant` (strings)",
        ),
    ] {
        let text = format!("{{\"id\":\"b\",\"prompt\":\"p\"}}\n\n{line}\n");
        let faults = input::parse("x.jsonl", text.as_bytes()).unwrap_err();
        let told = faults.to_string();
        assert!(told.starts_with("x.jsonl:3: "), "{told}");
        assert!(told.contains(said), "{told}");
        assert!(told.ends_with("\nnothing was sent"), "{told}");
    }
}

/// Ids with their tenants and priorities, in order.
fn told(dealt: &Dealt) -> Vec<String> {
    let told = dealt.wanted.iter().map(|wanted| {
        let tenant = &dealt.tenants[wanted.tenant as usize].name;
        format!("{} {tenant} {:?}", wanted.prompt.id, wanted.priority)
    });
    told.collect()
}

fn weights(weights: &[u32]) -> Vec<NonZeroU32> {
    let weights = weights.iter().map(|weight| NonZeroU32::new(*weight));
    weights.map(Option::unwrap).collect()
}

#[test]
fn prompts_are_dealt_in_turn_unless_they_name_a_tenant() {
    let text = r#"
        {"id":"1","prompt":"p"}
        {"id":"2","prompt":"p","tenant":"ann","priority":"high"}
        {"id":"3","prompt":"p"}
        {"id":"4","prompt":"p","priority":"urgent"}"#;
    let prompts = || input::parse("x", text.as_bytes()).unwrap();
    let dealt = deal(prompts(), &weights(&[3, 1]), 0.0);
    assert_eq!(
        told(&dealt),
        [
            "1 tenant 1 Normal",
            "2 ann High",
            "3 tenant 2 Normal",
            "4 tenant 1 Urgent"
        ]
    );
    let held: Vec<_> = dealt
        .tenants
        .iter()
        .map(|tenant| tenant.weight.get())
        .collect();
    assert_eq!((held, dealt.at_once), (vec![3, 1, 1], 4));
}

#[test]
fn a_share_is_urgent_and_comes_later() {
    let prompts = || demo::prompts(Some(50)).unwrap();
    for (share, later) in [(0.0, 0), (0.02, 1), (0.1, 5), (0.5, 25), (0.99, 49)] {
        let dealt = deal(prompts(), &weights(&[1]), share);
        let all = told(&dealt);
        assert_eq!((all.len(), dealt.at_once), (50, 50 - later), "{share}");
        let urgent = |line: &String| line.ends_with("Urgent");
        assert!(!all[..dealt.at_once].iter().any(urgent), "{share}");
        assert!(all[dealt.at_once..].iter().all(urgent), "{share}");
    }
    let dealt = deal(prompts(), &weights(&[1]), 1.0);
    assert_eq!(dealt.at_once, 50, "there is nothing to come after");
}

#[test]
fn what_is_done_is_left_out_and_the_others_keep_their_tenants() {
    let mut dealt = deal(demo::prompts(Some(10)).unwrap(), &weights(&[1, 1]), 0.2);
    let all = told(&dealt);
    assert_eq!(dealt.at_once, 8);
    let done = [0, 3, 9].map(|place: usize| dealt.wanted[place].prompt.id.clone());
    dealt.leave_out(|prompt| done.contains(&prompt.id));
    let left: Vec<_> = [1, 2, 4, 5, 6, 7, 8].map(|place| all[place].clone()).into();
    assert_eq!((told(&dealt), dealt.at_once), (left, 6));
    let urgent = dealt.wanted[6].prompt.id.clone();
    dealt.leave_out(|prompt| prompt.id != urgent);
    assert_eq!((dealt.wanted.len(), dealt.at_once), (1, 1));
}

#[test]
fn prompts_over_and_over_have_ids_and_texts_of_their_own() {
    let prompts = demo::prompts(Some(1_000)).unwrap();
    let mut ids: Vec<_> = prompts.iter().map(|prompt| &prompt.id).collect();
    let mut texts: Vec<_> = prompts.iter().map(|prompt| &prompt.text).collect();
    for all in [&mut ids, &mut texts] {
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 1_000);
    }
    assert_eq!(demo::prompts(None).unwrap().len(), 300);
    let per_minute = |prompts| demo::server(prompts).limits.output_tokens;
    assert_eq!(per_minute(1), per_minute(300));
    assert_eq!(per_minute(3_000), per_minute(300) * 10);
}

#[test]
fn the_least_time_is_that_of_the_limit_that_binds() {
    let limits = Limits {
        requests: Some(60),
        input_tokens: None,
        output_tokens: Some(1_000),
    };
    let totals = |requests, output_tokens| Totals {
        requests,
        input_tokens: 1_000_000,
        output_tokens,
    };
    let least = |limits: Limits, totals| limits.least_time(&totals).as_secs();
    assert_eq!(least(limits, totals(60, 1_000)), 0);
    assert_eq!(least(limits, totals(90, 1_000)), 30);
    assert_eq!(least(limits, totals(90, 2_000)), 60);
    assert_eq!(least(limits.and(limits), totals(120, 3_000)), 30);
    let known = Limits::default().or(limits);
    assert_eq!((known, limits.or(Limits::default())), (limits, limits));
}

#[test]
fn the_report_says_how_each_fared() {
    let tenant = |name: &str, weight: u32| Tenant {
        name: name.into(),
        weight: weight.try_into().unwrap(),
    };
    let tally = Tally::new(vec![tenant("a", 3), tenant("b", 1)]);
    let [a, b, urgent] =
        [(0, false), (1, false), (1, true)].map(|(tenant, urgent)| Place { tenant, urgent });
    let second = Duration::from_secs(1);
    for place in [a, a, b, b, urgent] {
        tally.submits(place);
    }
    let answer = |place, waited, output| {
        tally.sends(place, Some(waited));
        tally.hears(Some(200));
        tally.lands(false);
        tally.completes(place, &Usage::new(10, output), second, false);
    };
    answer(a, second, 300);
    answer(urgent, second / 1_000, 100);
    // From here on nobody of a's waits: what is had now is no share.
    answer(a, second * 2, 1_000);
    let why = GiveUp::DeadlineTooClose {
        earliest: Instant::from_secs(7),
        cause: Cause::Limit(Dimension::OutputTokens),
    };
    tally.drops(b, true, words::reason(&why));
    let run = Run {
        prompts: 5,
        elapsed: second * 30,
        least: second * 20,
        totals: Totals {
            requests: 3,
            input_tokens: 30,
            output_tokens: 1_400,
        },
        with_fallback: false,
    };
    let summary = Summary::new(tally.account(), &run);
    let told = serde_json::to_value(&summary).unwrap();
    let rows = [("a", 3, 0.75, 2, 1.0, 2.0), ("b", 1, 0.25, 1, 0.001, 0.001)];
    for (row, (name, weight, share, completed, p50, p99)) in
        told["tenants"].as_array().unwrap().iter().zip(rows)
    {
        assert_eq!(
            (&row["name"], &row["weight"]),
            (&json!(name), &json!(weight))
        );
        assert_eq!(
            (&row["share"], &row["completed"]),
            (&json!(share), &json!(completed))
        );
        for (field, expected) in [("wait_p50_s", p50), ("wait_p99_s", p99)] {
            let wait = row[field].as_f64().unwrap();
            assert!((wait - expected).abs() <= expected / 100.0, "{row}");
        }
    }
    assert_eq!(told["urgent"]["completed"], 1);
    let reasons = BTreeMap::from([(
        "it could not start by its deadline because of the limit of output tokens",
        1,
    )]);
    assert_eq!(told["reasons"], json!(reasons));
    let figures = ["completed", "given_up", "left", "ratio"].map(|name| told[name].as_f64());
    assert_eq!(figures, [3.0, 1.0, 1.0, 1.5].map(Some));
    assert!(told.get("fallback").is_none());
    let words = summary.to_string();
    for line in [
        "3 answered in 30.0 s, 1.50 times the least that the limits allow (20.0 s)",
        "given up: 1 because it could not start by its deadline because of the limit of output tokens",
        "1 left over; --resume goes on with them",
    ] {
        assert!(words.lines().any(|told| told == line), "{words}");
    }
}
