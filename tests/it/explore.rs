//! All sequences of a few events for a few calls over two limits, to a depth:
//! what must always hold of them does.
//!
//! A breadth-first search over what a limiter and its calls are. Two states are
//! one where they print the same: the limiter with all its counters, the calls
//! but for what their permits remember, the time, and what each was told. Calls
//! hold permits, which nobody can copy, so that a state is kept as the events
//! that lead to it, and reached by playing them again.
//!
//! `EXPLORE_STATES=100000000 cargo test --release --test it explore` goes on
//! until so many states were seen, instead of those that take some seconds.

use std::{
    collections::HashSet,
    fmt::Write,
    hash::{DefaultHasher, Hasher},
    num::NonZero,
    time::Duration,
};

use sendwhen::{
    Backoff, Call, Cause, Decision, Dimension, ErrorDetails, Event, Failure, Family, Instant,
    Limiter, Meter, Rate, Request, RetryPolicy, ServerHints, Usage,
};

/// What may happen next. A call is named by its number.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Asked for, or woken.
    Ask(usize),
    /// A good head; with what it shows of the requests that remain.
    Good(usize, Option<i64>),
    Throttled(usize),
    Lost(usize),
    Finished(usize),
    Cancelled(usize),
    /// So many milliseconds go by.
    Pass(u64),
}

const CALLS: usize = 3;

fn alphabet() -> Vec<Act> {
    let mut acts = vec![Act::Pass(100), Act::Pass(1_000), Act::Pass(20_000)];
    for call in 0..CALLS {
        acts.extend([
            Act::Ask(call),
            Act::Good(call, None),
            Act::Good(call, Some(1)),
            Act::Throttled(call),
            Act::Lost(call),
            Act::Finished(call),
            Act::Cancelled(call),
        ]);
    }
    acts
}

/// A limiter, its calls, and what each was told last.
struct World {
    limiter: Limiter,
    calls: [Call; CALLS],
    now: Instant,
    told: [Option<Told>; CALLS],
    /// Whether a head showed a level, which is then believed.
    was_shown: bool,
}

/// The last decision, and `opened` as it was then.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Told {
    decision: Decision,
    opened: u64,
    is_final: bool,
}

impl World {
    fn new() -> Self {
        let backoff = Backoff::constant(Duration::from_secs(1)).unwrap();
        let policy = RetryPolicy::new().attempts(2).unwrap().backoff(backoff);
        let mut limiter = Limiter::new(1)
            .limit(Dimension::Requests, Rate::per_minute(6).unwrap(), 2)
            .and_then(|limiter| {
                limiter.limit(Dimension::InputTokens, Rate::per_second(1).unwrap(), 30)
            })
            .unwrap()
            .retry(policy);
        let request = |input| Request::new().input_tokens(input);
        let calls = [
            limiter.call(request(10)),
            limiter.call(request(25)),
            limiter.call(request(10).start_by(Instant::from_secs(15))),
        ];
        Self {
            limiter,
            calls,
            now: Instant::ZERO,
            told: [None; CALLS],
            was_shown: false,
        }
    }

    fn reached_by(path: &[u8], acts: &[Act]) -> Self {
        let mut world = Self::new();
        for &act in path {
            world.play(acts[usize::from(act)]);
        }
        world
    }

    /// Whether it makes sense: what does not fit is answered by what stands,
    /// and is a matter of other tests.
    fn fits(&self, act: Act) -> bool {
        let stands = |call: usize| self.told[call].map(|told| told.decision);
        let waits_for = |call| match stands(call) {
            Some(Decision::Wait(wait)) => Some(wait.cause),
            _ => None,
        };
        let is_over = |call: usize| self.told[call].is_some_and(|told| told.is_final);
        let streams = |call| stands(call) == Some(Decision::Deliver) && !is_over(call);
        let is_sent = |call| {
            matches!(stands(call), Some(Decision::Send(_)))
                || waits_for(call) == Some(Cause::Response)
        };
        match act {
            Act::Pass(_) => true,
            Act::Ask(call) => !is_sent(call) && !matches!(stands(call), Some(Decision::Deliver)),
            Act::Good(call, _) | Act::Throttled(call) => is_sent(call),
            Act::Lost(call) => is_sent(call) || streams(call),
            Act::Finished(call) => streams(call),
            Act::Cancelled(call) => stands(call).is_some() && !is_over(call),
        }
    }

