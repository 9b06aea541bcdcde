//! A limiter of known limits beside a slow and obvious one: the same answers,
//! whatever is asked, settled, heard, closed or set, on a clock that goes on,
//! stands, goes back or is reset.

use std::time::Duration;

use num_rational::BigRational;
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use sendwhen::{
    Control, Cost, Decision, Denied, Dimension, ErrorDetails, Event, Family, Instant, Limiter,
    Meter, Never, OutputRule, Permit, Request, ServerHints, Wait,
};

use super::model_pool::{self, Answer, Bucket, Pool, Setting, Ticket};

const LIMITED: [Dimension; 3] = [
    Dimension::Requests,
    Dimension::InputTokens,
    Dimension::OutputTokens,
];

/// Draws what happens; knows nothing of what comes of it.
#[derive(Clone, Debug)]
struct Drawn {
    limits: [Setting; 3],
    cap: Option<u32>,
    lifetime: u64,
}

#[derive(Clone, Debug)]
enum Op {
    Acquire(Cost),
    /// One of the permits is over, and took so much.
    Settle(prop::sample::Index, Option<Cost>),
    /// A head shows limits, which are not to be believed, of one of the permits
    /// or of none.
    Hear(prop::sample::Index, u64),
    /// A call is sent and refused at once, with a wait of so many nanoseconds.
    Refused(u64),
    /// A call is sent, and the account is spent.
    Spent,
    SetLimit(usize, Setting),
    Close(Option<u64>),
    Reopen,
    Pass(u64),
    Back(u64),
    Rebase(u64),
}

fn cost() -> impl Strategy<Value = Cost> {
    (0..3_u64, 0..30_u64, 0..30_u64).prop_map(|(requests, input, output)| {
        Cost::ZERO
            .with(Dimension::Requests, requests)
            .with(Dimension::InputTokens, input)
            .with(Dimension::OutputTokens, output)
    })
}

fn setting() -> impl Strategy<Value = Setting> {
    model_pool::setting(5_000_000_000, 40)
}

struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Drawn;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Drawn> {
        let limits = [setting(), setting(), setting()];
        let cap = prop::option::of(1..6_u32);
        (limits, cap, 1_000_000..20_000_000_000_u64)
            .prop_map(|(limits, cap, lifetime)| Drawn {
                limits,
                cap,
                lifetime,
            })
            .boxed()
    }

    fn transitions(_: &Drawn) -> BoxedStrategy<Op> {
        let which = any::<prop::sample::Index>;
        let span = || prop_oneof![Just(0), Just(1), 0..3_000_000_000_u64];
        prop_oneof![
            12 => cost().prop_map(Op::Acquire),
            8 => (which(), prop::option::of(cost())).prop_map(|(i, c)| Op::Settle(i, c)),
            2 => (which(), 1..100_u64).prop_map(|(i, limit)| Op::Hear(i, limit)),
            1 => span().prop_map(Op::Refused),
            1 => Just(Op::Spent),
            1 => (0..3_usize, setting()).prop_map(|(i, s)| Op::SetLimit(i, s)),
            1 => prop::option::of(span()).prop_map(Op::Close),
            2 => Just(Op::Reopen),
            8 => span().prop_map(Op::Pass),
            1 => span().prop_map(Op::Back),
            1 => span().prop_map(Op::Rebase),
        ]
        .boxed()
    }

    fn apply(state: Drawn, _: &Op) -> Drawn {
        state
    }
}

/// Who was told to wait: for what, how long, and what `opened` was then.
struct Waiter {
    cost: Cost,
    wait: Wait,
    opened: u64,
}

/// Both, side by side.
struct Pair {
    real: Limiter,
    naive: Pool,
    /// The caller's clock, the latest instant of the limiter's own, and by how
    /// much that one is ahead.
    now: u64,
    latest: u64,
    ahead: i128,
    permits: Vec<(Permit, Ticket)>,
    waiters: Vec<Waiter>,
}

