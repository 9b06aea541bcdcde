//! The crate `governor`.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, FakeRelativeClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

use super::{Tries, believed, patient};
use crate::{Answer, Ask, Client, Job, Time, Verdict, World};

type Limiter = RateLimiter<
    NotKeyed,
    InMemoryState,
    FakeRelativeClock,
    NoOpMiddleware<<FakeRelativeClock as Clock>::Instant>,
>;

/// Three of the crate's limiters in a row, for requests, estimated input, and
/// output taken as `max_tokens`, at a part of the limits, which it is told;
/// after a refusal `max(retry-after, 2^n)` seconds, as often as it takes.
#[derive(Debug)]
pub struct Governor {
    part: f64,
    together: bool,
    clock: FakeRelativeClock,
    now: Time,
    limiters: [Limiter; 3],
    most: [u32; 3],
    /// Which limiters each job has passed.
    passed: Vec<u8>,
    tries: Tries,
}

impl Governor {
    /// At `part` of the limits of `world`.
    pub fn new(world: &World, part: f64) -> Self {
        let clock = FakeRelativeClock::default();
        let most = world
            .server
            .least_limits()
            .map(|limit| ((limit * part) as u32).max(1));
        let limiters = most.map(|limit| {
            let quota = Quota::per_minute(NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN));
            RateLimiter::direct_with_clock(quota, clock.clone())
        });
        Self {
            part,
            together: world.server.together,
            clock,
            now: 0,
            limiters,
            most,
            passed: Vec::new(),
            tries: Tries::default(),
        }
    }
}

impl Client for Governor {
    fn name(&self) -> String {
        format!("governor {:.0} %", self.part * 100.0)
    }

    fn ask(&mut self, now: Time, id: usize, job: &Job) -> Ask {
        self.clock.advance(Duration::from_nanos(now - self.now));
        self.now = now;
        if self.passed.len() <= id {
            self.passed.resize(id + 1, 0);
        }
        let cost = believed(self.together, job);
        while let stage @ 0..3 = usize::from(self.passed[id]) {
            // It refuses for ever what is above the burst.
            let cells = u32::try_from(cost[stage]).unwrap_or(u32::MAX);
            let cells = cells.clamp(1, self.most[stage]);
            let cells = NonZeroU32::new(cells).unwrap_or(NonZeroU32::MIN);
            match self.limiters[stage].check_n(cells) {
                Ok(Ok(())) => self.passed[id] += 1,
                Ok(Err(not_until)) => {
                    let wait = not_until.wait_time_from(self.clock.now());
                    return Ask::Wait(now + wait.as_nanos() as Time);
                }
                Err(_) => return Ask::GiveUp,
            }
        }
        self.passed[id] = 0;
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
