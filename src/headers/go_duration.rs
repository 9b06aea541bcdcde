//! Spans as Go prints and reads them (`time.Duration`), read and printed.
//!
//! OpenAI and many that took its names write resets so: `1s`, `6m0s`, `39ms`,
//! `17.399999999s`. What Go's own `ParseDuration` reads is read here, and
//! nothing else, with one difference: what is finer than a nanosecond is
//! rounded away from zero, so that nobody comes early; Go cuts it.

use core::fmt;

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The letters of each unit, none of which begins with another that stands
/// after it.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", MICRO),
    ("\u{b5}s", MICRO),
    ("\u{3bc}s", MICRO),
    ("ms", MILLI),
    ("s", SECOND),
    ("m", MINUTE),
    ("h", HOUR),
];

/// Reads a span in the form of Go's `time.ParseDuration`, as nanoseconds.
///
/// That is an optional sign, then numbers with a unit each, `ns`, `us`, `ms`,
/// `s`, `m` or `h`, in any order and as often as one likes, or a single `0`. A
/// number has digits before or after its point, or both. `None` for all else,
/// and beyond the 292 years that 64 bits hold.
///
/// ```
/// use sendwhen::parse_go_duration;
///
/// assert_eq!(parse_go_duration(b"6m0s"), Some(360_000_000_000));
/// assert_eq!(parse_go_duration(b"39ms"), Some(39_000_000));
/// assert_eq!(parse_go_duration(b"17.399999999s"), Some(17_399_999_999));
/// assert_eq!(parse_go_duration(b"60"), None);
/// ```
pub fn parse_go_duration(text: &[u8]) -> Option<i64> {
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if text == b"0" {
        return Some(0);
    }
    let mut rest = Some(text).filter(|text| !text.is_empty())?;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let (nanos, after) = term(rest)?;
        sum = sum.checked_add(nanos)?;
        rest = after;
    }
    if is_negative {
        0_i64.checked_sub_unsigned(sum)
    } else {
        i64::try_from(sum).ok()
    }
}

/// The number with its unit at the start of `text`, and what follows it.
fn term(text: &[u8]) -> Option<(u64, &[u8])> {
    let (whole, rest) = digits(text)?;
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => digits(rest)?,
        _ => (&[][..], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, rest) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((*unit, rest.strip_prefix(name.as_bytes())?)))?;
    // `m` and `s` may begin another unit's name, but no number does.
    if rest
        .first()
        .is_some_and(|byte| !matches!(byte, b'0'..=b'9' | b'.'))
    {
        return None;
    }
    let mut nanos = 0_u64;
    for byte in whole {
        nanos = nanos.checked_mul(10)?.checked_add(value(*byte))?;
    }
    nanos
        .checked_mul(unit)?
        .checked_add(part(fraction, unit)?)
        .map(|nanos| (nanos, rest))
}

/// The digits after a point, in units of which `unit` make a whole; rounded up.
///
/// From the last digit to the first, each step divided by ten: cutting at each
/// gives the same as cutting once at the end, and what was cut is remembered.
fn part(digits: &[u8], unit: u64) -> Option<u64> {
    let (mut sum, mut is_cut) = (0_u64, false);
    for byte in digits.iter().rev() {
        let tenfold = value(*byte).checked_mul(unit)?.checked_add(sum)?;
        is_cut |= tenfold % 10 > 0;
        sum = tenfold / 10;
    }
    sum.checked_add(u64::from(is_cut))
}

/// The digits at the start of `text`, of which there may be none.
fn digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at_checked(count)
}

const fn value(digit: u8) -> u64 {
    digit.wrapping_sub(b'0') as u64
}

/// Prints nanoseconds as Go does, so that [`parse_go_duration`] reads the same.
///
/// ```
/// use sendwhen::GoDuration;
///
/// assert_eq!(GoDuration(360_000_000_000).to_string(), "6m0s");
/// assert_eq!(GoDuration(1_252_666_000_000).to_string(), "20m52.666s");
/// assert_eq!(GoDuration(39_000_000).to_string(), "39ms");
/// assert_eq!(GoDuration(0).to_string(), "0s");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a span is nothing but its length"
)]
pub struct GoDuration(pub i64);

impl fmt::Display for GoDuration {
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "division and remainder by constants"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let unit = match nanos {
            0 => return f.write_str("0s"),
            1..MICRO => return write!(f, "{nanos}ns"),
            MICRO..MILLI => (MICRO, "\u{b5}s"),
            MILLI..SECOND => (MILLI, "ms"),
            _ => (SECOND, "s"),
        };
        if nanos >= HOUR {
            write!(f, "{}h", nanos / HOUR)?;
        }
        if nanos >= MINUTE {
            write!(f, "{}m", nanos % HOUR / MINUTE)?;
        }
        let (unit, name) = unit;
        write!(f, "{}", nanos % MINUTE / unit)?;
        let (mut rest, mut place) = (nanos % unit, unit / 10);
        if rest > 0 {
            f.write_str(".")?;
        }
        while rest > 0 {
            write!(f, "{}", rest / place)?;
            (rest, place) = (rest % place, place / 10);
        }
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_send_is_read() {
        for (text, nanos) in [
            ("0s", 0),
            ("0", 0),
            ("-0", 0),
            ("1ms", 1_000_000),
            ("120ms", 120_000_000),
            ("20m52.666s", 1_252_666_000_000),
            ("17.399999999s", 17_399_999_999),
            ("2m52.8s", 172_800_000_000),
            ("6m0s", 360_000_000_000),
            ("1h2m3s", 3_723_000_000_000),
            ("24h0m0s", 86_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1.s", 1_000_000_000),
            (".5s", 500_000_000),
            ("+5s", 5_000_000_000),
            ("-1m30s", -90_000_000_000),
            ("3s2h", 7_203_000_000_000),
            ("1us", 1_000),
            ("1\u{b5}s", 1_000),
            ("1\u{3bc}s", 1_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("0.9223372036854775807h", 3_320_413_933_268),
            ("0.1000000000000000000000h", 360_000_000_000),
        ] {
            assert_eq!(parse_go_duration(text.as_bytes()), Some(nanos), "{text}");
        }
    }

    #[test]
    fn what_is_finer_than_a_nanosecond_is_rounded_away_from_zero() {
        assert_eq!(parse_go_duration(b"0.1ns"), Some(1));
        assert_eq!(parse_go_duration(b"-0.1ns"), Some(-1));
        assert_eq!(
            parse_go_duration(b"1.0000000000000000000001s"),
            Some(1_000_000_001)
        );
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "",
            "-",
            "+",
            "--1s",
            "1",
            "s",
            ".s",
            ".",
            "1 s",
            " 1s",
            "1s ",
            "1d",
            "1S",
            "1m s",
            "1mss",
            "1.1.1s",
            "1e3s",
            "0x1s",
            "1,5s",
            "3000000h",
            "9223372036854775808ns",
            "99999999999999999999s",
            "1\u{b5}",
            "\u{661}s",
        ] {
            assert_eq!(parse_go_duration(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn go_prints_so() {
        for (nanos, text) in [
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (480_000_000_001, "8m0.000000001s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(std::format!("{}", GoDuration(nanos)), text);
        }
    }
}
