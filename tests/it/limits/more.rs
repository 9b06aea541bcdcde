//! What is particular to one algorithm: how far the sliding counter errs, and
//! what an adaptive cap learns.

use std::time::Duration;

use num_rational::BigRational;
use proptest::prelude::*;
use sendwhen::{AdaptiveInFlight, AdaptiveSlot, Instant, Limit, Outcome, Refusal, SlidingCounter};

use super::{
    config,
    limits_ops::oracle::{Naive, Places, int},
};

proptest! {
    #![proptest_config(config())]

    /// It counts too little by at most `before * f`, and too much by at most
    /// `before * (1 - f)`.
    #[test]
    fn the_sliding_counter_errs_by_no_more_than_its_page_says(
        limit in 1..60_u64, window in 1..5_000_u64,
        steps in prop::collection::vec((1..20_u64, 0..2_000_u64), 1..40),
    ) {
        let mut counter = SlidingCounter::new(limit, Duration::from_nanos(window)).unwrap()
            .aligned_to(Instant::ZERO);
        let mut admitted: Vec<(u64, u64)> = vec![];
        let mut now = 0;
        for (amount, step) in steps {
            now += step;
            let here = Instant::from_nanos(now);
            if counter.try_acquire(here, amount).is_ok() {
                admitted.push((now, amount));
            }
            let sum = |from: u64, to: u64| -> u64 {
                let inside = admitted.iter().filter(|(at, _)| (from..to).contains(at));
                inside.map(|(_, amount)| amount).sum()
            };
            let start = now - now % window;
            let before = sum(start.saturating_sub(window), start);
            let newest = sum(start, now + 1);
            let passed = BigRational::new((now % window).into(), window.into());
            let counted = int(before) * (int(1) - &passed) + int(newest);
            prop_assert_eq!(counted.ceil(), int(counter.used(here)));

            // What a log has in the window that ends now.
            let log = int(sum((now + 1).saturating_sub(window), now + 1));
            prop_assert!(&log - &counted <= int(before) * &passed);
            prop_assert!(&counted - &log <= int(before) * (int(1) - passed));
        }
    }
}

/// The rules of an adaptive cap, one by one, beside a list of places.
#[derive(Debug)]
struct Rules {
    cap: u64,
    passed: u64,
    round: u64,
    places: Places,
}

impl Rules {
    const LEAST: u64 = 2;
    const MOST: u64 = 30;

    fn learn(&mut self, round: u64, used: u64, outcome: Outcome) {
        if round != self.round {
            return;
        }
        match outcome {
            Outcome::Admitted if 2 * used >= self.cap => self.passed += 1,
            Outcome::Refused => {
                self.cap = (self.cap * 9 / 10).max(Self::LEAST);
                self.passed = 0;
                self.round += 1;
            }
            _ => {}
        }
        if self.passed >= self.cap {
            self.cap = (self.cap + 1).min(Self::MOST);
            self.passed = 0;
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire,
    Release(usize, Outcome),
    Advance(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Admitted),
        1 => Just(Outcome::Refused),
        1 => Just(Outcome::Unknown),
    ];
    let step = prop_oneof![
        6 => Just(Step::Acquire),
        4 => (any::<usize>(), outcome).prop_map(|(which, what)| Step::Release(which, what)),
        1 => (0..9_000_000_u64).prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_adaptive_cap_follows_its_rules(start in 2..30_u32, steps in steps()) {
        let lifetime = 8_000_000;
        let (least, most) = (Rules::LEAST as u32, Rules::MOST as u32);
        let life = Duration::from_nanos(lifetime);
        let mut limit = AdaptiveInFlight::new(start, least, most, life).unwrap();
        let mut rules = Rules {
            cap: start.into(),
            passed: 0,
            round: 0,
            places: Places::new(u64::MAX, lifetime),
        };
        let mut slots: Vec<(AdaptiveSlot, usize, u64)> = vec![];
        let (mut now, mut taken) = (0, 0);
        for step in steps {
            let here = Instant::from_nanos(now);
            match step {
                Step::Acquire => {
                    let used = rules.places.taken(now);
                    let before = limit;
                    match limit.try_acquire(here) {
                        Ok(slot) => {
                            prop_assert!(used < rules.cap);
                            rules.places.enter(now, 1);
                            slots.push((slot, taken, rules.round));
                            taken += 1;
                        }
                        Err(Refusal::Until(until)) => {
                            prop_assert!(used >= rules.cap);
                            prop_assert_eq!(limit, before, "a refusal changes nothing");
                            prop_assert!(until > here);
                            let until = until.as_nanos();
                            prop_assert!(rules.places.taken(until) < rules.cap);
                            prop_assert!(rules.places.taken(until - 1) >= rules.cap);
                        }
                        Err(Refusal::Never) => panic!("the cap is at least one"),
                    }
                }
                Step::Release(..) if slots.is_empty() => {}
                Step::Release(which, outcome) => {
                    let (slot, number, round) = slots.swap_remove(which % slots.len());
                    let used = rules.places.taken(now);
                    limit.release(here, slot, outcome);
                    rules.places.give_back(now, number, 1);
                    rules.learn(round, used, outcome);
                }
                Step::Advance(by) => now += by,
            }
            let here = Instant::from_nanos(now);
            prop_assert_eq!(u64::from(limit.cap()), rules.cap);
            prop_assert_eq!(u64::from(limit.taken(here)), rules.places.taken(now));
        }
    }
}

#[test]
fn an_adaptive_cap_learns_nothing_of_places_that_are_given_back() {
    let mut cap = AdaptiveInFlight::new(4, 1, 9, Duration::from_secs(60)).unwrap();
    let now = Instant::ZERO;
    let mut slot = Limit::try_acquire(&mut cap, now, 3).unwrap();
    Limit::refund(&mut cap, now, &mut slot, 2);
    assert_eq!(cap.taken(now), 1);
    Limit::refund(&mut cap, now, &mut slot, 5);
    assert_eq!((cap.taken(now), cap.cap()), (0, 4));
}

/// It counts two windows, and forgets those before them.
#[test]
fn the_sliding_counter_takes_back_what_it_still_counts() {
    let mut counter = SlidingCounter::new(100, Duration::from_secs(10)).unwrap();
    let at = Instant::from_secs;
    let mut charges = [0, 10].map(|secs| counter.charge(at(secs), 40));
    for charge in &mut charges {
        counter.refund(charge, 10);
    }
    assert_eq!(counter.used(at(10)), 60);
    let _newest = counter.charge(at(20), 1);
    for charge in &mut charges {
        counter.refund(charge, 10);
    }
    assert_eq!(counter.used(at(20)), 20 + 1);
}
