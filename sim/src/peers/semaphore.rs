//! A semaphore around the SDK.

use super::Sdk;
use crate::{Answer, Ask, Client, Job, Time, Verdict};

/// At most so many under way, each with the retries of [`Sdk`]; a permit is
/// held until the job is done, its waits included.
#[derive(Debug)]
pub struct Semaphore {
    inner: Sdk,
    most: usize,
    held: usize,
    holds: Vec<bool>,
    opened: u64,
}

impl Semaphore {
    /// `most` at once.
    pub fn new(most: usize, seed: u64) -> Self {
        Self {
            inner: Sdk::new(seed),
            most,
            held: 0,
            holds: Vec::new(),
            opened: 0,
        }
    }

    fn release(&mut self, id: usize) {
        self.holds[id] = false;
        self.held -= 1;
        self.opened += 1;
    }
}

impl Client for Semaphore {
    fn name(&self) -> String {
        format!("semaphore of {}", self.most)
    }

    fn ask(&mut self, now: Time, id: usize, job: &Job) -> Ask {
        if self.holds.len() <= id {
            self.holds.resize(id + 1, false);
        }
        if !self.holds[id] {
            if self.held >= self.most {
                return Ask::Wait(Time::MAX);
            }
            self.holds[id] = true;
            self.held += 1;
        }
        self.inner.ask(now, id, job)
    }

    fn head(&mut self, now: Time, id: usize, answer: &Answer) -> Verdict {
        let verdict = self.inner.head(now, id, answer);
        match verdict {
            Verdict::Deliver => {}
            // It holds its permit, and asks again past those who have none.
            Verdict::Again(_) => self.opened += 1,
            Verdict::GiveUp => self.release(id),
        }
        verdict
    }

    fn end(&mut self, _now: Time, id: usize, _job: &Job) {
        self.release(id);
    }

    fn opened(&self) -> u64 {
        self.opened
    }
}
