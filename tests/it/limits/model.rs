//! A token bucket beside a model of it, through any order of charges, debts,
//! partial grants, reservations, cancellations, refunds and changes of rate and
//! burst.
//!
//! The model remembers everything that ever happened, and walks through it in
//! rational numbers. The bucket's level must never lie above that of a bucket to
//! which what was given back had never happened, and below it by no more than
//! the rule for refunds says.

use std::time::Duration;

use num_rational::BigRational;
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use sendwhen::{Charge, Instant, Rate, Refusal, Reservation, TokenBucket};

use super::{
    config,
    limits_ops::oracle::{int, rate},
};

/// What happened, in the order in which it did.
#[derive(Clone, Debug)]
enum Past {
    /// So much is charged as of this instant; less for what was given back.
    Charged { at: u64, amount: u64 },
    /// From this instant on, rate and burst are these.
    Changed { at: u64, settings: Settings },
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    count: u64,
    period: u64,
    burst: u64,
}

impl Settings {
    fn rate(self) -> Rate {
        Rate::per(self.count, Duration::from_nanos(self.period)).unwrap()
    }
}

#[derive(Clone, Debug)]
struct Model {
    first: Settings,
    settings: Settings,
    now: u64,
    past: Vec<Past>,
    charges: Vec<Made>,
    changes: usize,
    /// The most that refunds may have lost so far, in tokens.
    lost: BigRational,
}

/// A charge: its place in the past, the instant that it counts for, how much it
/// was, and how many changes came before it.
#[derive(Clone, Copy, Debug)]
struct Made {
    place: usize,
    at: u64,
    amount: u64,
    changes: usize,
    /// Whether that instant lay ahead.
    ahead: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(u64),
    Charge(u64),
    UpTo(u64),
    Reserve(u64, u64),
    /// A charge gives so much back.
    Refund(prop::sample::Index, u64),
    /// All of it, as a cancelled reservation if it was one.
    Cancel(prop::sample::Index),
    Set(Settings),
    Advance(u64),
}

impl Model {
    /// The level, had what was given back never been charged, and nothing else
    /// been otherwise.
    fn level(&self) -> BigRational {
        let mut settings = self.first;
        let (mut level, mut then) = (int(settings.burst), 0);
        let refill = |level: BigRational, settings: Settings, then: u64, at: u64| {
            let more = int(at.max(then) - then) * rate(settings.count, settings.period);
            (level + more).min(int(settings.burst))
        };
        for past in &self.past {
            match *past {
                Past::Charged { amount: 0, .. } => {}
                Past::Charged { at, amount } => {
                    level = refill(level, settings, then, at) - int(amount);
                    then = then.max(at);
                }
                Past::Changed { at, settings: new } => {
                    level = refill(level, settings, then, at);
                    then = at;
                    settings = new;
                    level = level.min(int(settings.burst));
                }
            }
        }
        let ahead = int(then.max(self.now) - self.now);
        let level = refill(level, settings, then, self.now);
        level - ahead * rate(settings.count, settings.period)
    }

    /// The most that came in from `from` until now.
    fn refill_since(&self, from: u64) -> BigRational {
        let mut sum = int(0);
        let (mut settings, mut then) = (self.first, 0);
        for past in &self.past {
            if let Past::Changed { at, settings: new } = *past {
                let span = int(at.max(from) - then.max(from).min(at.max(from)));
                sum += span * rate(settings.count, settings.period);
                (settings, then) = (new, at);
            }
        }
        let span = int(self.now.max(from) - then.max(from).min(self.now.max(from)));
        sum + span * rate(settings.count, settings.period)
    }

    fn enter(&mut self, at: u64, amount: u64) {
        self.charges.push(Made {
            place: self.past.len(),
            at,
            amount,
            changes: self.changes,
            ahead: at > self.now,
        });
        self.past.push(Past::Charged { at, amount });
    }

    fn left(&self, charge: usize) -> u64 {
        match self.past[self.charges[charge].place] {
            Past::Charged { amount, .. } => amount,
            Past::Changed { .. } => unreachable!("a charge is no change"),
        }
    }

