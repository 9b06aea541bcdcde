//! What must always hold of each limit algorithm, with a clock that moves.
//!
//! `PROPTEST_CASES=1000000 cargo test --release -- limits::props` runs each a
//! million times.

use std::fmt::Debug;

use proptest::prelude::*;
use sendwhen::{
    FixedWindow, InFlight, Instant, Limit, LogEntry, Quota, Refusal, SlidingCounter, SlidingLog,
    SmoothRamp, Spacing, StepRamp, TokenBucket,
};

use super::{
    config,
    limits_ops::{self, ALL, Places, Settings, drive::Op},
};

trait Part: Limit<Amount = u64> + Clone + PartialEq + Debug {}

impl<L: Limit<Amount = u64> + Clone + PartialEq + Debug> Part for L {}

const fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// Does all of it, and tells the time then.
fn after<L: Part>(limit: &mut L, ops: &[Op]) -> u64 {
    let mut now = 0_u64;
    let mut charges = vec![];
    for &op in ops {
        match op {
            Op::Acquire(amount) => charges.extend(limit.try_acquire(at(now), amount)),
            Op::Charge(amount) => charges.push(limit.charge(at(now), amount)),
            Op::Refund(which, amount) => {
                let count = charges.len().max(1);
                if let Some(charge) = charges.get_mut(which % count) {
                    limit.refund(at(now), charge, amount);
                }
            }
            Op::Advance(by) => now = now.saturating_add(by),
            Op::Back(by) => now = now.saturating_sub(by),
        }
    }
    now
}

/// Whether they decide alike, now and later.
fn decide_alike<L: Part>(one: &L, other: &L, now: u64, period: u64) {
    for later in [0, 1, period / 3, period, 2 * period + 1, 40 * period] {
        for amount in [0, 1, 2, 9, 30] {
            let later = at(now + later);
            assert_eq!(one.peek(later, amount), other.peek(later, amount));
        }
    }
}

/// Refused one nanosecond before the promised instant, admitted at it.
fn until_is_exact<L: Part>(limit: &mut L, ops: &[Op], amount: u64) {
    let now = after(limit, ops);
    if let Err(Refusal::Until(until)) = refusal(limit, now, amount) {
        let until = until.as_nanos();
        assert_eq!(refusal(limit, until, amount), Ok(()));
        assert!(until == now + 1 || refusal(limit, until - 1, amount).is_err());
    }
}

fn wait_is_always_in_the_future<L: Part>(limit: &mut L, ops: &[Op], amount: u64) {
    let now = after(limit, ops);
    if let Err(Refusal::Until(until)) = refusal(limit, now, amount) {
        assert!(until > at(now));
    }
}

/// So that the latest of several instants is the first at which all let pass.
fn what_passes_goes_on_passing<L: Part>(limit: &mut L, ops: &[Op], amount: u64) {
    let now = after(limit, ops);
    let mut passed = false;
    for later in 0..64 {
        let passes = refusal(limit, now + (1 << later) / 7, amount).is_ok();
        assert!(passes || !passed);
        passed = passes;
    }
}

fn refusal_changes_nothing<L: Part>(limit: &mut L, ops: &[Op], amount: u64) {
    let now = after(limit, ops);
    let before = limit.clone();
    if limit.try_acquire(at(now), amount).is_err() {
        assert_eq!(*limit, before);
    }
}

fn peek_agrees_with_acquire<L: Part>(limit: &mut L, ops: &[Op], amount: u64) {
    let now = after(limit, ops);
    let peeked = limit.peek(at(now), amount);
    assert_eq!(limit.try_acquire(at(now), amount).err(), peeked.err());
}

fn refund_undoes_acquire<L: Part>(limit: &mut L, ops: &[Op], amount: u64, period: u64) {
    let now = after(limit, ops);
    let before = limit.clone();
    if let Ok(mut charge) = limit.try_acquire(at(now), amount) {
        limit.refund(at(now), &mut charge, amount);
        decide_alike(limit, &before, now, period);
    }
}

/// What passes earlier would pass now, and what is asked earlier leaves no
/// trace; whatever the clock does, an answer comes.
fn time_going_back_admits_no_more_and_never_panics<L: Part>(
    limit: &mut L,
    ops: &[Op],
    amount: u64,
    period: u64,
) {
    let now = after(limit, ops);
    let before = limit.clone();
    for back in [1, period / 2, period, 3 * period, u64::MAX] {
        let earlier = now.saturating_sub(back);
        match limit.peek(at(earlier), amount) {
            Ok(()) => assert_eq!(limit.peek(at(now), amount), Ok(())),
            Err(_) => assert!(limit.try_acquire(at(earlier), amount).is_err()),
        }
    }
    assert_eq!(*limit, before);
    for any in [u64::MAX, 0, u64::MAX - 1, now, 1] {
        let mut charge = limit.charge(at(any), amount);
        limit.refund(at(now), &mut charge, amount / 2);
        let _answer = limit.peek(at(any), u64::MAX);
    }
}

/// To ask again and again on the way changes nothing.
fn many_small_ticks_equal_one_large_tick<L: Part>(limit: &mut L, ops: &[Op], period: u64) {
    let mut often = limit.clone();
    let mut asked = vec![];
    for &op in ops {
        match op {
            Op::Advance(by) => {
                asked.extend([Op::Advance(by / 16); 16]);
                asked.push(Op::Advance(by % 16));
            }
            op => asked.push(op),
        }
    }
    let mut now = 0_u64;
    let mut charges = vec![];
    for op in asked {
        for amount in [1, 30] {
            // Refused, or not taken.
            if often.peek(at(now), amount).is_err() {
                assert!(often.try_acquire(at(now), amount).is_err());
            }
        }
        match op {
            Op::Acquire(amount) => charges.extend(often.try_acquire(at(now), amount)),
            Op::Charge(amount) => charges.push(often.charge(at(now), amount)),
            Op::Refund(which, amount) => {
                let count = charges.len().max(1);
                if let Some(charge) = charges.get_mut(which % count) {
                    often.refund(at(now), charge, amount);
                }
            }
            Op::Advance(by) => now = now.saturating_add(by),
            Op::Back(by) => now = now.saturating_sub(by),
        }
    }
    assert_eq!(after(limit, ops), now);
    assert_eq!(*limit, often);
    decide_alike(limit, &often, now, period);
}

