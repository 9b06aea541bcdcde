//! What was wrong in a response's fields.

/// A set of flags: what was wrong in a response's fields.
///
/// ```
/// use sendwhen::{Problems, ServerHints};
///
/// let hints = ServerHints::parse([("retry-after", "5"), ("retry-after", "soon")], None);
/// assert_eq!(hints.problems, Problems::MALFORMED);
/// assert!(hints.problems.iter().eq(["malformed"]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Problems(u16);

impl Problems {
    /// Nothing was wrong.
    pub const NONE: Self = Self(0);
    /// A value could not be read and was left out.
    pub const MALFORMED: Self = Self(1);
    /// A field came twice with different values; the stricter was taken.
    pub const CONFLICT: Self = Self(1 << 1);
    /// A value was longer than any that is meant, and was left out.
    pub const TOO_LONG: Self = Self(1 << 2);
    /// `retry-after` and `retry-after-ms` disagree by more than a second.
    pub const WAITS_DISAGREE: Self = Self(1 << 3);
    /// A date could not be placed, because neither the response nor the caller
    /// says what time it is.
    pub const NO_DATE: Self = Self(1 << 4);
    /// There were more meters than find room; the most binding were kept.
    pub const OVERFLOW: Self = Self(1 << 5);
    /// A reset does not say what it is, and its size does not settle it: of the
    /// readings that are left, the one described at
    /// [`HeaderParser`](crate::HeaderParser) was taken.
    pub const IN_DOUBT: Self = Self(1 << 6);
    /// A limit and a policy bear different names, so that it is not known
    /// whether the one belongs to the other.
    pub const UNMATCHED: Self = Self(1 << 7);

    /// Each flag with its name, for reports.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::MALFORMED, "malformed"),
        (Self::CONFLICT, "conflict"),
        (Self::TOO_LONG, "too long"),
        (Self::WAITS_DISAGREE, "waits disagree"),
        (Self::NO_DATE, "no date"),
        (Self::OVERFLOW, "overflow"),
        (Self::IN_DOUBT, "in doubt"),
        (Self::UNMATCHED, "unmatched"),
    ];

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether none is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of those that are set.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        Self::ALL
            .into_iter()
            .filter_map(move |(flag, name)| self.contains(flag).then_some(name))
    }

    #[inline]
    pub(crate) const fn set(&mut self, flags: Self) {
        self.0 |= flags.0;
    }
}
