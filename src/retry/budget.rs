//! How many retries a pool may make beside its first attempts.
//!
//! When a server fails, every client that retries sends more to it than before.
//! A budget bounds that over all calls together. It is asked when an attempt
//! has failed, before the wait, so that nobody waits for a retry that is then
//! refused.
//!
//! | | grants while | known from | choose it |
//! |---|---|---|---|
//! | [`TokenBudget`] | there are tokens for its class | AWS SDKs | by default: no clock, kinds of failures weighted |
//! | [`HalfBudget`] | more than half of the tokens are left | gRPC | where a server fails as a whole |
//! | [`RatioBudget`] | fewer than a share of recent requests | Finagle, tower | at a steady, high rate |
//! | [`ActiveBudget`] | fewer than a share of those under way | Envoy | where requests take long, as those to a model |

use core::time::Duration;

use crate::{error::ConfigError, retry::window::Window, time::Instant};

/// One of the four, for [`RetryPolicy::budget`](crate::RetryPolicy::budget).
///
/// ```
/// use sendwhen::{Budget, HalfBudget, TokenBudget};
///
/// let budgets = [
///     Budget::Tokens(TokenBudget::AWS),
///     Budget::Half(HalfBudget::new(10, 100)?),
/// ];
/// assert_ne!(budgets[0], budgets[1]);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Budget {
    /// Tokens, with a cost for each class.
    Tokens(TokenBudget),
    /// Tokens, of which half must be left.
    Half(HalfBudget),
    /// A share of recent requests.
    Ratio(RatioBudget),
    /// A share of the requests under way.
    Active(ActiveBudget),
}

/// What a budget is set to, without what it has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum BudgetRule {
    Tokens {
        capacity: u32,
        refill: u32,
    },
    Half {
        most: u32,
        back: u32,
    },
    Ratio {
        deposit: i64,
        reserve: i64,
        slot: u64,
    },
    Active {
        per_mille: u32,
        least: u32,
        slot: u64,
    },
}

impl Budget {
    pub(crate) const fn rule(&self) -> BudgetRule {
        match *self {
            Self::Tokens(TokenBudget {
                capacity, refill, ..
            }) => BudgetRule::Tokens { capacity, refill },
            Self::Half(HalfBudget { most, back, .. }) => BudgetRule::Half { most, back },
            Self::Ratio(RatioBudget {
                deposit,
                reserve,
                balance,
            }) => BudgetRule::Ratio {
                deposit,
                reserve,
                slot: balance.slot(),
            },
            Self::Active(ActiveBudget {
                per_mille,
                least,
                retries,
            }) => BudgetRule::Active {
                per_mille,
                least,
                slot: retries.slot(),
            },
        }
    }
}

impl BudgetRule {
    /// A budget that has counted nothing yet.
    pub(crate) const fn fresh(self) -> Budget {
        match self {
            Self::Tokens { capacity, refill } => Budget::Tokens(TokenBudget {
                capacity,
                level: capacity,
                refill,
            }),
            Self::Half { most, back } => Budget::Half(HalfBudget {
                most,
                level: most,
                back,
            }),
            Self::Ratio {
                deposit,
                reserve,
                slot,
            } => Budget::Ratio(RatioBudget {
                deposit,
                reserve,
                balance: Window::of_slots(slot),
            }),
            Self::Active {
                per_mille,
                least,
                slot,
            } => Budget::Active(ActiveBudget {
                per_mille,
                least,
                retries: Window::of_slots(slot),
            }),
        }
    }
}

/// Tokens that retries cost and successes bring back: the retry quota of the AWS
/// SDKs (standard mode; `RetryQuota` in botocore, the token bucket in smithy).
///
/// A success brings back what its last retry cost, or a fixed amount where it
/// took none. 12 bytes, no clock.
///
/// ```
/// use sendwhen::TokenBudget;
///
/// let mut budget = TokenBudget::AWS;
/// assert!(budget.try_spend(14));
/// assert_eq!(budget.level(), 486);
/// budget.succeeded(14);
/// assert_eq!(budget.level(), 500);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TokenBudget {
    capacity: u32,
    level: u32,
    refill: u32,
}

