//! One limit as a server shows it: [`Meter`].

use core::{fmt, time::Duration};

use super::unified::Status;
use crate::{time::UnixTime, units::Dimension};

/// Which of a server's pools a meter belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Family {
    /// The pool that ordinary requests draw from.
    #[default]
    Standard,
    /// The Claude API's Priority Tier.
    Priority,
    /// The Claude API's fast mode.
    Fast,
    /// OpenAI's limits of a project, beside those of its organisation.
    Project,
    /// The Claude API's limits of a subscription, for all models.
    Unified,
    /// The same for one group of models.
    UnifiedSonnet,
    /// The same for another group of models.
    UnifiedOpus,
    /// The same, with what is served at extra cost.
    UnifiedOverageIncluded,
    /// What the Claude API serves to a subscription at extra cost.
    Overage,
}

impl Family {
    const ALL: [Self; 9] = [
        Self::Standard,
        Self::Priority,
        Self::Fast,
        Self::Project,
        Self::Unified,
        Self::UnifiedSonnet,
        Self::UnifiedOpus,
        Self::UnifiedOverageIncluded,
        Self::Overage,
    ];

    /// The one whose number is `number`.
    #[inline]
    pub(crate) fn numbered(number: u8) -> Self {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .unwrap_or_default()
    }

    /// Its name in small letters, for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Priority => "priority",
            Self::Fast => "fast",
            Self::Project => "project",
            Self::Unified => "unified",
            Self::UnifiedSonnet => "unified_sonnet",
            Self::UnifiedOpus => "unified_opus",
            Self::UnifiedOverageIncluded => "unified_oi",
            Self::Overage => "overage",
        }
    }
}

/// What a meter counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Unit {
    /// What this crate counts too.
    Of(Dimension),
    /// Images in the input.
    Images,
    /// Pages that are read.
    Pages,
    /// Seconds of sound.
    AudioSeconds,
    /// Characters in the input.
    Characters,
    /// Bytes of content.
    Bytes,
    /// Requests that are under way at once.
    Concurrent,
    /// Millionths of a limit whose size is not told. What remains is below 0
    /// where more was used than there is.
    Share,
    /// Something else, of which the server tells only the name of the pool.
    Other,
}

impl Unit {
    /// The dimension of this crate's own that it is.
    #[inline]
    pub const fn dimension(self) -> Option<Dimension> {
        match self {
            Self::Of(dimension) => Some(dimension),
            _ => None,
        }
    }

    const ALL: [Self; 16] = [
        Self::Of(Dimension::Requests),
        Self::Of(Dimension::InputTokens),
        Self::Of(Dimension::RawInputTokens),
        Self::Of(Dimension::OutputTokens),
        Self::Of(Dimension::TotalTokens),
        Self::Of(Dimension::Own1),
        Self::Of(Dimension::Own2),
        Self::Of(Dimension::Own3),
        Self::Images,
        Self::Pages,
        Self::AudioSeconds,
        Self::Characters,
        Self::Bytes,
        Self::Concurrent,
        Self::Share,
        Self::Other,
    ];

    /// The one at the place `number`.
    #[inline]
    pub(crate) fn numbered(number: u8) -> Self {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .unwrap_or(Self::Other)
    }

    /// Its place among all.
    #[inline]
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Of(dimension) => dimension as u8,
            Self::Images => 8,
            Self::Pages => 9,
            Self::AudioSeconds => 10,
            Self::Characters => 11,
            Self::Bytes => 12,
            Self::Concurrent => 13,
            Self::Share => 14,
            Self::Other => 15,
        }
    }

    /// Its name in small letters, for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Of(Dimension::Requests) => "requests",
            Self::Of(Dimension::InputTokens) => "input_tokens",
            Self::Of(Dimension::RawInputTokens) => "raw_input_tokens",
            Self::Of(Dimension::OutputTokens) => "output_tokens",
            Self::Of(Dimension::TotalTokens) => "tokens",
            Self::Of(Dimension::Own1) => "own_1",
            Self::Of(Dimension::Own2) => "own_2",
            Self::Of(Dimension::Own3) => "own_3",
            Self::Images => "input_images",
            Self::Pages => "ocr_pages",
            Self::AudioSeconds => "audio_seconds",
            Self::Characters => "input_characters",
            Self::Bytes => "content_bytes",
            Self::Concurrent => "concurrent_requests",
            Self::Share => "share",
            Self::Other => "other",
        }
    }
}

