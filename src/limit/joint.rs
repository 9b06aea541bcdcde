//! Several limits as one: all or nothing, and the one that binds is named.
//!
//! Choose it where one request must pass several limits, of whatever kinds. It
//! takes no memory of its own and errs by nothing: the instant that a refusal
//! names is the latest that any of the limits names, and since each of them
//! goes on letting pass what it lets pass, it is the first at which all do.

use core::{array, time::Duration};

use crate::{
    limit::{Blocked, Limit, Refusal},
    time::Instant,
    units::{Cost, Dimension},
};

/// The verdicts of several limits, put together from the left.
struct Verdict {
    asked: usize,
    blocked: Option<Blocked>,
}

impl Verdict {
    const NONE: Self = Self {
        asked: 0,
        blocked: None,
    };

    /// What the next limit says, which is made of `leaves`.
    #[inline]
    #[must_use]
    fn and(self, leaves: usize, verdict: Result<(), Blocked>) -> Self {
        let asked = self.asked.saturating_add(leaves);
        let blocked = match (self.blocked, verdict) {
            (Some(first), Err(next)) if binds(next.refusal) <= binds(first.refusal) => Some(first),
            (first, Ok(())) => first,
            (_, Err(next)) => Some(Blocked {
                by: self.asked.saturating_add(next.by),
                ..next
            }),
        };
        Self { asked, blocked }
    }
}

/// How long a refusal binds: for ever, or until when.
const fn binds(refusal: Refusal) -> (bool, Instant) {
    match refusal {
        Refusal::Until(until) => (false, until),
        Refusal::Never => (true, Instant::ZERO),
    }
}

/// What binds where not all let pass. That is asked first, since it takes no
/// division; the rest stands apart, so that it does not slow what passes. Of a
/// limit that has changed its mind meanwhile, it asks again in a nanosecond.
#[cold]
#[inline(never)]
fn refused(now: Instant, verdict: impl FnOnce() -> Verdict) -> Blocked {
    let soon = now.saturating_add(Duration::from_nanos(1));
    let changed = Blocked::alone(Refusal::Until(soon));
    verdict().blocked.unwrap_or(changed)
}