    /// Plays it, and checks what came of it.
    fn play(&mut self, act: Act) {
        let shown = Meter::new(Family::Standard, Dimension::Requests);
        let hints;
        let (call, event) = match act {
            Act::Pass(millis) => {
                self.now = self.now.saturating_add(Duration::from_millis(millis));
                return;
            }
            Act::Ask(call) => (call, Event::Woken),
            Act::Good(call, left) => {
                hints = left.map_or(ServerHints::NONE, |left| {
                    ServerHints::NONE.with_meter(shown.limit(6).remaining(left, 0))
                });
                (call, Event::responded(200, &hints, ErrorDetails::NONE))
            }
            Act::Throttled(call) => {
                let left = shown.limit(6).remaining(0, 0);
                hints = ServerHints::NONE
                    .with_meter(left)
                    .with_retry_after(Duration::from_secs(2));
                (call, Event::responded(429, &hints, ErrorDetails::NONE))
            }
            Act::Lost(call) => (call, Event::Failed(Failure::Lost)),
            Act::Finished(call) => (call, Event::Finished(Some(Usage::new(5, 3)))),
            Act::Cancelled(call) => (call, Event::Cancelled),
        };
        self.was_shown |= matches!(act, Act::Good(_, Some(_)) | Act::Throttled(_));
        let before = self.told[call];
        let decision = self.calls[call].handle(&mut self.limiter, self.now, event);
        let was_final = before.is_some_and(|told| told.is_final);
        if let (Some(told), true) = (before, was_final) {
            assert_eq!(decision, told.decision, "terminal is sticky");
        }
        match decision {
            Decision::Wait(wait) => {
                assert!(wait.until > self.now, "a wait is always in the future");
            }
            Decision::Send(_) => {
                let latest = self.calls[call].request().start_by;
                assert!(
                    latest.is_none_or(|latest| self.now <= latest),
                    "a start never passes its deadline"
                );
                if let Some(Told {
                    decision: Decision::Wait(wait),
                    opened,
                    ..
                }) = before
                {
                    assert!(
                        self.now >= wait.until || self.limiter.opened() != opened,
                        "who could be admitted is told so: told {wait:?}, sent at {:?}",
                        self.now
                    );
                }
            }
            Decision::Deliver | Decision::GiveUp(_) => {}
        }
        self.told[call] = Some(Told {
            decision,
            opened: self.limiter.opened(),
            is_final: was_final
                || matches!(decision, Decision::GiveUp(_))
                || matches!(act, Act::Finished(_)),
        });
    }

    /// What must hold of it as it stands.
    fn check(&self) {
        let holds = |told: &Option<Told>| match told {
            Some(told) if told.is_final => false,
            Some(told) => match told.decision {
                Decision::Send(_) | Decision::Deliver => true,
                Decision::Wait(wait) => wait.cause == Cause::Response,
                Decision::GiveUp(_) => false,
            },
            None => false,
        };
        let held = self.told.iter().filter(|told| holds(told)).count();
        assert_eq!(
            self.limiter.flying(self.now) as usize,
            held,
            "no permit is leaked, nor given back twice"
        );
        if !self.was_shown {
            // Two at first, and one each ten seconds.
            let sent: u32 = self.calls.iter().map(Call::attempts).sum();
            let most = 2 + self.now.as_nanos() / 10_000_000_000;
            assert!(
                u64::from(sent) <= most,
                "admitted never exceeds burst plus rate"
            );
        }
    }

    /// One number for all that matters. To print it is what takes the time:
    /// the text is gathered first, and hashed at once.
    fn fingerprint(&self, text: &mut String) -> u64 {
        text.clear();
        write!(
            text,
            "{:?}{:?}{:?}{:?}{}",
            self.limiter, self.calls, self.now, self.told, self.was_shown
        )
        .unwrap();
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        hasher.finish()
    }
}

/// Prints the events that lead to a failure.
struct Path<'a>(&'a [u8], &'a [Act]);

impl Drop for Path<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for &act in self.0 {
                println!("{:?}", self.1[usize::from(act)]);
            }
        }
    }
}

/// A sequence of events, and the fingerprint of what it leads to.
type Reached = (Vec<u8>, u64);

/// Where one event more leads to from each of `paths`.
fn successors(paths: &[Vec<u8>], acts: &[Act]) -> Vec<Reached> {
    let (mut reached, mut text) = (vec![], String::new());
    for path in paths {
        let fitting = World::reached_by(path, acts);
        for (number, &act) in (0_u8..).zip(acts) {
            if !fitting.fits(act) {
                continue;
            }
            let longer = [path, &[number][..]].concat();
            let mut world = World::reached_by(path, acts);
            let told_if_it_fails = Path(&longer, acts);
            world.play(act);
            world.check();
            let fingerprint = world.fingerprint(&mut text);
            drop(told_if_it_fails);
            reached.push((longer, fingerprint));
        }
    }
    reached
}

/// So many paths are gone on with before it is looked at whether it is enough.
const BATCH: usize = 1_024;

/// Goes on level by level until `most` states were seen. Gives how many, and
/// the depth to which all were.
fn explore(most: usize) -> (usize, usize) {
    let acts = alphabet();
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut seen = HashSet::new();
    let mut level: Vec<Vec<u8>> = vec![vec![]];
    let mut depth = 0;
    loop {
        let mut next = vec![];
        for batch in level.chunks(BATCH) {
            let reached: Vec<Vec<Reached>> = std::thread::scope(|scope| {
                let workers: Vec<_> = batch
                    .chunks(batch.len().div_ceil(threads))
                    .map(|paths| scope.spawn(|| successors(paths, &acts)))
                    .collect();
                let done = workers.into_iter().map(|worker| worker.join().unwrap());
                done.collect()
            });
            for (path, fingerprint) in reached.into_iter().flatten() {
                if seen.insert(fingerprint) {
                    next.push(path);
                }
            }
            if seen.len() >= most {
                return (seen.len(), depth);
            }
        }
        depth += 1;
        level = next;
    }
}

#[test]
fn all_sequences_keep_what_must_hold() {
    let set = std::env::var("EXPLORE_STATES").ok();
    let most = set.and_then(|most| most.parse().ok());
    let default = if cfg!(debug_assertions) {
        5_000
    } else {
        100_000
    };
    let begun = std::time::Instant::now();
    let (states, depth) = explore(most.unwrap_or(default));
    println!(
        "{states} states, all to depth {depth}, {:?}",
        begun.elapsed()
    );
    assert!(depth >= 3, "{states} states, all to depth {depth}");
}
