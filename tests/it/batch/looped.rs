//! The loop in virtual time: the embedded server without its socket, and a clock
//! that moves when all tasks wait.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use clap::Parser;
use sendwhen::{
    CallId, Dropped, ErrorDetails, Event, Failure, GiveUp, Job, Limiter, Next, Request, RouteId,
    Scheduler, ServerHints, TenantId, UnixTime, Usage, Verdict,
};
use serde_json::{Value, json};
use tokio::time;

use super::{
    args::Args,
    deal::Tenant,
    driver::{Driver, Flight},
    pools,
    server::{Api, Body, Config, Incoming, Limits},
};

/// What the tasks share.
struct Bench {
    api: Mutex<Api>,
    began: time::Instant,
    models: Vec<String>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// By tenant: the output tokens of each answer, in the order of completion.
    answers: Vec<(CallId, usize, u64)>,
    refused: u64,
    overloaded: u64,
    flying: usize,
    most_flying: usize,
    dropped: Vec<(CallId, Dropped)>,
}

const START: Duration = Duration::from_secs(1_772_366_400);

impl Bench {
    fn new(config: Config, models: Vec<String>) -> Arc<Self> {
        Arc::new(Self {
            api: Mutex::new(Api::new(config, SystemTime::UNIX_EPOCH + START)),
            began: time::Instant::now(),
            models,
            seen: Mutex::default(),
        })
    }

    /// One attempt, as over a network that takes no time.
    async fn fly(self: Arc<Self>, driver: Arc<Driver>, id: CallId, model: usize) {
        let mut flight = Flight::new(&driver, id);
        let prompt = format!("What is {} squared?", id.number());
        let body = json!({ "model": self.models[model], "max_tokens": 400,
            "messages": [{ "role": "user", "content": prompt }] })
        .to_string();
        let incoming = Incoming {
            method: "POST",
            path: "/v1/messages",
            key: Some("any"),
            body: body.as_bytes(),
        };
        let reply = self
            .api
            .lock()
            .unwrap()
            .handle(self.began.elapsed(), &incoming);
        time::sleep(reply.after).await;
        let Body::Whole(text) = reply.body else {
            panic!("a stream was not asked for");
        };
        let said: Value = serde_json::from_str(&text).unwrap();
        let now = START + self.began.elapsed();
        let hints = ServerHints::parse(
            reply.fields,
            Some(UnixTime::from_millis(now.as_millis() as i64)),
        );
        let error = ErrorDetails::find(|at| said.pointer(at)?.as_str());
        let verdict = flight.tell(Event::responded(reply.status, &hints, error));
        let mut seen = self.seen.lock().unwrap();
        seen.refused += u64::from(reply.status == 429);
        seen.overloaded += u64::from(reply.status == 529);
        seen.flying -= 1;
        if reply.status != 200 {
            assert_eq!(verdict, Verdict::Queued, "{said}");
            return;
        }
        let usage = Usage::find(|at| said.pointer(at)?.as_u64()).unwrap();
        let verdict = flight.tell(Event::Finished(Some(usage)));
        assert_eq!(verdict, Verdict::Delivered);
        seen.answers.push((id, model, usage.output_tokens));
    }

    /// Runs the loop to its end.
    async fn run(self: &Arc<Self>, driver: &Arc<Driver>) {
        let obey = |next| match next {
            Next::Send {
                id, alternative, ..
            } => {
                let mut seen = self.seen.lock().unwrap();
                seen.flying += 1;
                seen.most_flying = seen.most_flying.max(seen.flying);
                let (bench, driver) = (Arc::clone(self), Arc::clone(driver));
                tokio::spawn(bench.fly(driver, id, alternative));
            }
            Next::Drop { id, why } => self.seen.lock().unwrap().dropped.push((id, why)),
            Next::Wait(wait) => assert!(wait.until > driver.now()),
            Next::Idle => {}
        };
        driver.run(obey).await;
    }
}

/// A driver for the options of a command line.
fn driver(options: &[&str], tenants: &[u32]) -> (Arc<Driver>, RouteId, Args) {
    let args = Args::parse_from([&["batch"], options].concat());
    let tenants: Vec<Tenant> = tenants
        .iter()
        .map(|weight| Tenant {
            name: weight.to_string(),
            weight: (*weight).try_into().unwrap(),
        })
        .collect();
    let (scheduler, route) = pools::scheduler(&args, &tenants).unwrap();
    (Arc::new(Driver::new(scheduler)), route, args)
}

fn job(route: RouteId) -> Job {
    Job::new(Request::new().input_tokens(15).max_tokens(400), route)
}

/// The answers take about 210 tokens each, so that a sixth of what is asked for
/// is there at first, and the rest comes in within five minutes.
const ROOMY: Config = Config::new(Limits::new(100_000, 10_000_000, 350_000)).faults(80, 0);

#[tokio::test(start_paused = true)]
async fn ten_thousand_wait_without_a_task_each_and_share_by_weight() {
    let (driver, route, args) = driver(&["--concurrency", "300"], &[3, 1]);
    let bench = Bench::new(ROOMY, args.models());
    for n in 0..10_000 {
        let job = job(route).tenant(TenantId::new(n % 2));
        assert_eq!(driver.submit(job).unwrap().number(), u64::from(n));
    }
    driver.close();
    bench.run(&driver).await;

    let took = bench.began.elapsed();
    let totals = bench.api.lock().unwrap().totals(took);
    let seen = bench.seen.lock().unwrap();
    assert_eq!(seen.answers.len(), 10_000);
    assert!(seen.overloaded > 50, "{}", seen.overloaded);
    assert!(seen.refused <= 20, "{}", seen.refused);
    assert!(seen.most_flying <= 300, "{}", seen.most_flying);
    let least = (totals.output_tokens - 350_000) as f64 * 60.0 / 350_000.0;
    let ratio = took.as_secs_f64() / least;
    assert!(ratio < 1.1, "{took:?} instead of {least} s");
    // While both wait: what the first half of the answers took.
    let half = seen.answers.iter().take(5_000);
    let (mut first, mut all) = (0, 0);
    for (id, _, tokens) in half {
        all += tokens;
        first += if id.number() % 2 == 0 { *tokens } else { 0 };
    }
    let share = first as f64 / all as f64;
    assert!((0.73..0.77).contains(&share), "{share}");
}

