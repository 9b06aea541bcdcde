//! Several limits as one, of each number up to eight and of each form: what all
//! of them let pass, the one that binds longest, and nothing taken if one
//! refuses.

use std::{fmt::Debug, time::Duration};

use proptest::prelude::*;
use sendwhen::{
    Blocked, Borrowed, Cost, Dimension, FixedWindow, Instant, Limit, Of, Rate, Refusal,
    SlidingCounter, Spacing, Together, TokenBucket,
};

use super::config;

/// One of several kinds, so that any list of limits can be drawn.
#[derive(Clone, Copy, PartialEq, Debug)]
enum One {
    Bucket(TokenBucket),
    Spacing(Spacing),
    Fixed(FixedWindow),
    Counter(SlidingCounter),
    None,
}

/// What is remembered: the limit as it was, and what it took since.
#[derive(Clone, Copy, Debug)]
struct Taken {
    before: One,
    at: Instant,
    amount: u64,
}

impl Limit for One {
    type Amount = u64;
    type Charge = Taken;

    fn peek(&self, now: Instant, amount: u64) -> Result<(), Blocked> {
        match self {
            Self::Bucket(limit) => Limit::peek(limit, now, amount),
            Self::Spacing(limit) => Limit::peek(limit, now, amount),
            Self::Fixed(limit) => Limit::peek(limit, now, amount),
            Self::Counter(limit) => Limit::peek(limit, now, amount),
            Self::None => Ok(()),
        }
    }

    fn charge(&mut self, at: Instant, amount: u64) -> Taken {
        let before = *self;
        match self {
            Self::Bucket(limit) => {
                let _charge = limit.charge(at, amount);
            }
            Self::Spacing(limit) => {
                let _charge = limit.charge(at, amount);
            }
            Self::Fixed(limit) => {
                let _charge = limit.charge(at, amount);
            }
            Self::Counter(limit) => {
                let _charge = limit.charge(at, amount);
            }
            Self::None => {}
        }
        Taken { before, at, amount }
    }

    /// At the instant of the charge, and before any other.
    fn refund(&mut self, now: Instant, taken: &mut Taken, amount: u64) {
        assert_eq!(now, taken.at);
        taken.amount -= amount.min(taken.amount);
        let left = taken.amount;
        *self = taken.before;
        if left > 0 {
            let _again = self.charge(now, left);
        }
    }
}

fn one() -> impl Strategy<Value = One> {
    (0..5_u8, 1..40_u64, 1..2_000_000_000_u64, 1..40_u64).prop_map(
        |(kind, count, period, burst)| {
            let window = Duration::from_nanos(period);
            let rate = Rate::per(count, window).unwrap();
            match kind {
                0 => One::Bucket(TokenBucket::new(rate, burst).unwrap()),
                1 => One::Spacing(Spacing::new(rate)),
                2 => One::Fixed(FixedWindow::new(burst, window).unwrap()),
                3 => One::Counter(SlidingCounter::new(burst, window).unwrap()),
                _ => One::None,
            }
        },
    )
}

/// What several say together, asked one by one: the first of those that never
/// let it pass, else the first of those that bind longest.
fn naive(limits: &[One; 8], count: usize, now: Instant, amounts: [u64; 8]) -> Result<(), Blocked> {
    let refusal = |place: usize| limits[place].peek(now, amounts[place]).err();
    let refused = (0..count).filter_map(|by| Some((by, refusal(by)?.refusal)));
    let refused: Vec<(usize, Refusal)> = refused.collect();
    let never = refused
        .iter()
        .find(|(_, refusal)| *refusal == Refusal::Never);
    let latest = refused
        .iter()
        .rev()
        .max_by_key(|(_, refusal)| match refusal {
            Refusal::Until(until) => *until,
            Refusal::Never => Instant::MAX,
        });
    match never.or(latest) {
        None => Ok(()),
        Some(&(by, refusal)) => {
            let mut blocked = Blocked::alone(refusal);
            blocked.by = by;
            Err(blocked)
        }
    }
}

/// What holds of any form of the first `count` limits: `split` gives its limits
/// back, `amount` is what it is asked for.
fn holds<L, A>(
    limits: &[One; 8],
    count: usize,
    now: u64,
    amounts: [u64; 8],
    (mut form, amount): (L, A),
    split: impl Fn(&L) -> Vec<One>,
) where
    L: Limit<Amount = A> + Clone + PartialEq + Debug,
    A: Copy,
{
    let now = Instant::from_nanos(now);
    assert_eq!(form.leaves(), count);
    let said = form.peek(now, amount);
    assert_eq!(said, naive(limits, count, now, amounts));
    let before = form.clone();
    match form.try_acquire(now, amount) {
        Err(blocked) => {
            assert_eq!(Err(blocked), said);
            assert_eq!(form, before, "a refusal changes nothing");
            if let Refusal::Until(until) = blocked.refusal {
                let earlier = Instant::from_nanos(until.as_nanos() - 1);
                assert_eq!(form.peek(until, amount), Ok(()));
                assert!(form.peek(earlier, amount).is_err());
            }
        }
        Ok(mut charge) => {
            assert_eq!(said, Ok(()));
            let each = split(&form);
            assert_eq!(each.len(), count);
            for (place, after) in each.into_iter().enumerate() {
                let mut alone = limits[place];
                let _charge = alone.charge(now, amounts[place]);
                assert_eq!(after, alone, "each took its own");
            }
            form.refund(now, &mut charge, amount);
            assert_eq!(form, before, "each gave its own back");
        }
    }
}

