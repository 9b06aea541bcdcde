//! What a call can be handled with: one [`Limiter`], or two at once.

use crate::{
    decision::{Class, Denied, Wait},
    explain::{Explanation, Stance},
    hints::ServerHints,
    limiter::{Limiter, Permit},
    request::{Request, Usage},
    retry::{Guard, RetryPolicy},
    time::Instant,
    units::Cost,
};

pub(crate) use sealed::{Permits, Told};

/// One [`Limiter`], or `[&mut inner, &mut outer]`: two that a request must pass
/// at once, both or neither, as the Claude API's workspace and organisation.
///
/// Response fields go to the pool whose known limit equals the one sent, else
/// to the inner. Policy, what its calls share, and seed are the
/// inner's. Sealed.
pub trait Pools: sealed::Sealed {}

impl Pools for Limiter {}
impl Pools for [&mut Limiter; 2] {}

impl sealed::Sealed for Limiter {
    fn enter(&mut self, now: Instant) -> Instant {
        self.advance(now)
    }

    fn look(&self, now: Instant) -> Instant {
        self.clock().peek(now)
    }

    fn inside(&self, at: Instant) -> Instant {
        self.clock().inside(at)
    }

    fn outside(&self, at: Instant) -> Instant {
        self.clock().outside(at)
    }

    fn policy(&self) -> &RetryPolicy {
        self.retry_policy()
    }

    fn guard(&mut self) -> &mut Guard {
        self.retry_guard()
    }

    fn active(&self, now: Instant) -> u32 {
        self.flying_inside(now)
    }

    fn peek_request(&self, now: Instant, request: &Request) -> Result<(), Denied> {
        self.check(now, &self.wanted(request))
    }

    fn explain_request(&self, now: Instant, request: &Request) -> Explanation {
        self.explain_inside(now, &self.wanted(request))
    }

    fn acquire_request(
        &mut self,
        now: Instant,
        request: &Request,
        permits: &mut Permits,
    ) -> Result<(), Denied> {
        let cost = self.wanted(request);
        if let Err(denied) = self.check(now, &cost) {
            self.tell(&denied);
            return Err(denied);
        }
        let [inner, _] = &mut permits.0;
        self.admit_into(now, &cost, inner.insert(Permit::BLANK));
        Ok(())
    }

    fn refund(&mut self, permits: &mut Permits) {
        if let Some(permit) = permits.inner_mut() {
            self.refund_permit(permit);
        }
    }

    fn observe_permits(&mut self, now: Instant, permits: &Permits, hints: &ServerHints) {
        self.observe_inside(now, permits.inner(), hints);
    }

    fn report(&mut self, now: Instant, permits: &mut Permits, class: Class, told: Told<'_>) {
        if let Some(permit) = permits.inner_mut() {
            self.report_inside(now, permit, class, told);
        }
    }

    fn progress(&mut self, now: Instant, permits: &mut Permits, taken: &Cost) {
        if let Some(permit) = permits.inner_mut() {
            self.progress_inside(now, permit, taken);
        }
    }

    fn learn(&mut self, request: &Request, usage: &Usage) {
        self.learn_usage(request, usage);
    }

    fn settle_permits(&mut self, now: Instant, permits: &mut Permits, actual: Option<Cost>) {
        if let Some(permit) = permits.inner_mut() {
            self.settle_inside(now, permit, actual);
        }
        permits.clear();
    }

    fn expiry(&self, sent: Instant, now: Instant) -> Instant {
        self.expiry_after(sent, now)
    }
}

/// The inner pool's clock is that of the pair: what the outer says is
/// translated.
impl sealed::Sealed for [&mut Limiter; 2] {
    fn enter(&mut self, now: Instant) -> Instant {
        let [inner, outer] = self;
        outer.advance(now);
        inner.advance(now)
    }

    fn look(&self, now: Instant) -> Instant {
        let [inner, _] = self;
        inner.clock().peek(now)
    }

    fn inside(&self, at: Instant) -> Instant {
        let [inner, _] = self;
        inner.clock().inside(at)
    }

    fn outside(&self, at: Instant) -> Instant {
        let [inner, _] = self;
        inner.clock().outside(at)
    }

    fn policy(&self) -> &RetryPolicy {
        let [inner, _] = self;
        inner.retry_policy()
    }

    fn guard(&mut self) -> &mut Guard {
        let [inner, _] = self;
        inner.retry_guard()
    }

