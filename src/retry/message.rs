//! What the words of a refusal say of the limit that was hit.
//!
//! The documents of the Claude API promise only that the message describes
//! which limit it was, so it is a hint: header fields go before it. What is
//! looked for are the few words that all known variants have in common, in any
//! case; the apostrophe before "rate limit", typewriter's or typographer's, is
//! not looked at.

use core::time::Duration;

use crate::{decision::ErrorDetails, units::Dimension};

/// What a refusal's message says. What it does not say is `None`.
///
/// ```
/// use sendwhen::{Dimension, LimitMessage};
///
/// let said = LimitMessage::read("would exceed the rate limit of 50 requests per minute").unwrap();
/// assert_eq!((said.dimension, said.limit), (Some(Dimension::Requests), Some(50)));
/// assert_eq!((said.next_limit, said.delay), (None, None));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct LimitMessage {
    /// Which kind of limit.
    pub kind: LimitKind,
    /// What it counts.
    pub dimension: Option<Dimension>,
    /// How much of it there may be in each window.
    pub limit: Option<u64>,
    /// Of an acceleration limit: how much there may be from the next minute on.
    pub next_limit: Option<u64>,
    /// The window.
    pub window: Option<Duration>,
    /// How long to wait.
    pub delay: Option<Duration>,
}

/// The kinds of limits that messages tell apart.
///
/// ```
/// use sendwhen::{LimitKind, LimitMessage};
///
/// let said = LimitMessage::read("Number of concurrent connections has exceeded your rate limit");
/// assert_eq!(said.unwrap().kind, LimitKind::Concurrency);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum LimitKind {
    /// So much in so much time.
    Rate,
    /// So many at once.
    Concurrency,
    /// So much more than lately.
    Acceleration,
}

impl LimitMessage {
    /// Reads `message`; `None` where it speaks of no limit. Of a message longer
    /// than 1024 bytes only so much is looked at.
    ///
    /// ```
    /// use sendwhen::{Dimension, LimitKind, LimitMessage};
    ///
    /// let said = LimitMessage::read(
    ///     "This request would exceed your organization’s rate limit of 80,000 input tokens per minute.",
    /// ).unwrap();
    /// assert_eq!(said.kind, LimitKind::Rate);
    /// assert_eq!(said.dimension, Some(Dimension::InputTokens));
    /// assert_eq!(said.limit, Some(80_000));
    ///
    /// assert_eq!(LimitMessage::read("Overloaded"), None);
    /// ```
    pub fn read(message: &str) -> Option<Self> {
        let all = message.as_bytes();
        let text = all.get(..1024).unwrap_or(all);
        let kind = if after(text, b"concurrent connections").is_some()
            || after(text, b"concurrent requests").is_some()
        {
            LimitKind::Concurrency
        } else if after(text, b"usage increase rate").is_some()
            || after(text, b"acceleration limit").is_some()
        {
            LimitKind::Acceleration
        } else if after(text, b"rate limit").is_some() || after(text, b"quota").is_some() {
            LimitKind::Rate
        } else {
            return None;
        };
        let mut said = Self {
            kind,
            dimension: None,
            limit: None,
            next_limit: None,
            window: None,
            delay: None,
        };
        if kind != LimitKind::Concurrency {
            said.read_amounts(text);
        }
        said.delay = [b"try again in ".as_slice(), b"retry in ", b"retry after "]
            .iter()
            .find_map(|words| span_at_start(after(text, words)?))
            .map(|(span, _)| span);
        Some(said)
    }

    fn read_amounts(&mut self, text: &[u8]) {
        // "of 80,000 input tokens per minute", "limit is 58,276 input tokens ..".
        if let Some((limit, dimension, rest)) = counted(text) {
            self.limit = Some(limit);
            self.dimension = Some(dimension);
            self.window = window(rest);
        }
        if self.kind == LimitKind::Acceleration {
            self.next_limit = after(text, b"increase to ").and_then(|rest| Some(number(rest)?.0));
        }
        // "Number of request tokens has exceeded your per-minute rate limit",
        // "increase rate for input tokens per minute", "on tokens per min (TPM):
        // Limit 30000".
        for words in [b"number of ".as_slice(), b"increase rate for ", b" on "] {
            let Some((dimension, rest)) = after(text, words).and_then(noun) else {
                continue;
            };
            self.dimension = self.dimension.or(Some(dimension));
            self.window = self.window.or_else(|| window(rest));
            if self.limit.is_none() {
                let limit = after(rest, b": limit ").and_then(number);
                self.limit = limit.map(|(limit, _)| limit);
            }
        }
    }
}

