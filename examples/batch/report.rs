//! What came of it: the counts while it goes on, and the figures at the end.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sendwhen::{Usage, Wait};
use serde::Serialize;

use crate::driver::Watch;

/// The counts at an instant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) completed: u64,
    pub(crate) given_up: u64,
    /// Answers of status 429.
    pub(crate) refused: u64,
    /// Answers of status 529.
    pub(crate) overloaded: u64,
    /// Attempts without any answer.
    pub(crate) unanswered: u64,
    /// Calls that a thread works on.
    pub(crate) begun: u64,
    pub(crate) in_flight: u64,
    pub(crate) totals: Totals,
    /// The longest that an answer took.
    pub(crate) longest: Duration,
    /// What was waited for last.
    pub(crate) wait: Option<Wait>,
}

impl Counts {
    /// Calls that a thread works on, and that are not under way.
    pub(crate) const fn waiting(&self) -> u64 {
        self.begun.saturating_sub(self.in_flight)
    }
}

/// What was taken, as the limits count it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

/// What may be taken each minute, where it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) requests: Option<u64>,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
}

impl Limits {
    /// The least time in which `totals` can be had from buckets that are full
    /// at first: what goes beyond them must come in, in each dimension.
    pub(crate) fn least_time(&self, totals: &Totals) -> Duration {
        let spans = [
            (self.requests, totals.requests),
            (self.input_tokens, totals.input_tokens),
            (self.output_tokens, totals.output_tokens),
        ]
        .map(|(limit, total)| {
            let beyond = u128::from(total.saturating_sub(limit?));
            let nanos = beyond
                .saturating_mul(60_000_000_000)
                .checked_div(u128::from(limit?))?;
            Some(Duration::from_nanos(
                u64::try_from(nanos).unwrap_or(u64::MAX),
            ))
        });
        spans.into_iter().flatten().max().unwrap_or_default()
    }
}

/// Keeps the counts for all threads.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

impl Tally {
    pub(crate) fn counts(&self) -> Counts {
        *self.lock()
    }

    /// A thread took on a call.
    pub(crate) fn begins(&self) {
        let mut counts = self.lock();
        counts.begun = counts.begun.saturating_add(1);
    }

    /// A call was answered.
    pub(crate) fn completes(&self, usage: &Usage, took: Duration) {
        let mut counts = self.lock();
        counts.begun = counts.begun.saturating_sub(1);
        counts.completed = counts.completed.saturating_add(1);
        counts.longest = counts.longest.max(took);
        let totals = &mut counts.totals;
        totals.requests = totals.requests.saturating_add(1);
        totals.input_tokens = totals.input_tokens.saturating_add(usage.counted_input());
        totals.output_tokens = totals.output_tokens.saturating_add(usage.output_tokens);
    }

    /// A call is over without an answer.
    pub(crate) fn gives_up(&self) {
        let mut counts = self.lock();
        counts.begun = counts.begun.saturating_sub(1);
        counts.given_up = counts.given_up.saturating_add(1);
    }

    /// A call was cancelled: it is for the next run.
    pub(crate) fn cancels(&self) {
        let mut counts = self.lock();
        counts.begun = counts.begun.saturating_sub(1);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Tally {
    fn waits(&self, wait: Wait) {
        let mut counts = self.lock();
        // A limit concerns all; a call's own wait only where nothing else is
        // known.
        if wait.cause.is_shared() || !counts.wait.is_some_and(|held| held.cause.is_shared()) {
            counts.wait = Some(wait);
        }
    }

    fn sends(&self) {
        let mut counts = self.lock();
        counts.in_flight = counts.in_flight.saturating_add(1);
        counts.wait = None;
    }

    fn hears(&self, status: Option<u16>) {
        let mut counts = self.lock();
        match status {
            Some(429) => counts.refused = counts.refused.saturating_add(1),
            Some(529) => counts.overloaded = counts.overloaded.saturating_add(1),
            Some(_) => {}
            None => counts.unanswered = counts.unanswered.saturating_add(1),
        }
    }

    fn ends(&self) {
        let mut counts = self.lock();
        counts.in_flight = counts.in_flight.saturating_sub(1);
    }
}

/// The figures at the end.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    completed: u64,
    given_up: u64,
    refused: u64,
    overloaded: u64,
    /// Counted input: what was read from the cache is not in it.
    input_tokens: u64,
    output_tokens: u64,
    elapsed_s: f64,
    least_s: f64,
    /// Absent where nothing was answered.
    ratio: Option<f64>,
    /// What was not begun or was cancelled, after an interruption.
    #[serde(skip_serializing_if = "is_zero")]
    left: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Summary {
    /// Of a run over `jobs` jobs that took `elapsed`, where no fewer than
    /// `least` are possible.
    pub(crate) fn new(
        counts: &Counts,
        totals: &Totals,
        jobs: u64,
        elapsed: Duration,
        least: Duration,
    ) -> Self {
        let ended = counts.completed.saturating_add(counts.given_up);
        let ratio = (!least.is_zero()).then(|| elapsed.div_duration_f64(least));
        Self {
            completed: counts.completed,
            given_up: counts.given_up,
            refused: counts.refused,
            overloaded: counts.overloaded,
            input_tokens: totals.input_tokens,
            output_tokens: totals.output_tokens,
            elapsed_s: thousandths(elapsed.as_secs_f64()),
            least_s: thousandths(least.as_secs_f64()),
            ratio: ratio.map(thousandths),
            left: jobs.saturating_sub(ended),
        }
    }
}

/// `value` with three digits after the point.
fn thousandths(value: f64) -> f64 {
    format!("{value:.3}").parse().unwrap_or(value)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered in {:.1} s", self.completed, self.elapsed_s)?;
        if let Some(ratio) = self.ratio {
            write!(
                f,
                ", {ratio:.2} times the least that the limits allow ({:.1} s)",
                self.least_s
            )?;
        }
        write!(
            f,
            "\n{} given up, {} refused (429), {} overloaded (529)\
             \n{} input tokens counted, {} output tokens",
            self.given_up, self.refused, self.overloaded, self.input_tokens, self.output_tokens
        )?;
        if self.left > 0 {
            write!(f, "\n{} left over; --resume goes on with them", self.left)?;
        }
        Ok(())
    }
}