    fn give_back(&mut self, charge: usize, back: u64) {
        let Made {
            place, at, changes, ..
        } = self.charges[charge];
        // Younger ones may have given something back before it, and in constant
        // space it is not known whose that was. Of what was charged before the
        // last change but one, all of it may be lost.
        let younger = charge + 1..self.charges.len();
        let whole = |younger: usize| self.left(younger) == self.charges[younger].amount;
        let in_order = younger.clone().all(whole);
        // What was promised before a change counts at the rate before it.
        let reserved = self.charges[younger]
            .iter()
            .any(|made| made.at > self.now || (made.ahead && made.changes < self.changes));
        // A reservation is rounded up to a nanosecond.
        let settings = self.past.iter().filter_map(|past| match past {
            Past::Changed { settings, .. } => Some(settings),
            Past::Charged { .. } => None,
        });
        let rates = settings.chain([&self.first]);
        let nano = rates.map(|s| rate(s.count, s.period)).max().unwrap();
        let most = if changes + 1 < self.changes {
            int(back)
        } else if in_order && !reserved {
            self.refill_since(at) + nano + int(u64::from(changes < self.changes))
        } else {
            int(back)
        };
        self.lost += most.min(int(back));
        if let Past::Charged { amount, .. } = &mut self.past[place] {
            *amount -= back;
        }
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    (1..50_u64, 1..5_000_000_000_u64, 1..40_u64).prop_map(|(count, period, burst)| Settings {
        count,
        period,
        burst,
    })
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        settings()
            .prop_map(|settings| Self {
                first: settings,
                settings,
                now: 0,
                past: vec![],
                charges: vec![],
                changes: 0,
                lost: int(0),
            })
            .boxed()
    }

    fn transitions(_state: &Self) -> BoxedStrategy<Step> {
        prop_oneof![
            3 => (1..30_u64).prop_map(Step::Acquire),
            1 => (0..30_u64).prop_map(Step::Charge),
            1 => (1..30_u64).prop_map(Step::UpTo),
            2 => (1..30_u64, 0..20_000_000_000_u64).prop_map(|(n, w)| Step::Reserve(n, w)),
            3 => (any::<prop::sample::Index>(), 1..30_u64).prop_map(|(i, n)| Step::Refund(i, n)),
            2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
            1 => settings().prop_map(Step::Set),
            4 => (0..4_000_000_000_u64).prop_map(Step::Advance),
        ]
        .boxed()
    }

    /// What it did depends on the bucket's own answers, so all of it is done
    /// there.
    fn apply(state: Self, _step: &Step) -> Self {
        state
    }
}

enum Ticket {
    Charge(Charge),
    Reservation(Reservation),
}

struct Bucket {
    bucket: TokenBucket,
    model: Model,
    tickets: Vec<Ticket>,
}

impl Bucket {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.model.now)
    }

    /// The bucket's level lies where the model says, to a unit for each change.
    fn check(&self) {
        let most = self.model.level();
        let least = &most - &self.model.lost - int(1);
        let bucket = &self.bucket;
        let whole = int(bucket.available(self.now()));
        let debt = int(bucket.debt(self.now()));
        let context = || {
            format!(
                "{bucket:?} at {}: {most} is the most, {least} the least",
                self.model.now
            )
        };
        assert!(debt == int(0) || whole == int(0));
        assert!(whole <= most.clone().max(int(0)), "above: {}", context());
        assert!(-debt.clone() <= most, "above: {}", context());
        let (at_most, at_least) = (&whole + int(1) - &debt, &whole - &debt);
        assert!(at_most > least, "below: {}", context());
        assert!(at_least <= most, "above: {}", context());
    }
}

struct Test;

impl StateMachineTest for Test {
    type SystemUnderTest = Bucket;
    type Reference = Model;

    fn init_test(model: &Model) -> Bucket {
        Bucket {
            bucket: TokenBucket::new(model.settings.rate(), model.settings.burst).unwrap(),
            model: model.clone(),
            tickets: vec![],
        }
    }

