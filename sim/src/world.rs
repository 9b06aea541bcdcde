//! A world: a server, a way to it, and work.

use crate::{
    seconds,
    server::ServerSpec,
    work::{Job, Workload},
};

/// What a client is put into.
#[derive(Clone, Debug)]
pub struct World {
    /// What it is called.
    pub name: String,
    /// The server.
    pub server: ServerSpec,
    /// The work.
    pub work: Workload,
    /// Seconds to the server and back, without any work.
    pub round_trip: f64,
    /// By how much of it each way varies: the sigma of a lognormal.
    pub jitter: f64,
    /// How many may be under way at once, from the client's side.
    pub in_flight: usize,
    /// Whether heads come with the first token, or with the whole answer.
    pub streaming: bool,
    /// Whether the client is told the limits beforehand.
    pub limits_known: bool,
    /// When the client's process sleeps, and for how long, in seconds.
    pub sleep: Option<(f64, f64)>,
    /// How many clients do the work, each its part, without knowing of another.
    pub clients: usize,
    /// Over how many seconds they begin, one after another.
    pub joins: f64,
    /// How many of all answers never come.
    pub lost: f64,
    /// After how many seconds the client knows that.
    pub timeout: f64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            name: String::from("plain"),
            server: ServerSpec::default(),
            work: Workload::default(),
            round_trip: 0.05,
            jitter: 0.3,
            in_flight: 10_000,
            streaming: true,
            limits_known: false,
            sleep: None,
            clients: 1,
            joins: 0.0,
            lost: 0.0,
            timeout: 60.0,
        }
    }
}

impl World {
    /// Its jobs, as drawn from `seed`, each with the client that is to do it.
    pub fn jobs(&self, seed: u64) -> Vec<Job> {
        let mut jobs = self.work.draw(seed);
        for (id, job) in jobs.iter_mut().enumerate() {
            job.owner = id % self.clients;
            let after = self.joins * job.owner as f64 / self.clients as f64;
            job.at += seconds(after);
        }
        jobs
    }

    /// A seed for each of its clients.
    pub(crate) fn seeds(&self, seed: u64) -> impl Iterator<Item = u64> {
        (0..self.clients as u64).map(move |place| seed.wrapping_add(place << 32))
    }

    /// Whether the answer never comes to job `id` when it is admitted for this
    /// time: the same for all who do this work.
    pub(crate) fn loses(&self, seed: u64, id: usize, time: u64) -> bool {
        let mixed = seed ^ (id as u64) << 20 ^ time << 52;
        self.lost > 0.0 && fastrand::Rng::with_seed(mixed).f64() < self.lost
    }
}
