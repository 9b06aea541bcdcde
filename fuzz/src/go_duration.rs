//! Any bytes as a Go duration, beside a reader that takes its time.

use sendwhen::{GoDuration, parse_go_duration};

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let ours = parse_go_duration(data);
    assert_eq!(ours, naive(data), "{}", data.escape_ascii());
    if let Some(nanos) = ours {
        let printed = GoDuration(nanos).to_string();
        assert_eq!(
            parse_go_duration(printed.as_bytes()),
            Some(nanos),
            "{printed}"
        );
    }
}

/// In decimal digits, one by one, with a place for each that there may be.
fn naive(data: &[u8]) -> Option<i64> {
    let text = core::str::from_utf8(data).ok()?;
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if text == "0" {
        return Some(0);
    }
    if text.is_empty() {
        return None;
    }
    let mut nanos = 0_i128;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let end = after
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        rest = after;
        nanos = nanos.checked_add(term(number, unit)?)?;
    }
    i64::try_from(sign * nanos).ok()
}

/// Rounded up. Beyond what 64 bits can hold, `None`.
fn term(number: &str, unit: &str) -> Option<i128> {
    let unit: u128 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > 19 {
        return None;
    }
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // The fraction times the unit, as a number written in decimal: digits from
    // the last to the first, with what is carried.
    let mut digits: Vec<u128> = fraction
        .bytes()
        .map(|byte| u128::from(byte - b'0'))
        .collect();
    let mut carry = 0;
    for digit in digits.iter_mut().rev() {
        let product = *digit * unit + carry;
        *digit = product % 10;
        carry = product / 10;
    }
    let rounded_up = u128::from(digits.iter().any(|&digit| digit > 0));
    let nanos = whole * unit + carry + rounded_up;
    // No sum of terms gets smaller again.
    i128::try_from(nanos).ok().filter(|&nanos| nanos <= 1 << 64)
}
