//! What kind of meter a server keeps: found out by elimination.

use core::time::Duration;

use crate::{
    hints::{Meter, Remaining, ResetGiven},
    time::{Instant, nanos},
    units::Rate,
};

use super::server_clock::ServerClock;

/// How a meter gives back what was taken of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Kind {
    /// All the time, at a rate.
    Bucket,
    /// Each charge a window after it.
    Log,
    /// All at once, at an edge.
    Window,
}

/// What speaks against each kind of meter.
///
/// By what remains and by when it is whole again, as heads show both, each kind
/// says of something that it does not change:
///
/// - a bucket, of what it holds: what remains, and what comes in until it is
///   whole;
/// - a log, of how long its window is: from a request that it took to when it is
///   whole;
/// - a window, of when it ends, as long as it has not.
///
/// Each of the three is kept as an interval, what all heads leave in common. One
/// that leaves nothing is a strike against that kind, and the interval begins
/// anew with it. What speaks against all speaks against none. Whoever has two
/// strikes more than another is refuted; of those that are not, the bucket is
/// believed before the log, and the log before the window: the log gives back
/// later than a window would, and where heads do not tell them apart there is
/// nothing between them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Kinds {
    /// What a bucket would hold, in tokens.
    holds: (u64, u64),
    /// How long a log's window would be, in nanoseconds.
    length: (u64, u64),
    /// When a window would end.
    edge: (Instant, Instant),
    /// The longest that it ever took to be whole again, at least.
    longest: u64,
    /// The most that was ever there: what remained, and what the request took
    /// whose head showed it.
    most: u64,
    /// Against a bucket, a log and a window.
    strikes: [u8; 3],
}

/// When a meter is whole again, as a head shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Whole {
    /// Between these of the limiter's instants.
    pub(crate) from: Instant,
    pub(crate) to: Instant,
    /// In nanoseconds after it was taken down, where that was given.
    pub(crate) span: Option<u64>,
}

impl Whole {
    /// What `meter` says of it in a head that came at `now`, to what was sent at
    /// `sent`. `None` where it says nothing, or a date that means nothing here.
    pub(crate) fn of(
        meter: &Meter,
        sent: Instant,
        now: Instant,
        clock: &ServerClock,
    ) -> Option<Self> {
        match meter.reset?.given {
            ResetGiven::At(at) => {
                let (from, to) = clock.second(at)?;
                Some(Self {
                    from,
                    to,
                    span: None,
                })
            }
            ResetGiven::In { millis } => {
                let span = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
                Some(Self {
                    from: sent.saturating_add(span),
                    to: now.saturating_add(span),
                    span: Some(nanos(span)),
                })
            }
        }
    }
}

/// A head, as far as it tells kinds apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    pub(crate) sent: Instant,
    pub(crate) now: Instant,
    /// What its request took, 0 where that was refused.
    pub(crate) charge: u64,
    pub(crate) left: Remaining,
    pub(crate) whole: Whole,
    /// What comes in, and the limit that heads show.
    pub(crate) rate: Rate,
    pub(crate) limit: u64,
}

/// So many strikes more than another has are too many.
const REFUTED: u8 = 2;

/// No kind ever has more.
const MOST: u8 = 8;

/// Servers take down what remains and when it is whole again by clocks that
/// differ by less.
const CLOCKS: Duration = Duration::from_secs(1);

/// By how much a length or an edge may be off beyond what is known.
const JITTER: u64 = 100_000_000;

const ANY: (u64, u64) = (0, u64::MAX);

impl Kinds {
    pub(crate) const fn new() -> Self {
        Self {
            holds: ANY,
            length: ANY,
            edge: (Instant::ZERO, Instant::ZERO),
            longest: 0,
            most: 0,
            strikes: [0; 3],
        }
    }

    /// The first that is not refuted, `presumed` before the others: what other
    /// meters of the same server are.
    pub(crate) fn kind(&self, presumed: Kind) -> Kind {
        let [bucket, log, window] = self.strikes;
        let strikes = match presumed {
            Kind::Bucket => bucket,
            Kind::Log => log,
            Kind::Window => window,
        };
        if strikes < REFUTED {
            presumed
        } else if bucket < REFUTED {
            Kind::Bucket
        } else if log < REFUTED {
            Kind::Log
        } else {
            Kind::Window
        }
    }

    /// What a bucket would hold at least, in tokens.
    pub(crate) const fn least_held(&self) -> u64 {
        let (least, _) = self.holds;
        least
    }

