//! Any list of operations on a limiter, with hostile hints and times: what must
//! always hold of it does.

use sendwhen::{
    Cost, Decision, Denied, Dimension, Event, GiveUp, Instant, Limiter, Never, Permit, Rate,
    Request, ServerHints, Stance, Wait,
};

use super::hostile::{Bytes, just_before};

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let limiter = bytes.limiter();
    let mut asked = Play::new(limiter.clone(), true);
    let mut plain = Play::new(limiter, false);
    let (mut a, mut b) = (Bytes::new(bytes.rest()), Bytes::new(bytes.rest()));
    for _ in 0..200 {
        if a.is_empty() {
            break;
        }
        assert_eq!(
            asked.step(&mut a),
            plain.step(&mut b),
            "a refusal changes nothing, and the same events give the same decisions"
        );
    }
    asked.end();
}

/// The last nanosecond of a clock.
const END: i128 = u64::MAX as i128;

struct Play {
    limiter: Limiter,
    /// Whether it is asked for more than the operations say.
    asks: bool,
    now: Instant,
    /// Where the limiter's own clock is, and by how much it is ahead.
    latest: i128,
    ahead: i128,
    permits: Vec<Permit>,
    /// Who was told to wait, how long, and what `opened` was then.
    waiters: Vec<(Cost, Wait, u64)>,
}

impl Play {
    const fn new(limiter: Limiter, asks: bool) -> Self {
        Self {
            limiter,
            asks,
            now: Instant::ZERO,
            latest: 0,
            ahead: 0,
            permits: Vec::new(),
            waiters: Vec::new(),
        }
    }

    /// One operation; what came of it.
    fn step(&mut self, bytes: &mut Bytes<'_>) -> Option<Result<Cost, Denied>> {
        let mut answer = None;
        // The time counts, asked or not.
        self.limiter.observe(self.now, None, &ServerHints::NONE);
        let inside = i128::from(self.now.as_nanos()) + self.ahead;
        self.latest = self.latest.max(inside.min(END));
        match bytes.byte() % 16 {
            0..5 => {
                let cost = bytes.cost();
                if self.asks {
                    self.probe(&cost);
                }
                answer = Some(match self.limiter.try_acquire(self.now, &cost) {
                    Ok(permit) => {
                        assert_eq!(*permit.cost(), cost);
                        self.permits.push(permit);
                        Ok(cost)
                    }
                    Err(denied) => {
                        if self.asks {
                            self.waits(&cost, &denied);
                        }
                        Err(denied)
                    }
                });
            }
            5..8 => {
                let (which, how) = (bytes.byte(), bytes.byte());
                let actual = match how % 4 {
                    0 => Some(Cost::ZERO),
                    1 => None,
                    _ => Some(bytes.cost()),
                };
                if !self.permits.is_empty() {
                    let place = usize::from(which) % self.permits.len();
                    let permit = self.permits.swap_remove(place);
                    self.limiter.settle(self.now, permit, actual);
                }
            }
            8..11 => {
                let which = usize::from(bytes.byte());
                let hints = bytes.hints();
                let permit = self.permits.get(which % (self.permits.len() + 1));
                self.limiter.observe(self.now, permit, &hints);
            }
            11 => {
                let dimension = Dimension::ALL[usize::from(bytes.byte()) % Dimension::COUNT];
                let rate = Rate::per(bytes.amount(), bytes.span());
                let burst = bytes.amount();
                if let Ok(rate) = rate {
                    let _refused = self.limiter.set_limit(self.now, dimension, rate, burst);
                }
            }
            12 => match bytes.byte() % 8 {
                0 => self.limiter.close(self.now, None),
                1 => {
                    let until = self.now.saturating_add(bytes.span());
                    self.limiter.close(self.now, Some(until));
                }
                2 => {
                    let there = Instant::ZERO.saturating_add(bytes.span());
                    self.limiter.rebase(there);
                    self.ahead = self.latest - i128::from(there.as_nanos());
                    self.now = there;
                    // What they were told was on another clock.
                    self.waiters.clear();
                }
                3 => {
                    self.now = self.now.saturating_sub(bytes.span());
                }
                _ => self.limiter.reopen(),
            },
            _ => self.now = self.now.saturating_add(bytes.span()),
        }
        if self.asks {
            self.who_could_go_is_told();
        }
        answer
    }

