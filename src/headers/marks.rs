//! Who sent a response: from what its fields' names tell, and how resets look.

use crate::hints::Dialect;

/// A set of flags. They add up, so that no order of arrival matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Marks(u32);

impl Marks {
    pub(super) const NONE: Self = Self(0);
    /// `anthropic-*`
    pub(super) const CLAUDE: Self = Self(1);
    /// `openai-*`, and what only it has of `x-ratelimit-*`.
    pub(super) const OPENAI: Self = Self(1 << 1);
    /// `azureai-*`, `azureml-*`, `apim-request-id`, `x-ms-*` and what only it
    /// has of `x-ratelimit-*`.
    pub(super) const AZURE: Self = Self(1 << 2);
    /// What only the host has that was seen to count resets in seconds.
    pub(super) const FOUNDRY: Self = Self(1 << 3);
    /// `x-groq-*`
    pub(super) const GROQ: Self = Self(1 << 4);
    /// `cerebras-*`
    pub(super) const CEREBRAS: Self = Self(1 << 5);
    /// `mistral-*`, `x-ratelimit-*-query-cost`
    pub(super) const MISTRAL: Self = Self(1 << 6);
    /// `x-together-*`, `x-tokenlimit-*`
    pub(super) const TOGETHER: Self = Self(1 << 7);
    /// `x-github-*`, `x-ratelimit-resource`
    pub(super) const GITHUB: Self = Self(1 << 8);
    /// `cf-ray`
    pub(super) const CLOUDFLARE: Self = Self(1 << 9);
    /// A policy in the form that only Hugging Face has.
    pub(super) const HUGGING_FACE: Self = Self(1 << 10);
    /// `x-replicate-*`
    pub(super) const REPLICATE: Self = Self(1 << 11);
    /// `x-openrouter-*`
    pub(super) const OPENROUTER: Self = Self(1 << 12);
    /// `x-ratelimit-*` with a unit.
    pub(super) const UNITS: Self = Self(1 << 13);
    /// `x-ratelimit-*` with a unit and a window.
    pub(super) const WINDOWS: Self = Self(1 << 14);
    /// `x-ratelimit-*` without a unit.
    pub(super) const BARE: Self = Self(1 << 15);
    /// `ratelimit-*`
    pub(super) const IETF: Self = Self(1 << 16);
    /// `ratelimit`, `ratelimit-policy`
    pub(super) const IETF_LATE: Self = Self(1 << 17);
    /// A reset is a bare number.
    pub(super) const NUMBER: Self = Self(1 << 18);
    /// A reset is a number of milliseconds of the Unix clock.
    pub(super) const EPOCH_MILLIS: Self = Self(1 << 19);

    /// A subscription's windows.
    pub(super) const UNIFIED: Self = Self(1 << 20);

    /// `ratelimit-limit`
    pub(super) const IETF_LIMIT: Self = Self(1 << 21);
    /// `x-litellm-*`: a proxy, which gives the names of others its own values.
    pub(super) const LITELLM: Self = Self(1 << 22);

    pub(super) const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    #[inline]
    pub(super) const fn set(&mut self, more: Self) {
        self.0 |= more.0;
    }

    #[inline]
    pub(super) const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Who that is. Names of limits go before other names, because answers pass
    /// through proxies which add their own.
    pub(super) fn dialect(self, has_limit: bool, has_reset: bool) -> Dialect {
        if self.has(Self::CLAUDE) {
            Dialect::Claude
        } else if self.has(Self::WINDOWS) {
            match has_reset || self.has(Self::CEREBRAS) {
                true => Dialect::Cerebras,
                false => Dialect::Mistral,
            }
        } else if self.has(Self::UNITS) {
            self.of_units(has_limit, has_reset)
        } else if self.has(Self::BARE) {
            self.of_bare()
        } else if self.has(Self::IETF) || self.has(Self::IETF_LATE) {
            self.of_ietf()
        } else {
            self.by_others()
        }
    }

    fn of_units(self, has_limit: bool, has_reset: bool) -> Dialect {
        let by_others = self.by_others();
        match by_others {
            Dialect::Unknown if self.has(Self::LITELLM) => Dialect::Generic,
            Dialect::Unknown if self.has(Self::NUMBER) => Dialect::Azure,
            // Some of its hosts tell only what remains.
            Dialect::Unknown if !has_limit && !has_reset => Dialect::Azure,
            Dialect::Unknown if !has_reset => Dialect::Xai,
            Dialect::Unknown => Dialect::OpenAi,
            _ => by_others,
        }
    }

    fn of_bare(self) -> Dialect {
        match self.by_others() {
            Dialect::Unknown if self.has(Self::EPOCH_MILLIS) => Dialect::OpenRouter,
            known @ (Dialect::Together
            | Dialect::GitHub
            | Dialect::OpenRouter
            | Dialect::Replicate) => known,
            _ => Dialect::Generic,
        }
    }

