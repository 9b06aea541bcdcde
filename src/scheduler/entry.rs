//! What is kept of each call.

use core::num::NonZeroU16;

use alloc::vec::Vec;

use super::{
    job::{CallId, Job, Priority},
    queue::Place,
};
use crate::{
    decision::{Cause, Wait},
    life::Life,
    limiter::Permit,
    request::{Profile, Request},
    retry::RetryPolicy,
    time::Instant,
};

/// One call, from its submission to its end. It is kept small: there may be a
/// million of them.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) submitted: Instant,
    /// The latest start; the end of the clock where there is none.
    pub(super) start_by: Instant,
    /// What it weighs in the sharing between tenants, in nanoseconds of its
    /// pool: the largest of cost over rate. At least 1.
    pub(super) cost: u64,
    /// When it is looked at whether it can still start in time.
    pub(super) critical: Instant,
    input_tokens: u64,
    cached_tokens: u64,
    max_tokens: u64,
    own: [u64; 3],
    pub(super) tenant: u32,
    /// Of a call that was sent once.
    pub(super) active: Option<u32>,
    pub(super) route: u32,
    pub(super) class: u8,
    profile: Profile,
    attempts: Option<NonZeroU16>,
    pub(super) at: At,
    /// Its tenant was charged for it, and no server refused it since.
    pub(super) paid: bool,
    /// It was asked for.
    pub(super) asked: bool,
}

/// Where a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum At {
    /// In the queue.
    Queued,
    /// Not in the queue before an instant.
    Held,
    /// Under way.
    Flying,
}

/// What is kept of a call that was sent once.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Active {
    pub(super) life: Life,
    /// What its attempt holds, pool by pool, while it is under way.
    pub(super) permits: Vec<(u32, Permit)>,
    /// Until when it is held, and for what.
    pub(super) hold: Wait,
    /// The server was down when its last attempt failed: others are to ask next.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(super) lets_others_ask: bool,
}

impl Active {
    /// Of a call that is about to be sent for the first time.
    pub(super) const fn new(life: Life) -> Self {
        Self {
            life,
            permits: Vec::new(),
            hold: Wait {
                until: Instant::ZERO,
                cause: Cause::Response,
            },
            lets_others_ask: false,
        }
    }
}

impl Entry {
    pub(super) fn new(job: &Job, number: u64, submitted: Instant, start_by: Instant) -> Self {
        let request = &job.request;
        Self {
            number,
            submitted,
            start_by,
            cost: 1,
            critical: Instant::MAX,
            input_tokens: request.input_tokens,
            cached_tokens: request.cached_tokens,
            max_tokens: request.max_tokens,
            own: request.own,
            tenant: job.tenant.number(),
            active: None,
            route: job.route.0.place(),
            class: u8::try_from(job.priority.class()).unwrap_or_default(),
            profile: request.profile,
            attempts: job.attempts,
            at: At::Queued,
            paid: false,
            asked: false,
        }
    }

    pub(super) const fn id(&self, slot: u32) -> CallId {
        CallId {
            number: self.number,
            slot,
        }
    }

    /// Its request, with the latest start on the scheduler's own clock.
    pub(super) fn request(&self) -> Request {
        let request = Request::new()
            .input_tokens(self.input_tokens)
            .cached_tokens(self.cached_tokens)
            .max_tokens(self.max_tokens)
            .own(self.own)
            .profile(self.profile);
        match self.deadline() {
            Some(latest) => request.start_by(latest),
            None => request,
        }
    }

    /// How it is retried where its pool does it by `policy`.
    pub(super) fn policy(&self, policy: RetryPolicy) -> RetryPolicy {
        let own = self.attempts.map(|most| policy.attempts(most.get().into()));
        own.and_then(Result::ok).unwrap_or(policy)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.start_by < Instant::MAX).then_some(self.start_by)
    }

    pub(super) const fn class(&self) -> usize {
        self.class as usize
    }

    pub(super) fn set_priority(&mut self, priority: Priority) {
        self.class = u8::try_from(priority.class()).unwrap_or_default();
    }

    /// When it is first to be looked at whether it can start in time: so long
    /// before its latest start as it takes until empty pools have what it takes,
    /// `time` nanoseconds. Earlier it can only be late where a pool is in debt or
    /// stopped.
    pub(super) const fn first_critical(&self, time: u64) -> Instant {
        let start_by = self.start_by.as_nanos();
        Instant::from_nanos(start_by.saturating_sub(time))
    }

    /// Its place among the calls of its tenant.
    pub(super) fn place(&self, aging: core::time::Duration) -> Place {
        Place {
            due: self.start_by.min(self.submitted.saturating_add(aging)),
            number: self.number,
        }
    }

    /// Its place among those that are looked at for being late.
    pub(super) const fn critical_place(&self) -> Place {
        Place {
            due: self.critical,
            number: self.number,
        }
    }

    /// Of output tokens and of the caller's own three dimensions, those that it
    /// takes nothing of. Of all others every call takes something.
    pub(super) fn lacks(&self) -> [bool; LACKING] {
        let [own1, own2, own3] = self.own;
        [self.max_tokens == 0, own1 == 0, own2 == 0, own3 == 0]
    }
}

/// How many dimensions a call may take nothing of.
pub(super) const LACKING: usize = 4;