/// A tuple asks each limit for its own amount.
macro_rules! tuple {
    ($($limit:ident $place:tt),+) => {
        impl<$($limit: Limit),+> Limit for ($($limit,)+) {
            type Amount = ($($limit::Amount,)+);
            type Charge = ($($limit::Charge,)+);

            #[inline]
            fn leaves(&self) -> usize {
                [$(self.$place.leaves()),+].into_iter().fold(0, usize::saturating_add)
            }

            #[inline]
            fn peek(&self, now: Instant, amount: Self::Amount) -> Result<(), Blocked> {
                if $(self.$place.peek(now, amount.$place).is_ok())&&+ {
                    return Ok(());
                }
                Err(refused(now, move || {
                    Verdict::NONE
                        $(.and(self.$place.leaves(), self.$place.peek(now, amount.$place)))+
                }))
            }

            #[inline]
            fn charge(&mut self, now: Instant, amount: Self::Amount) -> Self::Charge {
                ($(self.$place.charge(now, amount.$place),)+)
            }

            fn refund(&mut self, now: Instant, charge: &mut Self::Charge, amount: Self::Amount) {
                $(self.$place.refund(now, &mut charge.$place, amount.$place);)+
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// An array asks each limit for its own amount.
impl<L: Limit<Amount = u64>, const N: usize> Limit for [L; N] {
    type Amount = [u64; N];
    type Charge = [L::Charge; N];

    #[inline]
    fn leaves(&self) -> usize {
        self.iter().map(L::leaves).fold(0, usize::saturating_add)
    }

    #[inline]
    fn peek(&self, now: Instant, amounts: [u64; N]) -> Result<(), Blocked> {
        let asked = move || self.iter().zip(amounts);
        if asked().all(|(limit, amount)| limit.peek(now, amount).is_ok()) {
            return Ok(());
        }
        Err(refused(now, move || {
            asked().fold(Verdict::NONE, |verdict, (limit, amount)| {
                verdict.and(limit.leaves(), limit.peek(now, amount))
            })
        }))
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a place is below N, and the compiler is told so; for 0 there is none"
    )]
    #[inline]
    fn charge(&mut self, now: Instant, amounts: [u64; N]) -> Self::Charge {
        array::from_fn(|place| self[place % N].charge(now, amounts[place % N]))
    }

    fn refund(&mut self, now: Instant, charges: &mut Self::Charge, amounts: [u64; N]) {
        for ((limit, charge), amount) in self.iter_mut().zip(charges).zip(amounts) {
            limit.refund(now, charge, amount);
        }
    }
}

/// Several limits that are each asked for the same amount: pools within pools,
/// or one limit for each dimension of a [`Cost`].
///
/// ```
/// use sendwhen::{
///     Borrowed, Cost, Dimension, Instant, Limit, Of, Rate, Refusal, Together, TokenBucket,
/// };
///
/// let pool = |requests: u64, tokens: u64| -> Result<_, sendwhen::ConfigError> {
///     let of = |dimension, limit| {
///         Ok(Of::new(dimension, TokenBucket::new(Rate::per_minute(limit)?, limit)?))
///     };
///     Ok(Together((
///         of(Dimension::Requests, requests)?,
///         of(Dimension::InputTokens, tokens)?,
///     )))
/// };
/// let mut organisation = pool(1_000, 50_000)?;
/// let mut workspace = pool(50, 30_000)?;
///
/// // A request must pass both.
/// let mut both = Together((Borrowed(&mut workspace), Borrowed(&mut organisation)));
/// let cost = Cost::request().with(Dimension::InputTokens, 20_000);
/// let now = Instant::ZERO;
/// assert!(both.try_acquire(now, cost).is_ok());
///
/// // Requests of the workspace, its tokens, requests of the organisation, ..
/// let blocked = both.try_acquire(now, cost).unwrap_err();
/// assert_eq!(blocked.by, 1);
/// assert_eq!(blocked.refusal, Refusal::Until(Instant::from_secs(20)));
///
/// let never = both.peek(now, cost.with(Dimension::InputTokens, 60_000));
/// assert_eq!(never.unwrap_err().refusal, Refusal::Never);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "made of what it holds, and of nothing else"
)]
pub struct Together<T>(pub T);

macro_rules! together {
    ($first:ident, $($limit:ident $place:tt),+) => {
        impl<$first: Limit, $($limit: Limit<Amount = $first::Amount>),+> Limit
            for Together<($first, $($limit),+)>
        {
            type Amount = $first::Amount;
            type Charge = ($first::Charge, $($limit::Charge),+);

            #[inline]
            fn leaves(&self) -> usize {
                self.0.leaves()
            }

            #[inline]
            fn peek(&self, now: Instant, amount: Self::Amount) -> Result<(), Blocked> {
                if self.0.0.peek(now, amount).is_ok()
                    $(&& self.0.$place.peek(now, amount).is_ok())+ {
                    return Ok(());
                }
                Err(refused(now, move || {
                    Verdict::NONE
                        .and(self.0.0.leaves(), self.0.0.peek(now, amount))
                        $(.and(self.0.$place.leaves(), self.0.$place.peek(now, amount)))+
                }))
            }

            #[inline]
            fn charge(&mut self, now: Instant, amount: Self::Amount) -> Self::Charge {
                (self.0.0.charge(now, amount), $(self.0.$place.charge(now, amount)),+)
            }

            fn refund(&mut self, now: Instant, charge: &mut Self::Charge, amount: Self::Amount) {
                self.0.0.refund(now, &mut charge.0, amount);
                $(self.0.$place.refund(now, &mut charge.$place, amount);)+
            }
        }
    };
}

together!(A, B 1);
together!(A, B 1, C 2);
together!(A, B 1, C 2, D 3);
together!(A, B 1, C 2, D 3, E 4);
together!(A, B 1, C 2, D 3, E 4, F 5);
together!(A, B 1, C 2, D 3, E 4, F 5, G 6);
together!(A, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

impl<L: Limit, const N: usize> Limit for Together<[L; N]> {
    type Amount = L::Amount;
    type Charge = [L::Charge; N];

    #[inline]
    fn leaves(&self) -> usize {
        self.0.iter().map(L::leaves).fold(0, usize::saturating_add)
    }

    #[inline]
    fn peek(&self, now: Instant, amount: L::Amount) -> Result<(), Blocked> {
        if self.0.iter().all(|limit| limit.peek(now, amount).is_ok()) {
            return Ok(());
        }
        Err(refused(now, move || {
            self.0.iter().fold(Verdict::NONE, |verdict, limit| {
                verdict.and(limit.leaves(), limit.peek(now, amount))
            })
        }))
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a place is below N, and the compiler is told so; for 0 there is none"
    )]
    #[inline]
    fn charge(&mut self, now: Instant, amount: L::Amount) -> Self::Charge {
        array::from_fn(|place| self.0[place % N].charge(now, amount))
    }

    fn refund(&mut self, now: Instant, charges: &mut Self::Charge, amount: L::Amount) {
        for (limit, charge) in self.0.iter_mut().zip(charges) {
            limit.refund(now, charge, amount);
        }
    }
}

/// A limit of one dimension, asked for what a [`Cost`] has of it. Where that is
/// nothing it is not asked.
///
/// ```
/// use sendwhen::{Cost, Dimension, Instant, Limit, Of, Rate, TokenBucket};
///
/// let bucket = TokenBucket::new(Rate::per_minute(50)?, 1)?;
/// let mut requests = Of::new(Dimension::Requests, bucket);
/// assert!(requests.try_acquire(Instant::ZERO, Cost::request()).is_ok());
/// assert!(requests.try_acquire(Instant::ZERO, Cost::request()).is_err());
/// assert!(requests.try_acquire(Instant::ZERO, Cost::ZERO).is_ok());
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Of<L> {
    /// Which entry of a cost it is asked for.
    pub dimension: Dimension,
    /// The limit.
    pub limit: L,
}

impl<L> Of<L> {
    /// `limit`, of `dimension`.
    ///
    /// ```
    /// use sendwhen::{Cost, Dimension, Instant, Limit, Of, Rate, TokenBucket};
    ///
    /// let bucket = TokenBucket::new(Rate::per_minute(50)?, 50)?;
    /// let requests = Of::new(Dimension::Requests, bucket);
    /// assert!(requests.peek(Instant::ZERO, Cost::request()).is_ok());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn new(dimension: Dimension, limit: L) -> Self {
        Self { dimension, limit }
    }
}

