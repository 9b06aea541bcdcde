//! From the name of a field to what it says.

use super::{
    Name, claude, generic,
    ietf::IetfName,
    kept::{Key, Member},
    marks::Marks,
};
use crate::hints::Family;

/// No name that matters is longer.
pub(super) const MAX_NAME: usize = 96;

/// What a field says, if that much is known by its name, and what it tells of
/// its sender. `None` where it means nothing here.
pub(super) type Known = (Option<Name>, Marks);

/// In any case of letters. That in which most libraries hand names out goes
/// first.
pub(super) fn known(name: &[u8]) -> Option<Known> {
    if name.len() > MAX_NAME {
        return None;
    }
    match lower(name) {
        known @ Some((Some(_), _)) => known,
        // What was known of it may be no more than how it begins.
        begun if name.iter().any(u8::is_ascii_uppercase) => capitals(name).or(begun),
        begun => begun,
    }
}

/// Whether any name that is known begins so. Most fields of a response go out
/// here.
#[inline]
pub(super) fn may_mean(name: &[u8]) -> bool {
    let Some((first, _)) = name.split_first_chunk::<4>() else {
        return false;
    };
    matches!(
        small(*first),
        ANTH | APIM
            | AZUR
            | CERE
            | CF_R
            | CLAU
            | DATE
            | LLM_
            | MIST
            | OPEN
            | RATE
            | RETR
            | X_GI
            | X_GR
            | X_LI
            | X_MS
            | X_OP
            | X_RA
            | X_RE
            | X_SH
            | X_SI
            | X_TO
    )
}

/// Four letters, made small, as one number. No other byte becomes a letter that
/// is not looked at again.
const fn small(letters: [u8; 4]) -> u32 {
    u32::from_be_bytes(letters) | 0x2020_2020
}

const ANTH: u32 = small(*b"anth");
const APIM: u32 = small(*b"apim");
const AZUR: u32 = small(*b"azur");
const CERE: u32 = small(*b"cere");
const CF_R: u32 = small(*b"cf-r");
const CLAU: u32 = small(*b"clau");
const DATE: u32 = small(*b"date");
const LLM_: u32 = small(*b"llm_");
const MIST: u32 = small(*b"mist");
const OPEN: u32 = small(*b"open");
const RATE: u32 = small(*b"rate");
const RETR: u32 = small(*b"retr");
const X_GI: u32 = small(*b"x-gi");
const X_GR: u32 = small(*b"x-gr");
const X_LI: u32 = small(*b"x-li");
const X_MS: u32 = small(*b"x-ms");
const X_OP: u32 = small(*b"x-op");
const X_RA: u32 = small(*b"x-ra");
const X_RE: u32 = small(*b"x-re");
const X_SH: u32 = small(*b"x-sh");
const X_SI: u32 = small(*b"x-si");
const X_TO: u32 = small(*b"x-to");

fn capitals(name: &[u8]) -> Option<Known> {
    let mut text = [0; MAX_NAME];
    let text = text.get_mut(..name.len())?;
    for (small, byte) in text.iter_mut().zip(name) {
        *small = byte.to_ascii_lowercase();
    }
    lower(text)
}

/// In small letters. The first letter tells most names apart.
fn lower(name: &[u8]) -> Option<Known> {
    let said = |name| Some((Some(name), Marks::NONE));
    let told = |marks| Some((None, marks));
    match name {
        [b'a', ..] => {
            if name.starts_with(b"anthropic-") {
                return Some((claude::name(name), Marks::CLAUDE));
            }
            if name.starts_with(b"azureai-") {
                return told(Marks::AZURE.and(Marks::FOUNDRY));
            }
            let is_azures = name == b"apim-request-id" || name.starts_with(b"azureml-");
            is_azures.then_some((None, Marks::AZURE))
        }
        [b'r', ..] => match name {
            b"retry-after" => said(Name::RetryAfter),
            b"retry-after-ms" => said(Name::RetryAfterMs),
            _ => ietf(name.strip_prefix(b"ratelimit")?),
        },
        [b'x', b'-', rest @ ..] => extension(rest),
        b"date" => said(Name::Date),
        b"cf-ray" => told(Marks::CLOUDFLARE),
        [b'c', ..] => {
            if let Some(rest) = name.strip_prefix(b"claude-ratelimit-") {
                let name = rest.strip_prefix(b"unified-").map_or_else(
                    || {
                        let meter = claude::meter(Family::Standard, rest);
                        meter.map(|(key, member)| Name::Meter(key, member))
                    },
                    claude::unified,
                );
                return Some((name, Marks::CLAUDE));
            }
            name.starts_with(b"cerebras-")
                .then_some((None, Marks::CEREBRAS))
        }
        [b'l', ..] => {
            // What a proxy's upstream said, but for when it said it.
            let rest = name.strip_prefix(b"llm_provider-")?;
            lower(rest).filter(|known| known.0 != Some(Name::Date))
        }
        [b'm', ..] => name
            .starts_with(b"mistral-")
            .then_some((None, Marks::MISTRAL)),
        [b'o', ..] => name
            .starts_with(b"openai-")
            .then_some((None, Marks::OPENAI)),
        _ => None,
    }
}

/// What follows `ratelimit`.
fn ietf(rest: &[u8]) -> Option<Known> {
    let said = |name, marks| Some((Some(name), marks));
    let number = |member| said(Name::Meter(Key::REQUESTS, member), Marks::IETF);
    match rest {
        b"" => said(Name::Ietf(IetfName::RateLimit), Marks::IETF_LATE),
        b"-policy" => said(Name::Ietf(IetfName::Policy), Marks::IETF_LATE),
        b"-limit" => said(
            Name::Ietf(IetfName::Limit),
            Marks::IETF.and(Marks::IETF_LIMIT),
        ),
        b"-remaining" => number(Member::Remaining),
        b"-reset" => number(Member::Reset),
        // What gateways add to it.
        [b'-', rest @ ..] => generic::name(rest),
        _ => None,
    }
}

/// What follows `x-`.
fn extension(rest: &[u8]) -> Option<Known> {
    const TOLD: [(&[u8], Marks); 7] = [
        (b"groq-", Marks::GROQ),
        (b"github-", Marks::GITHUB),
        (b"together-", Marks::TOGETHER),
        (b"replicate-", Marks::REPLICATE),
        (b"openrouter-", Marks::OPENROUTER),
        (b"litellm-", Marks::LITELLM),
        (b"ms-", Marks::AZURE),
    ];
    if let Some(rest) = rest.strip_prefix(b"ratelimit-") {
        return shaped(generic::name(rest)?, rest);
    }
    match rest {
        b"should-retry" => return Some((Some(Name::ShouldRetry), Marks::NONE)),
        b"ms-retry-after-ms" => return Some((Some(Name::RetryAfterMs), Marks::AZURE)),
        _ => {}
    }
    if let Some(rest) = rest.strip_prefix(b"rate-limit-") {
        return generic::name(rest);
    }
    if let Some(rest) = rest.strip_prefix(b"tokenlimit-") {
        return generic::tokens(rest);
    }
    if let Some(rest) = rest.strip_prefix(b"sib-ratelimit-") {
        return generic::name(rest);
    }
    TOLD.iter()
        .find_map(|(begins, marks)| rest.starts_with(begins).then_some((None, *marks)))
}

/// A limit without a unit may have the first drafts' list of policies in it.
fn shaped(known: Known, rest: &[u8]) -> Option<Known> {
    match rest {
        b"limit" => Some((Some(Name::Ietf(IetfName::Limit)), known.1)),
        _ => Some(known),
    }
}
