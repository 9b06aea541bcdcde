//! The Claude API's unified limits of subscriptions, but for their meters.

/// What the `anthropic-ratelimit-unified-*` fields say beside the windows
/// themselves, which are meters of [`Unit::Share`](crate::Unit::Share).
///
/// No document of the server has these fields. What is here was seen in
/// responses and read out of its own command-line client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Unified {
    /// The window that speaks for all.
    pub claim: Option<Claim>,
    /// Whether a fallback to another model is offered.
    pub fallback: Option<bool>,
    /// Whether this request was served beyond the windows, at extra cost.
    pub overage_in_use: Option<bool>,
    /// Why nothing is served beyond the windows. It comes with answers that are
    /// served well, and is no refusal by itself.
    pub overage_disabled: Option<OverageDisabled>,
}

impl Unified {
    /// Nothing was said.
    pub const NONE: Self = Self {
        claim: None,
        fallback: None,
        overage_in_use: None,
        overage_disabled: None,
    };
}

/// What a server says of one of its windows. The order is that of strictness.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Status {
    /// It lets pass.
    Allowed,
    /// It lets pass, and is soon spent.
    AllowedWarning,
    /// A word that is not known here.
    Other,
    /// It makes requests wait in line.
    Queueing,
    /// It is limited.
    RateLimited,
    /// It refuses until something is paid.
    PaymentRequired,
    /// It is blocked.
    Blocked,
    /// It refuses.
    Rejected,
}

impl Status {
    const ALL: [Self; 8] = [
        Self::Allowed,
        Self::AllowedWarning,
        Self::Other,
        Self::Queueing,
        Self::RateLimited,
        Self::PaymentRequired,
        Self::Blocked,
        Self::Rejected,
    ];

    /// Its place among all, counted from 1.
    #[inline]
    pub(super) const fn number(self) -> u8 {
        (self as u8).saturating_add(1)
    }

    /// The one at the place `number`, if it is one.
    #[inline]
    pub(super) fn numbered(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number.checked_sub(1)?)).copied()
    }

    /// Whether this says that a request was refused.
    pub const fn refuses(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::PaymentRequired | Self::Blocked | Self::Rejected
        )
    }

    /// Its name in small letters, for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::AllowedWarning => "allowed_warning",
            Self::Other => "other",
            Self::Queueing => "queueing_hard",
            Self::RateLimited => "rate_limited",
            Self::PaymentRequired => "payment_required",
            Self::Blocked => "blocked",
            Self::Rejected => "rejected",
        }
    }
}

/// The window that speaks for all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Claim {
    /// Five hours.
    FiveHour,
    /// Seven days.
    SevenDay,
    /// Seven days of one group of models.
    SevenDayOpus,
    /// Seven days of another group of models.
    SevenDaySonnet,
    /// Seven days, overage included.
    SevenDayOverageIncluded,
    /// What is served at extra cost.
    Overage,
    /// A word that is not known here.
    Other,
}

/// Why nothing is served beyond the windows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum OverageDisabled {
    /// A word that is not known here.
    Other,
    /// The server could not find out.
    FetchError,
    /// The organisation turned it off.
    OrgLevelDisabled,
    /// The organisation's spend cap is reached.
    OrgSpendCapReached,
    /// There is no credit left.
    OutOfCredits,
}

impl OverageDisabled {
    /// The word that the server uses: what a classifier takes as an error code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::FetchError => "fetch_error",
            Self::OrgLevelDisabled => "org_level_disabled",
            Self::OrgSpendCapReached => "org_spend_cap_reached",
            Self::OutOfCredits => "out_of_credits",
        }
    }
}
