//! All of it over a socket, at a twentieth of the server's latency.

use std::{
    collections::BTreeMap,
    fs,
    num::NonZeroU64,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::Parser;
use serde_json::Value;

use super::{
    args::Args,
    deal, demo,
    driver::Driver,
    input,
    output::{Existing, Output},
    pools,
    progress::Progress,
    server::{Config, Limits, Server},
    tally::{Account, Tally},
    transport::{Key, Transport},
    work::Batch,
};

/// A file of its own, that is removed in the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("sendwhen-test-{}-{name}.jsonl", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.0).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.0);
    }
}

const QUICK: Config = Config {
    latency_percent: 5,
    ..Config::new(Limits::new(10_000, 1_000_000, 1_000_000))
};

/// Runs what `main` would, against the server at `url`.
async fn run(
    url: &str,
    options: &[&str],
    prompts: Vec<input::Prompt>,
    to: &Place,
) -> (Account, bool) {
    let batch = batch(url, options, prompts, to);
    batch.run().await;
    (batch.tally.account(), batch.has_failed())
}

fn batch(url: &str, options: &[&str], prompts: Vec<input::Prompt>, to: &Place) -> Arc<Batch> {
    let args = Args::parse_from([&["batch"], options].concat());
    let transport =
        Transport::new(url, Key::demo(), args.models(), args.concurrency, true).unwrap();
    let (output, done) = Output::open(&to.0, Existing::Keep).unwrap();
    let mut dealt = deal::deal(prompts, &args.tenants.0, args.urgent);
    dealt.leave_out(|prompt| done.contains(&prompt.id));
    let (scheduler, route) = pools::scheduler(&args, &dealt.tenants).unwrap();
    Arc::new(Batch {
        driver: Arc::new(Driver::new(scheduler)),
        route,
        tally: Tally::new(dealt.tenants.clone()),
        progress: Progress::new(dealt.wanted.len() as u64),
        dealt,
        transport,
        output,
        max_tokens: NonZeroU64::new(100).unwrap(),
        deadline: args.deadline.map(|it| Duration::from_secs(it.get())),
        calls: Mutex::default(),
        told: 0.into(),
        failed: false.into(),
    })
}

#[tokio::test]
async fn the_first_are_sent_while_others_are_still_submitted() {
    let server = Server::start(QUICK).unwrap();
    let place = Place::new("feed");
    let prompts = demo::prompts(Some(5_000)).unwrap();
    let batch = batch(&server.base_url(), &[], prompts, &place);
    let running = tokio::spawn({
        let batch = Arc::clone(&batch);
        async move { batch.run().await }
    });
    while batch.tally.counts().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    let submitted = batch.calls.lock().unwrap().len();
    assert!((1..5_000).contains(&submitted), "{submitted}");
    while batch.calls.lock().unwrap().len() < 5_000 {
        tokio::task::yield_now().await;
    }
    running.abort();
}

#[tokio::test]
async fn each_prompt_has_one_answer_whatever_fails_on_the_way_and_a_second_run_goes_on() {
    let server = Server::start(QUICK.faults(5, 0)).unwrap();
    let place = Place::new("answers");
    let options = ["--tenants", "2", "--urgent", "10%", "--concurrency", "8"];
    let all = demo::prompts(Some(60)).unwrap();
    let ids: Vec<_> = all.iter().map(|prompt| prompt.id.clone()).collect();
    let first = all[..40].to_vec();
    let (account, failed) = run(&server.base_url(), &options, first, &place).await;
    let counts = account.counts;
    assert_eq!((counts.completed, counts.given_up, failed), (40, 0, false));
    assert_eq!((counts.waiting, counts.in_flight), (0, 0));
    assert!(counts.overloaded > 0);
    assert_eq!(account.urgent.completed, 4);
    let completed: Vec<_> = account
        .tenants
        .iter()
        .map(|(_, group)| group.completed)
        .collect();
    assert_eq!(completed, [20, 20]);
    assert!(!account.notices.is_empty(), "limits were learnt");

    let (account, _) = run(&server.base_url(), &options, all, &place).await;
    assert_eq!(account.counts.completed, 20, "the others were answered");
    let lines = place.lines();
    let mut answered: BTreeMap<_, _> = BTreeMap::new();
    for line in &lines {
        assert!(line["usage"]["output_tokens"].as_u64().unwrap() > 0);
        assert!(!line["text"].as_str().unwrap().is_empty());
        *answered.entry(line["id"].as_str().unwrap()).or_insert(0) += 1;
    }
    assert_eq!(lines.len(), 60);
    assert!(ids.iter().all(|id| answered.get(id.as_str()) == Some(&1)));
    // What was answered was counted, and nothing twice.
    let totals = server.totals();
    assert_eq!(totals.requests, 60);
}

#[tokio::test]
async fn the_fallback_model_answers_what_the_first_has_no_room_for() {
    let limits = Limits::new(20, 1_000_000, 1_000_000);
    let server = Server::start(Config { limits, ..QUICK }).unwrap();
    let place = Place::new("fallback");
    let options = ["--fallback-model", "other"];
    let prompts = demo::prompts(Some(30)).unwrap();
    let (account, _) = run(&server.base_url(), &options, prompts, &place).await;
    let counts = account.counts;
    assert_eq!((counts.completed, counts.refused), (30, 0));
    assert!((10..=16).contains(&counts.fallback), "{}", counts.fallback);
    let lines = place.lines();
    let by_other = lines.iter().filter(|line| line["model"] == "other");
    assert_eq!(by_other.count() as u64, counts.fallback);
    let first = &account.notices[0];
    assert!(
        first.contains("the limit of requests is 20 a minute"),
        "{first}"
    );
}

#[tokio::test]
async fn what_cannot_start_in_time_is_given_up_and_counted_by_reason() {
    let limits = Limits::new(20, 1_000_000, 1_000_000);
    let server = Server::start(Config { limits, ..QUICK }).unwrap();
    let place = Place::new("deadline");
    let prompts = demo::prompts(Some(30)).unwrap();
    let (account, failed) = run(&server.base_url(), &["--deadline", "1"], prompts, &place).await;
    let counts = account.counts;
    assert_eq!((counts.completed + counts.given_up, failed), (30, false));
    assert!((9..=12).contains(&counts.given_up), "{}", counts.given_up);
    let reason = "it could not start by its deadline because of the limit of requests";
    assert_eq!(account.reasons.get(reason), Some(&counts.given_up));
}

#[tokio::test]
async fn without_a_server_it_stops_soon_and_says_so() {
    let place = Place::new("nobody");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let prompts = demo::prompts(Some(30)).unwrap();
    let (account, failed) = run(&url, &[], prompts, &place).await;
    assert!(failed);
    assert_eq!((account.counts.completed, account.counts.in_flight), (0, 0));
    assert!(place.lines().is_empty());
}

#[test]
fn what_is_no_server_is_said_before_anything_is_sent() {
    for (url, said) in [
        ("", "is not a URL such as https://api.anthropic.com"),
        ("api.anthropic.com", "is not a URL such as"),
        ("ftp://x", "must begin with https:// or http://"),
        ("https://me:secret@x", "must not hold a user name"),
    ] {
        let told = Transport::new(url, Key::demo(), vec!["m".into()], 1, false).unwrap_err();
        assert!(told.contains(said), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
    assert_eq!(format!("{:?}", Key::demo()), "Key(..)");
}
