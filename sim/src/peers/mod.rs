//! What people run today, each as its makers document it, with its defaults.

mod backoff;
mod backon;
mod bucket;
mod governor;
mod minute;
mod sdk;
mod semaphore;

pub use self::{
    backoff::Backoff, backon::Backon, bucket::RequestBucket, governor::Governor,
    minute::SlidingMinute, sdk::Sdk, semaphore::Semaphore,
};

use crate::{Answer, Client, Job, SECOND, Time, Verdict, World};

/// All of them, of each as many as `world` has clients.
pub fn teams(world: &World, seed: u64) -> Vec<Vec<Box<dyn Client>>> {
    let mut teams: Vec<Vec<Box<dyn Client>>> = Vec::new();
    for seed in world.seeds(seed) {
        let all = peers(world, seed);
        teams.resize_with(all.len(), Vec::new);
        for (team, client) in teams.iter_mut().zip(all) {
            team.push(client);
        }
    }
    teams
}

/// One of each.
pub fn peers(world: &World, seed: u64) -> Vec<Box<dyn Client>> {
    vec![
        Box::new(Backoff::new(seed)),
        Box::new(Backon::new(seed)),
        Box::new(Sdk::new(seed)),
        Box::new(Semaphore::new(5, seed)),
        Box::new(RequestBucket::new(world)),
        Box::new(SlidingMinute::new(world)),
        Box::new(Governor::new(world, 1.0)),
        Box::new(Governor::new(world, 0.8)),
    ]
}

/// What they are told that a job takes of each limit: its estimated input, and
/// `max_tokens` for its output.
fn believed(together: bool, job: &Job) -> [u64; 3] {
    let (input, output) = (job.estimate - job.estimate_cached, job.max_tokens);
    if together {
        [1, input + output, 0]
    } else {
        [1, input, output]
    }
}

/// How often each job was refused so far.
#[derive(Clone, Debug, Default)]
struct Tries(Vec<u32>);

impl Tries {
    /// One more; gives how many there were before.
    fn count(&mut self, id: usize) -> u32 {
        if self.0.len() <= id {
            self.0.resize(id + 1, 0);
        }
        let before = self.0[id];
        self.0[id] += 1;
        before
    }
}

/// What becomes of a job that retries after `max(retry-after, 2^n)` seconds, as
/// often as it takes.
fn patient(now: Time, id: usize, answer: &Answer, tries: &mut Tries) -> Verdict {
    if answer.status == 200 {
        return Verdict::Deliver;
    }
    let own = doubled(tries.count(id), 60 * SECOND);
    let asked = answer.retry_after.unwrap_or(0) * SECOND;
    Verdict::Again(now + own.max(asked))
}

/// `2^n` seconds, and not above `most`.
fn doubled(n: u32, most: Time) -> Time {
    (SECOND << n.min(20)).min(most)
}
