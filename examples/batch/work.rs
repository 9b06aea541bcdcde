//! The work: prompts become calls of the driver, calls that are to be sent become
//! tasks, and what comes of them goes into the output and the tally.

use std::{
    future::pending,
    num::NonZeroU64,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sendwhen::{
    CallId, Instant, Job, Next, Priority, Profile, Request, RouteId, TenantId, Verdict,
};

use super::{
    attempt::{Ended, attempt},
    deal::{Dealt, Wanted},
    driver::{Driver, Flight},
    output::{Output, Record},
    progress::Progress,
    tally::{Place, Tally},
    transport::{Answer, Transport},
    words,
};

/// What all tasks share.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) driver: Arc<Driver>,
    pub(crate) route: RouteId,
    pub(crate) dealt: Dealt,
    pub(crate) tally: Tally,
    pub(crate) progress: Progress,
    pub(crate) transport: Transport,
    pub(crate) output: Output,
    pub(crate) max_tokens: NonZeroU64,
    /// How long after it is wanted a call may start.
    pub(crate) deadline: Option<Duration>,
    /// In the order of the prompts, and so of the scheduler's numbers.
    pub(crate) calls: Mutex<Vec<Call>>,
    /// How many failures were told one by one.
    pub(crate) told: AtomicU64,
    /// Stopped because of a failure, not by the user.
    pub(crate) failed: AtomicBool,
}

/// What is kept of a call that the scheduler does not know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    submitted: Instant,
    sent: bool,
}

/// More failures are only counted: they are in the report.
const TOLD: u64 = 20;

/// So many are submitted without a look at what there is to be sent: less than a
/// millisecond's work.
const FEED: usize = 256;

/// So many attempts without any answer say that there is no server.
const UNREACHABLE: u64 = 10;

impl Batch {
    /// Does all the work, and shows how it goes.
    pub(crate) async fn run(self: &Arc<Self>) {
        let work = self.driver.run(|next| self.obey(next));
        let feed = async {
            self.feed().await;
            pending::<()>().await;
        };
        let show = async {
            loop {
                tokio::time::sleep(self.progress.pause()).await;
                self.progress.show(&self.tally.counts(), self.driver.now());
            }
        };
        tokio::select! {
            () = work => {}
            () = show => {}
            () = feed => {}
        }
    }

    /// Submits those that come at once, some at a time: the first of them are sent
    /// while the others are still submitted.
    async fn feed(&self) {
        for count in (0..self.dealt.at_once).step_by(FEED).skip(1) {
            self.submit(count);
            tokio::task::yield_now().await;
        }
        self.submit(self.dealt.at_once);
    }

    /// Submits prompts until there are `count`.
    fn submit(&self, count: usize) {
        let mut calls = self.calls();
        let begun = calls.len();
        for wanted in self.dealt.wanted.iter().take(count).skip(begun) {
            let now = self.driver.now();
            calls.push(Call {
                submitted: now,
                sent: false,
            });
            self.tally.submits(wanted.place());
            if let Err(why) = self.driver.submit(self.job(wanted, now)) {
                self.fail(&why.to_string());
            }
        }
        if calls.len() == self.dealt.wanted.len() {
            self.driver.close();
        }
    }

    /// Submits those that come later as far as others are over: evenly, once all
    /// others are submitted.
    fn submit_later(&self) {
        let at_once = self.dealt.at_once;
        if self.calls().len() < at_once {
            return;
        }
        let later = self.dealt.wanted.len().saturating_sub(at_once);
        let counts = self.tally.counts();
        let over = counts.completed.saturating_add(counts.given_up);
        let over = usize::try_from(over).unwrap_or(usize::MAX);
        let due = later.saturating_mul(over).checked_div(at_once);
        let due = due.unwrap_or(later).min(later);
        self.submit(at_once.saturating_add(due));
    }

    /// What the scheduler is told of a prompt: about four letters are a token, and
    /// requests that may become equally long resemble each other.
    fn job(&self, wanted: &Wanted, now: Instant) -> Job {
        let estimate = |text: &str| count(text.chars().count()).div_ceil(4);
        let prompt = &wanted.prompt;
        let system = estimate(prompt.system.as_deref().unwrap_or_default());
        let max_tokens = self.max_tokens(wanted);
        let profile = u8::try_from(max_tokens.max(1).ilog2()).unwrap_or(u8::MAX);
        let mut request = Request::new()
            .input_tokens(estimate(&prompt.text).saturating_add(system))
            .max_tokens(max_tokens)
            .profile(Profile::new(profile));
        if let Some(deadline) = self.deadline {
            request = request.start_by(now.saturating_add(deadline));
        }
        Job::new(request, self.route)
            .tenant(TenantId::new(wanted.tenant))
            .priority(wanted.priority)
    }

