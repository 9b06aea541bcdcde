//! What a server is like.

use super::meter::Kind;

/// What a server is like.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    /// Requests, input tokens and output tokens a minute.
    pub limits: [f64; 3],
    /// Whether input and output have one limit together, which is the second;
    /// the third is then not looked at.
    pub together: bool,
    /// The limits of the organisation, where the others are those of one of its
    /// workspaces: a request must pass both. What a workspace does not limit is
    /// infinite.
    pub organisation: Option<[f64; 3]>,
    /// How all of them count.
    pub kind: Kind,
    /// What the meters hold, as a part of what comes in a minute. Servers
    /// enforce limits over shorter intervals without saying so. A window is so
    /// many minutes long.
    pub capacity: f64,
    /// When output is charged.
    pub output: OutputRule,
    /// What heads show, and how.
    pub heads: Heads,
    /// The step in which token meters are shown.
    pub rounding: f64,
    /// Whether input, too, is shown as it is when the head is written: there
    /// are captures of both.
    pub input_shown_late: bool,
    /// Whether output, too, is shown as it was when the request was admitted.
    pub output_shown_early: bool,
    /// The server's clock less the client's, in seconds.
    pub skew: f64,
    /// From when on, in seconds, the server's clock shows this much more.
    pub skew_step: Option<(f64, f64)>,
    /// From when on, in seconds, limits are this many times what they were.
    pub change: Option<(f64, f64)>,
    /// Whether a refusal says when to come again.
    pub retry_after: bool,
    /// How many good answers bear a `retry-after` that means nothing.
    pub stray_retry_after: f64,
    /// Whether what is refused counts as a request all the same, as with
    /// OpenAI.
    pub refusals_count: bool,
    /// Whether the text of a refusal says why, where it is no meter.
    pub says_why: bool,
    /// How many of all requests meet an overload.
    pub overloaded: f64,
    /// From when on, and for how many seconds, all of them do.
    pub outages: Vec<(f64, f64)>,
    /// How many may be under way at once, whatever the meters say.
    pub concurrency: Option<usize>,
    /// How fast the use of input may grow, whatever the meters say.
    pub acceleration: Option<Acceleration>,
    /// After what it is over: input tokens, and five times output tokens.
    pub spend: Option<f64>,
    /// Others who take from the same meters, of the organisation where there is
    /// one.
    pub others: Option<OthersSpec>,
}

impl Default for ServerSpec {
    /// The smallest tier of the Claude API of 2025, with headers.
    fn default() -> Self {
        Self {
            limits: [50.0, 30_000.0, 8_000.0],
            together: false,
            organisation: None,
            kind: Kind::Bucket,
            capacity: 1.0,
            output: OutputRule::Live,
            heads: Heads::Claude,
            rounding: 1_000.0,
            input_shown_late: false,
            output_shown_early: false,
            skew: 0.0,
            skew_step: None,
            change: None,
            retry_after: true,
            stray_retry_after: 0.0,
            refusals_count: false,
            says_why: true,
            overloaded: 0.0,
            outages: Vec::new(),
            concurrency: None,
            acceleration: None,
            spend: None,
            others: None,
        }
    }
}

impl ServerSpec {
    /// The limits that bind a request: the least of those that it must pass.
    pub fn least_limits(&self) -> [f64; 3] {
        let outer = self.organisation.unwrap_or([f64::INFINITY; 3]);
        std::array::from_fn(|i| self.limits[i].min(outer[i]))
    }
}

/// When a server charges output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputRule {
    /// All that will be produced, when the request is admitted.
    Upfront,
    /// Token by token, as they are produced.
    Live,
    /// All at once, when the last was produced.
    AtEnd,
    /// `max_tokens` when the request is admitted; what was not produced is given
    /// back at the end.
    Reserved,
    /// `max_tokens` when the request is admitted, and nothing is given back.
    Asked,
}

/// What heads show of the limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heads {
    /// `anthropic-ratelimit-*`, with resets in whole seconds of the server's
    /// clock.
    Claude,
    /// `x-ratelimit-*`, with resets as Go prints a duration.
    OpenAi,
    /// Nothing.
    Bare,
}

/// How fast the use of input may grow. The edges are whole minutes of the
/// server's clock.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Acceleration {
    /// What may be used in the minute of the first request, as a part of the
    /// limit.
    pub start: f64,
    /// By which part of the limit it is more in each minute after it.
    pub step: f64,
}

/// Others who take from the same meters and go before everyone else.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OthersSpec {
    /// What they take of all that comes in, in the long run.
    pub share: f64,
    /// Seconds between two of their requests, in the mean.
    pub every: f64,
    /// For how many seconds they are busy and then idle; if not, they never
    /// are idle.
    pub bursts: Option<(f64, f64)>,
    /// What their chance is drawn from.
    pub seed: u64,
}
