//! Drives calls through one limiter from many threads.
//!
//! Those who ask pass one at a time through a turnstile; those who report what
//! came of a request never queue. Only waits that another's report may shorten
//! are waited for inside the turnstile; a call that waits for something of its
//! own (backoff, its `retry-after`) waits outside, and comes back to ask.
//!
//! It knows no HTTP: an [`Exchange`] does the sending.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sendwhen::{
    Call, Decision, ErrorDetails, Event, Failure, GiveUp, Instant, Limiter, Request, ServerHints,
    Usage, Wait,
};

/// One request, to be sent as often as it takes.
pub(crate) trait Exchange {
    /// What follows the head of a good answer.
    type Body;
    /// What is made of it.
    type Answer;

    /// Sends it, and reads the head of the answer; of a refusal also the body.
    fn send(&mut self) -> Result<Head<Self::Body>, Failure<'static>>;

    /// Reads the body of a good answer.
    fn read(&mut self, body: Self::Body) -> Result<(Self::Answer, Usage), Failure<'static>>;
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head<B> {
    pub(crate) status: u16,
    pub(crate) hints: ServerHints,
    pub(crate) rest: Rest<B>,
}

/// What follows a head.
#[derive(Debug)]
pub(crate) enum Rest<B> {
    Good(B),
    Refusal(Refusal),
}

/// The fields of an error body that decide what to do.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    pub(crate) kind: String,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// Is told how a call goes on.
pub(crate) trait Watch {
    /// It must wait.
    fn waits(&self, wait: Wait);
    /// It is being sent.
    fn sends(&self);
    /// An attempt was answered with this status, or not at all.
    fn hears(&self, status: Option<u16>);
    /// An attempt is over: its answer was read, or there is none.
    fn ends(&self);
}

/// One limiter, and the threads that share it.
#[derive(Debug)]
pub(crate) struct Driver {
    origin: std::time::Instant,
    limiter: Mutex<Limiter>,
    /// A waiter may go earlier than it was told.
    opened: Condvar,
    turnstile: Mutex<()>,
    /// Nothing more is to be sent.
    stop: Mutex<bool>,
    stopped: Condvar,
}

impl Driver {
    pub(crate) fn new(limiter: Limiter) -> Self {
        Self {
            origin: std::time::Instant::now(),
            limiter: Mutex::new(limiter),
            opened: Condvar::new(),
            turnstile: Mutex::new(()),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
        }
    }

    /// The time on the clock that all waits are given in.
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO.saturating_add(self.origin.elapsed())
    }

    /// From now on nothing is sent: calls that wait are cancelled, calls that
    /// were sent are heard to their end.
    pub(crate) fn stop(&self) {
        *lock(&self.stop) = true;
        self.stopped.notify_all();
        let _limiter = lock(&self.limiter); // nobody is between asking and waiting
        self.opened.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *lock(&self.stop)
    }

    /// Takes one request from asking to its end. The answer comes with the
    /// number of attempts that it took.
    pub(crate) fn run<E: Exchange>(
        &self,
        request: Request,
        exchange: &mut E,
        watch: &impl Watch,
    ) -> Result<(E::Answer, u32), GiveUp> {
        let mut call = lock(&self.limiter).call(request);
        let mut decision = self.ask(&mut call, Event::Submitted, watch);
        let mut body = None;
        loop {
            decision = match (decision, body.take()) {
                (Decision::Send(_), _) => {
                    watch.sends();
                    match exchange.send() {
                        Ok(Head {
                            status,
                            hints,
                            rest,
                        }) => {
                            watch.hears(Some(status));
                            let refusal = match rest {
                                Rest::Good(good) => {
                                    body = Some(good);
                                    Refusal::default()
                                }
                                Rest::Refusal(refusal) => {
                                    watch.ends();
                                    refusal
                                }
                            };
                            let error = ErrorDetails::new(&refusal.kind)
                                .code(&refusal.code)
                                .message(&refusal.message);
                            let hints = &hints;
                            self.report(
                                &mut call,
                                Event::Responded {
                                    status,
                                    hints,
                                    error,
                                },
                            )
                        }
                        Err(failure) => {
                            watch.hears(None);
                            watch.ends();
                            self.report(&mut call, Event::Failed(failure))
                        }
                    }
                }
                (Decision::Deliver, Some(good)) => {
                    let read = exchange.read(good);
                    watch.ends();
                    match read {
                        Ok((answer, usage)) => {
                            let _delivered = self.report(&mut call, Event::Finished(Some(usage)));
                            return Ok((answer, call.attempts()));
                        }
                        Err(failure) => self.report(&mut call, Event::Failed(failure)),
                    }
                }
                // A good status with a refusal behind it was read already.
                (Decision::Deliver, None) => self.report(&mut call, Event::Failed(Failure::Lost)),
                (Decision::Wait(wait), _) => {
                    if !wait.cause.is_shared() {
                        watch.waits(wait);
                        self.sleep(wait.until);
                    }
                    self.ask(&mut call, Event::Woken, watch)
                }
                (Decision::GiveUp(why), _) => return Err(why),
            };
        }
    }

    /// Passes the turnstile, and asks until there is something else to do than
    /// to wait for the pool.
    fn ask(&self, call: &mut Call, mut event: Event<'_>, watch: &impl Watch) -> Decision {
        let _turn = lock(&self.turnstile);
        let mut limiter = lock(&self.limiter);
        loop {
            if self.is_stopped() {
                event = Event::Cancelled;
            }
            let now = self.now();
            match call.handle(&mut *limiter, now, event) {
                Decision::Wait(wait) if wait.cause.is_shared() => {
                    watch.waits(wait);
                    let span = wait.until.saturating_duration_since(now);
                    limiter = self
                        .opened
                        .wait_timeout(limiter, span)
                        .map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard);
                    event = Event::Woken;
                }
                decision => return decision,
            }
        }
    }

    /// Reports what came of a call that was sent.
    fn report(&self, call: &mut Call, event: Event<'_>) -> Decision {
        let mut limiter = lock(&self.limiter);
        let before = limiter.opened();
        let decision = call.handle(&mut *limiter, self.now(), event);
        if limiter.opened() != before {
            self.opened.notify_all();
        }
        decision
    }

    /// Sleeps until `until`, or until all is stopped.
    fn sleep(&self, until: Instant) {
        let span: Duration = until.saturating_duration_since(self.now());
        let stop = lock(&self.stop);
        let _woken = self.stopped.wait_timeout_while(stop, span, |stop| !*stop);
    }
}

/// A thread that panics says so itself; what it held is still sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