    fn of_ietf(self) -> Dialect {
        if self.has(Self::HUGGING_FACE) {
            Dialect::HuggingFace
        } else if self.has(Self::REPLICATE)
            || !(self.has(Self::IETF_LIMIT) || self.has(Self::IETF_LATE))
        {
            // What remains and a reset, and no limit.
            Dialect::Replicate
        } else if self.has(Self::CLOUDFLARE) && self.has(Self::IETF_LATE) {
            Dialect::Cloudflare
        } else {
            Dialect::Ietf
        }
    }

    /// By what is not about limits.
    fn by_others(self) -> Dialect {
        const TABLE: [(Marks, Dialect); 9] = [
            (Marks::AZURE, Dialect::Azure),
            (Marks::OPENAI, Dialect::OpenAi),
            (Marks::GROQ, Dialect::Groq),
            (Marks::CEREBRAS, Dialect::Cerebras),
            (Marks::MISTRAL, Dialect::Mistral),
            (Marks::TOGETHER, Dialect::Together),
            (Marks::GITHUB, Dialect::GitHub),
            (Marks::OPENROUTER, Dialect::OpenRouter),
            (Marks::REPLICATE, Dialect::Replicate),
        ];
        TABLE
            .iter()
            .find_map(|&(mark, dialect)| self.has(mark).then_some(dialect))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::{hints::Dialect, hints::ServerHints};

    /// The names of a response, with values where they matter, and whose it is.
    #[test]
    fn each_is_known_by_its_names() {
        type Row = (Dialect, &'static [(&'static str, &'static str)]);
        const ROWS: &[Row] = &[
            (Dialect::Unknown, &[("date", ""), ("cf-ray", "x")]),
            (Dialect::Claude, &[("anthropic-organization-id", "x")]),
            (
                Dialect::Claude,
                &[("llm_provider-anthropic-ratelimit-tokens-limit", "5")],
            ),
            (Dialect::Claude, &[("claude-ratelimit-tokens-limit", "5")]),
            (Dialect::OpenAi, &[("openai-processing-ms", "5")]),
            (Dialect::OpenAi, &[("x-ratelimit-reset-requests", "1s")]),
            (
                Dialect::OpenAi,
                &[("openai-version", "x"), ("x-ratelimit-limit-tokens", "1")],
            ),
            (Dialect::Azure, &[("x-ratelimit-reset-tokens", "64")]),
            (Dialect::Azure, &[("azureai-fe-is-streaming", "False")]),
            (
                Dialect::Azure,
                &[("x-ratelimit-renewalperiod-requests", "60")],
            ),
            (
                Dialect::Azure,
                &[("x-ratelimit-remaining-tokens", "119986")],
            ),
            (Dialect::Azure, &[("azureml-model-session", "x")]),
            (
                Dialect::Generic,
                &[
                    ("x-litellm-version", "x"),
                    ("x-ratelimit-limit-tokens", "1"),
                ],
            ),
            (
                Dialect::Groq,
                &[("x-groq-region", "x"), ("x-ratelimit-limit-tokens", "1")],
            ),
            (Dialect::Xai, &[("x-ratelimit-limit-tokens", "1")]),
            (
                Dialect::Mistral,
                &[("x-ratelimit-limit-req-10-second", "60")],
            ),
            (Dialect::Mistral, &[("mistral-correlation-id", "x")]),
            (
                Dialect::Cerebras,
                &[("x-ratelimit-reset-requests-day", "33011.38")],
            ),
            (
                Dialect::Together,
                &[("x-tokenlimit-limit", "5"), ("x-ratelimit-limit", "2")],
            ),
            (
                Dialect::Replicate,
                &[("ratelimit-remaining", "5"), ("ratelimit-reset", "1")],
            ),
            (
                Dialect::HuggingFace,
                &[("ratelimit-policy", "\"fixed window\";\"api\";q=1;w=3")],
            ),
            (
                Dialect::GitHub,
                &[
                    ("x-ratelimit-limit", "30"),
                    ("x-ratelimit-resource", "core"),
                ],
            ),
            (Dialect::GitHub, &[("x-github-request-id", "x")]),
            (
                Dialect::OpenRouter,
                &[("x-ratelimit-reset", "1741305600000")],
            ),
            (
                Dialect::Cloudflare,
                &[("cf-ray", "x"), ("ratelimit", "\"default\";r=5;t=3")],
            ),
            (Dialect::Ietf, &[("ratelimit", "\"default\";r=5;t=3")]),
            (
                Dialect::Ietf,
                &[("ratelimit-limit", "5"), ("ratelimit-remaining", "3")],
            ),
            (
                Dialect::Generic,
                &[("x-ratelimit-limit", "5"), ("x-ratelimit-reset", "3")],
            ),
            (Dialect::Generic, &[("x-ratelimit-limit-hour", "5")]),
            (Dialect::Generic, &[("x-rate-limit-reset", "600000")]),
            (Dialect::Generic, &[("x-ratelimit-5h-utilization", "0.5")]),
        ];
        for &(dialect, fields) in ROWS {
            let hints = ServerHints::parse(fields.iter().copied(), None);
            assert_eq!(hints.dialect, dialect, "{fields:?}");
        }
    }
}
