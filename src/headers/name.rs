//! From the name of a field to what it says.

use super::{
    Name, claude, generic,
    ietf::IetfName,
    kept::{Key, Member},
    marks::Marks,
};

/// No name that matters is longer.
pub(super) const MAX_NAME: usize = 96;

/// What a field says, if that much is known by its name, and what it tells of
/// its sender. `None` where it means nothing here.
pub(super) type Known = (Option<Name>, Marks);

/// In any case of letters. That in which most libraries hand names out goes
/// first.
#[inline]
pub(super) fn known(name: &[u8]) -> Option<Known> {
    if name.len() > MAX_NAME || !may_mean(name) {
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
fn may_mean(name: &[u8]) -> bool {
    let [first, second, ..] = name else {
        return false;
    };
    // Letters become small ones; no other byte becomes a letter that is not
    // looked at again.
    matches!(
        (first | 0x20, second | 0x20),
        (b'a', b'n' | b'p' | b'z')
            | (b'c', b'e' | b'f' | b'l')
            | (b'd', b'a')
            | (b'l', b'l')
            | (b'm', b'i')
            | (b'o', b'p')
            | (b'r', b'a' | b'e')
            | (b'x', b'-')
    )
}

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
            if let Some(rest) = name.strip_prefix(b"anthropic-") {
                return Some((claude::name(rest), Marks::CLAUDE));
            }
            if name.starts_with(b"azureai-") {
                return told(Marks::AZURE.and(Marks::FOUNDRY));
            }
            (name == b"apim-request-id").then_some((None, Marks::AZURE))
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
                let rest = rest.strip_prefix(b"unified-").map_or_else(
                    || claude::meter(crate::hints::Family::Standard, rest),
                    claude::unified,
                );
                return Some((rest, Marks::CLAUDE));
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
    const TOLD: [(&[u8], Marks); 6] = [
        (b"groq-", Marks::GROQ),
        (b"github-", Marks::GITHUB),
        (b"together-", Marks::TOGETHER),
        (b"replicate-", Marks::REPLICATE),
        (b"openrouter-", Marks::OPENROUTER),
        (b"ms-region", Marks::AZURE),
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
