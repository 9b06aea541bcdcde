//! A log of the last minute.

use std::collections::VecDeque;

use super::{Tries, believed, patient};
use crate::{Answer, Ask, Client, Job, SECOND, Time, Verdict, World};

/// Sums of the last sixty seconds, of requests, estimated input, and output
/// taken as `max_tokens`, never above the limits, which it is told; after a
/// refusal `max(retry-after, 2^n)` seconds, as often as it takes.
#[derive(Debug)]
pub struct SlidingMinute {
    limits: [u64; 3],
    together: bool,
    log: VecDeque<(Time, [u64; 3])>,
    sums: [u64; 3],
    tries: Tries,
}

impl SlidingMinute {
    /// For the limits of `world`.
    pub fn new(world: &World) -> Self {
        Self {
            limits: world.server.least_limits().map(|limit| limit as u64),
            together: world.server.together,
            log: VecDeque::new(),
            sums: [0; 3],
            tries: Tries::default(),
        }
    }
}

const MINUTE: Time = 60 * SECOND;

impl Client for SlidingMinute {
    fn name(&self) -> String {
        String::from("sliding minute")
    }

    fn ask(&mut self, now: Time, _id: usize, job: &Job) -> Ask {
        while let Some(&(at, cost)) = self.log.front() {
            if at + MINUTE > now {
                break;
            }
            self.log.pop_front();
            self.sums = minus(self.sums, cost);
        }
        // What is above the limit passes when nothing else does.
        let mut cost = believed(self.together, job);
        for (cost, limit) in cost.iter_mut().zip(self.limits) {
            *cost = limit.min(*cost);
        }
        // As many of the oldest have to go as the new one needs.
        let mut sums = self.sums;
        let mut from = now;
        for (at, old) in &self.log {
            if (0..3).all(|i| sums[i] + cost[i] <= self.limits[i]) {
                break;
            }
            from = at + MINUTE;
            sums = minus(sums, *old);
        }
        if from > now {
            return Ask::Wait(from);
        }
        self.log.push_back((now, cost));
        for (sum, cost) in self.sums.iter_mut().zip(cost) {
            *sum += cost;
        }
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

fn minus(from: [u64; 3], what: [u64; 3]) -> [u64; 3] {
    std::array::from_fn(|i| from[i] - what[i])
}
