//! The model behind the server: how many tokens a text has, how long an answer
//! becomes and takes, what it says, and what the prompt cache holds.
//!
//! Everything follows from the seed and the prompt, so that two runs ask for
//! the same work.

use std::{collections::HashMap, time::Duration};

use super::meters::Production;

/// How long the cache keeps what nobody reads.
const CACHE_LIFE: Duration = Duration::from_secs(300);

/// Scatters the bits of `seed`: splitmix64.
pub(crate) const fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `bound` (or 0) that follows from `seed` and `salt`.
pub(crate) fn below(seed: u64, salt: u64, bound: u64) -> u64 {
    mix(seed ^ mix(salt)).checked_rem(bound).unwrap_or(0)
}

/// The same number for the same text, on every platform: FNV-1a.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// About as many tokens as a real tokeniser finds: one for each six letters of
/// a word begun, one for each sign, one for each letter beyond ASCII.
pub(crate) fn tokens(text: &str) -> u64 {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let letters = words.map(|word| word.len().div_ceil(6));
    let signs = text
        .chars()
        .filter(|c| !c.is_ascii_alphanumeric() && !c.is_ascii_whitespace());
    let sum = letters.sum::<usize>().saturating_add(signs.count());
    u64::try_from(sum).unwrap_or(u64::MAX)
}

/// How an answer to `prompt` comes to be: 150 ms of silence, then a token every
/// 2 to 4 ms, both scaled to `percent`. It is a fifth to all of `max_tokens`
/// long, most often about half.
pub(crate) fn production(seed: u64, prompt: u64, max_tokens: u64, percent: u32) -> Production {
    let draw = |salt, bound| below(seed ^ prompt, salt, bound);
    let share = draw(1, 450)
        .saturating_add(draw(2, 450))
        .saturating_add(150);
    let tokens = max_tokens.saturating_mul(share) / 1_000;
    let scaled = |micros: u64| Duration::from_micros(micros.saturating_mul(percent.into()) / 100);
    Production {
        silence: scaled(draw(3, 100_000).saturating_add(100_000)),
        step: scaled(draw(4, 2_000).saturating_add(2_000)),
        tokens: tokens.clamp(1, max_tokens.max(1)),
    }
}

/// An answer about `tokens` tokens long. It says what it is, and goes on in the
/// prompt's own words.
pub(crate) fn text(seed: u64, prompt: &str, tokens: u64) -> String {
    let words: Vec<&str> = prompt.split_whitespace().collect();
    let mut out = String::from("[The embedded server answers here, not a model.]");
    let count = tokens.saturating_mul(2) / 3;
    for place in 9..count {
        let bound = u64::try_from(words.len()).unwrap_or(0);
        let pick = usize::try_from(below(seed, place, bound)).unwrap_or(0);
        out.push(' ');
        out.push_str(words.get(pick).copied().unwrap_or("and"));
    }
    out
}

/// The prompt cache: which system prompts can be read at an instant.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: HashMap<u64, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// A prompt can be read once the answer that wrote it has begun.
    readable: Duration,
    last_used: Duration,
}

impl Cache {
    /// Whether `key` can be read at `now`.
    pub(crate) fn holds(&self, now: Duration, key: u64) -> bool {
        self.entries.get(&key).is_some_and(|entry| {
            entry.readable <= now && now.saturating_sub(entry.last_used) < CACHE_LIFE
        })
    }

    /// A request that names `key` was let pass at `now`, and its answer begins
    /// at `begins`.
    pub(crate) fn used(&mut self, now: Duration, key: u64, begins: Duration) {
        let held = self.holds(now, key);
        let entry = self.entries.entry(key).or_insert(Entry {
            readable: begins,
            last_used: now,
        });
        entry.last_used = now;
        entry.readable = if held {
            entry.readable
        } else if entry.readable > now {
            entry.readable.min(begins)
        } else {
            begins
        };
    }
}
