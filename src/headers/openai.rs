//! OpenAI's names, and those of the many that took them: Azure, Groq, xAI.
//!
//! They are `x-ratelimit-{limit,remaining,reset}-` and one of the units below.
//! Who sent them shows in what else there is: see `marks.rs`.
//!
//! | who | requests are counted by | a reset is |
//! |---|---|---|
//! | OpenAI | the minute or the day, under the same name | `6m0s`, a Go duration |
//! | Groq | the day | the same |
//! | Azure | `x-ratelimit-renewalperiod-*` seconds | a bare number, in milliseconds or seconds |
//! | xAI | nothing that it says | not sent |
//!
//! All mean by a reset when the limit is whole again. So what was used, and when
//! that is there again, tell the window; by that Groq is told from OpenAI where
//! nothing else tells them apart.

use crate::{
    hints::{Family, Unit},
    units::Dimension,
};

/// What follows `x-ratelimit-limit-`.
const UNITS: [(&[u8], Family, Unit); 10] = [
    (b"requests", Family::Standard, Unit::Of(Dimension::Requests)),
    (
        b"tokens",
        Family::Standard,
        Unit::Of(Dimension::TotalTokens),
    ),
    (
        b"input-tokens",
        Family::Standard,
        Unit::Of(Dimension::InputTokens),
    ),
    (
        b"output-tokens",
        Family::Standard,
        Unit::Of(Dimension::OutputTokens),
    ),
    (b"input-images", Family::Standard, Unit::Images),
    (
        b"project-requests",
        Family::Project,
        Unit::Of(Dimension::Requests),
    ),
    (
        b"project-tokens",
        Family::Project,
        Unit::Of(Dimension::TotalTokens),
    ),
    (
        b"tokens-prompt",
        Family::Standard,
        Unit::Of(Dimension::InputTokens),
    ),
    (
        b"tokens-generated",
        Family::Standard,
        Unit::Of(Dimension::OutputTokens),
    ),
    (b"concurrent-requests", Family::Standard, Unit::Concurrent),
];

/// The pool and the unit that `text` names.
pub(super) fn unit(text: &[u8]) -> Option<(Family, Unit)> {
    UNITS
        .iter()
        .find_map(|&(name, family, unit)| (name == text).then_some((family, unit)))
}

/// What only Azure sends, of what follows `x-ratelimit-`: the seconds of a
/// window, and what is of no use here.
pub(super) fn renewal(text: &[u8]) -> Option<(Family, Unit)> {
    unit(text.strip_prefix(b"renewalperiod-")?)
}
