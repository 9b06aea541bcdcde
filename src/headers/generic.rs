//! `x-ratelimit-*` by whomever: the spellings, and which meter a name means.
//!
//! | begins with | then | who |
//! |---|---|---|
//! | `x-ratelimit-` | `limit`, `remaining`, `reset`, alone or with a unit or a window after or before it | most |
//! | `x-rate-limit-` | the same | some |
//! | `x-tokenlimit-` | `limit`, `remaining`, `reset`, of tokens | Together |
//! | `x-sib-ratelimit-` | `limit`, `remaining`, `reset` | Brevo |
//! | `llm_provider-` | any name of this crate but `date` | LiteLLM, of what its upstream sent |
//! | `claude-ratelimit-` | as `anthropic-ratelimit-` | some proxies |
//! | `x-ratelimit-` | a subscription's window, as `5h-utilization` | some proxies |
//!
//! And after `x-ratelimit-`: `resource`, GitHub's name of the pool, and `key`,
//! Azure's; `reset-after`, seconds; `next`, a date; `retry-after`.

use super::{
    Name, claude,
    kept::{Key, Member},
    marks::Marks,
    mistral, openai,
};
use crate::{
    hints::{Family, Unit},
    units::Dimension,
};

/// What a name says of which `rest` follows `x-ratelimit-`, and what it tells
/// of its sender.
pub(super) fn name(rest: &[u8]) -> Option<(Option<Name>, Marks)> {
    let known = |key, member, marks| Some((Some(Name::Meter(key, member)), marks));
    match rest {
        b"resource" => return Some((Some(Name::Pool), Marks::GITHUB)),
        b"key" => return Some((Some(Name::Pool), Marks::AZURE.and(Marks::FOUNDRY))),
        b"abusepenalty-active" => return Some((None, Marks::AZURE)),
        b"used" => return Some((None, Marks::NONE)),
        b"retry-after" => return Some((Some(Name::RetryAfter), Marks::BARE)),
        b"reset-after" => return known(Key::REQUESTS, Member::ResetAfter, Marks::BARE),
        b"next" => return known(Key::REQUESTS, Member::Reset, Marks::BARE),
        _ => {}
    }
    if let Some((family, unit)) = openai::renewal(rest) {
        return known(Key::of(family, unit), Member::Window, Marks::AZURE);
    }
    if let Some(unit) = rest.strip_suffix(b"-query-cost") {
        return mistral::unit(unit).map(|_| (None, Marks::MISTRAL));
    }
    if rest.starts_with(b"5h-") || rest.starts_with(b"7d") || rest.starts_with(b"unified-") {
        let rest = rest.strip_prefix(b"unified-").unwrap_or(rest);
        return claude::unified(rest).map(|name| (Some(name), Marks::BARE));
    }
    let (member, tail) = split(rest)?;
    let Some(tail) = tail else {
        return known(Key::REQUESTS, member, Marks::BARE);
    };
    if let Some((family, unit)) = openai::unit(tail) {
        let is_openais = family == Family::Project || unit == Unit::Images;
        let told = if is_openais {
            Marks::OPENAI
        } else {
            Marks::NONE
        };
        return known(Key::of(family, unit), member, Marks::UNITS.and(told));
    }
    let (family, unit, seconds, has_unit) = mistral::windowed(tail)?;
    let marks = if has_unit {
        Marks::WINDOWS
    } else {
        Marks::BARE
    };
    known(Key::of(family, unit).window(seconds), member, marks)
}

/// Of tokens, and of nothing else.
pub(super) fn tokens(rest: &[u8]) -> Option<(Option<Name>, Marks)> {
    let (member, None) = split(rest)? else {
        return None;
    };
    let key = Key::of(Family::Standard, Unit::Of(Dimension::TotalTokens));
    Some((
        Some(Name::Meter(key, member)),
        Marks::BARE.and(Marks::TOGETHER),
    ))
}

/// The member, and what stands after or before it.
pub(super) fn split(rest: &[u8]) -> Option<(Member, Option<&[u8]>)> {
    const MEMBERS: [(&[u8], Member); 3] = [
        (b"limit", Member::Limit),
        (b"remaining", Member::Remaining),
        (b"reset", Member::Reset),
    ];
    for (word, member) in MEMBERS {
        match rest.strip_prefix(word) {
            Some([]) => return Some((member, None)),
            Some([b'-', tail @ ..]) => return Some((member, Some(tail))),
            _ => {}
        }
        if let Some([tail @ .., b'-']) = rest.strip_suffix(word) {
            return Some((member, Some(tail)));
        }
    }
    None
}
