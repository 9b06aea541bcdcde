//! What came of the calls so far: counts for all, and for each tenant.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use sendwhen::{Usage, Wait};

use super::{deal::Tenant, limits::Totals};

/// The counts at an instant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) completed: u64,
    pub(crate) given_up: u64,
    /// Answers of any status.
    pub(crate) heard: u64,
    /// Answers of status 429.
    pub(crate) refused: u64,
    /// Answers of status 529.
    pub(crate) overloaded: u64,
    /// Attempts without any answer.
    pub(crate) unanswered: u64,
    /// How many of `completed` the fallback model answered.
    pub(crate) fallback: u64,
    /// Calls that were submitted, and are neither under way nor over.
    pub(crate) waiting: u64,
    pub(crate) in_flight: u64,
    pub(crate) totals: Totals,
    /// The longest that an answer took.
    pub(crate) longest: Duration,
    /// What was waited for last.
    pub(crate) wait: Option<Wait>,
}

/// Some of the calls, and how long they waited.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) completed: u64,
    /// Output tokens that it had while all tenants had calls that waited.
    pub(crate) contended: u64,
    /// Of its calls, those that were not sent yet.
    unsent: u64,
    /// From submission to the first sending, in microseconds; none where so many
    /// do not fit into memory.
    waits: Option<Histogram<u32>>,
}

/// All that is counted.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) counts: Counts,
    pub(crate) tenants: Vec<(Tenant, Group)>,
    pub(crate) urgent: Group,
    /// Why calls were given up, and how many.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// What the scheduler had to say.
    pub(crate) notices: Vec<String>,
    /// Notices beyond the first [`MOST_NOTICES`].
    pub(crate) more_notices: u64,
}

/// Where a call belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) tenant: u32,
    pub(crate) urgent: bool,
}

/// Keeps the account for all tasks.
#[derive(Debug)]
pub(crate) struct Tally(Mutex<Account>);

/// So many notices are kept.
const MOST_NOTICES: usize = 50;

/// Longer waits, beyond a day, count as this.
const LONGEST_WAIT: u64 = 86_400_000_000;

impl Tally {
    pub(crate) fn new(tenants: Vec<Tenant>) -> Self {
        let tenants = tenants.into_iter().map(|tenant| (tenant, Group::new()));
        Self(Mutex::new(Account {
            counts: Counts::default(),
            tenants: tenants.collect(),
            urgent: Group::new(),
            reasons: BTreeMap::new(),
            notices: Vec::new(),
            more_notices: 0,
        }))
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    pub(crate) fn account(&self) -> Account {
        self.lock().clone()
    }

    /// A call is in the queue.
    pub(crate) fn submits(&self, place: Place) {
        let mut account = self.lock();
        account.counts.waiting = account.counts.waiting.saturating_add(1);
        account.change(place, |group| group.unsent = group.unsent.saturating_add(1));
    }

    /// A call is being sent; for the first time, and after so long, if that is
    /// said.
    pub(crate) fn sends(&self, place: Place, waited: Option<Duration>) {
        let mut account = self.lock();
        let counts = &mut account.counts;
        counts.waiting = counts.waiting.saturating_sub(1);
        counts.in_flight = counts.in_flight.saturating_add(1);
        counts.wait = None;
        if let Some(waited) = waited {
            account.change(place, |group| group.begins(waited));
        }
    }

    /// Nothing can be sent before that. Backoff of one call is not what the others
    /// wait for.
    pub(crate) fn waits(&self, wait: Wait) {
        self.lock().counts.wait = Some(wait).filter(|wait| wait.cause.is_shared());
    }

    /// An attempt was answered with this status, or not at all.
    pub(crate) fn hears(&self, status: Option<u16>) {
        let counts = &mut self.lock().counts;
        let heard = u64::from(status.is_some());
        counts.heard = counts.heard.saturating_add(heard);
        match status {
            Some(429) => counts.refused = counts.refused.saturating_add(1),
            Some(529) => counts.overloaded = counts.overloaded.saturating_add(1),
            Some(_) => {}
            None => counts.unanswered = counts.unanswered.saturating_add(1),
        }
    }

    /// A call is no longer under way: it waits again, or is over.
    pub(crate) fn lands(&self, again: bool) {
        let counts = &mut self.lock().counts;
        counts.in_flight = counts.in_flight.saturating_sub(1);
        counts.waiting = counts.waiting.saturating_add(u64::from(again));
    }

    /// A call was answered.
    pub(crate) fn completes(&self, place: Place, usage: &Usage, took: Duration, fallback: bool) {
        let mut account = self.lock();
        let counts = &mut account.counts;
        counts.completed = counts.completed.saturating_add(1);
        counts.fallback = counts.fallback.saturating_add(u64::from(fallback));
        counts.longest = counts.longest.max(took);
        counts.totals.add(usage);
        let contended = account.tenants.iter().all(|(_, group)| group.unsent > 0);
        let tokens = if contended { usage.output_tokens } else { 0 };
        account.change(place, |group| {
            group.completed = group.completed.saturating_add(1);
            group.contended = group.contended.saturating_add(tokens);
        });
    }

    /// A call is over without an answer, and was not under way.
    pub(crate) fn drops(&self, place: Place, never_sent: bool, why: String) {
        let mut account = self.lock();
        account.counts.waiting = account.counts.waiting.saturating_sub(1);
        if never_sent {
            account.change(place, |group| group.unsent = group.unsent.saturating_sub(1));
        }
        drop(account);
        self.gives_up(why);
    }

    /// A call is over without an answer.
    pub(crate) fn gives_up(&self, why: String) {
        let mut account = self.lock();
        account.counts.given_up = account.counts.given_up.saturating_add(1);
        let many = account.reasons.entry(why).or_default();
        *many = many.saturating_add(1);
    }

    /// The scheduler has something to say.
    pub(crate) fn notes(&self, notice: String) {
        let mut account = self.lock();
        if account.notices.len() < MOST_NOTICES {
            account.notices.push(notice);
        } else {
            account.more_notices = account.more_notices.saturating_add(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Changes the groups that a call belongs to.
    fn change(&mut self, place: Place, change: impl Fn(&mut Group)) {
        let tenant = usize::try_from(place.tenant).unwrap_or(usize::MAX);
        if let Some((_, group)) = self.tenants.get_mut(tenant) {
            change(group);
        }
        if place.urgent {
            change(&mut self.urgent);
        }
    }
}

impl Group {
    fn new() -> Self {
        Self {
            completed: 0,
            contended: 0,
            unsent: 0,
            waits: Histogram::new_with_bounds(1, LONGEST_WAIT, 2).ok(),
        }
    }

    fn begins(&mut self, waited: Duration) {
        self.unsent = self.unsent.saturating_sub(1);
        if let Some(waits) = &mut self.waits {
            waits.saturating_record(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// How long so many of a hundred waited at most; none where none was sent.
    pub(crate) fn wait(&self, percent: u8) -> Option<Duration> {
        let waits = self.waits.as_ref().filter(|waits| !waits.is_empty())?;
        let micros = waits.value_at_percentile(percent.into());
        Some(Duration::from_micros(micros))
    }
}