macro_rules! forms {
    ($limits:ident, $now:ident, $amounts:ident, $count:literal: $($place:tt)+) => {{
        let same = [$amounts[0]; 8];
        holds(&$limits, $count, $now, $amounts,
            (($($limits[$place],)+), ($($amounts[$place],)+)), |all| vec![$(all.$place),+]);
        holds(&$limits, $count, $now, same,
            (Together(($($limits[$place],)+)), same[0]), |all| vec![$(all.0.$place),+]);
        holds(&$limits, $count, $now, $amounts,
            ([$($limits[$place]),+], [$($amounts[$place]),+]), |all| all.to_vec());
        holds(&$limits, $count, $now, same,
            (Together([$($limits[$place]),+]), same[0]), |all| all.0.to_vec());
    }};
}

proptest! {
    #![proptest_config(config())]

    /// Tuples, arrays, and both asked for one amount, of two to eight limits of
    /// any kind in any state.
    #[test]
    fn all_or_none_of_any_number_and_form(
        limits in prop::collection::vec(one(), 8),
        charged in prop::collection::vec((0..8_usize, 0..50_u64, 0..1_000_000_000_u64), 0..24),
        amounts in prop::collection::vec(0..45_u64, 8),
    ) {
        let mut limits: [One; 8] = limits.try_into().unwrap();
        let amounts: [u64; 8] = amounts.try_into().unwrap();
        let mut now = 0;
        for (which, amount, later) in charged {
            now += later;
            let _any = limits[which].try_acquire(Instant::from_nanos(now), amount);
        }
        forms!(limits, now, amounts, 2: 0 1);
        forms!(limits, now, amounts, 3: 0 1 2);
        forms!(limits, now, amounts, 4: 0 1 2 3);
        forms!(limits, now, amounts, 5: 0 1 2 3 4);
        forms!(limits, now, amounts, 6: 0 1 2 3 4 5);
        forms!(limits, now, amounts, 7: 0 1 2 3 4 5 6);
        forms!(limits, now, amounts, 8: 0 1 2 3 4 5 6 7);
    }

    /// A workspace beside its organisation: each a limit for each of several
    /// dimensions, of which one that is not asked for is not asked.
    #[test]
    fn pools_within_pools_are_asked_for_what_a_cost_has(
        limits in prop::collection::vec(one(), 8),
        charged in prop::collection::vec((0..8_usize, 0..50_u64, 0..1_000_000_000_u64), 0..24),
        amounts in prop::collection::vec(prop_oneof![Just(0), 0..45_u64], 4),
    ) {
        const DIMENSIONS: [Dimension; 4] = [
            Dimension::Requests,
            Dimension::InputTokens,
            Dimension::OutputTokens,
            Dimension::TotalTokens,
        ];
        let mut limits: [One; 8] = limits.try_into().unwrap();
        let mut now = 0;
        for (which, amount, later) in charged {
            now += later;
            let _any = limits[which].try_acquire(Instant::from_nanos(now), amount);
        }
        let cost = DIMENSIONS.into_iter().zip(&amounts);
        let cost = cost.fold(Cost::ZERO, |cost, (dimension, &amount)| cost.with(dimension, amount));
        // One that is not asked binds nobody.
        let mut asked = limits;
        for (place, limit) in asked.iter_mut().enumerate() {
            if amounts[place % 4] == 0 {
                *limit = One::None;
            }
        }
        let each: [u64; 8] = std::array::from_fn(|place| amounts[place % 4]);
        let pool = |from: usize| {
            let of = |place: usize| Of::new(DIMENSIONS[place], limits[from + place]);
            Together([of(0), of(1), of(2), of(3)])
        };
        let (mut workspace, mut organisation) = (pool(0), pool(4));
        let before = (workspace, organisation);
        let at = Instant::from_nanos(now);
        let mut both = Together((Borrowed(&mut workspace), Borrowed(&mut organisation)));
        prop_assert_eq!(both.leaves(), 8);
        let said = both.peek(at, cost);
        prop_assert_eq!(said, naive(&asked, 8, at, each));
        match both.try_acquire(at, cost) {
            Err(blocked) => {
                prop_assert_eq!(Err(blocked), said);
                prop_assert_eq!((workspace, organisation), before);
            }
            Ok(mut charges) => {
                prop_assert_eq!(said, Ok(()));
                both.refund(at, &mut charges, cost);
                prop_assert_eq!((workspace, organisation), before);
            }
        }
    }
}
