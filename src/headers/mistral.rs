//! Names that have the window in them: Mistral's and Cerebras'.
//!
//! `x-ratelimit-{limit,remaining}-tokens-minute`, `-tokens-month`,
//! `-req-10-second`, `-ocr-pages-minute`, `-audio-seconds-minute`,
//! `-input-characters-minute`. Mistral sends no resets; its
//! `x-ratelimit-<unit>-query-cost` says what a request took, and is not kept.
//! Cerebras has `requests` for `req`, and resets in seconds with a fraction.
//! Where the name has a window and no unit, as gateways write it
//! (`x-ratelimit-limit-hour`), requests are counted.

use super::openai;
use crate::{
    hints::{Family, Unit},
    units::Dimension,
};

const UNITS: [(&[u8], Unit); 4] = [
    (b"req", Unit::Of(Dimension::Requests)),
    (b"ocr-pages", Unit::Pages),
    (b"audio-seconds", Unit::AudioSeconds),
    (b"input-characters", Unit::Characters),
];

const WINDOWS: [(&[u8], u32); 6] = [
    (b"second", 1),
    (b"minute", 60),
    (b"hour", 3_600),
    (b"day", 86_400),
    (b"week", 604_800),
    // Of thirty days.
    (b"month", 2_592_000),
];

/// The pool, the unit and the seconds that `text` names, and whether it names
/// the unit.
pub(super) fn windowed(text: &[u8]) -> Option<(Family, Unit, u32, bool)> {
    let (rest, word) = last_word(text);
    let &(_, seconds) = WINDOWS.iter().find(|(name, _)| *name == word)?;
    let (rest, seconds) = match rest.map(last_word) {
        Some((before, digits @ [b'1'..=b'9', ..])) => {
            let count = super::number::unsigned(digits)?;
            (before, seconds.checked_mul(u32::try_from(count).ok()?)?)
        }
        _ => (rest, seconds),
    };
    let Some(rest) = rest else {
        return Some((
            Family::Standard,
            Unit::Of(Dimension::Requests),
            seconds,
            false,
        ));
    };
    let (family, unit) = unit(rest)?;
    Some((family, unit, seconds, true))
}

/// The pool and the unit that `text` names.
pub(super) fn unit(text: &[u8]) -> Option<(Family, Unit)> {
    openai::unit(text).or_else(|| {
        let found = UNITS.iter().find(|(name, _)| *name == text);
        found.map(|&(_, unit)| (Family::Standard, unit))
    })
}

/// What stands before the last hyphen, where there is one, and what after it.
fn last_word(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let hyphen = text.iter().rposition(|&byte| byte == b'-');
    match hyphen.and_then(|place| text.split_at_checked(place)) {
        Some((before, after)) => (Some(before), after.get(1..).unwrap_or_default()),
        None => (None, text),
    }
}