    fn active(&self, now: Instant) -> u32 {
        let [inner, _] = self;
        inner.flying_inside(now)
    }

    fn peek_request(&self, now: Instant, request: &Request) -> Result<(), Denied> {
        let [inner, outer] = self;
        let there = outer.clock().latest();
        both(
            inner.check(now, &inner.wanted(request)),
            outer
                .check(there, &outer.wanted(request))
                .map_err(|denied| translate(denied, outer, inner)),
        )
    }

    /// That of the pool which lets it pass later.
    fn explain_request(&self, now: Instant, request: &Request) -> Explanation {
        let [inner, outer] = self;
        let there = outer.clock().latest();
        let mine = inner.explain_inside(now, &inner.wanted(request));
        let theirs = outer.explain_inside(there, &outer.wanted(request));
        let theirs = theirs.outside(|at| carry(at, outer, inner));
        if rank(&theirs.stance) > rank(&mine.stance) {
            theirs
        } else {
            mine
        }
    }

    fn acquire_request(
        &mut self,
        now: Instant,
        request: &Request,
        permits: &mut Permits,
    ) -> Result<(), Denied> {
        let [inner, outer] = self;
        let there = outer.clock().latest();
        let (cost, cost_there) = (inner.wanted(request), outer.wanted(request));
        let mine = inner
            .check(now, &cost)
            .inspect_err(|denied| inner.tell(denied));
        let theirs = outer
            .check(there, &cost_there)
            .inspect_err(|denied| outer.tell(denied))
            .map_err(|denied| translate(denied, outer, inner));
        both(mine, theirs)?;
        let [mine, theirs] = &mut permits.0;
        inner.admit_into(now, &cost, mine.insert(Permit::BLANK));
        outer.admit_into(there, &cost_there, theirs.insert(Permit::BLANK));
        Ok(())
    }

    fn refund(&mut self, permits: &mut Permits) {
        let [inner, outer] = self;
        if let Some(permit) = permits.inner_mut() {
            inner.refund_permit(permit);
        }
        if let Some(permit) = permits.outer_mut() {
            outer.refund_permit(permit);
        }
    }

    fn observe_permits(&mut self, now: Instant, permits: &Permits, hints: &ServerHints) {
        let [inner, outer] = self;
        let (mine, theirs) =
            hints.split(|meter| outer.knows_limit(meter) && !inner.knows_limit(meter));
        let there = outer.clock().latest();
        inner.observe_inside(now, permits.inner(), &mine);
        outer.observe_inside(there, permits.outer(), &theirs);
    }

    fn report(&mut self, now: Instant, permits: &mut Permits, class: Class, told: Told<'_>) {
        let [inner, outer] = self;
        let there = outer.clock().latest();
        if let Some(permit) = permits.inner_mut() {
            inner.report_inside(now, permit, class, told);
        }
        if let Some(permit) = permits.outer_mut() {
            outer.report_inside(there, permit, class, told);
        }
    }

    fn progress(&mut self, now: Instant, permits: &mut Permits, taken: &Cost) {
        let [inner, outer] = self;
        let there = outer.clock().latest();
        if let Some(permit) = permits.inner_mut() {
            inner.progress_inside(now, permit, taken);
        }
        if let Some(permit) = permits.outer_mut() {
            outer.progress_inside(there, permit, taken);
        }
    }

    fn learn(&mut self, request: &Request, usage: &Usage) {
        for pool in self {
            pool.learn_usage(request, usage);
        }
    }

    fn settle_permits(&mut self, now: Instant, permits: &mut Permits, actual: Option<Cost>) {
        let [inner, outer] = self;
        let there = outer.clock().latest();
        if let Some(permit) = permits.inner_mut() {
            inner.settle_inside(now, permit, actual);
        }
        if let Some(permit) = permits.outer_mut() {
            outer.settle_inside(there, permit, actual);
        }
        permits.clear();
    }

    fn expiry(&self, sent: Instant, now: Instant) -> Instant {
        let [inner, _] = self;
        inner.expiry_after(sent, now)
    }
}

