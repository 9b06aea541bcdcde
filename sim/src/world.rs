//! A world: a server, a way to it, and work.

use crate::{server::ServerSpec, work::Workload};

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
        }
    }
}
