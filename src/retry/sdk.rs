//! How Anthropic's official SDKs wait between attempts, each as it does it.
//!
//! All of them try three times, take `retry-after-ms` before `retry-after`, and
//! otherwise wait half a second, doubled each time up to eight, less up to a
//! quarter. They disagree on what they make of the fields:
//!
//! | | [`Python`](Sdk::Python) | [`TypeScript`](Sdk::TypeScript) | [`TypeScript078`](Sdk::TypeScript078) | [`Go`](Sdk::Go) | [`Java`](Sdk::Java) | [`Ruby`](Sdk::Ruby) | [`CSharp`](Sdk::CSharp) |
//! |---|---|---|---|---|---|---|---|
//! | waits accepted | above 0, to 60 s | any | above 0, below 60 s | any | any | any | above 0, below 60 s |
//! | numbers | whole, `inf`, `1_0` | any prefix | any prefix | whole, `inf` | 32 bits, `5f` | whole, `0x10`, `1_0` | thousands commas |
//! | dates of RFC 9110 | three forms | three | three | the first | the first | three | the first |
//! | what is neither | own curve | at once | own curve | own curve | own curve | own curve | own curve |
//! | own curve | 0.5, 1, 2, 4, 8 | same | same | same | same | 0, 0.5, 2, 4.5, 8 | same |
//!
//! Read from the sources of 2026: anthropic-sdk-python 009b0353, -typescript
//! bfa9197f, -go v1.60.0, -java, -ruby, -csharp. Dates are read as
//! [`parse_http_date`] does; what else the libraries of
//! these languages take for a date is not imitated.

use core::time::Duration;

use crate::{
    headers::parse_http_date,
    retry::{jitter::Jitter, schedule::Backoff},
    rng::Rng,
    time::{UnixTime, nanos},
};

/// One of the official SDKs, for what it waits: pure functions, exact to the
/// millisecond. [`RetryPolicy::sdk`](crate::RetryPolicy::sdk) makes a policy of
/// it.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Sdk, UnixTime};
///
/// // A server in debt asks for 505 seconds. Python tries again after half a
/// // second, Go waits.
/// let now = UnixTime::from_secs(1_696_004_797);
/// let asked = |sdk: Sdk| sdk.asked(None, Some(b"505"), now);
/// assert_eq!(asked(Sdk::Python), None);
/// assert_eq!(asked(Sdk::Go), Some(Duration::from_secs(505)));
///
/// let delay = Sdk::Python.delay(0, asked(Sdk::Python), 42);
/// assert!((375..=500).contains(&delay.as_millis()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Sdk {
    /// anthropic-sdk-python, of August 2026. (Those of November have no bound of
    /// 60 s any more.)
    Python,
    /// anthropic-sdk-typescript, from 0.79 on (March 2026).
    TypeScript,
    /// anthropic-sdk-typescript, before 0.79.
    TypeScript078,
    /// anthropic-sdk-go, 1.60.
    Go,
    /// anthropic-sdk-java.
    Java,
    /// anthropic-sdk-ruby.
    Ruby,
    /// anthropic-sdk-csharp. (Built for .NET Standard it does not retry 429.)
    CSharp,
}

impl Sdk {
    /// All of them.
    ///
    /// ```
    /// use sendwhen::Sdk;
    ///
    /// assert!(Sdk::ALL.into_iter().all(|sdk| sdk.retries(429, None)));
    /// ```
    pub const ALL: [Self; 7] = [
        Self::Python,
        Self::TypeScript,
        Self::TypeScript078,
        Self::Go,
        Self::Java,
        Self::Ruby,
        Self::CSharp,
    ];

    /// How often they try where nothing else is set, the first time included.
    ///
    /// ```
    /// use sendwhen::{Class, RetryPolicy, Sdk};
    ///
    /// let policy = RetryPolicy::new().sdk(Sdk::Go);
    /// assert_eq!(policy.delays(Class::Transient, 42).count(), Sdk::ATTEMPTS as usize - 1);
    /// ```
    pub const ATTEMPTS: u32 = 3;

