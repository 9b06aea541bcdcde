//! Whose fields a response bears.

use core::fmt;

/// Whose header names a response bears.
///
/// ```
/// use sendwhen::{Dialect, ServerHints};
///
/// let hints = ServerHints::parse([("x-ratelimit-limit-tokens-minute", "2000000")], None);
/// assert_eq!(hints.dialect, Dialect::Mistral);
/// assert_eq!(hints.dialect.as_str(), "mistral");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Dialect {
    /// None that is known.
    #[default]
    Unknown,
    /// The Claude API's `anthropic-ratelimit-*` and its relatives.
    Claude,
    /// OpenAI's `x-ratelimit-limit-requests` and the like, with resets as Go
    /// prints durations, and the many that take the same names.
    OpenAi,
    /// Azure's: OpenAI's names, with resets as bare numbers.
    Azure,
    /// Groq's: OpenAI's names, with requests counted by the day.
    Groq,
    /// Cerebras': unit and window in the name, resets in seconds.
    Cerebras,
    /// Mistral's: unit and window in the name, and no resets.
    Mistral,
    /// xAI's: OpenAI's names, and no resets.
    Xai,
    /// Together's: requests and tokens by the second.
    Together,
    /// Replicate's: what remains and a reset, and no limit.
    Replicate,
    /// Hugging Face's form of the IETF draft.
    HuggingFace,
    /// GitHub's, with resets in seconds of the Unix clock.
    GitHub,
    /// OpenRouter's, with resets in milliseconds of the Unix clock.
    OpenRouter,
    /// Cloudflare's form of the IETF draft.
    Cloudflare,
    /// The IETF draft "RateLimit header fields for HTTP", in any of its shapes.
    Ietf,
    /// `x-ratelimit-*` by somebody else.
    Generic,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Unknown,
        Self::Claude,
        Self::OpenAi,
        Self::Azure,
        Self::Groq,
        Self::Cerebras,
        Self::Mistral,
        Self::Xai,
        Self::Together,
        Self::Replicate,
        Self::HuggingFace,
        Self::GitHub,
        Self::OpenRouter,
        Self::Cloudflare,
        Self::Ietf,
        Self::Generic,
    ];

    /// Its name in small letters, for settings and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Claude => "claude",
            Self::OpenAi => "openai",
            Self::Azure => "azure",
            Self::Groq => "groq",
            Self::Cerebras => "cerebras",
            Self::Mistral => "mistral",
            Self::Xai => "xai",
            Self::Together => "together",
            Self::Replicate => "replicate",
            Self::HuggingFace => "huggingface",
            Self::GitHub => "github",
            Self::OpenRouter => "openrouter",
            Self::Cloudflare => "cloudflare",
            Self::Ietf => "ietf",
            Self::Generic => "generic",
        }
    }

    /// Whether `retry-after` on an answer that is no refusal is to be heeded.
    ///
    /// The Claude API sends it on answers where it means nothing; Azure refuses
    /// under a status of 200 and says by it that it did.
    ///
    /// ```
    /// use sendwhen::Dialect;
    ///
    /// assert!(Dialect::Azure.refuses_under_success());
    /// assert!(!Dialect::Claude.refuses_under_success());
    /// ```
    pub const fn refuses_under_success(self) -> bool {
        matches!(self, Self::Azure)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_each_once() {
        assert!(Dialect::ALL.is_sorted_by(|a, b| a < b));
        assert_eq!(Dialect::ALL.last(), Some(&Dialect::Generic));
    }
}