impl Pair {
    fn new(drawn: &Drawn) -> Self {
        // Nothing is held back, and nobody waits for a first answer.
        let control = Control::new()
            .tenths_of_deviations(0)
            .unheard(u32::MAX)
            .hold_back_surprises(false)
            .output_rule(OutputRule::AsProduced);
        let mut real = Limiter::new(1)
            .learn_limits(false)
            .control(control)
            .initial_window(1_000)
            .and_then(|real| real.permit_lifetime(Duration::from_nanos(drawn.lifetime)))
            .unwrap();
        let mut limits = vec![];
        for (dimension, setting) in LIMITED.into_iter().zip(drawn.limits) {
            real = real
                .limit(dimension, setting.rate(), setting.burst)
                .unwrap();
            limits.push(Bucket::new(dimension, setting));
        }
        if let Some(cap) = drawn.cap {
            real = real.in_flight(cap).unwrap();
        }
        let cap = drawn.cap.map(|cap| cap as usize);
        Self {
            real,
            naive: Pool::new(limits, cap, drawn.lifetime),
            now: 0,
            latest: 0,
            ahead: 0,
            permits: vec![],
            waiters: vec![],
        }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    /// An instant of the caller's clock, on the limiter's; its origin where
    /// there is no earlier one.
    fn inside(&self, at: Instant) -> u64 {
        u64::try_from((i128::from(at.as_nanos()) + self.ahead).max(0)).unwrap()
    }

    /// An instant of the limiter's clock, on the caller's.
    fn outside(&self, at: u64) -> Instant {
        Instant::from_nanos(u64::try_from(i128::from(at) - self.ahead).unwrap())
    }

    /// The limiter is told the time by whatever is reported to it.
    fn tick(&mut self) {
        self.latest = self.latest.max(self.inside(self.now()));
    }

    /// What must come of it, against what did.
    fn compare(&self, cost: &Cost, answer: Result<(), Denied>) {
        let expected = self.naive.ask(self.latest, |dimension| cost.get(dimension));
        match (expected, answer) {
            (Answer::Closed, Err(Denied::Never(Never::Spend))) => {}
            (Answer::ExceedsBurst, Err(Denied::Never(never))) => {
                let Never::ExceedsBurst {
                    dimension,
                    cost: asked,
                    burst,
                } = never
                else {
                    panic!("{never:?}");
                };
                assert_eq!(asked, cost.get(dimension));
                let place = LIMITED.iter().position(|one| *one == dimension).unwrap();
                assert_eq!(burst, self.naive.limits[place].setting.burst);
                assert!(asked > burst);
            }
            (Answer::Passes(window), Ok(())) => assert!(
                window.soonest <= self.latest,
                "not before {window:?}, and passes at {}",
                self.latest
            ),
            (Answer::Passes(window), Err(Denied::Until { wait, earliest })) => {
                assert!(wait.until > self.now(), "a wait is always in the future");
                let until = self.inside(wait.until);
                assert!(
                    (window.soonest..=window.latest).contains(&until),
                    "{window:?}, and told {wait:?}"
                );
                assert!(earliest <= wait.until);
                assert_eq!(self.real.peek(wait.until, cost), Ok(()), "until is exact");
                let just_before = Instant::from_nanos(wait.until.as_nanos() - 1);
                let refused = self.real.peek(just_before, cost).is_err();
                assert!(refused, "until is exact: {wait:?}");
            }
            (expected, answer) => panic!("{answer:?}, and should be {expected:?}"),
        }
    }

    fn acquire(&mut self, cost: &Cost) {
        self.tick();
        let now = self.now();
        let peeked = self.real.peek(now, cost);
        self.compare(cost, peeked);
        match self.real.try_acquire(now, cost) {
            Ok(permit) => {
                assert_eq!(peeked, Ok(()), "peek agrees with acquire");
                assert_eq!(permit.cost(), cost);
                let amount = |dimension| cost.get(dimension);
                let ticket = self.naive.send(self.latest, amount);
                self.permits.push((permit, ticket));
            }
            Err(denied) => {
                assert_eq!(peeked, Err(denied), "peek agrees with acquire");
                if let Denied::Until { wait, .. } = denied {
                    let (cost, opened) = (*cost, self.real.opened());
                    self.waiters.push(Waiter { cost, wait, opened });
                }
            }
        }
    }

    fn settle(&mut self, place: usize, actual: Option<Cost>) {
        self.tick();
        let now = self.now();
        let (permit, ticket) = self.permits.swap_remove(place);
        self.real.settle(now, permit, actual);
        match actual {
            None => self.naive.settle(self.latest, ticket, None),
            Some(actual) => {
                let amount = |dimension| actual.get(dimension);
                self.naive.settle(self.latest, ticket, Some(&amount));
            }
        }
    }

    /// A call is sent, if it may be, and answered so at once: it took nothing.
    fn answered(&mut self, status: u16, hints: &ServerHints, error: ErrorDetails<'_>) -> bool {
        self.tick();
        let now = self.now();
        let request = Request::new().max_tokens(0);
        let cost = self.real.forecast(&request);
        let mut call = self.real.call(request);
        let decision = call.handle(&mut self.real, now, Event::Submitted);
        let was_sent = matches!(decision, Decision::Send(_));
        let answer = match decision {
            Decision::Wait(wait) => {
                let opened = self.real.opened();
                self.waiters.push(Waiter { cost, wait, opened });
                self.real.peek(now, &cost)
            }
            Decision::GiveUp(_) => self.real.peek(now, &cost),
            Decision::Send(_) | Decision::Deliver => Ok(()),
        };
        self.compare(&cost, answer);
        if was_sent {
            let amount = |dimension| cost.get(dimension);
            let ticket = self.naive.send(self.latest, amount);
            let event = Event::responded(status, hints, error);
            let decision = call.handle(&mut self.real, now, event);
            assert!(matches!(
                decision,
                Decision::Wait(_) | Decision::GiveUp(_) | Decision::Send(_)
            ));
            if matches!(decision, Decision::Send(_)) {
                // Full jitter drew nothing, and it went again.
                let _over = call.handle(
                    &mut self.real,
                    now,
                    Event::Failed(sendwhen::Failure::NotSent),
                );
            }
            self.naive.settle(self.latest, ticket, Some(&|_| 0));
        }
        was_sent
    }

    fn check(&self) {
        let now = self.now();
        let expected = self.naive.flying(self.latest);
        assert_eq!(self.real.flying(now) as usize, expected, "in flight");
        let paused = self.real.paused_until(now);
        let pause = (self.naive.paused > self.latest).then(|| self.outside(self.naive.paused));
        assert_eq!(paused, pause);
        for bucket in &self.naive.limits {
            let level = self.real.level(now, bucket.dimension).unwrap();
            assert_eq!(level.capacity, bucket.setting.burst);
            assert_eq!(level.rate, bucket.setting.rate());
            let there = BigRational::from_integer(level.there.into());
            let (least, most) = (bucket.least(self.latest), bucket.most(self.latest));
            assert!(
                least.floor() <= there && there <= most.floor(),
                "{there} of {}, and not {least} to {most}",
                bucket.dimension
            );
        }
        for waiter in &self.waiters {
            let is_told = waiter.opened != self.real.opened()
                || self.latest >= self.inside(waiter.wait.until);
            assert!(
                is_told || self.real.peek(now, &waiter.cost).is_err(),
                "told {:?}, passes at {now:?}, and opened stands",
                waiter.wait
            );
        }
    }
}

impl StateMachineTest for Machine {
    type SystemUnderTest = Pair;
    type Reference = Self;