impl<'a> ErrorDetails<'a> {
    /// The fields of an error body, or of an error event in a stream. `text`
    /// says which string is at a JSON pointer (RFC 6901), if there is one; so
    /// with `serde_json`: `ErrorDetails::find(|at| body.pointer(at)?.as_str())`.
    ///
    /// Google's `RetryInfo.retryDelay` is looked for among the first eight of
    /// `error.details`; where there is no `error.type`, `error.status` is taken
    /// for it. What is not in `error` is looked for in `response.error`, as
    /// OpenAI's streams have it, then outside of it, as Azure's and GitHub have
    /// it; an `error` that is a string is the message.
    ///
    /// ```
    /// use sendwhen::ErrorDetails;
    ///
    /// // {"error": {"type": "overloaded_error", "message": "Overloaded"}}
    /// let text = |at: &str| match at {
    ///     "/error/type" => Some("overloaded_error"),
    ///     "/error/message" => Some("Overloaded"),
    ///     _ => None,
    /// };
    /// let error = ErrorDetails::new("overloaded_error").message("Overloaded");
    /// assert_eq!(ErrorDetails::find(text), error);
    /// ```
    pub fn find(text: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        const DELAYS: [&str; 8] = [
            "/error/details/0/retryDelay",
            "/error/details/1/retryDelay",
            "/error/details/2/retryDelay",
            "/error/details/3/retryDelay",
            "/error/details/4/retryDelay",
            "/error/details/5/retryDelay",
            "/error/details/6/retryDelay",
            "/error/details/7/retryDelay",
        ];
        let kind = text("/error/type").or_else(|| text("/error/status"));
        let code = text("/error/details/error_code")
            .or_else(|| text("/error/code"))
            .or_else(|| text("/response/error/code"))
            .or_else(|| text("/code"));
        let message = text("/error/message")
            .or_else(|| text("/response/error/message"))
            .or_else(|| text("/message"))
            .or_else(|| text("/error"));
        let found = Self::new(kind.unwrap_or_default())
            .code(code.unwrap_or_default())
            .message(message.unwrap_or_default());
        match DELAYS.into_iter().find_map(text) {
            Some(delay) => found.retry_delay(delay),
            None => found,
        }
    }

    /// Sets the wait that the body names, from a string as Google's
    /// `RetryInfo.retryDelay` has it: seconds with up to nine digits after the
    /// point, and an `s` (the JSON form of `google.protobuf.Duration`). Go's
    /// form of durations will do too. What is neither sets nothing.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::ErrorDetails;
    ///
    /// let error = ErrorDetails::NONE.retry_delay("45.837906927s");
    /// assert_eq!(error.delay, Some(Duration::new(45, 837_906_927)));
    /// assert_eq!(ErrorDetails::NONE.retry_delay("soon").delay, None);
    /// ```
    #[must_use]
    pub fn retry_delay(self, text: &str) -> Self {
        match span_at_start(text.as_bytes()) {
            Some((delay, [])) => self.delay(delay),
            _ => self,
        }
    }
}

/// The first "NUMBER NOUN", and what follows.
fn counted(text: &[u8]) -> Option<(u64, Dimension, &[u8])> {
    let mut rest = text;
    let mut inside_word = false;
    loop {
        let (&byte, next) = rest.split_first()?;
        if byte.is_ascii_digit() && !inside_word {
            let found = number(rest).and_then(|(amount, tail)| {
                let (dimension, tail) = noun(tail.strip_prefix(b" ")?)?;
                Some((amount, dimension, tail))
            });
            if found.is_some() {
                return found;
            }
        }
        inside_word = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b',';
        rest = next;
    }
}

