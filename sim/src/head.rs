//! The head of an answer, and its header fields.

use std::fmt::Write as _;

use sendwhen::{HttpDate, Rfc3339, UnixTime};

/// The head of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// 200, 429 or 529.
    pub status: u16,
    /// What it shows of the limits.
    pub shown: Option<Shown>,
    /// Its `retry-after`, in seconds.
    pub retry_after: Option<u64>,
    /// What the server's clock shows when it is written, in Unix seconds.
    pub date: i64,
}

/// What a head shows of requests, input and output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Limits.
    pub limits: [u64; 3],
    /// What remains, rounded and clamped.
    pub remaining: [u64; 3],
    /// When each bucket is full, in whole Unix seconds of the server's clock.
    pub reset: [i64; 3],
}

impl Shown {
    /// Limit, remaining and reset of the combined family: the sums of input and
    /// output, and the earlier reset.
    pub fn combined(&self) -> (u64, u64, i64) {
        let [_, input, output] = self.limits;
        let [_, left_input, left_output] = self.remaining;
        let [_, input_reset, output_reset] = self.reset;
        (
            input + output,
            left_input + left_output,
            input_reset.min(output_reset),
        )
    }
}

impl Answer {
    /// Its header fields, one after another, as the Claude API names and prints
    /// them.
    pub fn fields(&self, mut each: impl FnMut(&str, &str)) {
        let mut text = String::with_capacity(32);
        let mut print = |name: &str, value: &dyn std::fmt::Display| {
            text.clear();
            let _written = write!(text, "{value}");
            each(name, &text);
        };
        if let Some(date) = HttpDate::new(UnixTime::from_secs(self.date)) {
            print("date", &date);
        }
        if let Some(seconds) = self.retry_after {
            print("retry-after", &seconds);
        }
        if self.status != 200 {
            print("x-should-retry", &true);
        }
        let Some(shown) = &self.shown else {
            return;
        };
        let meter = |i: usize| (shown.limits[i], shown.remaining[i], shown.reset[i]);
        let meters = [meter(0), meter(1), meter(2), shown.combined()];
        for ([limit, remaining, reset], meter) in NAMES.into_iter().zip(meters) {
            print(limit, &meter.0);
            print(remaining, &meter.1);
            if let Some(at) = Rfc3339::new(UnixTime::from_secs(meter.2)) {
                print(reset, &at);
            }
        }
    }
}

const NAMES: [[&str; 3]; 4] = [
    [
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ],
    [
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ],
    [
        "anthropic-ratelimit-output-tokens-limit",
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ],
    [
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ],
];