    /// Whether what is missing of a bucket may be what a log keeps: heads agree
    /// with one that is not nearly used up, as `left` remains.
    pub(crate) fn may_be_log(&self, left: Remaining) -> bool {
        let [_, log, _] = self.strikes;
        let left = u64::try_from(left.shown).unwrap_or(0);
        let held = self.least_held();
        log < REFUTED && held > 0 && left.saturating_mul(3) > held
    }

    /// The limit is so many times what it was.
    pub(crate) fn scale(&mut self, to: u64, from: u64) {
        let wide = u128::from(self.most).saturating_mul(u128::from(to));
        let scaled = wide.checked_div(u128::from(from)).unwrap_or_default();
        self.most = u64::try_from(scaled).unwrap_or(u64::MAX);
        self.holds = ANY;
    }

    /// A head shows this.
    pub(crate) fn observe(&mut self, sight: &Sight) {
        let left = u64::try_from(sight.left.shown).unwrap_or(0);
        self.most = self.most.max(left.saturating_add(sight.charge));
        let against = [
            self.is_no_bucket(sight),
            self.is_no_log(sight),
            self.is_no_window(sight),
        ];
        for (strikes, against) in self.strikes.iter_mut().zip(against) {
            *strikes = strikes.saturating_add(u8::from(against)).min(MOST);
        }
        let least = self.strikes.into_iter().min().unwrap_or_default();
        for strikes in &mut self.strikes {
            *strikes = strikes.saturating_sub(least);
        }
    }

    fn is_no_bucket(&mut self, sight: &Sight) -> bool {
        let Sight { left, rate, .. } = sight;
        // Between which spans after it was taken down it is whole.
        let (soonest, latest) = match sight.whole.span {
            Some(span) => (span, span),
            None => (
                between(sight.now, sight.whole.from),
                between(sight.sent, sight.whole.to),
            ),
        };
        let comes_in = |span| rate.in_span(Duration::from_nanos(span));
        // Nothing left may hide a debt.
        let least = u64::try_from(left.at_least()).unwrap_or(0);
        let least = if least > 0 {
            least.saturating_add(comes_in(soonest))
        } else {
            0
        };
        let most = u64::try_from(left.at_most()).unwrap_or(0);
        let most = most.saturating_add(comes_in(latest));
        let margin = rate
            .in_span(CLOCKS)
            .saturating_add(u64::from(left.rounding).saturating_mul(2))
            .saturating_add(2);
        let over = least > sight.limit.saturating_add(margin);
        over || self.narrow(Kind::Bucket, (least, most), margin)
    }

    fn is_no_log(&mut self, sight: &Sight) -> bool {
        let shortest = sight
            .whole
            .span
            .unwrap_or_else(|| between(sight.now, sight.whole.from));
        self.longest = self.longest.max(shortest);
        if sight.charge == 0 {
            // It is whole a window after another request was taken.
            return false;
        }
        let longest = between(sight.sent, sight.whole.to);
        self.narrow(Kind::Log, (shortest, longest), JITTER)
    }

    /// Narrows what is known down to what it has in common with `one`. Where that
    /// is nothing, by more than `margin`, it speaks against `kind`; what is known
    /// begins anew once that is refuted.
    fn narrow(&mut self, kind: Kind, one: (u64, u64), margin: u64) -> bool {
        let [bucket, log, _] = self.strikes;
        let (all, strikes) = match kind {
            Kind::Bucket => (&mut self.holds, bucket),
            Kind::Log | Kind::Window => (&mut self.length, log),
        };
        let (least, most) = (all.0.max(one.0), all.1.min(one.1));
        let apart = least.saturating_sub(most);
        if apart == 0 {
            *all = (least, most);
        } else if apart > margin && strikes.saturating_add(1) >= REFUTED {
            *all = one;
        }
        apart > margin
    }

    fn is_no_window(&mut self, sight: &Sight) -> bool {
        let (from, to) = self.edge;
        let Whole {
            from: soonest,
            to: latest,
            ..
        } = sight.whole;
        if later(soonest, to) {
            self.edge = (soonest, latest);
            // The one before it had not ended by then.
            return later(from, sight.now);
        }
        if !later(from, latest) {
            self.edge = (from.max(soonest), to.min(latest).max(from.max(soonest)));
        }
        // One that ends earlier comes late, and says nothing.
        false
    }