impl TokenBudget {
    /// 500 tokens, one back for each success at the first attempt.
    ///
    /// ```
    /// use sendwhen::TokenBudget;
    ///
    /// assert_eq!(TokenBudget::AWS, TokenBudget::new(500, 1)?);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const AWS: Self = Self {
        capacity: 500,
        level: 500,
        refill: 1,
    };

    /// `capacity` tokens, all there; `refill` come back with each success at
    /// the first attempt.
    ///
    /// ```
    /// use sendwhen::{ConfigError, TokenBudget};
    ///
    /// assert_eq!(TokenBudget::new(100, 1)?.level(), 100);
    /// assert_eq!(TokenBudget::new(0, 1), Err(ConfigError::ZeroBudget));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where `capacity` is 0: nothing would ever be retried.
    pub const fn new(capacity: u32, refill: u32) -> Result<Self, ConfigError> {
        if capacity == 0 {
            return Err(ConfigError::ZeroBudget);
        }
        Ok(Self {
            capacity,
            level: capacity,
            refill,
        })
    }

    /// Takes `cost` for a retry, if that many are there; else nothing.
    ///
    /// ```
    /// use sendwhen::TokenBudget;
    ///
    /// let mut budget = TokenBudget::new(15, 1)?;
    /// assert!(budget.try_spend(10));
    /// assert!(!budget.try_spend(10));
    /// assert_eq!(budget.level(), 5);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn try_spend(&mut self, cost: u32) -> bool {
        match self.level.checked_sub(cost) {
            Some(left) => {
                self.level = left;
                true
            }
            None => false,
        }
    }

    /// A call succeeded, whose last retry cost `spent`; 0 where it took none.
    ///
    /// ```
    /// use sendwhen::TokenBudget;
    ///
    /// let mut budget = TokenBudget::new(100, 1)?;
    /// assert!(budget.try_spend(14) && budget.try_spend(5));
    /// budget.succeeded(5);
    /// budget.succeeded(0);
    /// assert_eq!(budget.level(), 100 - 14 + 1);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn succeeded(&mut self, spent: u32) {
        let back = if spent == 0 { self.refill } else { spent };
        let level = self.level.saturating_add(back);
        self.level = if level < self.capacity {
            level
        } else {
            self.capacity
        };
    }

    /// How many are there.
    ///
    /// ```
    /// use sendwhen::TokenBudget;
    ///
    /// let mut budget = TokenBudget::new(100, 1)?;
    /// assert!(budget.try_spend(14));
    /// assert_eq!(budget.level(), 86);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn level(&self) -> u32 {
        self.level
    }
}

/// Tokens of which more than half must be left: gRPC's retry throttling
/// (proposal A6, "Throttling Retry Attempts and Hedged RPCs").
///
/// Each failed attempt takes one, whether it is retried or not; each success
/// brings back a fraction. 8 bytes, no clock.
///
/// ```
/// use sendwhen::HalfBudget;
///
/// let mut budget = HalfBudget::new(10, 100)?;
/// for _ in 0..4 {
///     budget.failed();
///     assert!(budget.allows());
/// }
/// budget.failed();
/// assert!(!budget.allows());
/// budget.succeeded();
/// assert!(budget.allows());
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HalfBudget {
    /// In thousandths, as are all levels here.
    most: u32,
    level: u32,
    back: u32,
}

impl HalfBudget {
    /// `tokens` tokens, all there; `back_per_mille` thousandths of one come back
    /// with each success. In gRPC's configuration: `maxTokens`, at most 1000,
    /// and `tokenRatio`, of which no more than three digits after the point
    /// count.
    ///
    /// ```
    /// use sendwhen::{ConfigError, HalfBudget};
    ///
    /// // gRPC's `"maxTokens": 10, "tokenRatio": 0.1`.
    /// assert!(HalfBudget::new(10, 100)?.allows());
    /// assert_eq!(HalfBudget::new(1_001, 100), Err(ConfigError::ZeroBudget));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where `tokens` is 0 or above 1000, or `back_per_mille` 0: it would be
    /// spent for good.
    pub const fn new(tokens: u32, back_per_mille: u32) -> Result<Self, ConfigError> {
        if tokens == 0 || tokens > 1_000 || back_per_mille == 0 {
            return Err(ConfigError::ZeroBudget);
        }
        let most = tokens.saturating_mul(1_000);
        Ok(Self {
            most,
            level: most,
            back: back_per_mille,
        })
    }