    /// All ways to ask agree, and what is promised is true.
    fn probe(&mut self, cost: &Cost) {
        let (limiter, now) = (&mut self.limiter, self.now);
        let peeked = limiter.peek(now, cost);
        let acquired = limiter.clone().try_acquire(now, cost).map(drop);
        assert_eq!(peeked, acquired, "peek agrees with acquire");
        let request = Request::new()
            .input_tokens(cost.get(Dimension::InputTokens))
            .max_tokens(cost.get(Dimension::OutputTokens));
        explained(limiter, now, request);
        let Err(denied) = peeked else {
            return;
        };
        let Denied::Until { wait, earliest } = denied else {
            return;
        };
        assert!(limiter.try_acquire(now, cost).is_err());
        assert_eq!(limiter.peek(now, cost), Err(denied));
        self.waiters.push((*cost, wait, limiter.opened()));
        self.waiters.truncate(8);
        if i128::from(wait.until.as_nanos()) >= END.min(END - self.ahead) {
            // Beyond the clock's end nothing is promised.
            return;
        }
        assert!(wait.until > now, "a wait is always in the future");
        assert!(earliest <= wait.until);
        assert_eq!(
            limiter.peek(wait.until, cost),
            Ok(()),
            "until is exact: {wait:?}"
        );
        assert!(
            limiter.peek(just_before(wait.until), cost).is_err(),
            "until is exact: {wait:?}"
        );
    }

    fn waits(&mut self, cost: &Cost, denied: &Denied) {
        if let Denied::Until { wait, .. } = denied {
            self.waiters.push((*cost, *wait, self.limiter.opened()));
            self.waiters.truncate(8);
        }
    }

    /// Nobody may go before the instant that he was told, if `opened` did not
    /// move since.
    fn who_could_go_is_told(&mut self) {
        let (limiter, now) = (&self.limiter, self.now);
        if i128::from(now.as_nanos()) + self.ahead >= END {
            // At the end of the clock all passes that was told to wait for it.
            self.waiters.clear();
        }
        self.waiters
            .retain(|(_, wait, opened)| *opened == limiter.opened() && now < wait.until);
        for (cost, wait, _) in &self.waiters {
            assert!(
                limiter.peek(now, cost).is_err(),
                "told {wait:?}, passes at {now:?}, and opened did not move"
            );
        }
    }

    /// When all is settled nothing is held.
    fn end(mut self) {
        assert!(self.limiter.flying(self.now) as usize <= self.permits.len());
        for permit in self.permits.drain(..) {
            self.limiter.settle(self.now, permit, None);
        }
        assert_eq!(self.limiter.flying(self.now), 0, "a permit leaked");
    }
}

/// What is explained is what a call is then told.
fn explained(limiter: &Limiter, now: Instant, request: Request) {
    let mut limiter = limiter.clone().retry(sendwhen::RetryPolicy::new());
    let stance = limiter.explain(now, &request).stance;
    let mut call = limiter.call(request);
    let decision = call.handle(&mut limiter, now, Event::Submitted);
    match (stance, decision) {
        (Stance::Send, Decision::Send(_)) => {}
        (Stance::Wait(said), Decision::Wait(wait)) => assert_eq!(said, wait),
        (Stance::Never(said), Decision::GiveUp(GiveUp::Never(never))) => assert_eq!(said, never),
        (stance, decision) => panic!("explained as {stance:?}, decided {decision:?}"),
    }
    if let Stance::Never(Never::ExceedsBurst { cost, burst, .. }) = stance {
        assert!(cost > burst);
    }
}