    /// How long the windows of a meter of this `kind` are, in nanoseconds, and how
    /// much each holds, where `limit` comes in `per` nanoseconds and amounts are
    /// known to `slack`.
    ///
    /// Servers that enforce a limit over shorter intervals divide it evenly, so
    /// the next whole part is taken, if it agrees with what was seen. If not,
    /// what was seen stands.
    pub(crate) fn shape(&self, kind: Kind, per: u64, limit: u64, slack: u64) -> (u64, u64) {
        let is_log = kind == Kind::Log;
        let (shortest, longest) = if is_log {
            self.length
        } else {
            (self.longest, u64::MAX)
        };
        let part = |count: u64| {
            let length = per.checked_div(count)?;
            let holds = limit.checked_div(count)?;
            let fits = length.saturating_add(JITTER) >= shortest
                && length <= longest.saturating_add(JITTER)
                && holds.abs_diff(self.most) <= (self.most >> 4).saturating_add(slack);
            fits.then_some((length, holds.max(1)))
        };
        let seen = self.most.max(1);
        let by_amount = nearest(limit, seen);
        let by_length = nearest(per, shortest.max(1));
        if let Some(shape) = part(by_amount).or_else(|| part(by_length)) {
            return shape;
        }
        let wide = u128::from(per).saturating_mul(u128::from(seen));
        let by_rate = wide.checked_div(u128::from(limit)).unwrap_or_default();
        let by_rate = u64::try_from(by_rate).unwrap_or(u64::MAX);
        let length = if is_log {
            longest
        } else {
            by_rate.max(shortest)
        };
        (length.max(1), seen.min(limit).max(1))
    }
}

/// Whether `one` is after `other`, clearly.
fn later(one: Instant, other: Instant) -> bool {
    between(other, one) > JITTER
}

/// Nanoseconds from one instant to another; 0 where that is earlier.
fn between(from: Instant, to: Instant) -> u64 {
    to.as_nanos().saturating_sub(from.as_nanos())
}

