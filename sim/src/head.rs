//! The head of an answer: its header fields, and what its body says.

use std::fmt::{self, Write as _};

use sendwhen::{GoDuration, HttpDate, Rfc3339, UnixTime};

use crate::server::{Heads, Why};

/// The head of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// 200, 429 or 529; 0 where none came in the transport's time.
    pub status: u16,
    /// How it is printed.
    pub heads: Heads,
    /// What it shows of the limits.
    pub shown: Option<Shown>,
    /// Its `retry-after`, in seconds.
    pub retry_after: Option<u64>,
    /// What the server's clock shows when it is written, in Unix seconds.
    pub date: i64,
    /// Why it is a refusal.
    pub why: Option<Why>,
    /// Whether its text says so where that is no meter.
    pub says_why: bool,
}

/// What a head shows of requests, input and output; where the last two have one
/// limit together, it is in the second place and the third is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// Limits.
    pub limits: [u64; 3],
    /// What remains, rounded and clamped.
    pub remaining: [u64; 3],
    /// When each is whole again, in whole Unix seconds of the server's clock.
    pub reset: [i64; 3],
    /// In how many milliseconds that is.
    pub whole_in_ms: [u64; 3],
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
    /// Where none came.
    pub const NONE: Self = Self {
        status: 0,
        heads: Heads::Bare,
        shown: None,
        retry_after: None,
        date: 0,
        why: None,
        says_why: false,
    };

    /// Its header fields, one after another, as the server names and prints
    /// them.
    pub fn fields(&self, mut each: impl FnMut(&str, &str)) {
        let mut text = String::with_capacity(32);
        let mut print = |name: &str, value: &dyn fmt::Display| {
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
        if self.status != 200 && self.heads != Heads::Bare {
            print("x-should-retry", &true);
        }
        let Some(shown) = &self.shown else {
            return;
        };
        match self.heads {
            Heads::Claude => claude(shown, print),
            Heads::OpenAi => openai(shown, print),
            Heads::Bare => {}
        }
    }

    /// The type, code and message of the error in its body, if that has one: a
    /// bare proxy's has none but where all is spent.
    pub fn error(&self) -> Option<Problem> {
        if self.status == 529 {
            return Some(Problem::new("overloaded_error", "", "Overloaded"));
        }
        let why = self.why?;
        let (kind, spent) = match self.heads {
            Heads::OpenAi => ("requests", "insufficient_quota"),
            Heads::Claude => ("rate_limit_error", "enforced_spend_limit_reached"),
            Heads::Bare if why == Why::Spent => ("", "insufficient_quota"),
            Heads::Bare => return None,
        };
        let message = match why {
            Why::Short(short) => self.exceeded(short),
            Why::Concurrency if self.says_why => {
                String::from("Number of concurrent connections has exceeded your rate limit.")
            }
            Why::Acceleration([now, next]) if self.says_why => format!(
                "This request would exceed your organization's maximum usage increase rate for \
                 input tokens per minute. The limit is {now}, and {next} from the next minute \
                 boundary on."
            ),
            Why::Concurrency | Why::Acceleration(_) | Why::Spent => String::new(),
        };
        let code = if why == Why::Spent { spent } else { "" };
        Some(Problem::new(kind, code, &message))
    }

    /// What Claude's says of the first limit that it would exceed.
    fn exceeded(&self, short: [bool; 3]) -> String {
        let units = ["requests", "input tokens", "output tokens"];
        let first = (0..3).find(|&place| short[place]);
        match (self.heads, self.shown, first) {
            (Heads::Claude, Some(shown), Some(place)) => format!(
                "This request would exceed your organization's rate limit of {} {} per minute",
                thousands(shown.limits[place]),
                units[place],
            ),
            _ => String::new(),
        }
    }
}

/// `number` with a comma before every third digit from the right.
fn thousands(number: u64) -> String {
    match number / 1_000 {
        0 => number.to_string(),
        rest => format!("{},{:03}", thousands(rest), number % 1_000),
    }
}

/// What the body of a refusal says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// `error.type`.
    pub kind: &'static str,
    /// `error.code`, or for the Claude API `error.details.error_code`.
    pub code: &'static str,
    /// `error.message`.
    pub message: String,
}

impl Problem {
    fn new(kind: &'static str, code: &'static str, message: &str) -> Self {
        Self {
            kind,
            code,
            message: String::from(message),
        }
    }
}

fn claude(shown: &Shown, mut print: impl FnMut(&str, &dyn fmt::Display)) {
    let meter = |i: usize| (shown.limits[i], shown.remaining[i], shown.reset[i]);
    let meters = [meter(0), meter(1), meter(2), shown.combined()];
    for ([limit, remaining, reset], meter) in CLAUDE.into_iter().zip(meters) {
        print(limit, &meter.0);
        print(remaining, &meter.1);
        if let Some(at) = Rfc3339::new(UnixTime::from_secs(meter.2)) {
            print(reset, &at);
        }
    }
}

const CLAUDE: [[&str; 3]; 4] = [
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

/// Requests and tokens; what has limits of its own for input and output shows
/// those under the names that gateways use.
fn openai(shown: &Shown, mut print: impl FnMut(&str, &dyn fmt::Display)) {
    let units: &[(usize, &str)] = if shown.limits[2] == 0 {
        &[(0, "requests"), (1, "tokens")]
    } else {
        &[(0, "requests"), (1, "input-tokens"), (2, "output-tokens")]
    };
    for &(place, unit) in units {
        let name = |member: &str| format!("x-ratelimit-{member}-{unit}");
        print(&name("limit"), &shown.limits[place]);
        print(&name("remaining"), &shown.remaining[place]);
        let nanos = shown.whole_in_ms[place].saturating_mul(1_000_000);
        print(&name("reset"), &GoDuration(nanos as i64));
    }
}