/// One limit as a server shows it. What it did not send is `None`.
///
/// ```
/// use sendwhen::{Dimension, Family, Meter};
///
/// let meter = Meter::new(Family::Standard, Dimension::InputTokens)
///     .limit(30_000)
///     .remaining(24_000, 500);
/// assert_eq!(meter.remaining.unwrap().at_least(), 23_500);
/// assert_eq!(meter.dimension(), Some(Dimension::InputTokens));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Meter {
    /// The pool it belongs to.
    pub family: Family,
    /// The name that the server gives the pool, as GitHub's `search` or an
    /// IETF policy's; empty in most cases.
    pub pool: Label,
    /// What it counts.
    pub unit: Unit,
    /// The most that the pool holds. 0 means that the account may not use it.
    pub limit: Option<u64>,
    /// What is left.
    pub remaining: Option<Remaining>,
    /// When the server says that it is whole again.
    pub reset: Option<Reset>,
    /// The time in which `limit` comes in, where it is known.
    pub window: Option<Duration>,
    /// What the server says that it does with requests.
    pub status: Option<Status>,
}

impl Meter {
    /// A meter of `dimension` in `family` of which nothing is said yet.
    pub const fn new(family: Family, dimension: Dimension) -> Self {
        Self::of(family, Unit::Of(dimension))
    }

    /// A meter of `unit` in `family` of which nothing is said yet.
    pub const fn of(family: Family, unit: Unit) -> Self {
        Self {
            family,
            pool: Label::NONE,
            unit,
            limit: None,
            remaining: None,
            reset: None,
            window: None,
            status: None,
        }
    }

    /// Sets the most that the pool holds.
    #[must_use]
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets what is left, as shown and rounded to `rounding` either way.
    #[must_use]
    pub const fn remaining(mut self, shown: i64, rounding: u32) -> Self {
        self.remaining = Some(Remaining { shown, rounding });
        self
    }

    /// Sets the time in which `limit` comes in.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }

    /// The dimension of this crate's own that it counts.
    #[inline]
    pub const fn dimension(&self) -> Option<Dimension> {
        self.unit.dimension()
    }
}

/// What is left, known only to an interval where the server rounds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Remaining {
    /// As the server shows it. A server may clamp a debt to 0, or show it as a
    /// negative number.
    pub shown: i64,
    /// The true value lies at most this far off, either way.
    pub rounding: u32,
}

impl Remaining {
    /// The least that is left.
    pub const fn at_least(self) -> i64 {
        self.shown.saturating_sub(self.rounding as i64)
    }

    /// The most that is left.
    pub const fn at_most(self) -> i64 {
        self.shown.saturating_add(self.rounding as i64)
    }
}

/// When a limit is whole again, as the server gave it and as a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Reset {
    /// The value in its own form.
    pub given: ResetGiven,
    /// Milliseconds after the response's own `Date`, negative where it is past.
    /// `None` where the value is a date and the response has none.
    pub after_date_ms: Option<i64>,
}

impl Reset {
    /// A reset given as `given` in a response dated `date`.
    #[inline]
    pub const fn new(given: ResetGiven, date: Option<UnixTime>) -> Self {
        let after_date_ms = match (given, date) {
            (ResetGiven::In { millis }, _) => Some(millis),
            (ResetGiven::At(at), Some(date)) => Some(at.millis_since(date)),
            (ResetGiven::At(_), None) => None,
        };
        Self {
            given,
            after_date_ms,
        }
    }
}

/// The two forms in which servers give a reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ResetGiven {
    /// A point in time.
    At(UnixTime),
    /// A span from the response on.
    In {
        /// In milliseconds; what is finer is rounded up.
        millis: i64,
    },
}

/// A short name that a server gives one of its pools.
///
/// It keeps 23 bytes. Of a longer name it keeps those, and names that begin
/// alike are then one.
///
/// ```
/// use sendwhen::Label;
///
/// assert_eq!(Label::new(b"search").as_bytes(), b"search");
/// assert_eq!(Label::new(b"search").to_string(), "search");
/// assert!(Label::NONE.is_empty());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Label {
    text: [u8; Self::CAPACITY],
    len: u8,
}

/// As its bytes.
#[cfg(feature = "serde")]
impl serde::Serialize for Label {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_bytes().serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Label {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: alloc::vec::Vec<u8> = serde::Deserialize::deserialize(deserializer)?;
        Ok(Self::new(&bytes))
    }
}

impl Label {
    /// How many bytes it keeps.
    pub const CAPACITY: usize = 23;
    /// The empty name.
    pub const NONE: Self = Self {
        text: [0; Self::CAPACITY],
        len: 0,
    };

    /// The first bytes of `name`.
    pub fn new(name: &[u8]) -> Self {
        let mut label = Self::NONE;
        for (place, &byte) in label.text.iter_mut().zip(name) {
            *place = byte;
            label.len = label.len.saturating_add(1);
        }
        label
    }

    /// What it keeps.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Bytes that are no UTF-8 are shown as replacement characters.
impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.as_bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}