    /// Does what the scheduler says.
    fn obey(self: &Arc<Self>, next: Next) {
        match next {
            Next::Send {
                id,
                alternative,
                attempt,
            } => {
                if let Some((wanted, call)) = self.call(id, true) {
                    let waited = self.driver.now().saturating_duration_since(call.submitted);
                    let first = (!call.sent).then_some(waited);
                    self.tally.sends(wanted.place(), first);
                    tokio::spawn(Arc::clone(self).fly(id, alternative, attempt.number));
                }
            }
            Next::Drop { id, why } => {
                if let Some((wanted, call)) = self.call(id, false) {
                    let reason = words::drop_reason(&why);
                    self.tell(&wanted.prompt.id, &reason, "");
                    self.tally.drops(wanted.place(), !call.sent, reason);
                }
                self.submit_later();
            }
            Next::Wait(wait) => self.tally.waits(wait),
            Next::Idle => {}
        }
        while let Some(notice) = self.driver.notice() {
            let models = self.transport.models();
            let words = words::notice(&notice, models, self.driver.now());
            self.tally.notes(words);
        }
    }

    /// Takes a call from its sending to its end, or until it waits again.
    async fn fly(self: Arc<Self>, id: CallId, model: usize, number: u32) {
        let mut flight = Flight::new(&self.driver, id);
        let Some((wanted, _)) = self.call(id, true) else {
            return;
        };
        let begun = self.driver.now();
        let (prompt, max_tokens) = (&wanted.prompt, self.max_tokens(wanted));
        let (transport, tally) = (&self.transport, &self.tally);
        let ended = attempt(transport, tally, &mut flight, model, prompt, max_tokens).await;
        let waits_again = matches!(&ended, Err(ended) if ended.verdict == Verdict::Queued);
        self.tally.lands(waits_again);
        match ended {
            Ok(answer) => {
                let took = self.driver.now().saturating_duration_since(begun);
                self.deliver(wanted, model, number, &answer, took);
            }
            Err(ended) => self.look_at(wanted, &ended),
        }
        self.submit_later();
    }

    /// Puts an answer where it belongs.
    fn deliver(
        &self,
        wanted: &Wanted,
        model: usize,
        attempts: u32,
        answer: &Answer,
        took: Duration,
    ) {
        let models = self.transport.models();
        let written = self.output.write(&Record {
            id: &wanted.prompt.id,
            text: &answer.text,
            model: models.get(model).map_or("", String::as_str),
            usage: answer.tokens,
            attempts,
        });
        match written {
            Ok(()) => {
                let usage = answer.tokens.into();
                self.tally
                    .completes(wanted.place(), &usage, took, model > 0);
            }
            Err(error) => {
                self.tally
                    .gives_up("its answer could not be written".to_owned());
                let path = self.output.path().display();
                self.fail(&format!("{path}: cannot be written: {error}"));
            }
        }
    }

    /// Looks at an attempt that brought no answer: whether its call is over, and
    /// whether all others would end like it.
    fn look_at(&self, wanted: &Wanted, ended: &Ended) {
        if let Verdict::GiveUp(why) = &ended.verdict {
            let reason = words::reason(why);
            self.tell(&wanted.prompt.id, &reason, &ended.words);
            self.tally.gives_up(reason);
        }
        let counts = self.tally.counts();
        match ended.status {
            Some(401 | 403) => {
                self.fail("the server does not accept the key; nothing more is sent")
            }
            None if counts.heard == 0 && counts.unanswered >= UNREACHABLE => {
                self.fail(&format!(
                    "the server cannot be reached, see --base-url; nothing more is sent ({})",
                    ended.words
                ));
            }
            _ => {}
        }
    }

    /// Says that a prompt was given up.
    fn tell(&self, id: &str, reason: &str, trouble: &str) {
        let words = match self.told.fetch_add(1, Ordering::Relaxed) {
            TOLD => "more of these are only counted".to_owned(),
            told if told > TOLD => return,
            _ if trouble.is_empty() => format!("{id}: given up: {reason}"),
            _ => format!("{id}: given up: {reason} ({trouble})"),
        };
        self.progress.line(&words);
    }

    /// Stops everything, and says why, once.
    fn fail(&self, why: &str) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            self.progress.line(why);
            self.driver.stop();
        }
    }

    /// Whether it was stopped because of a failure.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// What a call is for, and what was known of it before it was sent, if it is
    /// now.
    fn call(&self, id: CallId, sent: bool) -> Option<(&Wanted, Call)> {
        let place = usize::try_from(id.number()).ok()?;
        let mut calls = self.calls();
        let call = calls.get_mut(place)?;
        let before = *call;
        call.sent |= sent;
        Some((self.dealt.wanted.get(place)?, before))
    }

    fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn max_tokens(&self, wanted: &Wanted) -> u64 {
        let own = wanted.prompt.max_tokens;
        own.unwrap_or_else(|| self.max_tokens.get())
    }
}

impl Wanted {
    const fn place(&self) -> Place {
        Place {
            tenant: self.tenant,
            urgent: matches!(self.priority, Priority::Urgent),
        }
    }
}

pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