    /// An attempt failed in a way that might be retried.
    ///
    /// ```
    /// use sendwhen::HalfBudget;
    ///
    /// let mut budget = HalfBudget::new(4, 100)?;
    /// budget.failed();
    /// assert!(budget.allows(), "three are left");
    /// budget.failed();
    /// assert!(!budget.allows(), "two are no more than half");
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn failed(&mut self) {
        self.level = self.level.saturating_sub(1_000);
    }

    /// An attempt succeeded.
    ///
    /// ```
    /// use sendwhen::HalfBudget;
    ///
    /// let mut budget = HalfBudget::new(2, 500)?;
    /// budget.failed();
    /// assert!(!budget.allows());
    /// budget.succeeded();
    /// assert!(budget.allows());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn succeeded(&mut self) {
        let level = self.level.saturating_add(self.back);
        self.level = if level < self.most { level } else { self.most };
    }

    /// Whether a failed attempt may be retried now.
    ///
    /// ```
    /// use sendwhen::HalfBudget;
    ///
    /// let mut budget = HalfBudget::new(2, 1_000)?;
    /// assert!(budget.allows());
    /// budget.failed();
    /// assert!(!budget.allows());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn allows(&self) -> bool {
        self.level > self.most >> 1
    }
}

/// So many retries for each thousand recent requests, and a few each second on
/// top: Finagle's `RetryBudget`, whose defaults are 20 %, 10 a second, and 10
/// seconds; also tower's `TpsBudget`.
///
/// Shares are exact: a share of 60 % is not 100 %, as it was where the cost of a
/// retry is a whole number of deposits (tower-rs/tower, issue 857). Deposits and
/// withdrawals are forgotten together, between nine and ten tenths of the span
/// after they were made. 200 bytes.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, RatioBudget};
///
/// let mut budget = RatioBudget::new(200, 0, Duration::from_secs(10))?;
/// let now = Instant::ZERO;
/// for _ in 0..5 {
///     budget.request(now);
/// }
/// assert!(budget.try_retry(now));
/// assert!(!budget.try_retry(now));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RatioBudget {
    /// In thousandths of a retry, as is the balance.
    deposit: i64,
    reserve: i64,
    balance: Window,
}

impl RatioBudget {
    /// `per_mille` retries for each thousand requests of the last `span`, and
    /// `least_per_second` for each second of it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, RatioBudget};
    ///
    /// // No requests yet, but two a second for ten seconds.
    /// let mut budget = RatioBudget::new(200, 2, Duration::from_secs(10))?;
    /// let granted = (0..30).filter(|_| budget.try_retry(Instant::ZERO)).count();
    /// assert_eq!(granted, 20);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where both are 0, or `span` is.
    pub const fn new(
        per_mille: u32,
        least_per_second: u32,
        span: Duration,
    ) -> Result<Self, ConfigError> {
        if (per_mille == 0 && least_per_second == 0) || span.is_zero() {
            return Err(ConfigError::ZeroBudget);
        }
        // In thousandths of a retry for each millisecond: no step rounds.
        let reserve = (least_per_second as u128).saturating_mul(span.as_millis());
        Ok(Self {
            deposit: per_mille as i64,
            reserve: bounded(reserve),
            balance: Window::new(span),
        })
    }