/// What `text` begins with, if it is something that is counted.
fn noun(text: &[u8]) -> Option<(Dimension, &[u8])> {
    const NOUNS: [(&[u8], Dimension); 5] = [
        (b"input tokens", Dimension::InputTokens),
        (b"output tokens", Dimension::OutputTokens),
        // The one limit of both that there was in 2024.
        (b"request tokens", Dimension::TotalTokens),
        (b"requests", Dimension::Requests),
        (b"tokens", Dimension::TotalTokens),
    ];
    NOUNS
        .into_iter()
        .find_map(|(words, dimension)| Some((dimension, strip(text, words)?)))
}

/// The window of "per minute" and its like, wherever it stands.
fn window(text: &[u8]) -> Option<Duration> {
    const WINDOWS: [(&[u8], u64); 4] = [
        (b"sec", 1),
        (b"min", 60),
        (b"hour", 3_600),
        (b"day", 86_400),
    ];
    let unit = after(text, b"per ").or_else(|| after(text, b"per-"))?;
    WINDOWS
        .into_iter()
        .find(|(word, _)| strip(unit, word).is_some())
        .map(|(_, seconds)| Duration::from_secs(seconds))
}

/// Digits, with commas between them; saturating. What follows comes second.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut sum, mut rest, mut any) = (0_u64, text, false);
    loop {
        let digits = match rest {
            [b',', digits @ ..] if any => digits,
            digits => digits,
        };
        let Some((digit, next)) = digits
            .split_first()
            .filter(|(byte, _)| byte.is_ascii_digit())
        else {
            return any.then_some((sum, rest));
        };
        sum = push(sum, digit);
        (rest, any) = (next, true);
    }
}

/// One more digit behind `sum`; saturating.
const fn push(sum: u64, digit: &u8) -> u64 {
    sum.saturating_mul(10)
        .saturating_add(digit.wrapping_sub(b'0') as u64)
}

/// A span in Go's form that `text` begins with, as `6m0s`, `20ms` or `45.8s`,
/// and what follows. What is finer than a nanosecond is rounded up; saturating.
fn span_at_start(text: &[u8]) -> Option<(Duration, &[u8])> {
    // Longer names first, of those that begin alike.
    const UNITS: [(&[u8], u64); 6] = [
        (b"ns", 1),
        (b"us", 1_000),
        (b"ms", 1_000_000),
        (b"s", 1_000_000_000),
        (b"m", 60_000_000_000),
        (b"h", 3_600_000_000_000),
    ];
    let (mut sum, mut rest, mut any) = (0_u64, text, false);
    while let Some((whole, tail)) = digits(rest) {
        let (fraction, tail) = match tail {
            [b'.', tail @ ..] => digits(tail)?,
            _ => (&[][..], tail),
        };
        let (unit, tail) = UNITS
            .into_iter()
            .find_map(|(name, unit)| Some((unit, tail.strip_prefix(name)?)))?;
        sum = sum.saturating_add(part(whole, fraction, unit));
        (rest, any) = (tail, true);
    }
    any.then_some((Duration::from_nanos(sum), rest))
}

/// `whole.fraction` units, rounded up; saturating.
fn part(whole: &[u8], fraction: &[u8], unit: u64) -> u64 {
    // In 2^-60 of a nanosecond: nine digits of any unit come out exact.
    const ONE: u128 = 1 << 60;
    let whole = whole.iter().fold(0, push).saturating_mul(unit);
    let (mut place, mut finer) = (u128::from(unit).saturating_mul(ONE), 0_u128);
    for digit in fraction {
        place = place.checked_div(10).unwrap_or_default();
        let digit = u128::from(digit.wrapping_sub(b'0'));
        finer = finer.saturating_add(place.saturating_mul(digit));
    }
    whole.saturating_add(u64::try_from(finer.div_ceil(ONE)).unwrap_or(u64::MAX))
}

/// The digits that `text` begins with, at least one, and what follows.
fn digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(end)
        .filter(|(head, _)| !head.is_empty())
}

/// What follows the first `words` in `text`, in any case.
fn after<'t>(text: &'t [u8], words: &[u8]) -> Option<&'t [u8]> {
    (0..text.len()).find_map(|start| strip(text.get(start..)?, words))
}

