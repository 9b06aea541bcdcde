//! What the server counts: one token bucket per limit, and the output that is
//! being produced. Integers only; the time comes in with each call.

use std::time::Duration;

/// So many parts make one: a limit of one per minute brings in one part each
/// nanosecond, so that nothing is ever rounded.
const PARTS: i128 = 60_000_000_000;

/// A token bucket that is full at first, and whole again after a minute.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    limit: u64,
    /// In parts. Below zero is debt.
    level: i128,
}

impl Bucket {
    const fn full(limit: u64) -> Self {
        let limit = if limit == 0 { 1 } else { limit };
        Self {
            limit,
            level: parts(limit),
        }
    }

    fn refill(&mut self, span: Duration) {
        let inflow = i128::from(self.limit).saturating_mul(nanos(span));
        self.level = self.level.saturating_add(inflow).min(parts(self.limit));
    }

    const fn take(&mut self, amount: u64) {
        self.level = self.level.saturating_sub(parts(amount));
    }

    /// How long until `level` parts are there.
    fn time_to(&self, level: i128) -> Duration {
        let missing = level.saturating_sub(self.level).max(0);
        let rate = i128::from(self.limit);
        let nanos = missing
            .saturating_add(rate.saturating_sub(1))
            .checked_div(rate);
        let nanos = nanos.and_then(|nanos| u64::try_from(nanos).ok());
        Duration::from_nanos(nanos.unwrap_or(u64::MAX))
    }

    fn shown(&self) -> Gauge {
        Gauge {
            limit: self.limit,
            left: u64::try_from(self.level / PARTS).unwrap_or(0),
            full_in: self.time_to(parts(self.limit)),
        }
    }
}

const fn parts(amount: u64) -> i128 {
    (amount as i128).saturating_mul(PARTS)
}

fn nanos(span: Duration) -> i128 {
    i128::try_from(span.as_nanos()).unwrap_or(i128::MAX)
}

/// The limits of one pool, each per minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    pub(crate) requests: u64,
    /// Cache reads do not count.
    pub(crate) input_tokens: u64,
    /// Counted as they are produced, whatever `max_tokens` says.
    pub(crate) output_tokens: u64,
}

impl Limits {
    pub(crate) const fn new(requests: u64, input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            requests,
            input_tokens,
            output_tokens,
        }
    }
}

/// What was taken since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    /// The longest that one answer took, or would have taken had its client
    /// stayed.
    pub(crate) longest: Duration,
}

impl Totals {
    /// Adds what another pool let pass.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.longest = self.longest.max(other.longest);
    }
}

/// One bucket as it stands at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gauge {
    pub(crate) limit: u64,
    /// Whole ones; a debt is 0.
    pub(crate) left: u64,
    pub(crate) full_in: Duration,
}

/// All buckets as they stand at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gauges {
    pub(crate) requests: Gauge,
    pub(crate) input: Gauge,
    pub(crate) output: Gauge,
}

/// An answer in the making: nothing for a while, then a token at each step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Production {
    pub(crate) silence: Duration,
    pub(crate) step: Duration,
    pub(crate) tokens: u64,
}

impl Production {
    /// How long it takes.
    pub(crate) fn span(&self) -> Duration {
        self.time_of(self.tokens)
    }

    /// How long the first `tokens` take.
    pub(crate) fn time_of(&self, tokens: u64) -> Duration {
        let steps = u32::try_from(tokens).unwrap_or(u32::MAX);
        self.silence.saturating_add(self.step.saturating_mul(steps))
    }

    fn produced_after(&self, span: Duration) -> u64 {
        let steps = span
            .saturating_sub(self.silence)
            .as_nanos()
            .checked_div(self.step.as_nanos());
        steps.map_or(self.tokens, |steps| {
            u64::try_from(steps).unwrap_or(u64::MAX).min(self.tokens)
        })
    }
}

/// Which request an answer is to, of all pools.
pub(crate) type Number = u64;

