//! Any bytes as `retry-after` and as `retry-after-ms`, beside a reader that has
//! one form after another.

use core::time::Duration;

use sendwhen::{Field, HeaderParser, UnixTime, WaitRule, parse_http_date, parse_rfc3339};

const NOW: UnixTime = UnixTime::from_secs(784_111_777);

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    if data.len() > 1024 {
        return;
    }
    let (wait, what) = parsed(b"retry-after", data);
    let alone = seconds(data, 1_000_000_000).or_else(|| span(data));
    if !data.contains(&b',') || alone.is_some() {
        assert_eq!(wait, alone, "{}", data.escape_ascii());
        assert_eq!(what == Field::Malformed, alone.is_none());
    } else if !ends_with_day(data) {
        // A list of which no member can be part of a date.
        let members = data.split(|&byte| byte == b',');
        let longest = members.map(|member| seconds(member, 1_000_000_000).or_else(|| span(member)));
        assert_eq!(wait, longest.max().flatten(), "{}", data.escape_ascii());
    }

    let (precise, _) = parsed(b"Retry-After-Ms", data);
    let members = data.split(|&byte| byte == b',');
    let longest = members.map(|member| seconds(member, 1_000_000)).max();
    assert_eq!(precise, longest.flatten(), "{}", data.escape_ascii());

    let both = |rule| {
        let mut parser = HeaderParser::new().wait_rule(rule).received(NOW);
        parser.field(b"retry-after", data);
        parser.field(b"retry-after-ms", b"1500");
        parser.finish().retry_after
    };
    let half = Duration::from_millis(1_500);
    assert_eq!(
        both(WaitRule::Longer),
        Some(wait.unwrap_or_default().max(half))
    );
    assert_eq!(both(WaitRule::Millis), Some(half));
    assert_eq!(both(WaitRule::Seconds), Some(wait.unwrap_or(half)));
}

fn parsed(name: &[u8], value: &[u8]) -> (Option<Duration>, Field) {
    let mut parser = HeaderParser::new().received(NOW);
    let what = parser.field(name, value);
    (parser.finish().retry_after, what)
}

/// A date, as a span from now on.
fn span(text: &[u8]) -> Option<Duration> {
    let text = trimmed(text);
    let at = parse_http_date(text, Some(NOW)).or_else(|| parse_rfc3339(text))?;
    let millis = at.millis_since(NOW).max(0);
    Some(Duration::from_millis(millis.unsigned_abs()))
}

/// A decimal number of units of `unit` nanoseconds, rounded up.
fn seconds(text: &[u8], unit: u128) -> Option<Duration> {
    let text = core::str::from_utf8(trimmed(text)).ok()?;
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !fraction.is_none_or(is_number) {
        return None;
    }
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX);
    let mut digits = fraction
        .unwrap_or_default()
        .bytes()
        .map(|b| u128::from(b - b'0'));
    let (mut nanos, mut place) = (0, unit);
    while place > 1 {
        place /= 10;
        nanos += digits.next().unwrap_or(0) * place;
    }
    nanos += u128::from(digits.any(|digit| digit > 0));
    let part = Duration::from_nanos(u64::try_from(nanos).expect("at most one unit"));
    let whole = if unit == 1_000_000_000 {
        Duration::from_secs(whole)
    } else {
        Duration::from_millis(whole)
    };
    Some(whole.saturating_add(part))
}

fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Whether there is a comma after what may be the name of a day.
fn ends_with_day(text: &[u8]) -> bool {
    const ENDS: [&[u8]; 8] = [
        b"day", b"sun", b"mon", b"tue", b"wed", b"thu", b"fri", b"sat",
    ];
    let text = text.to_ascii_lowercase();
    text.split(|&byte| byte == b',')
        .any(|member| ENDS.iter().any(|end| trimmed(member).ends_with(end)))
}
