//! Runs a list of operations on a limit and on its slow twin, and compares what
//! they say.

use core::fmt::Debug;

use sendwhen::{Instant, Limit, Refusal};

use super::oracle::{Expect, Naive};

/// What is done to a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Taken if it passes.
    Acquire(u64),
    /// Taken whether it passes or not.
    Charge(u64),
    /// So much of one of the charges is given back.
    Refund(usize, u64),
    Advance(u64),
    Back(u64),
}

/// What passed: when, and what of it was not given back.
pub type Admitted = Vec<(u64, u64)>;

/// Panics where `limit` and `naive` disagree, or where `limit` contradicts
/// itself. Tells what passed.
pub fn drive<L, N>(limit: &mut L, naive: &mut N, ops: &[Op]) -> Admitted
where
    L: Limit<Amount = u64> + Clone + PartialEq + Debug,
    N: Naive + Debug,
{
    let mut now = 0_u64;
    let mut charges: Vec<L::Charge> = Vec::new();
    let mut left: Vec<u64> = Vec::new();
    let mut admitted: Admitted = Vec::new();
    for &op in ops {
        let here = Instant::from_nanos(now);
        match op {
            Op::Acquire(amount) => {
                let passed = compare(limit, naive, now, amount);
                let before = limit.clone();
                match limit.try_acquire(here, amount) {
                    Ok(charge) => {
                        assert!(passed, "peek agrees with acquire");
                        naive.enter(now, amount);
                        charges.push(charge);
                        left.push(amount);
                        admitted.push((now, amount));
                    }
                    Err(_) => {
                        assert!(!passed, "peek agrees with acquire");
                        assert_eq!(*limit, before, "a refusal changes nothing");
                    }
                }
            }
            Op::Charge(amount) => {
                charges.push(limit.charge(here, amount));
                naive.enter(now, amount);
                left.push(amount);
                admitted.push((now, amount));
            }
            Op::Refund(..) if charges.is_empty() => {}
            Op::Refund(which, amount) => {
                let which = which % charges.len();
                let amount = amount.min(left[which]);
                limit.refund(here, &mut charges[which], amount);
                naive.give_back(now, which, amount);
                left[which] -= amount;
                admitted[which].1 -= amount;
            }
            Op::Advance(by) => now = now.saturating_add(by),
            Op::Back(by) => now = now.saturating_sub(by),
        }
    }
    for amount in [0, 1, 7] {
        compare(limit, naive, now, amount);
    }
    admitted
}

/// Whether `amount` passes, which both must agree on; and if not, from when on.
fn compare<L, N>(limit: &L, naive: &N, now: u64, amount: u64) -> bool
where
    L: Limit<Amount = u64> + Debug,
    N: Naive + Debug,
{
    let ask = |at: u64| match limit.peek(Instant::from_nanos(at), amount) {
        Ok(()) => Ok(()),
        Err(blocked) => Err(blocked.refusal),
    };
    let said = ask(now);
    match (said, naive.expect(now, amount)) {
        (Ok(()), Expect::Passes | Expect::NotYetOrPasses) => {
            for later in [1, 1_000, 1 << 30] {
                let later = ask(now.saturating_add(later));
                assert_eq!(later, Ok(()), "what passes goes on passing: {limit:?}");
            }
            return true;
        }
        (Err(Refusal::Never), Expect::Never) => return false,
        (Err(Refusal::Until(_)), Expect::NotYet | Expect::NotYetOrPasses) => {}
        (said, expected) => {
            panic!("at {now}, {amount}: {said:?}, not {expected:?}: {limit:?}, {naive:?}")
        }
    }
    let Err(Refusal::Until(until)) = said else {
        return false;
    };
    let until = until.as_nanos();
    assert!(
        until > now,
        "a wait is always in the future: {until} at {now}"
    );
    assert_eq!(
        ask(until),
        Ok(()),
        "it passes when it was said to: {limit:?}"
    );
    assert_ne!(naive.expect(until, amount), Expect::NotYet, "at {until}");
    if until - 1 > now {
        assert!(
            ask(until - 1).is_err(),
            "and no nanosecond earlier: {limit:?}"
        );
    }
    assert_ne!(naive.expect(until - 1, amount), Expect::Passes, "{until}");
    // What passes goes on passing.
    for later in [1, 1_000, until] {
        assert_eq!(ask(until.saturating_add(later)), Ok(()), "and later on");
    }
    false
}
