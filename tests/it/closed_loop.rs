//! A lone client and a server of token buckets, in virtual time.

use std::time::Duration;

use num_rational::BigRational;
use proptest::prelude::*;
use sendwhen::{Control, Cost, Denied, Dimension, Instant, Limiter, Permit, Rate};

const LIMITED: [Dimension; 2] = [Dimension::Requests, Dimension::InputTokens];

/// One limit: so many in so many nanoseconds, and what the server's bucket
/// holds.
#[derive(Clone, Copy, Debug)]
struct Limit {
    count: u64,
    period: u64,
    capacity: u64,
}

impl Limit {
    /// What comes in over `span`, rounded up.
    fn in_span(self, span: u64) -> u64 {
        let wide = u128::from(self.count) * u128::from(span);
        u64::try_from(wide.div_ceil(u128::from(self.period))).unwrap()
    }
}

/// A request: when it is wanted after the one before it, what it is taken to
/// cost and what it does, how long it is on its way and how long it is answered.
#[derive(Clone, Copy, Debug)]
struct Job {
    after: u64,
    estimate: u64,
    actual: u64,
    delay: u64,
    answer: u64,
}

/// The server: takes what arrives, and tells whether there was enough.
struct Server {
    limits: [Limit; 2],
    levels: [BigRational; 2],
    then: u64,
}

fn int(n: u64) -> BigRational {
    BigRational::from_integer(n.into())
}

impl Server {
    fn new(limits: [Limit; 2]) -> Self {
        Self {
            limits,
            levels: limits.map(|limit| int(limit.capacity)),
            then: 0,
        }
    }

    fn admits(&mut self, at: u64, amounts: [u64; 2]) -> bool {
        let mut admits = true;
        for ((limit, level), amount) in self.limits.iter().zip(&mut self.levels).zip(amounts) {
            let flow = BigRational::new(limit.count.into(), limit.period.into());
            let risen = &*level + int(at - self.then) * flow;
            *level = risen.min(int(limit.capacity)) - int(amount);
            admits &= *level >= int(0);
        }
        self.then = at;
        admits
    }
}

/// The longest that a request is on its way.
const SLOWEST: u64 = 400_000_000;

fn limit() -> impl Strategy<Value = Limit> {
    (1..30_u64, 500_000_000..20_000_000_000_u64, 0..40_u64).prop_map(|(count, period, more)| {
        let limit = Limit {
            count,
            period,
            capacity: 0,
        };
        Limit {
            // Room for what closes up on the way, and for one request.
            capacity: limit.in_span(SLOWEST) + 1 + more,
            ..limit
        }
    })
}

fn job() -> impl Strategy<Value = Job> {
    let after = prop_oneof![3 => Just(0), 1 => 0..5_000_000_000_u64];
    (
        after,
        1..30_u64,
        0..30_u64,
        0..=SLOWEST,
        0..9_000_000_000_u64,
    )
        .prop_map(|(after, estimate, actual, delay, answer)| Job {
            after,
            estimate,
            actual: actual.min(estimate),
            delay,
            answer,
        })
}

proptest! {
    #![proptest_config(super::props::config())]

    /// Where limits and capacity are known, estimates are upper bounds, and no
    /// request is longer on its way than the client allows for.
    #[test]
    fn a_lone_client_is_never_refused(
        limits in [limit(), limit()],
        jobs in prop::collection::vec(job(), 1..40),
    ) {
        let control = Control::new().tenths_of_deviations(0).unheard(u32::MAX);
        let mut limiter = Limiter::new(1)
            .learn_limits(false)
            .control(control)
            .initial_window(1_000)
            .unwrap();
        // What is sent over a while may arrive at once, later by as long as the
        // slowest is on its way.
        let bursts = limits.map(|limit| limit.capacity - limit.in_span(SLOWEST));
        for ((dimension, limit), burst) in LIMITED.into_iter().zip(limits).zip(bursts) {
            let rate = Rate::per(limit.count, Duration::from_nanos(limit.period)).unwrap();
            limiter = limiter.limit(dimension, rate, burst).unwrap();
        }
        let (mut now, mut arrivals) = (0_u64, vec![]);
        let mut open: Vec<(u64, Permit, Cost)> = vec![];
        let cost = |tokens| Cost::request().with(Dimension::InputTokens, tokens);
        for job in jobs {
            now += job.after;
            let estimate = job.estimate.min(bursts[1]);
            let actual = job.actual.min(estimate);
            loop {
                // The answers that are whole by now, in their order.
                open.sort_by_key(|(end, ..)| *end);
                while open.first().is_some_and(|(end, ..)| *end <= now) {
                    let (end, permit, took) = open.remove(0);
                    limiter.settle(Instant::from_nanos(end), permit, Some(took));
                }
                match limiter.try_acquire(Instant::from_nanos(now), &cost(estimate)) {
                    Ok(permit) => {
                        let arrives = now + job.delay;
                        open.push((arrives + job.answer, permit, cost(actual)));
                        arrivals.push((arrives, actual));
                        break;
                    }
                    Err(Denied::Until { wait, .. }) => {
                        // Until then, or until an answer gives some back.
                        let next = open.first().map_or(u64::MAX, |(end, ..)| *end);
                        now = wait.until.as_nanos().min(next.max(now + 1));
                    }
                    Err(Denied::Never(never)) => panic!("{never}"),
                }
            }
        }
        arrivals.sort_unstable();
        let mut server = Server::new(limits);
        for (at, tokens) in arrivals {
            prop_assert!(server.admits(at, [1, tokens]), "refused at {at}");
        }
    }
}