    /// A request was sent that is no retry.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, RatioBudget};
    ///
    /// let mut budget = RatioBudget::new(500, 0, Duration::from_secs(10))?;
    /// budget.request(Instant::ZERO);
    /// assert!(!budget.try_retry(Instant::ZERO), "half a retry");
    /// budget.request(Instant::ZERO);
    /// assert!(budget.try_retry(Instant::ZERO));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn request(&mut self, now: Instant) {
        self.balance.add(now, self.deposit);
    }

    /// Takes a retry, if there is one.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, RatioBudget};
    ///
    /// let mut budget = RatioBudget::new(1_000, 0, Duration::from_secs(10))?;
    /// budget.request(Instant::ZERO);
    /// assert!(budget.try_retry(Instant::ZERO));
    /// assert!(!budget.try_retry(Instant::ZERO));
    ///
    /// // What is ten seconds old is forgotten.
    /// budget.request(Instant::from_secs(20));
    /// assert!(!budget.try_retry(Instant::from_secs(30)));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn try_retry(&mut self, now: Instant) -> bool {
        const RETRY: i64 = 1_000;
        let there = self.balance.sum(now).saturating_add(self.reserve);
        if there < RETRY {
            return false;
        }
        self.balance.add(now, RETRY.saturating_neg());
        true
    }
}

/// As many as an `i64` holds, which is more than can be withdrawn.
#[expect(clippy::cast_possible_truncation, reason = "the bound is tested first")]
const fn bounded(wide: u128) -> i64 {
    const MOST: i64 = i64::MAX / 2;
    if wide > MOST as u128 {
        MOST
    } else {
        wide as i64
    }
}

/// As many retries at once as are a share of the requests under way, and at
/// least a few: Envoy's retry budget, 20 % and 3 where nothing is set.
///
/// A retry counts from its grant on, the wait before it included; where it did
/// not, a budget of 20 % let 100 % through (envoyproxy/envoy, issue 30205). A
/// grant that is not given back expires. 200 bytes.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{ActiveBudget, Instant};
///
/// let mut budget = ActiveBudget::new(200, 1, Duration::from_secs(600))?;
/// let now = Instant::ZERO;
/// // Ten are under way: two of them may be retries.
/// let first = budget.try_retry(now, 10).unwrap();
/// assert!(budget.try_retry(now, 10).is_some());
/// assert!(budget.try_retry(now, 10).is_none());
/// budget.ended(first);
/// assert!(budget.try_retry(now, 10).is_some());
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ActiveBudget {
    per_mille: u32,
    least: u32,
    retries: Window,
}

/// A retry that an [`ActiveBudget`] granted.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{ActiveBudget, Instant};
///
/// let mut budget = ActiveBudget::new(0, 1, Duration::from_secs(600))?;
/// let grant = budget.try_retry(Instant::ZERO, 5).unwrap();
/// assert_eq!(budget.try_retry(Instant::ZERO, 5), None);
/// budget.ended(grant);
/// assert!(budget.try_retry(Instant::ZERO, 5).is_some());
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RetryGrant(u64);

impl ActiveBudget {
    /// At most `per_mille` thousandths of those under way, or `least` where
    /// that is more; a grant that is not given back expires after `lifetime`,
    /// at most a tenth of it earlier.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{ActiveBudget, ConfigError};
    ///
    /// // Envoy's own: a fifth, and three at least.
    /// assert!(ActiveBudget::new(200, 3, Duration::from_secs(600)).is_ok());
    /// let none = ActiveBudget::new(0, 0, Duration::from_secs(600));
    /// assert_eq!(none, Err(ConfigError::ZeroBudget));
    /// ```
    ///
    /// # Errors
    /// Where both are 0, or `lifetime` is.
    pub const fn new(per_mille: u32, least: u32, lifetime: Duration) -> Result<Self, ConfigError> {
        if (per_mille == 0 && least == 0) || lifetime.is_zero() {
            return Err(ConfigError::ZeroBudget);
        }
        Ok(Self {
            per_mille,
            least,
            retries: Window::new(lifetime),
        })
    }