    fn init_test(drawn: &Drawn) -> Pair {
        Pair::new(drawn)
    }

    fn apply(mut pair: Pair, _: &Drawn, op: Op) -> Pair {
        match op {
            Op::Acquire(cost) => pair.acquire(&cost),
            Op::Settle(..) if pair.permits.is_empty() => {}
            Op::Settle(which, actual) => pair.settle(which.index(pair.permits.len()), actual),
            Op::Hear(which, limit) => {
                pair.tick();
                let mut hints = ServerHints::NONE;
                for dimension in LIMITED {
                    hints = hints.with_meter(Meter::new(Family::Standard, dimension).limit(limit));
                }
                let now = pair.now();
                let which = which.index(pair.permits.len() + 1);
                let permit = pair.permits.get(which).map(|(permit, _)| permit);
                pair.real.observe(now, permit, &hints);
            }
            Op::Refused(wait) => {
                let wait = Duration::from_nanos(wait);
                let hints = ServerHints::NONE.with_retry_after(wait);
                if pair.answered(429, &hints, ErrorDetails::NONE) {
                    pair.naive.pause(pair.latest + wait.as_nanos() as u64);
                }
            }
            Op::Spent => {
                let error = ErrorDetails::new("billing_error");
                if pair.answered(402, &ServerHints::NONE, error) {
                    pair.naive.closed = Some(None);
                }
            }
            Op::SetLimit(place, setting) => {
                pair.tick();
                let now = pair.now();
                let (rate, burst) = (setting.rate(), setting.burst);
                pair.real
                    .set_limit(now, LIMITED[place], rate, burst)
                    .unwrap();
                pair.naive.set_limit(pair.latest, place, setting);
            }
            Op::Close(after) => {
                pair.tick();
                let until = after.map(|after| pair.now + after);
                pair.real.close(pair.now(), until.map(Instant::from_nanos));
                let inside = until.map(|at| pair.inside(Instant::from_nanos(at)));
                pair.naive.closed = Some(inside);
            }
            Op::Reopen => {
                pair.real.reopen();
                pair.naive.closed = None;
            }
            Op::Pass(by) => pair.now += by,
            Op::Back(by) => pair.now = pair.now.saturating_sub(by),
            Op::Rebase(there) => {
                pair.real.rebase(Instant::from_nanos(there));
                pair.ahead = i128::from(pair.latest) - i128::from(there);
                pair.now = there;
                // What they were told was on another clock.
                pair.waiters.clear();
            }
        }
        pair.tick();
        pair.real.observe(pair.now(), None, &ServerHints::NONE);
        pair.check();
        pair
    }

    /// When all is settled nothing is held; and nothing passed earlier than was
    /// said to be possible.
    fn teardown(mut pair: Pair, _: Drawn) {
        pair.real.reopen();
        let cost = Cost::ZERO
            .with(Dimension::Requests, 1)
            .with(Dimension::InputTokens, 1)
            .with(Dimension::OutputTokens, 1);
        let now = pair.now();
        let peeked = pair.real.peek(now, &cost);
        while !pair.permits.is_empty() {
            pair.settle(0, Some(Cost::ZERO));
        }
        assert_eq!(
            pair.real.flying(now) as usize,
            pair.naive.flying(pair.latest)
        );
        assert_eq!(pair.real.flying(now), 0, "a permit leaked");
        if let Err(Denied::Until { earliest, .. }) = peeked {
            let may_pass_now = pair.inside(earliest) <= pair.latest;
            let just_before = Instant::from_nanos(earliest.as_nanos().saturating_sub(1));
            assert!(may_pass_now || pair.real.peek(just_before, &cost).is_err());
        }
    }
}

prop_state_machine! {
    #![proptest_config(super::props::config())]

    #[test]
    fn a_limiter_does_what_its_model_does(sequential 1..60 => Machine);
}
