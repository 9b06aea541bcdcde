//! All sequences of a few events for a few calls over two limits, to a depth:
//! what must always hold of them does.
//!
//! A breadth-first search over what a limiter and its calls are. Two states are
//! one where their snapshots, the time, and what each call was told are the same:
//! to depth 6 as many differ so as where all fields are printed with `Debug`.
//! Calls hold permits, which nobody can copy, so that a state is kept as the
//! events that lead to it, and reached by playing them again.
//!
//! `EXPLORE_STATES=100000000 cargo test --release --test it explore` goes on
//! until so many states were seen, instead of those that take some seconds. A
//! state takes some twenty bytes: a fingerprint, and a path where it is new.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, DefaultHasher, Hasher},
    num::NonZero,
    time::Duration,
};

use sendwhen::{
    Attempt, Backoff, Call, CallSnapshot, Cause, Decision, Dimension, ErrorDetails, Event, Failure,
    Family, GiveUp, Instant, Limiter, Meter, Rate, Request, RetryPolicy, ServerHints, Usage, Wait,
};

/// What may happen next. A call is named by its number.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Asked for, or woken.
    Ask(usize),
    Good(usize),
    /// A good head that shows one request to remain.
    OneLeft(usize),
    Throttled(usize),
    Lost(usize),
    Finished(usize),
    Cancelled(usize),
    /// So many milliseconds go by.
    Pass(u64),
}

const CALLS: usize = 3;

impl Act {
    /// Whose it is.
    const fn call(self) -> Option<usize> {
        match self {
            Self::Ask(call)
            | Self::Good(call)
            | Self::OneLeft(call)
            | Self::Throttled(call)
            | Self::Lost(call)
            | Self::Finished(call)
            | Self::Cancelled(call) => Some(call),
            Self::Pass(_) => None,
        }
    }
}

