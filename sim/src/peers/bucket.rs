//! A bucket for requests, with a margin.

use super::{Tries, patient};
use crate::{Answer, Ask, Client, Job, SECOND, Time, Verdict, World, seconds};

/// A token bucket for requests at 80 % of the limit, which it is told; after a
/// refusal `max(retry-after, 2^n)` seconds, as often as it takes.
#[derive(Debug)]
pub struct RequestBucket {
    rate: f64,
    capacity: f64,
    level: f64,
    as_of: Time,
    tries: Tries,
}

impl RequestBucket {
    /// For the limit of `world`.
    pub fn new(world: &World) -> Self {
        let capacity = (world.server.least_limits()[0] * 0.8).max(1.0);
        Self {
            rate: capacity / 60.0,
            capacity,
            level: capacity,
            as_of: 0,
            tries: Tries::default(),
        }
    }
}

impl Client for RequestBucket {
    fn name(&self) -> String {
        String::from("request bucket 80 %")
    }

    fn ask(&mut self, now: Time, _id: usize, _job: &Job) -> Ask {
        let span = (now - self.as_of) as f64 / SECOND as f64;
        self.level = (self.level + self.rate * span).min(self.capacity);
        self.as_of = now;
        if self.level < 1.0 - 1e-9 {
            return Ask::Wait(now + seconds((1.0 - self.level) / self.rate).max(1_000));
        }
        self.level -= 1.0;
        Ask::Send
    }

    fn head(&mut self, now: Time, id: usize, answer: &Answer) -> Verdict {
        patient(now, id, answer, &mut self.tries)
    }

    fn end(&mut self, _now: Time, _id: usize, _job: &Job) {}

    fn opened(&self) -> u64 {
        0
    }
}
