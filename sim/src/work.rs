//! What there is to do.

use crate::{Time, seconds};

/// One request, with what nobody knows before it is done.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// When it is wanted.
    pub at: Time,
    /// Input that is not read from the cache, and that is.
    pub input: u64,
    /// Input read from the cache.
    pub cached: u64,
    /// Output that it will produce.
    pub output: u64,
    /// The most that it may produce.
    pub max_tokens: u64,
    /// What the client believes the whole input to be, and how much of it cached.
    pub estimate: u64,
    /// How much of the estimate is expected to be read from the cache.
    pub estimate_cached: u64,
    /// Which class of request it is.
    pub class: u8,
    /// Whether it goes before all others.
    pub urgent: bool,
    /// Which client is to do it.
    pub owner: usize,
    /// From admission to the first token, and between two tokens.
    pub silence: Time,
    /// Between the first token and the last.
    pub span: Time,
}

impl Job {
    /// What counts against the limit of input.
    pub fn counted_input(&self) -> u64 {
        self.input
    }
}

/// How a world's jobs are drawn.
#[derive(Clone, Debug)]
pub struct Workload {
    /// How many.
    pub jobs: usize,
    /// Over how many seconds they come in; 0 is a backlog.
    pub over: f64,
    /// How many of all are urgent: they go before all others.
    pub urgent: f64,
    /// Over how many seconds the urgent ones come in.
    pub urgent_over: f64,
    /// Classes, drawn evenly.
    pub classes: Vec<Sizes>,
    /// Whether the client is told the class.
    pub classes_known: bool,
    /// No input is larger.
    pub largest_input: u64,
    /// The client's estimate of input over the truth.
    pub estimate: f64,
    /// Spread of the estimates around that: the sigma of a lognormal.
    pub estimate_spread: f64,
    /// The share of input that is read from the cache, and whether the client
    /// knows it beforehand.
    pub cached: f64,
    /// Whether the client knows the cached share beforehand.
    pub cached_known: bool,
    /// By how much output grows over the run: 1 is not at all.
    pub drift: f64,
    /// Seconds to the first token, and tokens a second.
    pub first_token: f64,
    /// Tokens a second.
    pub speed: f64,
}

/// One class of requests.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Mean input tokens.
    pub input: f64,
    /// Mean output tokens.
    pub output: f64,
    /// What the request allows.
    pub max_tokens: u64,
    /// Spread of both: the sigma of a lognormal.
    pub spread: f64,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            jobs: 300,
            over: 0.0,
            urgent: 0.0,
            urgent_over: 0.0,
            classes: vec![Sizes {
                input: 1_000.0,
                output: 300.0,
                max_tokens: 1_024,
                spread: 0.4,
            }],
            classes_known: false,
            largest_input: u64::MAX,
            estimate: 1.0,
            estimate_spread: 0.0,
            cached: 0.0,
            cached_known: false,
            drift: 1.0,
            first_token: 0.8,
            speed: 80.0,
        }
    }
}

impl Workload {
    /// What a job takes in the mean: requests, counted input and output, as far
    /// as the largest allowed sizes do not cut it.
    pub fn mean(&self) -> [f64; 3] {
        let classes = self.classes.len().max(1) as f64;
        let input = self.classes.iter().map(|sizes| sizes.input).sum::<f64>();
        let output = self.classes.iter().map(|sizes| sizes.output).sum::<f64>();
        let drift = f64::midpoint(1.0, self.drift);
        [
            1.0,
            (input / classes * (1.0 - self.cached)).max(1.0),
            (output / classes * drift).max(1.0),
        ]
    }

    /// The jobs, in the order in which they are wanted.
    pub fn draw(&self, seed: u64) -> Vec<Job> {
        let mut chance = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let mut wanted: Vec<f64> = (0..self.jobs).map(|_| self.over * chance.f64()).collect();
        wanted.sort_by(f64::total_cmp);
        let mut luck = fastrand::Rng::with_seed(seed ^ 0x06e7);
        (0..self.jobs)
            .map(|i| {
                let class = chance.usize(0..self.classes.len());
                let sizes = self.classes[class];
                let part = i as f64 / self.jobs.max(1) as f64;
                let drift = 1.0 + (self.drift - 1.0) * part;
                let whole = sizes.input * lognormal(&mut chance, sizes.spread);
                let whole = whole.clamp(1.0, self.largest_input.max(1) as f64);
                let output = sizes.output * drift * lognormal(&mut chance, sizes.spread);
                let cached = (whole * self.cached).floor();
                let estimate = whole * self.estimate * lognormal(&mut chance, self.estimate_spread);
                let output = (output.round() as u64).clamp(1, sizes.max_tokens);
                let first = self.first_token * lognormal(&mut chance, 0.3);
                let speed = self.speed * lognormal(&mut chance, 0.2);
                let urgent = luck.f64() < self.urgent;
                let at = if urgent {
                    luck.f64() * self.urgent_over
                } else {
                    wanted[i]
                };
                Job {
                    at: seconds(at),
                    input: (whole - cached) as u64,
                    cached: cached as u64,
                    output,
                    max_tokens: sizes.max_tokens,
                    estimate: estimate.round().max(1.0) as u64,
                    estimate_cached: if self.cached_known {
                        (estimate * self.cached) as u64
                    } else {
                        0
                    },
                    class: if self.classes_known { class as u8 } else { 0 },
                    urgent,
                    owner: 0,
                    silence: seconds(first),
                    span: seconds(output as f64 / speed),
                }
            })
            .collect()
    }
}

/// A factor with mean 1 whose logarithm has the standard deviation `sigma`.
pub(crate) fn lognormal(chance: &mut fastrand::Rng, sigma: f64) -> f64 {
    let (a, b) = (1.0 - chance.f64(), chance.f64());
    let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
    (sigma * normal - sigma * sigma / 2.0).exp()
}
