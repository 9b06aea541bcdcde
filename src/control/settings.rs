//! What those who know better may set: [`Control`].

use core::time::Duration;

/// How careful a [`Limiter`](crate::Limiter) is. The defaults need no tuning:
/// each was measured in simulated worlds that have nothing in common.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Control, Limiter, OutputRule};
///
/// // Alone on its pool, with exact estimates, and output counted as produced.
/// let control = Control::new()
///     .tenths_of_deviations(20)
///     .unheard(16)
///     .patience(Duration::from_millis(100))
///     .hold_back_surprises(false)
///     .detect_outages(false)
///     .learn_from_refusals(false)
///     .share_with_others(false)
///     .output_rule(OutputRule::AsProduced);
/// let limiter = Limiter::new(42).control(control);
/// # let _ = limiter;
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Control {
    pub(crate) tenths: u16,
    pub(crate) unheard: u64,
    pub(crate) patience: Duration,
    pub(crate) surprises: bool,
    pub(crate) outages: bool,
    pub(crate) refusals: bool,
    pub(crate) shares: bool,
    pub(crate) output: Option<OutputRule>,
}

/// When a server counts output tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum OutputRule {
    /// As they are produced, or all at once, when the request is admitted or
    /// answered: what is not produced is not counted.
    AsProduced,
    /// `max_tokens` when the request is admitted; what was not produced is given
    /// back at the end.
    Reserved,
}

impl Control {
    /// What no one needs to change.
    pub const fn new() -> Self {
        Self {
            tenths: 35,
            unheard: 4,
            patience: Duration::from_millis(500),
            surprises: true,
            outages: true,
            refusals: true,
            shares: true,
            output: None,
        }
    }

    /// So many standard deviations of what is charged and not confirmed are
    /// held back, in tenths: 35 where nothing else is set. 0 holds nothing back
    /// but what surprised.
    #[must_use]
    pub const fn tenths_of_deviations(mut self, tenths: u16) -> Self {
        self.tenths = tenths;
        self
    }

    /// So many may be sent, before the server is heard of them, without regard
    /// to what they take: 4 where nothing else is set.
    #[must_use]
    pub const fn unheard(mut self, requests: u32) -> Self {
        self.unheard = requests as u64;
        self
    }

    /// After so long without a send one more may go before the server is heard:
    /// half a second where nothing else is set.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets whether as much is held back as heads showed less than was believed:
    /// it is unless this says not to. It keeps clear of others on the same pool.
    #[must_use]
    pub const fn hold_back_surprises(mut self, holds: bool) -> Self {
        self.surprises = holds;
        self
    }

    /// Sets whether a run of overload failures that is no chance counts as an
    /// outage, in which one probe at a time asks: it does unless this says not
    /// to.
    #[must_use]
    pub const fn detect_outages(mut self, detects: bool) -> Self {
        self.outages = detects;
        self
    }

    /// Sets whether refusals that no head explains teach how many may be under
    /// way, or how fast it may be sent: they do unless this says not to.
    #[must_use]
    pub const fn learn_from_refusals(mut self, learns: bool) -> Self {
        self.refusals = learns;
        self
    }

    /// Sets whether others who take from the same limits are looked for, and left
    /// their share: they are unless this says not to.
    #[must_use]
    pub const fn share_with_others(mut self, shares: bool) -> Self {
        self.shares = shares;
        self
    }

    /// Sets when the server counts output. Where nothing is set, heads tell.
    #[must_use]
    pub const fn output_rule(mut self, rule: OutputRule) -> Self {
        self.output = Some(rule);
        self
    }
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}