/// `whole / part` to the nearest whole number, at least 1.
fn nearest(whole: u64, part: u64) -> u64 {
    let half = part >> 1;
    let count = whole.saturating_add(half).checked_div(part);
    count.unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60_000;

    fn exactly(left: u64) -> Remaining {
        Remaining {
            shown: i64::try_from(left).unwrap(),
            rounding: 0,
        }
    }

    /// A meter of 600 a minute, over a window of so many milliseconds, as it is.
    struct Model {
        kind: Kind,
        length: u64,
        /// When, in milliseconds, and how much.
        taken: Vec<(u64, u64)>,
    }

    impl Model {
        fn new(kind: Kind, length: u64) -> Self {
            let taken = Vec::new();
            Self {
                kind,
                length,
                taken,
            }
        }

        fn capacity(&self) -> u64 {
            600 * self.length / MINUTE
        }

        /// What is left, and in how many milliseconds it is whole.
        fn shows(&self, now: u64) -> (u64, u64) {
            let live = |&&(at, _): &&(u64, u64)| match self.kind {
                Kind::Bucket => true,
                Kind::Log => at + self.length > now,
                Kind::Window => at / self.length == now / self.length,
            };
            let sum = |part: &mut dyn Iterator<Item = &(u64, u64)>| -> u64 {
                part.map(|&(_, amount)| amount).sum()
            };
            match self.kind {
                // Ten a second: a hundred milliseconds each.
                Kind::Bucket => {
                    let full = self
                        .taken
                        .iter()
                        .fold(0, |full, &(at, amount)| u64::max(full, at) + amount * 100);
                    let owed = full.saturating_sub(now);
                    (self.capacity().saturating_sub(owed.div_ceil(100)), owed)
                }
                Kind::Log => {
                    let used = sum(&mut self.taken.iter().filter(live));
                    let last = self.taken.last().map_or(now, |&(at, _)| at + self.length);
                    (self.capacity() - used, last.saturating_sub(now))
                }
                Kind::Window => {
                    let used = sum(&mut self.taken.iter().filter(live));
                    (self.capacity() - used, self.length - now % self.length)
                }
            }
        }

        /// A request for as much as `wanted`, if that is there, and its head, that
        /// comes after `latency`; in whole seconds, if it shows a date.
        fn request(&mut self, now: u64, wanted: u64, latency: u64, dated: bool) -> Sight {
            let (left, _) = self.shows(now);
            let charge = wanted.min(left);
            if charge > 0 {
                self.taken.push((now, charge));
            }
            let (left, whole_in) = self.shows(now);
            let whole = if dated {
                let second = (now + whole_in) / 1_000 * 1_000;
                Whole {
                    from: Instant::from_millis(second),
                    to: Instant::from_millis(second + 1_000),
                    span: None,
                }
            } else {
                Whole {
                    from: Instant::from_millis(now + whole_in),
                    to: Instant::from_millis(now + latency + whole_in),
                    span: Some(whole_in * 1_000_000),
                }
            };
            Sight {
                sent: Instant::from_millis(now),
                now: Instant::from_millis(now + latency),
                charge,
                left: exactly(left),
                whole,
                rate: Rate::per_minute(600).unwrap(),
                limit: 600,
            }
        }
    }

    /// What is believed after each of so many requests for `wanted`, `gap`
    /// milliseconds apart, the first at `start`.
    fn believed(model: &mut Model, start: u64, gap: u64, wanted: u64, dated: bool) -> Vec<Kind> {
        let mut kinds = Kinds::new();
        (0..80)
            .map(|number| {
                let sight = model.request(start + number * gap, wanted, 700, dated);
                kinds.observe(&sight);
                kinds.kind(Kind::Bucket)
            })
            .collect()
    }

    #[test]
    fn each_kind_shows_itself() {
        for dated in [false, true] {
            for length in [10_000, MINUTE] {
                for kind in [Kind::Bucket, Kind::Log, Kind::Window] {
                    let mut model = Model::new(kind, length);
                    let said = believed(&mut model, 23_456, 800, 15, dated);
                    assert_eq!(said.last(), Some(&kind), "{kind:?} {length} {dated}");
                }
            }
        }
    }

    #[test]
    fn a_minute_that_is_no_bucket_is_known_by_the_second_head() {
        for kind in [Kind::Log, Kind::Window] {
            let mut model = Model::new(kind, MINUTE);
            let said = believed(&mut model, 61_000, 500, 1, true);
            assert_ne!(said[1], Kind::Bucket, "{kind:?}");
        }
    }

    /// As long as much is left and it is whole always as long after a request, it
    /// may be a log; not when that has changed, and not near its end, where a
    /// bucket that others empty looks the same.
    #[test]
    fn a_log_that_is_not_used_up_may_be_a_bucket_and_a_bucket_no_log() {
        let mut log = Model::new(Kind::Log, 10_000);
        let mut kinds = Kinds::new();
        for number in 0..40 {
            let sight = log.request(number * 1_000, 1, 100, true);
            kinds.observe(&sight);
            assert_eq!(kinds.kind(Kind::Bucket), Kind::Bucket);
            assert!(kinds.may_be_log(sight.left));
        }
        let mut bucket = Model::new(Kind::Bucket, MINUTE);
        let mut kinds = Kinds::new();
        for number in 0..10 {
            let sight = bucket.request(number * 1_000, 40, 100, false);
            kinds.observe(&sight);
            assert!(!kinds.may_be_log(exactly(9)));
            assert!(number < 3 || !kinds.may_be_log(sight.left), "{number}");
        }
    }

    #[test]
    fn what_others_are_is_presumed_until_it_is_refuted() {
        let mut kinds = Kinds::new();
        assert_eq!(kinds.kind(Kind::Log), Kind::Log);
        let mut model = Model::new(Kind::Bucket, MINUTE);
        for number in 0..10 {
            kinds.observe(&model.request(number * 1_000, 40, 100, false));
        }
        assert_eq!(kinds.kind(Kind::Log), Kind::Bucket);
        assert_eq!(kinds.kind(Kind::Window), Kind::Bucket);
    }

    #[test]
    fn a_limit_over_a_shorter_interval_is_an_even_part_of_it() {
        // Kind, the most that was there, the longest it took to be whole in
        // seconds; length and capacity, of 600 a minute.
        let table = [
            (Kind::Log, 600, 60, (60, 600)),
            (Kind::Log, 98, 10, (10, 100)),
            (Kind::Window, 598, 23, (60, 600)),
            (Kind::Window, 99, 7, (10, 100)),
            // Others had taken of it: what was seen stands.
            (Kind::Window, 250, 41, (41, 250)),
        ];
        for (kind, most, seconds, (length, capacity)) in table {
            let nanos = seconds * 1_000_000_000;
            let kinds = Kinds {
                length: (nanos, nanos),
                longest: nanos,
                most,
                ..Kinds::new()
            };
            let shape = kinds.shape(kind, 60_000_000_000, 600, 2);
            assert_eq!(shape, (length * 1_000_000_000, capacity), "{kind:?} {most}");
        }
    }

    proptest! {
        #[test]
        fn a_bucket_is_never_taken_for_another(
            requests in prop::collection::vec((0..4_000_u64, 0..60_u64, 20..3_000_u64), 1..60),
            part in 1..7_u64,
            dated: bool,
        ) {
            let mut model = Model::new(Kind::Bucket, MINUTE / part);
            let mut kinds = Kinds::new();
            let mut now = 0;
            for (gap, wanted, latency) in requests {
                now += gap;
                kinds.observe(&model.request(now, wanted, latency, dated));
                prop_assert_eq!(kinds.kind(Kind::Bucket), Kind::Bucket);
            }
        }

        #[test]
        fn any_heads_are_borne(
            heads in prop::collection::vec(any::<([u64; 4], i64, u32, Option<u64>, u64)>(), 1..40),
        ) {
            let mut kinds = Kinds::new();
            for ([sent, now, from, to], shown, rounding, span, limit) in heads {
                let left = Meter::new(
                    crate::hints::Family::Standard,
                    crate::units::Dimension::Requests,
                )
                .remaining(shown, rounding);
                kinds.observe(&Sight {
                    sent: Instant::from_nanos(sent),
                    now: Instant::from_nanos(now),
                    charge: limit >> 3,
                    left: left.remaining.unwrap(),
                    whole: Whole {
                        from: Instant::from_nanos(from),
                        to: Instant::from_nanos(to),
                        span,
                    },
                    rate: Rate::per_minute((limit >> 1).max(1)).unwrap(),
                    limit,
                });
                kinds.scale(limit, from);
                for kind in [Kind::Bucket, Kind::Log, Kind::Window] {
                    let _any = kinds.kind(kind);
                    let (length, capacity) = kinds.shape(kind, to.max(1), limit, span.unwrap_or(0));
                    prop_assert!(length > 0 && capacity > 0);
                }
            }
        }
    }

    #[test]
    fn a_bucket_may_be_a_log_while_more_than_a_third_is_left() {
        let mut kinds = Kinds::new();
        assert!(!kinds.may_be_log(exactly(1)), "nothing is known");
        kinds.holds = (300, u64::MAX);
        assert!(!kinds.may_be_log(exactly(100)));
        assert!(kinds.may_be_log(exactly(101)));
        kinds.strikes = [0, REFUTED, 0];
        assert!(!kinds.may_be_log(exactly(300)), "it is none");
    }

    #[test]
    fn more_than_a_bucket_holds_speaks_against_it() {
        let sight = |left| Sight {
            sent: Instant::ZERO,
            now: Instant::ZERO,
            charge: 1,
            left: exactly(left),
            whole: Whole {
                from: Instant::ZERO,
                to: Instant::ZERO,
                span: Some(0),
            },
            rate: Rate::per_minute(600).unwrap(),
            limit: 600,
        };
        // What comes in in a second, and two more, may be the clocks.
        assert!(!Kinds::new().is_no_bucket(&sight(612)));
        assert!(Kinds::new().is_no_bucket(&sight(613)));
    }

    #[test]
    fn what_is_apart_by_no_more_than_the_margin_agrees() {
        let mut kinds = Kinds::new();
        (kinds.holds, kinds.strikes) = ((100, 100), [1, 0, 0]);
        assert!(!kinds.narrow(Kind::Bucket, (105, 105), 5));
        assert_eq!(kinds.holds, (100, 100));
        // The second strike refutes: what is known begins anew.
        assert!(kinds.narrow(Kind::Bucket, (200, 200), 5));
        assert_eq!(kinds.holds, (200, 200));
        (kinds.holds, kinds.strikes) = ((100, 100), [0, 0, 0]);
        assert!(kinds.narrow(Kind::Bucket, (200, 200), 5));
        assert_eq!(kinds.holds, (100, 100));
    }

    #[test]
    fn an_edge_is_known_the_better_the_more_heads_show_it() {
        let at = Instant::from_millis;
        let mut kinds = Kinds::new();
        let mut shown = |from, to| {
            let against = kinds.is_no_window(&Sight {
                sent: at(0),
                now: at(1),
                charge: 1,
                left: exactly(1),
                whole: Whole {
                    from: at(from),
                    to: at(to),
                    span: None,
                },
                rate: Rate::per_minute(600).unwrap(),
                limit: 600,
            });
            assert!(!against);
            kinds.edge
        };
        assert_eq!(shown(60_000, 61_000), (at(60_000), at(61_000)));
        assert_eq!(shown(60_300, 60_900), (at(60_300), at(60_900)));
        // One of the window before comes late.
        assert_eq!(shown(1_000, 2_000), (at(60_300), at(60_900)));
    }

    #[test]
    fn a_jitter_later_is_not_later() {
        let at = Instant::from_nanos;
        assert!(!later(at(JITTER), Instant::ZERO));
        assert!(later(at(JITTER + 1), Instant::ZERO));
    }
}
