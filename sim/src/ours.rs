//! This crate as a client.

use sendwhen::{
    Call, Decision, Dimension, ErrorDetails, Event, Explanation, Failure, HeaderParser, Instant,
    Limiter, Profile, Rate, Request, RetryPolicy, Usage,
};

use crate::{
    Time,
    client::{Ask, Client, Verdict},
    head::Answer,
    queued::Queued,
    server::ServerSpec,
    work::Job,
    world::World,
};

/// A [`Limiter`] and a [`Call`] for each job; beside an organisation, a limiter
/// for that too.
#[derive(Debug)]
pub struct Ours {
    limiter: Limiter,
    outer: Option<Limiter>,
    calls: Vec<Option<Call>>,
}

impl Ours {
    /// With the limits of `world` if those are known. Those of an organisation
    /// are: what heads show could not be told apart without.
    pub fn new(world: &World, seed: u64) -> Self {
        let server = &world.server;
        let outer = server
            .organisation
            .map(|limits| limited(Limiter::new(!seed).retry(policy()), server, limits));
        Self {
            limiter: limiter(world, seed),
            outer,
            calls: Vec::new(),
        }
    }

    /// As many as `world` has clients, each with a seed of its own. Where jobs
    /// are urgent, with a scheduler: a limiter knows no order.
    pub fn team(world: &World, seed: u64) -> Vec<Box<dyn Client>> {
        if world.work.urgent > 0.0 {
            let seeds = world.seeds(seed);
            return seeds
                .map(|seed| Box::new(Queued::new(world, seed)) as _)
                .collect();
        }
        let each = Self::each(world, seed).into_iter();
        each.map(|client| Box::new(client) as _).collect()
    }

    /// The same without a scheduler.
    pub fn each(world: &World, seed: u64) -> Vec<Self> {
        let seeds = world.seeds(seed);
        seeds.map(|seed| Self::new(world, seed)).collect()
    }

    /// Why job `id`, which was asked for and has not ended, may be sent or not.
    pub fn explain(&mut self, now: Time, id: usize) -> Option<Explanation> {
        let call = self.calls.get(id)?.as_ref()?;
        let now = Instant::from_nanos(now);
        Some(match &mut self.outer {
            None => call.explain(&self.limiter, now),
            Some(outer) => call.explain(&[&mut self.limiter, outer], now),
        })
    }

    fn tell(&mut self, now: Time, id: usize, event: Event<'_>) -> Decision {
        let call = self.calls[id].as_mut().expect("asked for before");
        let now = Instant::from_nanos(now);
        match &mut self.outer {
            None => call.handle(&mut self.limiter, now, event),
            Some(outer) => call.handle(&mut [&mut self.limiter, outer], now, event),
        }
    }
}

fn policy() -> RetryPolicy {
    RetryPolicy::new().attempts(1_000).expect("not zero")
}

/// With the limits of `world` if those are known.
pub(crate) fn limiter(world: &World, seed: u64) -> Limiter {
    let server = &world.server;
    let limiter = Limiter::new(seed).retry(policy());
    if world.limits_known {
        limited(limiter, server, server.limits)
    } else {
        limiter
    }
}

/// What is known of `job` before it is sent.
pub(crate) fn request(job: &Job) -> Request {
    Request::new()
        .input_tokens(job.estimate)
        .cached_tokens(job.estimate_cached)
        .max_tokens(job.max_tokens)
        .profile(Profile::new(job.class))
}

/// Tells of `answer` as a transport would.
pub(crate) fn answered<T>(answer: &Answer, tell: impl FnOnce(Event<'_>) -> T) -> T {
    let mut parser = HeaderParser::new();
    answer.fields(|name, value| {
        parser.field(name.as_bytes(), value.as_bytes());
    });
    let hints = parser.finish();
    let problem = answer.error();
    let error = problem.as_ref().map_or(ErrorDetails::NONE, |problem| {
        ErrorDetails::new(problem.kind)
            .code(problem.code)
            .message(&problem.message)
    });
    tell(Event::responded(answer.status, &hints, error))
}

/// `limiter`, told of `limits` as far as those are.
fn limited(limiter: Limiter, server: &ServerSpec, limits: [f64; 3]) -> Limiter {
    let tokens = if server.together {
        Dimension::TotalTokens
    } else {
        Dimension::InputTokens
    };
    let dimensions = [Dimension::Requests, tokens, Dimension::OutputTokens];
    let told = dimensions.into_iter().zip(limits);
    told.take(if server.together { 2 } else { 3 })
        .filter(|(_, limit)| limit.is_finite())
        .fold(limiter, |limiter, (dimension, limit)| {
            let rate = Rate::per_minute(limit as u64).expect("a limit");
            limiter
                .limit(dimension, rate, limit as u64)
                .expect("a limit")
        })
}

fn verdict(now: Time, decision: Decision) -> Verdict {
    match decision {
        Decision::Deliver => Verdict::Deliver,
        Decision::Wait(wait) if wait.cause.is_shared() => Verdict::Again(now),
        Decision::Wait(wait) => Verdict::Again(wait.until.as_nanos()),
        Decision::Send(_) => unreachable!("no backoff is zero"),
        Decision::GiveUp(_) => Verdict::GiveUp,
    }
}

impl Client for Ours {
    fn name(&self) -> String {
        String::from("sendwhen")
    }

    fn ask(&mut self, now: Time, id: usize, job: &Job) -> Ask {
        if self.calls.len() <= id {
            self.calls.resize_with(id + 1, || None);
        }
        if self.calls[id].is_none() {
            self.calls[id] = Some(self.limiter.call(request(job)));
        }
        match self.tell(now, id, Event::Woken) {
            Decision::Send(_) => Ask::Send,
            Decision::Wait(wait) if wait.cause.is_shared() => Ask::Wait(wait.until.as_nanos()),
            Decision::Wait(wait) => Ask::Hold(wait.until.as_nanos()),
            Decision::Deliver | Decision::GiveUp(_) => Ask::GiveUp,
        }
    }

    fn head(&mut self, now: Time, id: usize, answer: &Answer) -> Verdict {
        let decision = answered(answer, |event| self.tell(now, id, event));
        verdict(now, decision)
    }

    fn lost(&mut self, now: Time, id: usize) -> Verdict {
        let decision = self.tell(now, id, Event::Failed(Failure::TimedOut));
        verdict(now, decision)
    }

    fn end(&mut self, now: Time, id: usize, job: &Job) {
        let usage = Usage::new(job.input, job.output).cache(0, job.cached);
        let _end = self.tell(now, id, Event::Finished(Some(usage)));
        self.calls[id] = None;
    }

    fn opened(&self) -> u64 {
        let outer = self.outer.as_ref().map_or(0, Limiter::opened);
        self.limiter.opened().wrapping_add(outer)
    }
}
