//! This crate as a client.

use sendwhen::{
    Call, Decision, Dimension, ErrorDetails, Event, HeaderParser, Instant, Limiter, Profile, Rate,
    Request, RetryPolicy, Usage,
};

use crate::{
    Time,
    client::{Ask, Client, Verdict},
    head::Answer,
    work::Job,
    world::World,
};

/// A [`Limiter`] and a [`Call`] for each job.
#[derive(Debug)]
pub struct Ours {
    limiter: Limiter,
    calls: Vec<Option<Call>>,
}

impl Ours {
    /// With the limits of `world` if those are known.
    pub fn new(world: &World, seed: u64) -> Self {
        let policy = RetryPolicy::new().attempts(1_000).expect("not zero");
        let mut limiter = Limiter::new(seed).retry(policy);
        if world.limits_known {
            let dimensions = [
                Dimension::Requests,
                Dimension::InputTokens,
                Dimension::OutputTokens,
            ];
            for (dimension, limit) in dimensions.into_iter().zip(world.server.limits) {
                let rate = Rate::per_minute(limit as u64).expect("a limit");
                limiter = limiter
                    .limit(dimension, rate, limit as u64)
                    .expect("a limit");
            }
        }
        Self {
            limiter,
            calls: Vec::new(),
        }
    }

    fn tell(&mut self, now: Time, id: usize, event: Event<'_>) -> Decision {
        let call = self.calls[id].as_mut().expect("asked for before");
        call.handle(&mut self.limiter, Instant::from_nanos(now), event)
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
            let request = Request::new()
                .input_tokens(job.estimate)
                .cached_tokens(job.estimate_cached)
                .max_tokens(job.max_tokens)
                .profile(Profile::new(job.class));
            self.calls[id] = Some(self.limiter.call(request));
        }
        match self.tell(now, id, Event::Woken) {
            Decision::Send(_) => Ask::Send,
            Decision::Wait(wait) if wait.cause.is_shared() => Ask::Wait(wait.until.as_nanos()),
            Decision::Wait(wait) => Ask::Hold(wait.until.as_nanos()),
            Decision::Deliver | Decision::GiveUp(_) => Ask::GiveUp,
        }
    }

    fn head(&mut self, now: Time, id: usize, answer: &Answer) -> Verdict {
        let mut parser = HeaderParser::new();
        answer.fields(|name, value| {
            parser.field(name.as_bytes(), value.as_bytes());
        });
        let hints = parser.finish();
        let event = Event::Responded {
            status: answer.status,
            hints: &hints,
            error: ErrorDetails::NONE,
        };
        match self.tell(now, id, event) {
            Decision::Deliver => Verdict::Deliver,
            Decision::Wait(wait) if wait.cause.is_shared() => Verdict::Again(now),
            Decision::Wait(wait) => Verdict::Again(wait.until.as_nanos()),
            Decision::Send(_) => unreachable!("no backoff is zero"),
            Decision::GiveUp(_) => Verdict::GiveUp,
        }
    }

    fn end(&mut self, now: Time, id: usize, job: &Job) {
        let usage = Usage::new(job.input, job.output).cache(0, job.cached);
        let _end = self.tell(now, id, Event::Finished(Some(usage)));
        self.calls[id] = None;
    }

    fn opened(&self) -> u64 {
        self.limiter.opened()
    }
}
