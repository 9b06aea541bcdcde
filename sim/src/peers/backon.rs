//! The crate `backon`.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::{Answer, Ask, Client, Job, Time, Verdict};

/// All at once; after a refusal the crate's own delays: exponential, its
/// defaults (1 s, doubled, at most 60 s, three times) with its jitter on.
#[derive(Debug)]
pub struct Backon {
    delays: Vec<Option<ExponentialBackoff>>,
    seed: u64,
}

impl Backon {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            delays: Vec::new(),
            seed,
        }
    }
}

impl Client for Backon {
    fn name(&self) -> String {
        String::from("backon")
    }

    fn ask(&mut self, _now: Time, _id: usize, _job: &Job) -> Ask {
        Ask::Send
    }

    fn head(&mut self, now: Time, id: usize, answer: &Answer) -> Verdict {
        if answer.status == 200 {
            return Verdict::Deliver;
        }
        if self.delays.len() <= id {
            self.delays.resize_with(id + 1, || None);
        }
        let seed = self.seed.wrapping_mul(1_000_003) ^ id as u64;
        let delays = self.delays[id].get_or_insert_with(|| {
            ExponentialBuilder::new()
                .with_jitter()
                .with_jitter_seed(seed)
                .build()
        });
        match delays.next() {
            Some(delay) => Verdict::Again(now + delay.as_nanos() as Time),
            None => Verdict::GiveUp,
        }
    }

    fn end(&mut self, _now: Time, _id: usize, _job: &Job) {}

    fn opened(&self) -> u64 {
        0
    }
}