#[tokio::test(start_paused = true)]
async fn what_would_wait_goes_to_the_other_model_unless_patience_says_otherwise() {
    let mut spans = vec![];
    for (options, least, most) in [
        (&[][..], 0, 0),
        (&["--fallback-model", "b"], 900, 1_100),
        (&["--fallback-model", "b", "--patience", "10000"], 0, 0),
    ] {
        let (driver, route, args) = driver(options, &[1]);
        let bench = Bench::new(ROOMY, args.models());
        for _ in 0..2_000 {
            driver.submit(job(route)).unwrap();
        }
        driver.close();
        bench.run(&driver).await;
        let seen = bench.seen.lock().unwrap();
        assert_eq!(seen.answers.len(), 2_000);
        let over = seen.answers.iter().filter(|(_, model, _)| *model == 1);
        let over = over.count();
        assert!((least..=most).contains(&over), "{options:?}: {over}");
        spans.push(bench.began.elapsed());
    }
    assert!(spans[1] < spans[0] / 2, "two models: {spans:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_start_in_time_is_dropped_and_the_loop_ends() {
    let (driver, route, args) = driver(&[], &[1]);
    let bench = Bench::new(ROOMY, args.models());
    let by = driver.now().saturating_add(Duration::from_secs(30));
    for _ in 0..4_000 {
        let mut job = job(route);
        job.request = job.request.start_by(by);
        driver.submit(job).unwrap();
    }
    driver.close();
    bench.run(&driver).await;
    let seen = bench.seen.lock().unwrap();
    assert_eq!(seen.answers.len() + seen.dropped.len(), 4_000);
    assert!(seen.dropped.len() > 1_000, "{}", seen.dropped.len());
    let too_close =
        |(_, why): &(_, Dropped)| matches!(why, Dropped::GivenUp(GiveUp::DeadlineTooClose { .. }));
    assert!(seen.dropped.iter().all(too_close));
    assert!(bench.began.elapsed() < Duration::from_secs(35));
}

#[tokio::test(start_paused = true)]
async fn when_it_is_stopped_those_under_way_are_heard_to_their_end() {
    let (driver, route, args) = driver(&[], &[1]);
    let bench = Bench::new(ROOMY, args.models());
    for _ in 0..4_000 {
        driver.submit(job(route)).unwrap();
    }
    let stop = async {
        time::sleep(Duration::from_secs(5)).await;
        driver.stop();
        bench.seen.lock().unwrap().answers.len()
    };
    let ((), before) = tokio::join!(bench.run(&driver), stop);
    let seen = bench.seen.lock().unwrap();
    assert_eq!(seen.flying, 0);
    assert!(seen.answers.len() > before && seen.answers.len() < 3_000);
    assert!(bench.began.elapsed() < Duration::from_secs(8));
}

/// A pool of one at a time.
fn narrow() -> (Arc<Driver>, RouteId) {
    let mut scheduler = Scheduler::new(1);
    let pool = scheduler.add_pool(Limiter::new(1).in_flight(1).unwrap());
    let route = scheduler.add_route(&[&[pool]]).unwrap();
    (Arc::new(Driver::new(scheduler)), route)
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_aborted_cancels_its_call_and_another_goes() {
    let (driver, route) = narrow();
    for _ in 0..3 {
        driver.submit(job(route)).unwrap();
    }
    driver.close();
    let order = Mutex::new(vec![]);
    driver
        .run(|next| {
            if let Next::Send { id, .. } = next {
                order.lock().unwrap().push((id.number(), driver.now()));
                let mut flight = Flight::new(&driver, id);
                let task = tokio::spawn(async move {
                    time::sleep(Duration::from_secs(60)).await;
                    let _ended = flight.tell(Event::Failed(Failure::Lost));
                });
                tokio::spawn(async move {
                    time::sleep(Duration::from_secs(1)).await;
                    task.abort();
                });
            }
        })
        .await;
    let order = order.into_inner().unwrap();
    let numbers: Vec<_> = order.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [0, 1, 2]);
    let gaps = order
        .windows(2)
        .map(|two| two[1].1.saturating_duration_since(two[0].1));
    assert!(gaps.into_iter().all(|gap| gap < Duration::from_secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_submitted_later_wakes_the_loop() {
    let (driver, route) = narrow();
    let later = async {
        time::sleep(Duration::from_secs(10)).await;
        driver.submit(job(route)).unwrap();
        driver.close();
    };
    let mut sent = None;
    let work = driver.run(|next| {
        if let Next::Send { id, .. } = next {
            sent = Some(driver.now());
            let mut flight = Flight::new(&driver, id);
            let _head = flight.tell(Event::responded(
                200,
                &ServerHints::NONE,
                ErrorDetails::NONE,
            ));
            let end = flight.tell(Event::Finished(Some(Usage::new(1, 1))));
            assert_eq!(end, Verdict::Delivered);
        }
    });
    tokio::join!(work, later);
    assert_eq!(sent.unwrap().as_nanos() / 1_000_000_000, 10);
}