fn alphabet() -> Vec<Act> {
    let mut acts = vec![Act::Pass(100), Act::Pass(1_000), Act::Pass(20_000)];
    for call in 0..CALLS {
        acts.extend([
            Act::Ask(call),
            Act::Good(call),
            Act::OneLeft(call),
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

impl Told {
    /// What can be written down. `Deliver` is none of the three.
    const fn parts(self) -> (Option<Attempt>, Option<Wait>, Option<GiveUp>, u64, bool) {
        let (send, wait, never) = match self.decision {
            Decision::Send(attempt) => (Some(attempt), None, None),
            Decision::Wait(wait) => (None, Some(wait), None),
            Decision::Deliver => (None, None, None),
            Decision::GiveUp(why) => (None, None, Some(why)),
        };
        (send, wait, never, self.opened, self.is_final)
    }
}

/// What is made once: where all sequences begin, and what heads show.
struct Scene {
    limiter: Limiter,
    nothing: ServerHints,
    one_left: ServerHints,
    throttled: ServerHints,
}

impl Scene {
    fn new() -> Self {
        let shown = Meter::new(Family::Standard, Dimension::Requests).limit(6);
        let one_left = ServerHints::NONE.with_meter(shown.remaining(1, 0));
        let throttled = ServerHints::NONE
            .with_meter(shown.remaining(0, 0))
            .with_retry_after(Duration::from_secs(2));
        Self {
            limiter: limiter(),
            nothing: ServerHints::NONE,
            one_left,
            throttled,
        }
    }
}

fn limiter() -> Limiter {
    let backoff = Backoff::constant(Duration::from_secs(1)).unwrap();
    let policy = RetryPolicy::new().attempts(2).unwrap().backoff(backoff);
    Limiter::new(1)
        .limit(Dimension::Requests, Rate::per_minute(6).unwrap(), 2)
        .and_then(|limiter| limiter.limit(Dimension::InputTokens, Rate::per_second(1).unwrap(), 30))
        .unwrap()
        .retry(policy)
}

impl World {
    fn new(scene: &Scene) -> Self {
        let mut limiter = scene.limiter.clone();
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

    fn reached_by(path: &[u8], scene: &Scene, acts: &[Act]) -> Self {
        let mut world = Self::new(scene);
        for &act in path {
            world.play(scene, acts[usize::from(act)]);
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
            Act::Good(call) | Act::OneLeft(call) | Act::Throttled(call) => is_sent(call),
            Act::Lost(call) => is_sent(call) || streams(call),
            Act::Finished(call) => streams(call),
            Act::Cancelled(call) => stands(call).is_some() && !is_over(call),
        }
    }

    /// Plays it, and checks what came of it.
    fn play(&mut self, scene: &Scene, act: Act) {
        let head = |status, hints| Event::responded(status, hints, ErrorDetails::NONE);
        let (call, event) = match act {
            Act::Pass(millis) => {
                self.now = self.now.saturating_add(Duration::from_millis(millis));
                return;
            }
            Act::Ask(call) => (call, Event::Woken),
            Act::Good(call) => (call, head(200, &scene.nothing)),
            Act::OneLeft(call) => (call, head(200, &scene.one_left)),
            Act::Throttled(call) => (call, head(429, &scene.throttled)),
            Act::Lost(call) => (call, Event::Failed(Failure::Lost)),
            Act::Finished(call) => (call, Event::Finished(Some(Usage::new(5, 3)))),
            Act::Cancelled(call) => (call, Event::Cancelled),
        };
        self.was_shown |= matches!(act, Act::OneLeft(_) | Act::Throttled(_));
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

    /// What is needed to come back to where it is now.
    fn keep(&self) -> Kept {
        Kept {
            limiter: self.limiter.clone(),
            calls: self.calls.each_ref().map(written),
            now: self.now,
            told: self.told,
            was_shown: self.was_shown,
        }
    }

    /// As it was before `act`.
    fn undo(&mut self, act: Act, kept: &Kept) {
        self.limiter.clone_from(&kept.limiter);
        if let Some(call) = act.call() {
            let snapshot: CallSnapshot = postcard::from_bytes(&kept.calls[call]).unwrap();
            self.calls[call] = snapshot.restore();
        }
        (self.now, self.told, self.was_shown) = (kept.now, kept.told, kept.was_shown);
    }

    /// One number for all that matters. The policy is not in a snapshot, and
    /// is the same in all of them. Calls but that of `act` are as they were kept.
    fn fingerprint(&self, act: Act, kept: &Kept) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (number, call) in self.calls.iter().enumerate() {
            if act.call() == Some(number) {
                hasher.write(&written(call));
            } else {
                hasher.write(&kept.calls[number]);
            }
        }
        let told = self.told.map(|told| told.map(Told::parts));
        let mut bytes = [0; 4_096];
        let rest = (self.limiter.snapshot(), self.now, told, self.was_shown);
        hasher.write(postcard::to_slice(&rest, &mut bytes).unwrap());
        hasher.finish()
    }
}

/// A [`World`], whose calls nobody can copy, as it can be kept.
struct Kept {
    limiter: Limiter,
    calls: [Vec<u8>; CALLS],
    now: Instant,
    told: [Option<Told>; CALLS],
    was_shown: bool,
}

fn written(call: &Call) -> Vec<u8> {
    let mut bytes = [0; 1_024];
    postcard::to_slice(&call.snapshot(), &mut bytes)
        .unwrap()
        .to_vec()
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

/// The numbers of the events that lead to a state, as many as its level is deep.
type Events = [u8; DEEPEST];

const DEEPEST: usize = 16;

/// Where one event more leads to from each of `paths`, and its fingerprint.
fn successors(paths: &[Events], depth: usize, acts: &[Act]) -> Vec<(Events, u64)> {
    let (mut reached, scene) = (vec![], Scene::new());
    for path in paths {
        let mut world = World::reached_by(&path[..depth], &scene, acts);
        let kept = world.keep();
        for (number, &act) in (0_u8..).zip(acts) {
            if !world.fits(act) {
                continue;
            }
            let mut longer = *path;
            longer[depth] = number;
            let told_if_it_fails = Path(&longer[..=depth], acts);
            world.play(&scene, act);
            world.check();
            let fingerprint = world.fingerprint(act, &kept);
            drop(told_if_it_fails);
            reached.push((longer, fingerprint));
            world.undo(act, &kept);
        }
    }
    reached
}

/// A fingerprint is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {
        panic!("of numbers alone");
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// So many paths are gone on with before it is looked at whether it is enough.
const BATCH: usize = 4_096;

/// Goes on level by level until `most` states were seen. Gives how many, and
/// the depth to which all were.
fn explore(most: usize) -> (usize, usize) {
    let acts = alphabet();
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = std::env::var("EXPLORE_THREADS").map_or(threads, |set| set.parse().unwrap());
    let mut seen = HashSet::<u64, BuildHasherDefault<AsItIs>>::default();
    let mut level = vec![[0; DEEPEST]];
    for depth in 0..DEEPEST {
        let mut next = vec![];
        for batch in level.chunks(BATCH) {
            let reached: Vec<_> = std::thread::scope(|scope| {
                let workers: Vec<_> = batch
                    .chunks(batch.len().div_ceil(threads))
                    .map(|paths| scope.spawn(|| successors(paths, depth, &acts)))
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
        println!("{} states to depth {}", seen.len(), depth + 1);
        level = next;
    }
    (seen.len(), DEEPEST)
}

#[test]
fn all_sequences_keep_what_must_hold() {
    let set = std::env::var("EXPLORE_STATES").ok();
    let most = set.and_then(|most| most.parse().ok());
    let default = if cfg!(debug_assertions) {
        5_000
    } else {
        1_000_000
    };
    let begun = std::time::Instant::now();
    let (states, depth) = explore(most.unwrap_or(default));
    println!(
        "{states} states, all to depth {depth}, {:?}",
        begun.elapsed()
    );
    assert!(depth >= 3, "{states} states, all to depth {depth}");
}
