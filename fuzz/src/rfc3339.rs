//! Any bytes as a date of RFC 3339, beside the `time` crate.
//!
//! Both read the same, but that `time` takes any byte between date and time,
//! and a second of 60 only at the end of a month.

use sendwhen::{Rfc3339, UnixTime, parse_rfc3339};
use time::{OffsetDateTime, format_description::well_known};

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let ours = parse_rfc3339(data);
    let theirs = core::str::from_utf8(data)
        .ok()
        .and_then(|text| OffsetDateTime::parse(text, &well_known::Rfc3339).ok())
        .map(|time| time.unix_timestamp_nanos().div_euclid(1_000_000))
        .and_then(|millis| i64::try_from(millis).ok())
        .map(UnixTime::from_millis);
    let is_leap = data.get(17) == Some(&b'6');
    let is_separated = data.get(10).is_some_and(|byte| b"Tt ".contains(byte));
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if is_leap => {
            // The end of second 59, to a millisecond.
            assert!(
                ours.millis_since(theirs).abs() < 1_000,
                "{}",
                data.escape_ascii()
            );
        }
        (Some(_), None) => assert!(is_leap, "{}", data.escape_ascii()),
        (None, Some(_)) => assert!(!is_separated || is_leap, "{}", data.escape_ascii()),
        (ours, theirs) => assert_eq!(ours, theirs, "{}", data.escape_ascii()),
    }
    // An offset may lead out of the years that four digits can say.
    if let Some((time, printed)) = ours.and_then(|time| Some((time, Rfc3339::new(time)?))) {
        assert_eq!(parse_rfc3339(printed.to_string().as_bytes()), Some(time));
    }
}
