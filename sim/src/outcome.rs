//! What came of a run.

use crate::Time;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Who did it.
    pub client: String,
    /// Until the last answer was whole and no meter of the server below zero:
    /// what was borrowed is not won.
    pub makespan: Time,
    /// Jobs answered.
    pub completed: usize,
    /// Jobs given up.
    pub given_up: usize,
    /// 429s.
    pub refused: usize,
    /// Those for want of requests, input and output; one may lack several.
    pub short_of: [usize; 3],
    /// 529s.
    pub overloaded: usize,
    /// Answers that never came.
    pub lost: usize,
    /// Of each completed job, in no order: from when it was wanted to when its
    /// last attempt was sent.
    pub waits: Vec<Time>,
    /// The same of the urgent ones alone.
    pub urgent: Vec<Time>,
    /// Jain's index of the shares of several clients while all had work: 1 where
    /// all are equal, one over their number where one has all.
    pub fairness: Option<f64>,
    /// Where the server is down at times: the most that were under way at once
    /// of those that were sent while it was, and when that could be known.
    pub probes: Option<usize>,
    /// Where spend is capped: what was sent after the first refusal for it was
    /// heard.
    pub sent_in_vain: Option<usize>,
    /// How often the client was asked.
    pub asked: usize,
    /// Completed and refused over time.
    pub marks: Vec<Mark>,
}

/// Something to draw.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// When.
    pub at: Time,
    /// A completion, not a refusal.
    pub completed: bool,
}

impl Outcome {
    /// The time that `bound` took over the time that was taken. Where not even
    /// that completes all, both for each job that was completed.
    pub fn efficiency(&self, bound: &Self) -> f64 {
        let each = |outcome: &Self| {
            let jobs = if bound.given_up > 0 {
                outcome.completed
            } else {
                1
            };
            outcome.makespan as f64 / jobs.max(1) as f64
        };
        each(bound) / each(self).max(f64::MIN_POSITIVE)
    }

    /// Refusals for each completed job.
    pub fn refusals(&self) -> f64 {
        self.refused as f64 / self.completed.max(1) as f64
    }

    /// The wait that `part` of all jobs did not exceed, in seconds.
    pub fn wait(&self, part: f64) -> f64 {
        quantile(&self.waits, part).unwrap_or(0.0)
    }

    /// The same of the urgent jobs, where there are any.
    pub fn urgent_wait(&self, part: f64) -> Option<f64> {
        quantile(&self.urgent, part)
    }
}

fn quantile(times: &[Time], part: f64) -> Option<f64> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let place = (times.len() as f64 * part) as usize;
    let time = times.get(place.min(times.len().saturating_sub(1)))?;
    Some(*time as f64 / 1e9)
}

/// Jain's index (R. Jain, D. Chiu, W. Hawe: A Quantitative Measure of Fairness,
/// 1984): the squared sum over the sum of squares and the count, of shares that
/// are not all zero.
pub(crate) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (squares * shares.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::jain;

    #[test]
    fn jains_index_is_between_one_over_the_count_and_one() {
        assert_eq!(jain(&[3.0, 3.0, 3.0]), 1.0);
        assert_eq!(jain(&[5.0, 0.0, 0.0, 0.0]), 0.25);
        assert_eq!(jain(&[1.0, 3.0]), 0.8);
    }
}
