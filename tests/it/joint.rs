//! Several limits as one, beside the same limits asked one after another.

use proptest::prelude::*;
use sendwhen::{
    Blocked, Borrowed, Cost, Dimension, Instant, Limit, Of, Pause, Rate, Refusal, Together,
    TokenBucket,
};

/// What is done: so many milliseconds later, these amounts are asked for, and
/// so much of each is given back if they pass.
type Step = (u64, [u64; 8], [u64; 8]);

fn buckets() -> [TokenBucket; 8] {
    core::array::from_fn(|place| {
        let place = place as u64;
        let rate = Rate::per_second(1 + place % 3).unwrap();
        TokenBucket::new(rate, 4 + place * 5 % 7).unwrap()
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let amounts = || prop::array::uniform8(0..9_u64);
    prop::collection::vec((0..3_000_u64, amounts(), amounts()), 1..40)
}

/// What each says by itself, put together as the page of [`Blocked`] has it.
fn one_by_one(
    buckets: &[TokenBucket],
    now: Instant,
    amounts: impl Iterator<Item = u64>,
) -> Result<(), Blocked> {
    let order = |refusal| match refusal {
        Refusal::Until(until) => (0, until),
        Refusal::Never => (1, Instant::ZERO),
    };
    let mut binds: Option<(usize, Refusal)> = None;
    for (place, (bucket, amount)) in buckets.iter().zip(amounts).enumerate() {
        if let Err(refusal) = bucket.peek(now, amount) {
            if binds.is_none_or(|(_, so_far)| order(so_far) < order(refusal)) {
                binds = Some((place, refusal));
            }
        }
    }
    let Some((by, refusal)) = binds else {
        return Ok(());
    };
    let mut blocked = Blocked::alone(refusal);
    blocked.by = by;
    Err(blocked)
}

/// Goes through `steps` with both; `levels` are what the joint limit's parts
/// hold.
fn agree<L: Limit + Clone>(
    mut joint: L,
    parts: usize,
    steps: &[Step],
    amount: impl Fn(&[u64; 8]) -> L::Amount,
    alone: impl Fn(&[u64; 8]) -> [u64; 8],
    levels: impl Fn(&L, Instant) -> Vec<u64>,
) {
    let all = buckets();
    let mut singles = all[..parts].to_vec();
    assert_eq!(joint.leaves(), parts);
    let mut now = Instant::from_secs(1);
    for (passes, asked, back) in steps {
        now = now.saturating_add(core::time::Duration::from_millis(*passes));
        let (wanted, returned) = (alone(asked), alone(back));
        let expected = one_by_one(&singles, now, wanted.into_iter());
        assert_eq!(joint.peek(now, amount(asked)), expected);
        match joint.try_acquire(now, amount(asked)) {
            Ok(mut charge) => {
                assert_eq!(expected, Ok(()));
                joint.refund(now, &mut charge, amount(back));
                for (bucket, (amount, back)) in
                    singles.iter_mut().zip(wanted.into_iter().zip(returned))
                {
                    let mut charge = bucket.try_acquire(now, amount).unwrap();
                    bucket.refund(&mut charge, back);
                }
            }
            Err(blocked) => assert_eq!(Err(blocked), expected, "nothing changed"),
        }
        let left: Vec<u64> = singles.iter().map(|one| one.available(now)).collect();
        assert_eq!(levels(&joint, now), left);
    }
}

/// A tuple of so many, each with an amount of its own, and as pools that are
/// all asked for the same.
macro_rules! tuples {
    ($($name:ident, $parts:literal: $($place:tt),+;)+) => {$(
        fn $name(steps: &[Step]) {
            let all = buckets();
            agree(
                ($(all[$place],)+), $parts, steps,
                |amounts| ($(amounts[$place],)+),
                |amounts| *amounts,
                |joint, now| vec![$(joint.$place.available(now)),+],
            );
            agree(
                Together(($(all[$place],)+)), $parts, steps,
                |amounts| amounts[0],
                |amounts| [amounts[0]; 8],
                |joint, now| vec![$(joint.0.$place.available(now)),+],
            );
        }
    )+};
}

tuples! {
    two, 2: 0, 1;
    three, 3: 0, 1, 2;
    four, 4: 0, 1, 2, 3;
    five, 5: 0, 1, 2, 3, 4;
    six, 6: 0, 1, 2, 3, 4, 5;
    seven, 7: 0, 1, 2, 3, 4, 5, 6;
    eight, 8: 0, 1, 2, 3, 4, 5, 6, 7;
}

proptest! {
    #[test]
    fn tuples_of_any_size_say_what_their_parts_say(steps in steps()) {
        for tuple in [two, three, four, five, six, seven, eight] {
            tuple(&steps);
        }
    }

    #[test]
    fn arrays_say_what_their_parts_say(steps in steps()) {
        let all = buckets();
        let levels = |all: &[TokenBucket; 8], now| -> Vec<u64> {
            all.iter().map(|one| one.available(now)).collect()
        };
        agree(all, 8, &steps, |amounts| *amounts, |amounts| *amounts, levels);
        agree(
            Together(all), 8, &steps,
            |amounts| amounts[3],
            |amounts| [amounts[3]; 8],
            |joint, now| levels(&joint.0, now),
        );
    }

    /// A limit that is not there limits nothing, and keeps its place.
    #[test]
    fn limits_that_are_not_there_pass_all(steps in steps()) {
        let all = buckets();
        agree(
            (Some(all[0]), Some(all[1])), 2, &steps,
            |amounts| (amounts[0], amounts[1]),
            |amounts| *amounts,
            |joint, now| [joint.0, joint.1].map(|one| one.unwrap().available(now)).to_vec(),
        );
        let mut joint = (None::<TokenBucket>, all[1]);
        assert_eq!(joint.leaves(), 2);
        let blocked = joint.peek(Instant::ZERO, (u64::MAX, u64::MAX)).unwrap_err();
        assert_eq!((blocked.by, blocked.refusal), (1, Refusal::Never));
        let mut charge = joint.try_acquire(Instant::ZERO, (u64::MAX, 1)).unwrap();
        joint.refund(Instant::ZERO, &mut charge, (u64::MAX, 1));
        assert_eq!(joint.1, {
            let mut alone = all[1];
            let mut charge = alone.try_acquire(Instant::ZERO, 1).unwrap();
            alone.refund(&mut charge, 1);
            alone
        });
    }

    /// By the dimensions of a cost: what it has none of is not asked.
    #[test]
    fn limits_of_dimensions_are_asked_for_their_own(steps in steps()) {
        let all = buckets();
        let of = |place: usize| Of::new(Dimension::ALL[place], all[place]);
        agree(
            Together((of(0), of(1), of(2))), 3, &steps,
            |amounts| {
                let mut cost = Cost::ZERO;
                for (dimension, amount) in Dimension::ALL.into_iter().zip(amounts) {
                    cost = cost.with(dimension, *amount);
                }
                cost
            },
            |amounts| *amounts,
            |joint, now| {
                let (a, b, c) = joint.0;
                [a, b, c].map(|of| of.limit.available(now)).to_vec()
            },
        );
    }
}

#[test]
fn what_a_cost_has_none_of_is_not_charged() {
    let mut tokens = Of::new(Dimension::InputTokens, buckets()[0]);
    let before = tokens;
    let mut charge = tokens.try_acquire(Instant::ZERO, Cost::request()).unwrap();
    assert_eq!(charge, None);
    tokens.refund(Instant::ZERO, &mut charge, Cost::request());
    assert_eq!(tokens, before);
}

/// Nested limits are counted one by one, and what is borrowed is as what is
/// owned.
#[test]
fn nested_and_borrowed_limits_are_counted_from_the_left() {
    let now = Instant::ZERO;
    let [mut a, mut b, mut c, mut d, ..] = buckets();
    let bursts = [a, b, c, d].map(|one| one.burst());
    let mut joint = (
        Together((Borrowed(&mut a), Borrowed(&mut b))),
        [Borrowed(&mut c), Borrowed(&mut d)],
    );
    assert_eq!(joint.leaves(), 4);
    let most = bursts[0].min(bursts[1]);
    for (place, expected) in [(0, 2), (1, 3)] {
        let mut asked = [1, 1];
        asked[place] = u64::MAX;
        let blocked = joint.peek(now, (1, asked)).unwrap_err();
        assert_eq!((blocked.by, blocked.refusal), (expected, Refusal::Never));
    }
    let mut charge = joint.try_acquire(now, (most, [2, 3])).unwrap();
    joint.refund(now, &mut charge, (1, [1, 0]));
    let left = [a, b, c, d].map(|one| one.available(now));
    let taken = [most - 1, most - 1, 1, 3];
    for place in 0..4 {
        assert_eq!(left[place], bursts[place] - taken[place]);
    }
}

/// So that who is blocked is told by which.
#[test]
fn limits_within_others_count_as_many_as_they_are() {
    let [a, b, c, ..] = buckets();
    assert_eq!((Some((a, b)), c).leaves(), 3);
    assert_eq!((None::<(TokenBucket, TokenBucket)>, c).leaves(), 2);
    let both = Of::new(Dimension::Requests, Together((a, b)));
    assert_eq!((both, Of::new(Dimension::InputTokens, c)).leaves(), 3);
}

#[test]
fn a_pause_stops_those_that_it_is_joined_with() {
    let [bucket, ..] = buckets();
    let mut pause = Pause::new();
    let until = Instant::from_secs(5);
    pause.until(until);
    let mut joint = (bucket, pause);
    let blocked = joint.peek(Instant::ZERO, (1, ())).unwrap_err();
    assert_eq!((blocked.by, blocked.refusal), (1, Refusal::Until(until)));
    assert!(joint.try_acquire(until, (1, ())).is_ok());
}