    fn apply(mut test: Bucket, _model: &Model, step: Step) -> Bucket {
        let now = test.now();
        let Bucket {
            bucket,
            model,
            tickets,
        } = &mut test;
        match step {
            Step::Acquire(amount) => {
                let peeked = bucket.peek(now, amount);
                let acquired = bucket.try_acquire(now, amount);
                assert_eq!(acquired.err(), peeked.err());
                if let Ok(charge) = acquired {
                    model.enter(model.now, amount);
                    tickets.push(Ticket::Charge(charge));
                }
            }
            Step::Charge(amount) => {
                tickets.push(Ticket::Charge(bucket.charge(now, amount)));
                model.enter(model.now, amount);
            }
            Step::UpTo(amount) => {
                let there = bucket.available(now);
                match bucket.acquire_up_to(now, amount) {
                    Ok(charge) => {
                        assert_eq!(charge.amount(), amount.min(there));
                        model.enter(model.now, charge.amount());
                        tickets.push(Ticket::Charge(charge));
                    }
                    Err(refusal) => {
                        assert_eq!(there, 0);
                        assert_eq!(bucket.peek(now, 1), Err(refusal));
                    }
                }
            }
            Step::Reserve(amount, longest) => {
                let longest = Duration::from_nanos(longest);
                let before = *bucket;
                match (
                    bucket.peek(now, amount),
                    bucket.reserve(now, amount, longest),
                ) {
                    (Ok(()), Ok(reserved)) => assert_eq!(reserved.at(), now),
                    (Err(Refusal::Until(until)), Ok(reserved)) => {
                        assert_eq!(reserved.at(), until);
                        assert!(until <= now.saturating_add(longest));
                    }
                    (Err(refusal), Err(refused)) => {
                        assert_eq!(refusal, refused);
                        assert_eq!(*bucket, before);
                    }
                    (peeked, reserved) => panic!("{peeked:?} and {reserved:?}"),
                }
                if *bucket != before {
                    bucket.clone_from(&before);
                    let reserved = bucket.reserve(now, amount, longest).unwrap();
                    model.enter(reserved.at().as_nanos(), amount);
                    tickets.push(Ticket::Reservation(reserved));
                }
            }
            Step::Refund(..) | Step::Cancel(_) if tickets.is_empty() => {}
            Step::Refund(which, amount) => {
                let which = which.index(tickets.len());
                let back = amount.min(model.left(which));
                let mut charge = match &tickets[which] {
                    Ticket::Charge(charge) => *charge,
                    Ticket::Reservation(reserved) => reserved.charge(),
                };
                bucket.refund(&mut charge, back);
                model.give_back(which, back);
                tickets[which] = Ticket::Charge(charge);
            }
            Step::Cancel(which) => {
                let which = which.index(tickets.len());
                let back = model.left(which);
                match &mut tickets[which] {
                    Ticket::Charge(charge) => bucket.refund(charge, u64::MAX),
                    Ticket::Reservation(reserved) => {
                        bucket.cancel(*reserved);
                        let mut spent = reserved.charge();
                        TokenBucket::new(model.first.rate(), 1)
                            .unwrap()
                            .refund(&mut spent, u64::MAX);
                        tickets[which] = Ticket::Charge(spent);
                    }
                }
                model.give_back(which, back);
            }
            Step::Set(settings) => {
                let before = bucket.available(now);
                bucket.set(now, settings.rate(), settings.burst).unwrap();
                let after = bucket.available(now);
                assert!(after <= before, "no burst is given");
                assert!(after + 1 >= before.min(settings.burst), "no token is lost");
                // What was promised ahead is a debt from here on: until its
                // instant, the bucket is never full.
                for past in &mut model.past {
                    if let Past::Charged { at, .. } = past {
                        *at = (*at).min(model.now);
                    }
                }
                model.past.push(Past::Changed {
                    at: model.now,
                    settings,
                });
                model.settings = settings;
                model.changes += 1;
                for made in &mut model.charges {
                    made.at = made.at.min(model.now);
                }
            }
            Step::Advance(by) => model.now += by,
        }
        test.check();
        test
    }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn a_bucket_does_what_its_model_does(sequential 1..40 => Test);
}