/// Both must let it pass: the later of two waits binds.
fn both(mine: Result<(), Denied>, theirs: Result<(), Denied>) -> Result<(), Denied> {
    let (mine, theirs) = match (mine, theirs) {
        (Ok(()), answer) | (answer, Ok(())) => return answer,
        (Err(mine), Err(theirs)) => (mine, theirs),
    };
    let (
        Denied::Until { wait, earliest },
        Denied::Until {
            wait: other,
            earliest: other_earliest,
        },
    ) = (mine, theirs)
    else {
        return Err(if matches!(mine, Denied::Never(_)) {
            mine
        } else {
            theirs
        });
    };
    Err(Denied::Until {
        wait: if other.until > wait.until {
            other
        } else {
            wait
        },
        earliest: earliest.max(other_earliest),
    })
}

/// What `from` says, on the clock of `to`.
fn translate(denied: Denied, from: &Limiter, to: &Limiter) -> Denied {
    match denied {
        Denied::Until { wait, earliest } => Denied::Until {
            wait: Wait {
                until: carry(wait.until, from, to),
                cause: wait.cause,
            },
            earliest: carry(earliest, from, to),
        },
        never @ Denied::Never(_) => never,
    }
}

fn carry(at: Instant, from: &Limiter, to: &Limiter) -> Instant {
    to.clock().inside(from.clock().outside(at))
}

/// The later it passes, the more.
const fn rank(stance: &Stance) -> (u8, Instant) {
    match stance {
        Stance::Wait(wait) => (1, wait.until),
        Stance::Never(_) => (2, Instant::ZERO),
        _ => (0, Instant::ZERO),
    }
}

#[expect(unnameable_types, reason = "the seal of `Pools`")]
pub(crate) mod sealed {
    use core::time::Duration;

    use super::*;

    /// What the end of an attempt told besides its class.
    #[derive(Clone, Copy, Debug)]
    pub struct Told<'a> {
        pub(crate) wait: Option<Duration>,
        pub(crate) hints: Option<&'a ServerHints>,
    }

    /// The permits of one attempt, one for each pool.
    #[derive(Debug)]
    #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
    pub struct Permits(pub(super) [Option<Permit>; 2]);

    impl Permits {
        pub(crate) const NONE: Self = Self([None, None]);

        pub(super) const fn inner(&self) -> Option<&Permit> {
            let [permit, _] = &self.0;
            permit.as_ref()
        }

        pub(super) const fn outer(&self) -> Option<&Permit> {
            let [_, permit] = &self.0;
            permit.as_ref()
        }

        /// None any more; what is not there need not be written.
        pub(super) fn clear(&mut self) {
            for permit in &mut self.0 {
                *permit = None;
            }
        }

        pub(super) const fn inner_mut(&mut self) -> Option<&mut Permit> {
            let [permit, _] = &mut self.0;
            permit.as_mut()
        }

        pub(super) const fn outer_mut(&mut self) -> Option<&mut Permit> {
            let [_, permit] = &mut self.0;
            permit.as_mut()
        }
    }

    /// All instants but those of `enter`, `inside` and `outside` are the
    /// pools' own, on which the clock never goes back.
    pub trait Sealed {
        fn enter(&mut self, now: Instant) -> Instant;
        /// As [`enter`](Self::enter), and changes nothing.
        fn look(&self, now: Instant) -> Instant;
        fn inside(&self, at: Instant) -> Instant;
        fn outside(&self, at: Instant) -> Instant;
        fn policy(&self) -> &RetryPolicy;
        /// What its calls share of that.
        fn guard(&mut self) -> &mut Guard;
        /// How many are in flight.
        fn active(&self, now: Instant) -> u32;
        fn peek_request(&self, now: Instant, request: &Request) -> Result<(), Denied>;
        fn explain_request(&self, now: Instant, request: &Request) -> Explanation;
        /// Puts what it gives into `permits`.
        fn acquire_request(
            &mut self,
            now: Instant,
            request: &Request,
            permits: &mut Permits,
        ) -> Result<(), Denied>;
        fn refund(&mut self, permits: &mut Permits);
        fn observe_permits(&mut self, now: Instant, permits: &Permits, hints: &ServerHints);
        fn report(&mut self, now: Instant, permits: &mut Permits, class: Class, told: Told<'_>);
        fn progress(&mut self, now: Instant, permits: &mut Permits, taken: &Cost);
        fn learn(&mut self, request: &Request, usage: &Usage);
        fn settle_permits(&mut self, now: Instant, permits: &mut Permits, actual: Option<Cost>);
        /// When a permit taken at `sent` expires, later than `now`.
        fn expiry(&self, sent: Instant, now: Instant) -> Instant;
    }
}