impl<L: Limit<Amount = u64>> Limit for Of<L> {
    type Amount = Cost;
    /// `None` where it was not asked.
    type Charge = Option<L::Charge>;

    #[inline]
    fn leaves(&self) -> usize {
        self.limit.leaves()
    }

    #[inline]
    fn peek(&self, now: Instant, cost: Cost) -> Result<(), Blocked> {
        match cost.get(self.dimension) {
            0 => Ok(()),
            amount => self.limit.peek(now, amount),
        }
    }

    #[inline]
    fn charge(&mut self, now: Instant, cost: Cost) -> Self::Charge {
        match cost.get(self.dimension) {
            0 => None,
            amount => Some(self.limit.charge(now, amount)),
        }
    }

    fn refund(&mut self, now: Instant, charge: &mut Self::Charge, cost: Cost) {
        if let Some(charge) = charge {
            self.limit.refund(now, charge, cost.get(self.dimension));
        }
    }
}

/// A limit that lives elsewhere, put together with others for a while: one that
/// several pools share.
///
/// ```
/// use sendwhen::{Borrowed, Instant, Limit, Rate, Spacing, TokenBucket};
///
/// let mut shared = TokenBucket::new(Rate::per_minute(50)?, 50)?;
/// let mut own = Spacing::new(Rate::per_second(1)?);
/// let mut limits = (Borrowed(&mut shared), Borrowed(&mut own));
/// assert!(limits.try_acquire(Instant::ZERO, (1, 1)).is_ok());
/// assert_eq!(shared.available(Instant::ZERO), 49);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "made of what it holds, and of nothing else"
)]
pub struct Borrowed<'a, L: ?Sized>(pub &'a mut L);

impl<L: Limit + ?Sized> Limit for Borrowed<'_, L> {
    type Amount = L::Amount;
    type Charge = L::Charge;

    #[inline]
    fn leaves(&self) -> usize {
        self.0.leaves()
    }

    #[inline]
    fn peek(&self, now: Instant, amount: L::Amount) -> Result<(), Blocked> {
        L::peek(self.0, now, amount)
    }

    #[inline]
    fn charge(&mut self, now: Instant, amount: L::Amount) -> L::Charge {
        L::charge(self.0, now, amount)
    }

    fn refund(&mut self, now: Instant, charge: &mut L::Charge, amount: L::Amount) {
        L::refund(self.0, now, charge, amount);
    }
}

/// `None` limits nothing, and keeps its place when limits are counted.
impl<L: Limit> Limit for Option<L> {
    type Amount = L::Amount;
    type Charge = Option<L::Charge>;

    #[inline]
    fn leaves(&self) -> usize {
        self.as_ref().map_or(1, L::leaves)
    }

    #[inline]
    fn peek(&self, now: Instant, amount: L::Amount) -> Result<(), Blocked> {
        self.as_ref()
            .map_or(Ok(()), |limit| limit.peek(now, amount))
    }

    #[inline]
    fn charge(&mut self, now: Instant, amount: L::Amount) -> Self::Charge {
        self.as_mut().map(|limit| limit.charge(now, amount))
    }

    fn refund(&mut self, now: Instant, charge: &mut Self::Charge, amount: L::Amount) {
        if let (Some(limit), Some(charge)) = (self, charge) {
            limit.refund(now, charge, amount);
        }
    }
}
