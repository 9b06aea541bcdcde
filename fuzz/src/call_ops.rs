//! Any list of events for a few calls over one limiter, with hostile hints and
//! times: what must always hold of their decisions does.

use sendwhen::{Call, Cause, Decision, Event, Instant, Limiter, Profile, Request, Stance};

use super::hostile::Bytes;

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let once = play(data, false);
    assert_eq!(once, play(data, false), "same events, same decisions");
    assert_eq!(once, play(data, true), "to ask why changes nothing");
}

const CALLS: usize = 5;

fn play(data: &[u8], explains: bool) -> Vec<Decision> {
    let mut bytes = Bytes::new(data);
    let mut limiter = bytes.limiter();
    let mut calls = Vec::new();
    for i in 0..CALLS {
        calls.push(One::new(&mut limiter, i, &mut bytes));
    }
    let (mut now, mut latest, mut log) = (Instant::ZERO, Instant::ZERO, Vec::new());
    for _ in 0..200 {
        if bytes.is_empty() {
            break;
        }
        let verb = bytes.byte();
        let call = &mut calls[usize::from(verb >> 4) % CALLS];
        let hints;
        let event = match verb & 15 {
            0..4 => Event::Submitted,
            4..6 => Event::Woken,
            6..9 => {
                hints = bytes.hints();
                Event::responded(bytes.status(), &hints, bytes.error())
            }
            9 => Event::progressed(bytes.usage(), bytes.byte() & 1 == 1),
            10 => Event::Finished(Some(bytes.usage())),
            11 => Event::Finished(None),
            12 => Event::Failed(bytes.failure()),
            13 => {
                now = now.saturating_sub(bytes.span());
                Event::Woken
            }
            14 => Event::Cancelled,
            _ => {
                now = now.saturating_add(bytes.span());
                Event::Woken
            }
        };
        latest = latest.max(now);
        log.push(call.hear(&mut limiter, now, latest, event, explains));
        let open = calls.iter().filter(|call| call.holds).count();
        assert!(limiter.flying(now) as usize <= open, "a permit leaked");
    }
    for call in &mut calls {
        log.push(call.hear(&mut limiter, now, latest, Event::Cancelled, explains));
    }
    assert_eq!(limiter.flying(now), 0, "a permit leaked");
    log
}

struct One {
    call: Call,
    start_by: Option<Instant>,
    /// What it was told last, if that is for good.
    end: Option<Decision>,
    /// The last decision.
    last: Option<Decision>,
    sent: u32,
    /// Whether an attempt of it is under way.
    holds: bool,
}

impl One {
    fn new(limiter: &mut Limiter, number: usize, bytes: &mut Bytes<'_>) -> Self {
        let mut request = Request::new()
            .input_tokens(bytes.amount())
            .max_tokens(bytes.amount())
            .profile(Profile::new(number as u8));
        let start_by = (number % 2 == 1).then(|| Instant::ZERO.saturating_add(bytes.span()));
        if let Some(latest) = start_by {
            request = request.start_by(latest);
        }
        Self {
            call: limiter.call(request),
            start_by,
            end: None,
            last: None,
            sent: 0,
            holds: false,
        }
    }

    fn hear(
        &mut self,
        limiter: &mut Limiter,
        now: Instant,
        latest: Instant,
        event: Event<'_>,
        explains: bool,
    ) -> Decision {
        if explains {
            let why = self.call.explain(limiter, now);
            assert!(!why.to_string().is_empty());
        }
        let decision = self.call.handle(limiter, now, event);
        if let Some(end) = self.end {
            assert_eq!(decision, end, "terminal is sticky");
            return decision;
        }
        let delivers = self.last == Some(Decision::Deliver);
        match decision {
            Decision::Send(attempt) => {
                self.sent += 1;
                assert!(attempt.number >= self.sent);
                assert_eq!(attempt.number, self.call.attempts());
                if let Some(start_by) = self.start_by {
                    assert!(latest <= start_by, "a start never passes its deadline");
                }
                self.holds = true;
            }
            Decision::Wait(wait) => {
                assert!(
                    wait.until > now || now == Instant::MAX,
                    "a wait is always in the future: {wait:?}"
                );
                self.holds = wait.cause == Cause::Response;
            }
            Decision::Deliver => {
                if delivers && matches!(event, Event::Finished(_)) {
                    self.end = Some(decision);
                    self.holds = false;
                }
            }
            Decision::GiveUp(_) => {
                self.end = Some(decision);
                self.holds = false;
            }
        }
        self.last = Some(decision);
        if explains {
            self.agrees(limiter, now, decision);
        }
        decision
    }

    /// What is said to be so is what was just decided.
    fn agrees(&self, limiter: &Limiter, now: Instant, decision: Decision) {
        let stance = self.call.explain(limiter, now).stance;
        let agree = match (decision, stance) {
            (Decision::Send(_), Stance::Wait(wait)) => wait.cause == Cause::Response,
            (Decision::Wait(told), Stance::Wait(wait)) => {
                // Until its deadline at most; and throttling draws lots.
                told == wait || self.start_by.is_some_and(|latest| told.until <= latest)
            }
            (Decision::Wait(told), Stance::Send) => told.cause == Cause::Backoff,
            (Decision::Deliver, Stance::Deliver) => true,
            (Decision::GiveUp(told), Stance::GiveUp(why)) => told == why,
            _ => false,
        };
        assert!(agree, "decided {decision:?}, explained as {stance:?}");
    }
}
