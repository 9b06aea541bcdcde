//! The official SDKs' own retries.

use super::Tries;
use crate::{Answer, Ask, Client, Job, SECOND, Time, Verdict, seconds};

/// All at once; two retries, after what the server asks for, else after
/// `min(0.5 * 2^n, 8)` seconds less up to a quarter: the default of the SDK for
/// TypeScript.
#[derive(Debug)]
pub struct Sdk {
    tries: Tries,
    chance: fastrand::Rng,
}

impl Sdk {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            tries: Tries::default(),
            chance: fastrand::Rng::with_seed(seed),
        }
    }
}

impl Client for Sdk {
    fn name(&self) -> String {
        String::from("SDK default")
    }

    fn ask(&mut self, _now: Time, _id: usize, _job: &Job) -> Ask {
        Ask::Send
    }

    fn head(&mut self, now: Time, id: usize, answer: &Answer) -> Verdict {
        if answer.status == 200 {
            return Verdict::Deliver;
        }
        let n = self.tries.count(id);
        if n >= 2 {
            return Verdict::GiveUp;
        }
        let own = (0.5 * f64::from(1 << n)).min(8.0) * (1.0 - 0.25 * self.chance.f64());
        let wait = answer.retry_after.map(|wait| wait * SECOND);
        Verdict::Again(now + wait.unwrap_or_else(|| seconds(own)))
    }

    fn end(&mut self, _now: Time, _id: usize, _job: &Job) {}

    fn opened(&self) -> u64 {
        0
    }
}