/// What follows `words` where `text` begins with them, in any case.
fn strip<'t>(text: &'t [u8], words: &[u8]) -> Option<&'t [u8]> {
    let (head, rest) = text.split_at_checked(words.len())?;
    head.eq_ignore_ascii_case(words).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use LimitKind::{Acceleration, Concurrency, Rate};

    const MINUTE: Option<Duration> = Some(Duration::from_secs(60));

    /// Message, kind, dimension, limit, next limit, window.
    type Row = (
        &'static str,
        LimitKind,
        Option<Dimension>,
        Option<u64>,
        Option<u64>,
        Option<Duration>,
    );

    /// The variants that were seen, with the public thread or file that shows
    /// each.
    const ROWS: &[Row] = &[
        // cline/cline, issue 252
        (
            "Number of request tokens has exceeded your per-minute rate limit (https://docs.anthropic.com/claude/reference/rate-limits)",
            Rate,
            Some(Dimension::TotalTokens),
            None,
            None,
            MINUTE,
        ),
        (
            "Number of requests has exceeded your per-minute rate limit",
            Rate,
            Some(Dimension::Requests),
            None,
            None,
            MINUTE,
        ),
        // BerriAI/litellm, issue 8293
        (
            "This request would exceed your organization\u{2019}s rate limit of 80,000 input tokens per minute. For details, refer to: https://docs.anthropic.com",
            Rate,
            Some(Dimension::InputTokens),
            Some(80_000),
            None,
            MINUTE,
        ),
        // OpenHands/OpenHands, issue 9259
        (
            "This request would exceed the rate limit for your organization (8d863577-e8f4-4b16-99cc-a6128a022331) of 20,000 input tokens per minute.",
            Rate,
            Some(Dimension::InputTokens),
            Some(20_000),
            None,
            MINUTE,
        ),
        // continuedev/continue, issue 12057
        (
            "This request would exceed your organization's rate limit of 30,000 input tokens per minute (org: 8d863577-e8f4-4b16-99cc-a6128a022331, model: claude-sonnet-4-20250514)",
            Rate,
            Some(Dimension::InputTokens),
            Some(30_000),
            None,
            MINUTE,
        ),
        (
            "This request would exceed your organization's rate limit of 8,000 output tokens per minute.",
            Rate,
            Some(Dimension::OutputTokens),
            Some(8_000),
            None,
            MINUTE,
        ),
        (
            "This request would exceed your organization's rate limit of 50 requests per minute.",
            Rate,
            Some(Dimension::Requests),
            Some(50),
            None,
            MINUTE,
        ),
        // Seen in 2025 and, with the numbers, in March 2026.
        (
            "This request would exceed your organization's (8d863577-e8f4-4b16-99cc-a6128a02233b) maximum usage increase rate for input tokens per minute. Please scale up your input tokens usage more gradually to stay within the acceleration limit.",
            Acceleration,
            Some(Dimension::InputTokens),
            None,
            None,
            MINUTE,
        ),
        (
            "This request would exceed your organization's maximum usage increase rate for input tokens per minute (org: f1c66ceb-0643-47cc-9937-23647fff5a04, model: claude-3-haiku-20240307). Your current limit is 58,276 input tokens per minute, and will increase to 68,276 at the next minute boundary.",
            Acceleration,
            Some(Dimension::InputTokens),
            Some(58_276),
            Some(68_276),
            MINUTE,
        ),
        // anthropics/anthropic-sdk-python, issue 496
        (
            "Number of concurrent connections has exceeded your rate limit. Please try again later.",
            Concurrency,
            None,
            None,
            None,
            None,
        ),
        (
            "This request would exceed your account\u{2019}s rate limit. Please try again later.",
            Rate,
            None,
            None,
            None,
            None,
        ),
        ("Rate limited", Rate, None, None, None, None),
        (
            "Rate limit reached for gpt-4 in organization org-1 on tokens per min (TPM): Limit 10000, Used 9000, Requested 2000. Please try again in 6s.",
            Rate,
            Some(Dimension::TotalTokens),
            Some(10_000),
            None,
            MINUTE,
        ),
    ];

    #[test]
    fn each_variant_that_was_seen_is_read() {
        for &(text, kind, dimension, limit, next_limit, window) in ROWS {
            let said = LimitMessage::read(text).unwrap();
            let read = (
                said.kind,
                said.dimension,
                said.limit,
                said.next_limit,
                said.window,
            );
            assert_eq!(read, (kind, dimension, limit, next_limit, window), "{text}");
            let other = if text.contains('\'') {
                text.replace('\'', "\u{2019}")
            } else {
                text.replace('\u{2019}', "'")
            };
            assert_eq!(
                LimitMessage::read(&other),
                Some(said),
                "the other apostrophe"
            );
            assert_eq!(
                LimitMessage::read(&text.to_uppercase()).map(|said| said.kind),
                Some(kind)
            );
        }
    }

    #[test]
    fn what_speaks_of_no_limit_says_nothing() {
        for text in [
            "",
            "Error",
            "Overloaded",
            "Internal server error",
            "max_tokens: 80,000 is too large",
        ] {
            assert_eq!(LimitMessage::read(text), None, "{text}");
        }
    }

    #[test]
    fn the_digits_of_a_name_count_nothing() {
        assert!(counted(b"of 3 requests").is_some());
        assert_eq!(counted(b"of claude-3 requests"), None);
        assert_eq!(number(b"1,500 x"), Some((1_500, &b" x"[..])));
        assert_eq!(number(b",500 x"), None);
    }

    #[test]
    fn delays_in_messages_are_read() {
        for (text, delay) in [
            (
                "You exceeded your current quota. Please retry in 48.939935699s.",
                Duration::new(48, 939_935_699),
            ),
            (
                "Rate limit reached. Please try again in 6m0s.",
                Duration::from_secs(360),
            ),
            (
                "Rate limit reached. Please try again in 1h2m3.5s",
                Duration::from_millis(3_723_500),
            ),
            (
                "Rate limit reached. Please try again in 120ms.",
                Duration::from_millis(120),
            ),
        ] {
            assert_eq!(
                LimitMessage::read(text).unwrap().delay,
                Some(delay),
                "{text}"
            );
        }
        let later = "This request would exceed your account's rate limit. Please try again later.";
        assert_eq!(LimitMessage::read(later).unwrap().delay, None);
    }

    #[test]
    fn spans_are_rounded_up_and_saturate() {
        let read = |text: &str| ErrorDetails::NONE.retry_delay(text).delay;
        assert_eq!(read("48s"), Some(Duration::from_secs(48)));
        assert_eq!(read("0.0000000001s"), Some(Duration::from_nanos(1)));
        assert_eq!(read("17.399999999s"), Some(Duration::new(17, 399_999_999)));
        assert_eq!(read("0s"), Some(Duration::ZERO));
        assert_eq!(
            read("99999999999999999999s"),
            Some(Duration::from_nanos(u64::MAX))
        );
        for text in [
            "", "s", "48", "48 s", "-1s", ".5s", "1.s", "1.5.5s", "1sx", " 1s", "1e3s",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_delay_in_googles_body_is_found() {
        let text = |at: &str| match at {
            "/error/status" => Some("RESOURCE_EXHAUSTED"),
            "/error/details/2/retryDelay" => Some("48s"),
            _ => None,
        };
        let found = ErrorDetails::find(text);
        assert_eq!(found.kind, "RESOURCE_EXHAUSTED");
        assert_eq!(found.delay, Some(Duration::from_secs(48)));
    }

    #[test]
    fn what_stands_elsewhere_is_found() {
        let find = |place: &str, said: &'static str| {
            ErrorDetails::find(|at| (at == place).then_some(said))
        };
        for place in [
            "/error/message",
            "/response/error/message",
            "/message",
            "/error",
        ] {
            assert_eq!(find(place, "x"), ErrorDetails::NONE.message("x"), "{place}");
        }
        for place in [
            "/error/details/error_code",
            "/error/code",
            "/response/error/code",
            "/code",
        ] {
            assert_eq!(find(place, "x"), ErrorDetails::NONE.code("x"), "{place}");
        }
    }

    proptest::proptest! {
        #![proptest_config(crate::retry::ten_thousand_cases())]

        /// Any words, cut anywhere, are read without a panic.
        #[test]
        fn any_message_is_read(row in 0..ROWS.len(), cut in 0..400_usize, tail in ".{0,40}") {
            let text: std::string::String = ROWS[row].0.chars().take(cut).collect();
            let _said = LimitMessage::read(&(text + &tail));
        }
    }
}