    /// Whether it retries a response; one that did not come it always does.
    ///
    /// ```
    /// use sendwhen::Sdk;
    ///
    /// assert!(Sdk::Go.retries(429, None));
    /// assert!(!Sdk::Go.retries(429, Some(false)));
    /// assert!(!Sdk::Go.retries(400, None));
    /// ```
    pub const fn retries(self, status: u16, should_retry: Option<bool>) -> bool {
        match should_retry {
            Some(said) => said,
            None => matches!(status, 408 | 409 | 429 | 500..),
        }
    }

    /// The wait that it takes from the fields `retry-after-ms` and
    /// `retry-after`, or `None` where it goes by its own curve. `now` is its
    /// wall clock. A past date, a negative number and one that is none are no
    /// wait, where they are accepted at all.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Sdk, UnixTime};
    ///
    /// let now = UnixTime::from_secs(1_696_004_797);
    /// let asked = |sdk: Sdk, seconds: &[u8]| sdk.asked(None, Some(seconds), now);
    /// assert_eq!(asked(Sdk::Java, b"1.5"), Some(Duration::from_millis(1_500)));
    /// assert_eq!(asked(Sdk::Python, b"61"), None);
    /// // Milliseconds go before seconds.
    /// let millis = Sdk::Python.asked(Some(b"250"), Some(b"9"), now);
    /// assert_eq!(millis, Some(Duration::from_millis(250)));
    /// ```
    pub fn asked(
        self,
        retry_after_ms: Option<&[u8]>,
        retry_after: Option<&[u8]>,
        now: UnixTime,
    ) -> Option<Duration> {
        let millis = retry_after_ms.and_then(|text| self.number(text, 1_000_000));
        let seconds = || {
            let text = retry_after.map(<[u8]>::trim_ascii)?;
            self.number(text, 1_000_000_000)
                .or_else(|| self.date(text, now))
        };
        let found = match (self, millis) {
            // JavaScript's 0 and NaN are false.
            (Self::TypeScript | Self::TypeScript078, Some(Number::NaN | Number::Nanos(0))) => {
                seconds().or(millis)
            }
            _ => millis.or_else(seconds),
        };
        let found = match (self, found) {
            // What is neither number nor date is NaN there, and a timer of NaN
            // fires at once.
            (Self::TypeScript, None) => {
                let there = |field: Option<&[u8]>| field.is_some_and(|text| !text.is_empty());
                return there(retry_after).then_some(Duration::ZERO);
            }
            (_, found) => found?,
        };
        match found {
            Number::Nanos(nanos) => {
                let span = Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX));
                self.accepts(span)
            }
            Number::Infinite => self.accepts(Duration::from_nanos(u64::MAX)),
            Number::NaN => self.accepts(Duration::ZERO),
        }
    }

    /// `wait`, if it is in the range that it accepts from a server.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::Sdk;
    ///
    /// let minute = Duration::from_secs(60);
    /// assert_eq!(Sdk::Python.accepts(minute), Some(minute));
    /// assert_eq!(Sdk::CSharp.accepts(minute), None);
    /// ```
    pub const fn accepts(self, wait: Duration) -> Option<Duration> {
        const MINUTE: u64 = 60_000_000_000;
        let nanos = nanos(wait);
        let accepted = match self {
            Self::Python => 0 < nanos && nanos <= MINUTE,
            Self::TypeScript078 | Self::CSharp => 0 < nanos && nanos < MINUTE,
            Self::TypeScript | Self::Go | Self::Java | Self::Ruby => true,
        };
        if accepted { Some(wait) } else { None }
    }

    /// How long it waits after `retries` retries, counted from 0, where the
    /// server asked for `asked`: exactly that, or its own curve.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::Sdk;
    ///
    /// let asked = Duration::from_secs(7);
    /// assert_eq!(Sdk::Go.delay(0, Some(asked), 42), asked);
    /// let own = Sdk::Go.delay(1, None, 42);
    /// assert!((750..=1_000).contains(&own.as_millis()));
    /// ```
    pub const fn delay(self, retries: u32, asked: Option<Duration>, seed: u64) -> Duration {
        let mut rng = Rng::new(seed).skip(retries as u64);
        self.draw(retries, asked, &mut rng)
    }

    /// The least and the most of its own curve after `retries` retries.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::Sdk;
    ///
    /// let millis = |from, to| (Duration::from_millis(from), Duration::from_millis(to));
    /// assert_eq!(Sdk::Go.band(0), millis(375, 500));
    /// assert_eq!(Sdk::Go.band(9), millis(6_000, 8_000));
    /// assert_eq!(Sdk::Ruby.band(0), millis(0, 0));
    /// ```
    pub const fn band(self, retries: u32) -> (Duration, Duration) {
        self.curve(retries)
            .band(retries.saturating_add(1), Duration::ZERO)
    }

    pub(crate) const fn draw(
        self,
        retries: u32,
        asked: Option<Duration>,
        rng: &mut Rng,
    ) -> Duration {
        match asked {
            Some(wait) => wait,
            None => self
                .curve(retries)
                .draw(retries.saturating_add(1), Duration::ZERO, rng),
        }
    }

    /// Ruby's exponent is the wrong way round, `n^2` for `2^n`, and its jitter
    /// comes before its cap.
    const fn curve(self, retries: u32) -> Backoff<'static> {
        let jitter = Jitter::Below { per_mille: 250 };
        match self {
            Self::Ruby => Backoff::half_second_squares(retries).jitter(jitter),
            _ => Backoff::SDK.jitter(jitter),
        }
    }

    /// `text` as this language reads numbers, in units of `unit` nanoseconds.
    fn number(self, text: &[u8], unit: u64) -> Option<Number> {
        let text = text.trim_ascii();
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let (number, rest) = self
            .words(unsigned)
            .or_else(|| self.hexadecimal(unsigned, unit))
            .or_else(|| self.decimal(unsigned, unit))?;
        let whole = match (self, rest) {
            (_, []) | (Self::TypeScript | Self::TypeScript078, _) => true,
            (Self::Java, [b'f' | b'F' | b'd' | b'D']) => number != Number::NaN,
            _ => false,
        };
        whole.then_some(match number {
            Number::Nanos(nanos) if negative => Number::Nanos(nanos.saturating_neg()),
            // Below nothing is no wait, whatever the size.
            Number::Infinite if negative => Number::Nanos(-1),
            number => number,
        })
    }

    /// The names for what is no finite number.
    fn words(self, text: &[u8]) -> Option<(Number, &[u8])> {
        const LONG: &[u8] = b"infinity";
        let found = match self {
            Self::Python | Self::Go => {
                let is = |word: &[u8]| text.eq_ignore_ascii_case(word);
                if is(b"inf") || is(LONG) {
                    Number::Infinite
                } else if is(b"nan") {
                    Number::NaN
                } else {
                    return None;
                }
            }
            Self::TypeScript | Self::TypeScript078 if text.starts_with(b"Infinity") => {
                Number::Infinite
            }
            Self::Java | Self::CSharp if text == b"Infinity" => Number::Infinite,
            Self::Java | Self::CSharp if text == b"NaN" => Number::NaN,
            _ => return None,
        };
        Some((found, &[]))
    }

    /// Ruby alone reads `0x10`.
    fn hexadecimal(self, text: &[u8], unit: u64) -> Option<(Number, &[u8])> {
        let ([b'0', b'x' | b'X', digits @ ..], Self::Ruby) = (text, self) else {
            return None;
        };
        let text = core::str::from_utf8(digits).ok()?;
        let whole = u32::from_str_radix(text, 16)
            .ok()
            .filter(|_| !text.starts_with('+'))?;
        let nanos = i128::from(whole).saturating_mul(i128::from(unit));
        Some((Number::Nanos(nanos), &[]))
    }

    /// `1*DIGIT ["." *DIGIT] ["e" [sign] 1*DIGIT]` and its variants, and what
    /// follows. What is finer than a nanosecond is rounded up.
    fn decimal(self, text: &[u8], unit: u64) -> Option<(Number, &[u8])> {
        let mut digits = Digits::new(unit);
        let mut rest = self.run(text, &mut digits, false);
        let before = digits.count;
        if let [b'.', fraction @ ..] = rest {
            let tail = self.run(fraction, &mut digits, true);
            let after = digits.count.saturating_sub(before);
            let complete = match self {
                Self::Ruby => after > 0,
                _ => digits.count > 0,
            };
            if complete {
                rest = tail;
            }
        }
        if digits.count == 0 {
            return None;
        }
        if let [b'e' | b'E', power @ ..] = rest {
            let (negative, power) = match power {
                [b'-', power @ ..] => (true, power),
                [b'+', power @ ..] => (false, power),
                _ => (false, power),
            };
            let mut exponent = Digits::new(1);
            let tail = self.run(power, &mut exponent, false);
            if exponent.count > 0 {
                let size = i64::try_from(exponent.value()).unwrap_or(i64::MAX);
                let size = if negative {
                    size.saturating_neg()
                } else {
                    size
                };
                digits.power = digits.power.saturating_add(size);
                rest = tail;
            }
        }
        Some((Number::Nanos(digits.value()), rest))
    }

    /// Takes digits into `digits`, and what this language lets stand between
    /// them; gives what follows.
    fn run<'t>(self, text: &'t [u8], digits: &mut Digits, fraction: bool) -> &'t [u8] {
        let (mut rest, mut inside) = (text, false);
        loop {
            let next = match rest {
                [b'_', next @ ..] if inside && matches!(self, Self::Python | Self::Ruby) => next,
                [b',', next @ ..] if inside && !fraction && self == Self::CSharp => next,
                next => next,
            };
            let Some((digit, tail)) = next.split_first().filter(|(byte, _)| byte.is_ascii_digit())
            else {
                return rest;
            };
            digits.push(digit.wrapping_sub(b'0'), fraction);
            (rest, inside) = (tail, true);
        }
    }

    /// Milliseconds from `now` to the date that `text` is.
    fn date(self, text: &[u8], now: UnixTime) -> Option<Number> {
        let first_form_only = matches!(self, Self::Go | Self::Java | Self::CSharp);
        if first_form_only && text.get(3) != Some(&b',') {
            return None;
        }
        let millis = parse_http_date(text, Some(now))?.millis_since(now);
        Some(Number::Nanos(i128::from(millis).saturating_mul(1_000_000)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Number {
    Nanos(i128),
    Infinite,
    NaN,
}

/// Decimal digits with a power of ten.
struct Digits {
    /// As many as a `u128` surely holds; later ones count as zeros.
    mantissa: u128,
    /// Whether one that is not zero was left out.
    finer: bool,
    power: i64,
    count: u64,
    unit: u64,
}

impl Digits {
    const fn new(unit: u64) -> Self {
        Self {
            mantissa: 0,
            finer: false,
            power: 0,
            count: 0,
            unit,
        }
    }

    const fn push(&mut self, digit: u8, fraction: bool) {
        const ROOM: u128 = 10_u128.pow(24);
        self.count = self.count.saturating_add(1);
        let kept = self.mantissa < ROOM;
        if kept {
            self.mantissa = self
                .mantissa
                .saturating_mul(10)
                .saturating_add(digit as u128);
        } else {
            self.finer |= digit > 0;
        }
        match (kept, fraction) {
            (true, true) => self.power = self.power.saturating_sub(1),
            (false, false) => self.power = self.power.saturating_add(1),
            _ => {}
        }
    }

    /// In nanoseconds, rounded up; saturating.
    fn value(&self) -> i128 {
        // Below 10^25 * 10^9, which leaves room in a u128.
        let mut value = self.mantissa.saturating_mul(u128::from(self.unit));
        let (mut power, mut finer) = (self.power, self.finer);
        while power > 0 && value > 0 && value < u128::MAX {
            value = value.saturating_mul(10);
            power = power.saturating_sub(1);
        }
        while power < 0 && value > 0 {
            finer |= value.checked_rem(10) != Some(0);
            value = value.checked_div(10).unwrap_or_default();
            power = power.saturating_add(1);
        }
        let up = value.saturating_add(u128::from(finer));
        i128::try_from(up).unwrap_or(i128::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Sdk::{CSharp, Go, Java, Python, Ruby, TypeScript, TypeScript078};

    /// Fri, 29 Sep 2023 16:26:37 GMT, the clock of the Python SDK's own tests.
    const NOW: UnixTime = UnixTime::from_secs(1_696_004_797);

    /// What an SDK answers: a wait in milliseconds, or the ceiling of its own
    /// curve.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Answer {
        Exactly(u64),
        Curve(u64),
    }
    use Answer::{Curve, Exactly};

    fn check(
        sdk: Sdk,
        retries: u32,
        ms: Option<&str>,
        seconds: Option<&str>,
        now: UnixTime,
        want: Answer,
    ) {
        let asked = sdk.asked(ms.map(str::as_bytes), seconds.map(str::as_bytes), now);
        let told = std::format!("{sdk:?} {retries} {ms:?} {seconds:?}");
        for seed in 0..20 {
            let delay = sdk.delay(retries, asked, seed);
            match want {
                Exactly(millis) => assert_eq!(delay, Duration::from_millis(millis), "{told}"),
                Curve(millis) => {
                    assert_eq!(asked, None, "{told}");
                    let ceiling = Duration::from_millis(millis);
                    assert!(
                        delay <= ceiling && delay >= ceiling * 3 / 4,
                        "{told} {delay:?}"
                    );
                }
            }
        }
    }

    /// `test_parse_retry_after_header` of anthropic-sdk-python, in the order
    /// there, with three retries allowed.
    #[test]
    fn pythons_own_table() {
        let rows = [
            (3, "20", Exactly(20_000)),
            (3, "0", Curve(500)),
            (3, "-10", Curve(500)),
            (3, "60", Exactly(60_000)),
            (3, "61", Curve(500)),
            (3, "Fri, 29 Sep 2023 16:26:57 GMT", Exactly(20_000)),
            (3, "Fri, 29 Sep 2023 16:26:37 GMT", Curve(500)),
            (3, "Fri, 29 Sep 2023 16:26:27 GMT", Curve(500)),
            (3, "Fri, 29 Sep 2023 16:27:37 GMT", Exactly(60_000)),
            (3, "Fri, 29 Sep 2023 16:27:38 GMT", Curve(500)),
            (3, "99999999999999999999999999999999999", Curve(500)),
            (3, "Zun, 29 Sep 2023 16:26:27 GMT", Curve(500)),
            (3, "", Curve(500)),
            (2, "", Curve(1_000)),
            (1, "", Curve(2_000)),
            (-1_100, "", Curve(8_000)),
        ];
        for (remaining, field, want) in rows {
            let retries = u32::try_from(3_i32 - remaining).unwrap();
            check(Python, retries, None, Some(field), NOW, want);
        }
    }

    /// `RetryingHttpClientTest` of anthropic-sdk-java: its clock stands five
    /// seconds before the date.
    #[test]
    fn javas_own_cases() {
        let now = UnixTime::from_secs(1_445_412_475);
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        check(Java, 0, None, Some(date), now, Exactly(5_000));
        check(Java, 0, None, Some("1.234"), now, Exactly(1_234));
        check(Java, 0, Some("10"), None, now, Exactly(10));
        check(Java, 0, Some("50"), Some("2"), now, Exactly(50));
        check(Java, 0, None, Some("not-a-date-or-number"), now, Curve(500));
        check(Java, 5, None, None, now, Curve(8_000));
    }

    #[test]
    fn gos_own_cases() {
        check(Go, 0, None, Some("0.1"), NOW, Exactly(100));
        check(Go, 1, None, Some("0.1"), NOW, Exactly(100));
        check(Go, 0, Some("100"), None, NOW, Exactly(100));
    }

    #[test]
    fn rubys_own_cases() {
        check(Ruby, 0, None, Some("1.3"), NOW, Exactly(1_300));
        check(Ruby, 0, Some("1300"), None, NOW, Exactly(1_300));
        let in_ten = "Fri, 29 Sep 2023 16:26:47 GMT";
        check(Ruby, 0, None, Some(in_ten), NOW, Exactly(10_000));
    }

    #[test]
    fn typescripts_own_cases() {
        for sdk in [TypeScript, TypeScript078] {
            check(sdk, 0, None, Some("0.1"), NOW, Exactly(100));
            check(sdk, 0, Some("10"), None, NOW, Exactly(10));
        }
    }

    #[test]
    fn csharps_own_cases() {
        let past = "Wed, 21 Oct 2015 07:28:00 GMT";
        check(CSharp, 0, None, Some(past), NOW, Curve(500));
        check(CSharp, 0, None, Some("1.234"), NOW, Exactly(1_234));
        check(CSharp, 0, Some("10"), None, NOW, Exactly(10));
    }

    #[test]
    fn each_tries_three_times_and_retries_the_same() {
        assert_eq!(Sdk::ATTEMPTS, 3, "retry counts 0, 1, 2 are sent");
        for sdk in Sdk::ALL {
            for status in [408, 409, 429, 500, 503, 529, 599] {
                assert!(sdk.retries(status, None) && !sdk.retries(status, Some(false)));
            }
            for status in [400, 401, 402, 403, 404, 413, 422] {
                assert!(!sdk.retries(status, None) && sdk.retries(status, Some(true)));
            }
        }
    }

    /// The columns of the comparison above, and how each language reads what
    /// its own tests leave out.
    #[test]
    fn the_sdks_disagree() {
        /// `retry-after-ms`, `retry-after`, and the answers in the order of
        /// `Sdk::ALL`.
        type Row = (Option<&'static str>, &'static str, [Answer; 7]);
        const OWN: Answer = Curve(500);
        const RUBYS: Answer = Curve(0);
        const NONE: Answer = Exactly(0);
        const S5: Answer = Exactly(5_000);
        const LONG: Answer = Exactly(505_000);
        const THOUSAND: Answer = Exactly(1_000_000);
        const EVER: Answer = Exactly(u64::MAX / 1_000_000);
        #[rustfmt::skip]
        const ROWS: &[Row] = &[
            //                      Python  TypeScript                TS 0.78  Go        Java      Ruby            C#
            (None, "505",           [OWN,   LONG,                     OWN,     LONG,     LONG,     LONG,           OWN]),
            (None, "60",            [Exactly(60_000), Exactly(60_000), OWN, Exactly(60_000), Exactly(60_000), Exactly(60_000), OWN]),
            (None, "0",             [OWN,   NONE,                     OWN,     NONE,     NONE,     NONE,           OWN]),
            (None, "-3",            [OWN,   NONE,                     OWN,     NONE,     NONE,     NONE,           OWN]),
            (Some("0"), "1",        [OWN,   Exactly(1_000),  Exactly(1_000),   NONE,     NONE,     NONE,           OWN]),
            (Some("x"), "5",        [S5,    S5,                       S5,      S5,       S5,       S5,             S5]),
            (None, "soon",          [OWN,   NONE,                     OWN,     OWN,      OWN,      RUBYS,          OWN]),
            (None, " 5 ",           [S5,    S5,                       S5,      S5,       S5,       S5,             S5]),
            (None, "+5",            [S5,    S5,                       S5,      S5,       S5,       S5,             S5]),
            (None, "5s",            [OWN,   S5,                       S5,      OWN,      OWN,      RUBYS,          OWN]),
            (None, "5f",            [OWN,   S5,                       S5,      OWN,      S5,       RUBYS,          OWN]),
            (None, "5,5",           [OWN,   S5,                       S5,      OWN,      OWN,      RUBYS,          Exactly(55_000)]),
            (None, "5, 10",         [OWN,   S5,                       S5,      OWN,      OWN,      RUBYS,          OWN]),
            (None, "1e3",           [OWN,   THOUSAND,                 OWN,     THOUSAND, THOUSAND, THOUSAND,       OWN]),
            (None, "5e-1",          [Exactly(500); 7]),
            (None, "0x10",          [OWN,   NONE,                     OWN,     OWN,      OWN,      Exactly(16_000), OWN]),
            (None, "1_0",           [Exactly(10_000), Exactly(1_000), Exactly(1_000), OWN, OWN, Exactly(10_000),   OWN]),
            (None, "inf",           [OWN,   NONE,                     OWN,     EVER,     OWN,      RUBYS,          OWN]),
            (None, "nan",           [OWN,   NONE,                     OWN,     NONE,     OWN,      RUBYS,          OWN]),
            (None, "2025-06-02T15:15:48Z", [OWN, Exactly(2_025_000),  OWN,     OWN,      OWN,      RUBYS,          OWN]),
            (None, "Fri, 29 Sep 2023 16:26:57 GMT", [Exactly(20_000); 7]),
            (None, "Friday, 29-Sep-23 16:26:57 GMT", [Exactly(20_000), Exactly(20_000), Exactly(20_000), OWN, OWN, Exactly(20_000), OWN]),
            (None, "Fri Sep 29 16:26:57 2023", [Exactly(20_000), Exactly(20_000), Exactly(20_000), OWN, OWN, Exactly(20_000), OWN]),
            (None, "99999999999999999999999999999999999", [OWN, EVER, OWN,     EVER,     EVER,     EVER,           OWN]),
        ];
        for (ms, seconds, answers) in ROWS {
            for (sdk, want) in Sdk::ALL.into_iter().zip(*answers) {
                match want {
                    EVER => {
                        let ever = Some(Duration::from_nanos(u64::MAX));
                        assert_eq!(
                            sdk.asked(None, Some(seconds.as_bytes()), NOW),
                            ever,
                            "{sdk:?} {seconds}"
                        );
                    }
                    want => check(sdk, 0, *ms, Some(seconds), NOW, want),
                }
            }
        }
    }

    #[test]
    fn each_has_its_own_curve() {
        for sdk in Sdk::ALL {
            let ceilings: std::vec::Vec<u128> = (0..6).map(|n| sdk.band(n).1.as_millis()).collect();
            let want = if sdk == Ruby {
                [0, 500, 2_000, 4_500, 8_000, 8_000]
            } else {
                [500, 1_000, 2_000, 4_000, 8_000, 8_000]
            };
            assert_eq!(ceilings, want, "{sdk:?}");
            assert_eq!(sdk.band(u32::MAX).1, Duration::from_secs(8));
        }
        // Its jitter comes before its cap, so that the sixth has none.
        assert_eq!(Ruby.band(4).0, Duration::from_secs(6));
        assert_eq!(Ruby.band(5).0, Duration::from_secs(8));
    }

    proptest::proptest! {
        #![proptest_config(crate::retry::ten_thousand_cases())]

        #[test]
        fn any_fields_give_an_answer(
            ms in proptest::option::of("[-+0-9eE._,xfinaINy ]{0,12}"),
            seconds in proptest::option::of("[-+0-9eE._,xfinaINy ]{0,12}|.{0,40}"),
            now: i64, retries: u32, seed: u64,
        ) {
            for sdk in Sdk::ALL {
                let (ms, seconds) = (ms.as_deref().map(str::as_bytes), seconds.as_deref().map(str::as_bytes));
                let asked = sdk.asked(ms, seconds, UnixTime::from_millis(now));
                if let Some(wait) = asked {
                    proptest::prop_assert_eq!(sdk.accepts(wait), Some(wait));
                    proptest::prop_assert_eq!(sdk.delay(retries, asked, seed), wait);
                }
                let (least, most) = sdk.band(retries);
                let own = sdk.delay(retries, None, seed);
                proptest::prop_assert!(least <= own && own <= most);
            }
        }

        /// A plain decimal comes out as the caller's own language reads it.
        #[test]
        fn plain_decimals_are_exact(whole in 0..60_u64, millis in 0..1_000_u64) {
            let text = std::format!("{whole}.{millis:03}");
            let wait = Duration::from_millis(whole * 1_000 + millis);
            for sdk in Sdk::ALL {
                proptest::prop_assert_eq!(sdk.asked(None, Some(text.as_bytes()), NOW), sdk.accepts(wait));
            }
        }
    }
}