    /// Grants a retry, if fewer are granted than `active`, the number of those
    /// under way, allows. The grant ends with the retried attempt, or when it
    /// is not made after all.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{ActiveBudget, Instant};
    ///
    /// let granted = |active| {
    ///     let mut budget = ActiveBudget::new(200, 3, Duration::from_secs(600))?;
    ///     Ok((0..100).filter(|_| budget.try_retry(Instant::ZERO, active).is_some()).count())
    /// };
    /// assert_eq!([granted(1)?, granted(50)?], [3, 10]);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn try_retry(&mut self, now: Instant, active: u32) -> Option<RetryGrant> {
        let share = u64::from(active).saturating_mul(u64::from(self.per_mille));
        let allowed = share
            .checked_div(1_000)
            .unwrap_or_default()
            .max(u64::from(self.least));
        let granted = u64::try_from(self.retries.sum(now)).unwrap_or_default();
        (granted < allowed).then(|| RetryGrant(self.retries.add(now, 1)))
    }

    /// The granted retry is over.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{ActiveBudget, Instant};
    ///
    /// let mut budget = ActiveBudget::new(0, 1, Duration::from_secs(600))?;
    /// let grant = budget.try_retry(Instant::ZERO, 1).unwrap();
    /// budget.ended(grant);
    /// assert!(budget.try_retry(Instant::ZERO, 1).is_some());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn ended(&mut self, grant: RetryGrant) {
        self.retries.take_back(grant.0, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn a_reserve_without_bounds_is_as_much_as_can_be_counted() {
        assert_eq!(bounded(7), 7);
        assert_eq!(bounded(u128::MAX), i64::MAX / 2);
    }

    #[test]
    fn budgets_of_nothing_are_refused() {
        let second = Duration::from_secs(1);
        let zero = Err(ConfigError::ZeroBudget);
        assert_eq!(TokenBudget::new(0, 1).map(drop), zero);
        assert_eq!(HalfBudget::new(0, 1).map(drop), zero);
        assert_eq!(HalfBudget::new(1_001, 1).map(drop), zero);
        assert_eq!(HalfBudget::new(10, 0).map(drop), zero);
        assert_eq!(RatioBudget::new(0, 0, second).map(drop), zero);
        assert_eq!(RatioBudget::new(1, 0, Duration::ZERO).map(drop), zero);
        assert_eq!(ActiveBudget::new(0, 0, second).map(drop), zero);
    }

    /// `TestRetryQuotaChecker` of botocore, for version 2.1 of the standard
    /// mode: 14 tokens for a failure, 5 for a refusal to throttle.
    #[test]
    fn botocores_own_cases() {
        let mut quota = TokenBudget::AWS;
        assert!(quota.try_spend(14));
        assert_eq!(quota.level(), 486);
        quota.succeeded(14);
        assert_eq!(
            quota.level(),
            500,
            "a retry that succeeded gives back what it cost"
        );
        assert!(quota.try_spend(5));
        assert_eq!(quota.level(), 495);
        quota.succeeded(0);
        assert_eq!(
            quota.level(),
            496,
            "a success without a retry gives back one"
        );
        let mut small = TokenBudget::new(14, 1).unwrap();
        assert!(small.try_spend(14));
        assert!(!small.try_spend(14));
        assert_eq!(small.level(), 0);
    }

    /// The example of gRPC's proposal: ten tokens, a tenth back.
    #[test]
    fn half_of_grpcs_tokens_must_be_left() {
        let mut budget = HalfBudget::new(10, 100).unwrap();
        for left in (0..10).rev() {
            budget.failed();
            assert_eq!(budget.allows(), left > 5, "{left}");
        }
        budget.failed();
        for successes in 1..=51 {
            budget.succeeded();
            assert_eq!(budget.allows(), successes > 50, "{successes}");
        }
    }

    /// tower-rs/tower, issue 857.
    #[test]
    fn sixty_percent_is_not_a_hundred() {
        let mut budget = RatioBudget::new(600, 0, Duration::from_secs(10)).unwrap();
        let now = Instant::ZERO;
        for _ in 0..1_000 {
            budget.request(now);
        }
        let granted = (0..1_000).filter(|_| budget.try_retry(now)).count();
        assert_eq!(granted, 600);
    }

    /// envoyproxy/envoy, issue 30205.
    #[test]
    fn retries_that_wait_are_counted() {
        let mut budget = ActiveBudget::new(200, 3, Duration::from_secs(600)).unwrap();
        let granted = (0..100)
            .filter(|_| budget.try_retry(Instant::ZERO, 100).is_some())
            .count();
        assert_eq!(granted, 20);
    }

    #[test]
    fn a_grant_that_vanished_expires() {
        let mut budget = ActiveBudget::new(0, 1, Duration::from_secs(100)).unwrap();
        assert!(budget.try_retry(Instant::ZERO, 1).is_some());
        assert!(budget.try_retry(Instant::from_secs(99), 1).is_none());
        assert!(budget.try_retry(Instant::from_secs(100), 1).is_some());
    }

    #[test]
    fn a_fresh_budget_is_as_it_was_made() {
        let second = Duration::from_secs(1);
        let budgets = [
            Budget::Tokens(TokenBudget::new(7, 2).unwrap()),
            Budget::Half(HalfBudget::new(7, 2).unwrap()),
            Budget::Ratio(RatioBudget::new(7, 2, 3 * second).unwrap()),
            Budget::Active(ActiveBudget::new(7, 2, 3 * second).unwrap()),
        ];
        for budget in budgets {
            assert_eq!(budget.rule().fresh(), budget);
        }
        let mut spent = TokenBudget::AWS;
        assert!(spent.try_spend(5));
        assert_eq!(
            Budget::Tokens(spent).rule().fresh(),
            Budget::Tokens(TokenBudget::AWS)
        );
    }

    proptest! {
        #![proptest_config(crate::retry::ten_thousand_cases())]

        /// Against integers without bounds, added up by hand.
        #[test]
        fn tokens_are_never_more_than_all_nor_less_than_none(
            capacity in 1..600_u32, refill in 0..4_u32,
            steps in prop::collection::vec((any::<bool>(), 0..20_u32), 1..50),
        ) {
            let mut budget = TokenBudget::new(capacity, refill).unwrap();
            let mut level = i64::from(capacity);
            for (spend, amount) in steps {
                if spend {
                    let granted = level >= i64::from(amount);
                    prop_assert_eq!(budget.try_spend(amount), granted);
                    level -= if granted { i64::from(amount) } else { 0 };
                } else {
                    budget.succeeded(amount);
                    let back = if amount == 0 { refill } else { amount };
                    level = (level + i64::from(back)).min(i64::from(capacity));
                }
                prop_assert_eq!(i64::from(budget.level()), level);
            }
        }

        /// Against a list of all requests and retries, with a clock that moves.
        #[test]
        fn retries_stay_below_their_share(
            per_mille in 0..1_500_u32, least in 1..4_u32,
            steps in prop::collection::vec((0..900_u64, any::<bool>()), 1..50),
        ) {
            let span = Duration::from_secs(5);
            let mut budget = RatioBudget::new(per_mille, least, span).unwrap();
            // The number of the half second, and thousandths of a retry.
            let (mut now, mut list) = (0_u64, Vec::<(u64, i64)>::new());
            for (ahead, request) in steps {
                now += ahead;
                let (at, slot) = (Instant::from_millis(now), now / 500);
                let live: i64 = list.iter().filter(|(made, _)| slot - made < 10).map(|(_, n)| n).sum();
                if request {
                    budget.request(at);
                    list.push((slot, i64::from(per_mille)));
                } else {
                    let granted = live + i64::from(least) * 5_000 >= 1_000;
                    prop_assert_eq!(budget.try_retry(at), granted);
                    if granted {
                        list.push((slot, -1_000));
                    }
                }
            }
        }

        #[test]
        fn those_at_once_stay_below_their_share(
            per_mille in 0..600_u32, least in 1..5_u32,
            steps in prop::collection::vec((0..5_u64, 0..40_u32, any::<usize>()), 1..50),
        ) {
            let mut budget = ActiveBudget::new(per_mille, least, Duration::from_secs(10)).unwrap();
            let (mut now, mut held) = (0_u64, Vec::<(u64, RetryGrant)>::new());
            for (ahead, active, pick) in steps {
                now += ahead;
                held.retain(|(made, _)| now - made < 10);
                if active % 3 == 0 && !held.is_empty() {
                    let (_, grant) = held.swap_remove(pick % held.len());
                    budget.ended(grant);
                    continue;
                }
                let allowed = (active * per_mille / 1_000).max(least);
                let granted = budget.try_retry(Instant::from_secs(now), active);
                prop_assert_eq!(granted.is_some(), held.len() < allowed as usize);
                held.extend(granted.map(|grant| (now, grant)));
            }
        }
    }
}