#[derive(Debug)]
struct Running {
    number: Number,
    since: Duration,
    production: Production,
    charged: u64,
}

/// Why a request may not pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shortage {
    /// As the refusal names it.
    pub(crate) what: &'static str,
    pub(crate) limit: u64,
    /// Until it would pass, if nothing else took from the bucket.
    pub(crate) wait: Duration,
}

/// The buckets of one pool, and the answers that take from it.
#[derive(Debug)]
pub(crate) struct Meters {
    now: Duration,
    requests: Bucket,
    input: Bucket,
    output: Bucket,
    running: Vec<Running>,
    totals: Totals,
}

impl Meters {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self {
            now: Duration::ZERO,
            requests: Bucket::full(limits.requests),
            input: Bucket::full(limits.input_tokens),
            output: Bucket::full(limits.output_tokens),
            running: Vec::new(),
            totals: Totals {
                requests: 0,
                input_tokens: 0,
                output_tokens: 0,
                longest: Duration::ZERO,
            },
        }
    }

    /// Lets a request pass at `now`, or refuses it and takes nothing.
    ///
    /// It needs one request, its whole counted input, and any output at all:
    /// how long the answer becomes is not known yet, so an answer may leave a
    /// debt behind.
    pub(crate) fn admit(
        &mut self,
        now: Duration,
        number: Number,
        input: u64,
        production: Production,
    ) -> Result<(), Shortage> {
        self.advance(now);
        let needs = [
            ("requests", self.requests, parts(1)),
            ("input tokens", self.input, parts(input)),
            ("output tokens", self.output, 1),
        ];
        let shortage = needs
            .into_iter()
            .filter(|(_, bucket, need)| bucket.level < *need)
            .map(|(what, bucket, need)| Shortage {
                what,
                limit: bucket.limit,
                wait: bucket.time_to(need),
            })
            .max_by_key(|shortage| shortage.wait);
        if let Some(shortage) = shortage {
            return Err(shortage);
        }
        self.requests.take(1);
        self.input.take(input);
        self.totals.requests = self.totals.requests.saturating_add(1);
        self.totals.input_tokens = self.totals.input_tokens.saturating_add(input);
        self.totals.longest = self.totals.longest.max(production.span());
        self.running.push(Running {
            number,
            since: self.now,
            production,
            charged: 0,
        });
        Ok(())
    }

    /// Nothing more is produced of an answer; what was, is counted. One that is
    /// whole stays as it is.
    pub(crate) fn stop(&mut self, now: Duration, number: Number) {
        self.advance(now);
        self.running.retain(|answer| answer.number != number);
    }

    /// The buckets at `now`.
    pub(crate) fn gauges(&mut self, now: Duration) -> Gauges {
        self.advance(now);
        Gauges {
            requests: self.requests.shown(),
            input: self.input.shown(),
            output: self.output.shown(),
        }
    }

    /// What was taken until `now`, and what the answers in the making have
    /// still to take.
    pub(crate) fn totals(&mut self, now: Duration) -> Totals {
        self.advance(now);
        let open = self.running.iter();
        let open = open.map(|answer| answer.production.tokens.saturating_sub(answer.charged));
        Totals {
            output_tokens: open.fold(self.totals.output_tokens, u64::saturating_add),
            ..self.totals
        }
    }

    fn advance(&mut self, now: Duration) {
        let now = now.max(self.now);
        let span = now.saturating_sub(self.now);
        self.now = now;
        for answer in &mut self.running {
            let produced = answer
                .production
                .produced_after(now.saturating_sub(answer.since));
            let fresh = produced.saturating_sub(answer.charged);
            answer.charged = produced;
            self.output.take(fresh);
            self.totals.output_tokens = self.totals.output_tokens.saturating_add(fresh);
        }
        // What was produced meanwhile goes first: a bucket that gives as much
        // as it gets does not run over.
        for bucket in [&mut self.requests, &mut self.input, &mut self.output] {
            bucket.refill(span);
        }
        self.running
            .retain(|answer| answer.charged < answer.production.tokens);
    }
}