fn refusal<L: Part>(limit: &L, now: u64, amount: u64) -> Result<(), Refusal> {
    limit
        .peek(at(now), amount)
        .map_err(|blocked| blocked.refusal)
}

/// The settings of a limit, what is done to it, and an amount to ask for.
fn cases() -> impl Strategy<Value = (Settings, Vec<Op>, u64)> {
    let bytes = prop::collection::vec(any::<u8>(), 9..80);
    bytes.prop_map(|bytes| {
        let settings = Settings::decode(&bytes[..8]);
        let ops = limits_ops::operations(&bytes[9..], settings.period, ALL);
        (settings, ops, u64::from(bytes[8] % 50))
    })
}

/// All properties of one algorithm, and its twin's numbers.
macro_rules! properties {
    ($name:ident, $twins:expr, $make:expr) => {
        mod $name {
            use super::*;

            fn make(settings: &Settings) -> impl Part {
                let make = $make;
                make(settings)
            }

            proptest! {
                #![proptest_config(config())]

                #[test]
                fn it_says_what_its_slow_twin_says(
                    bytes in prop::collection::vec(any::<u8>(), 9..64)
                ) {
                    for twin in $twins {
                        limits_ops::run(twin, &Settings::decode(&bytes[..8]), &bytes[8..]);
                    }
                }

                #[test]
                fn until_is_exact((s, ops, amount) in cases()) {
                    super::until_is_exact(&mut make(&s), &ops, amount);
                }

                #[test]
                fn wait_is_always_in_the_future((s, ops, amount) in cases()) {
                    super::wait_is_always_in_the_future(&mut make(&s), &ops, amount);
                }

                #[test]
                fn what_passes_goes_on_passing((s, ops, amount) in cases()) {
                    super::what_passes_goes_on_passing(&mut make(&s), &ops, amount);
                }

                #[test]
                fn refusal_changes_nothing((s, ops, amount) in cases()) {
                    super::refusal_changes_nothing(&mut make(&s), &ops, amount);
                }

                #[test]
                fn peek_agrees_with_acquire((s, ops, amount) in cases()) {
                    super::peek_agrees_with_acquire(&mut make(&s), &ops, amount);
                }

                #[test]
                fn refund_undoes_acquire((s, ops, amount) in cases()) {
                    super::refund_undoes_acquire(&mut make(&s), &ops, amount, s.period);
                }

                #[test]
                fn time_going_back_admits_no_more_and_never_panics((s, ops, amount) in cases()) {
                    super::time_going_back_admits_no_more_and_never_panics(
                        &mut make(&s), &ops, amount, s.period,
                    );
                }

                #[test]
                fn many_small_ticks_equal_one_large_tick((s, ops, _) in cases()) {
                    super::many_small_ticks_equal_one_large_tick(&mut make(&s), &ops, s.period);
                }
            }
        }
    };
}

properties!(token_bucket, 0..=1, |s: &Settings| {
    TokenBucket::new(s.rate(), s.burst).unwrap()
});
properties!(strict_bucket, 2..=2, |s: &Settings| {
    TokenBucket::strict(s.count + s.burst, s.period(), s.burst).unwrap()
});
properties!(spacing, 3..=3, |s: &Settings| Spacing::new(s.rate()));
properties!(sliding_log, 4..=5, |s: &Settings| {
    SlidingLog::new(s.burst, s.period(), [LogEntry::EMPTY; 6]).unwrap()
});
properties!(sliding_counter, 6..=6, |s: &Settings| {
    SlidingCounter::new(s.burst, s.period()).unwrap()
});
properties!(fixed_window, 7..=7, |s: &Settings| {
    let window = FixedWindow::new(s.burst, s.period()).unwrap();
    window.aligned_to(s.edge())
});
properties!(fixed_window_from_first_use, 7..=7, |s: &Settings| {
    FixedWindow::new(s.burst, s.period()).unwrap()
});
properties!(quota, 8..=8, |s: &Settings| {
    let quota = Quota::new(s.burst, s.period()).unwrap();
    quota.paced(s.edge % (s.burst + 1))
});
properties!(step_ramp, 9..=9, |s: &Settings| {
    StepRamp::new(s.burst, s.count, s.burst + 30, s.period()).unwrap()
});
properties!(smooth_ramp, 10..=10, |s: &Settings| {
    SmoothRamp::new(s.count, 3, s.count + 20, s.period(), s.burst).unwrap()
});
properties!(in_flight, 11..=11, |s: &Settings| {
    let lifetime = s.period().max(std::time::Duration::from_millis(1));
    Places(InFlight::new(s.burst as u32, lifetime).unwrap())
});
properties!(nested, 12..=12, |s: &Settings| {
    sendwhen::Together((
        TokenBucket::new(s.rate(), s.burst).unwrap(),
        sendwhen::Together([SlidingCounter::new(s.burst + 3, s.period()).unwrap(); 2]),
        Spacing::new(s.rate()),
        Some(FixedWindow::new(s.burst + 1, s.period()).unwrap()),
    ))
});
