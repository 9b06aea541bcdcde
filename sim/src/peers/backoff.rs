//! The loop that is in every tutorial.

use super::{Tries, doubled};
use crate::{Answer, Ask, Client, Job, SECOND, Time, Verdict, seconds};

/// All at once; after a refusal `2^n` seconds and up to one more by chance;
/// gives up after five.
#[derive(Debug)]
pub struct Backoff {
    tries: Tries,
    chance: fastrand::Rng,
}

impl Backoff {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            tries: Tries::default(),
            chance: fastrand::Rng::with_seed(seed),
        }
    }
}

impl Client for Backoff {
    fn name(&self) -> String {
        String::from("backoff 2^n")
    }

    fn ask(&mut self, _now: Time, _id: usize, _job: &Job) -> Ask {
        Ask::Send
    }

    fn head(&mut self, now: Time, id: usize, answer: &Answer) -> Verdict {
        if answer.status == 200 {
            return Verdict::Deliver;
        }
        match self.tries.count(id) {
            n @ 0..5 => Verdict::Again(now + doubled(n, 60 * SECOND) + seconds(self.chance.f64())),
            _ => Verdict::GiveUp,
        }
    }

    fn end(&mut self, _now: Time, _id: usize, _job: &Job) {}

    fn opened(&self) -> u64 {
        0
    }
}
