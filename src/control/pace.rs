//! How fast a server lets requests pass that shows no limits: [`Pace`].

use core::time::Duration;

use super::concurrency::volley;
use crate::{
    time::{Instant, nanos},
    units::{Cost, Dimension},
};

/// A rate that refusals teach.
///
/// A bucket that refuses is as good as empty. So between two refusals as much
/// was let in as flowed in meanwhile, and the error of that is what one request
/// takes, however long it was. From a refusal on it is sent at that rate, and one
/// request more in as long a time as it was measured over: if the rate is right,
/// the next refusal comes after about that time, and there are as many as
/// doublings of the first interval in the whole run. Where requests differ much
/// it comes sooner, as a walk at random from an empty bucket does: then more and
/// more is left in it. What is not sent the bucket keeps, as far as it can: at
/// most as much as it gave until the first refusal.
///
/// Which of the dimensions the bucket counts nobody says. The rates of all are
/// measured; of the right one the same comes out each time, and the others bind
/// no longer once they are off by more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Pace {
    /// All that was let in so far.
    counts: Cost,
    sent: u64,
    /// The latest refusal whose like may still come in.
    refusal: Option<Instant>,
    /// Until when they may.
    settles: Instant,
    /// How often in a row nothing was let in between two refusals.
    barren: u32,
    /// Whether any rate was measured.
    measured: bool,
    /// The first after a refusal goes alone for so long: until its own refusal
    /// would be back.
    alone: Duration,
    /// So many requests' worth is left in the bucket after a refusal.
    cushion: u64,
    /// How many had been sent when a refusal last taught anything.
    taught: u64,
    lines: [Line; Dimension::COUNT],
}

/// What is known of one dimension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Line {
    /// So much in so many nanoseconds; these are 0 until there are two refusals.
    amount: u64,
    span: u64,
    latest: Option<Point>,
    /// From where on what may be sent is reckoned.
    base: Point,
    /// What it gave until the first refusal: no less than it holds.
    burst: u64,
    /// Whether it may have been full since the latest refusal.
    was_full: bool,
    /// How far off each rate was from the one before: a fading mean, in
    /// [`WHOLE`]ths.
    off: u32,
    seen: u8,
    binds: bool,
    /// How often in a row the rate was found to be no higher than it was believed
    /// to be, up to [`CALMEST`].
    calm: u8,
}

/// So much had been let in then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Point {
    at: Instant,
    count: u64,
}

const WHOLE: u32 = 1 << 16;

/// Whoever is not refused for so many times the span over which a rate was
/// measured, or for as long as so many requests take, is too slow: the rate is
/// half as much again then, and each time that passes again. Twice as many
/// requests each time that this found no higher rate, up to so often.
const STALE: u64 = 2;
const MANY: u64 = 128;
const CALMEST: u8 = 2;

/// Beyond what a bucket bears it may be in debt for a while. Nothing is lost by
/// asking late, as long as it is not full.
const LATEST: Duration = Duration::from_secs(8);

/// One refusal in fewer requests than this is too many, and a part of what was
/// sent, of two to this power, is left in the bucket for it, which is lost at the
/// end; and at most so many requests' worth.
const SOON: u64 = 128;
const PART_LEFT: u32 = 6;
const MOST_LEFT: u64 = 64;

/// In which the rates that rise are reckoned.
const EIGHTHS: u64 = 8;

/// An interval in which fewer were let in is too short to say anything.
const FEW: u64 = 4;

impl Pace {
    pub(crate) const fn new() -> Self {
        Self {
            counts: Cost::ZERO,
            sent: 0,
            refusal: None,
            settles: Instant::ZERO,
            barren: 0,
            measured: false,
            alone: Duration::ZERO,
            cushion: 0,
            taught: 0,
            lines: [Line::UNKNOWN; Dimension::COUNT],
        }
    }

    /// `None` where `cost` may be sent, else from when on.
    pub(crate) fn bound(&self, now: Instant, cost: &Cost) -> Option<Instant> {
        let mut until = self.settles;
        if !self.measured {
            return Some(until).filter(|&until| now < until);
        }
        for ((dimension, amount), line) in each(cost).zip(&self.lines) {
            if amount > 0 && line.binds {
                let wanted = self.counts.get(dimension).saturating_add(amount);
                let base = match self.refusal {
                    // Not reckoned yet: nothing was sent since.
                    Some(at) => Point {
                        at,
                        count: self.counts.get(dimension),
                    },
                    None => line.base,
                };
                let mean = mean(self.counts.get(dimension), self.sent);
                let wanted = wanted.saturating_add(self.cushion.saturating_mul(mean));
                until = until.max(line.reaches(base, wanted, mean));
            }
        }
        Some(until).filter(|&until| now < until)
    }

    /// One is sent. True where others may go earlier for what was learnt of
    /// refusals.
    pub(crate) fn sent(&mut self, now: Instant, cost: &Cost) -> bool {
        let learnt = self.refusal.take().is_some_and(|at| {
            self.learn(at);
            self.settles = now.saturating_add(self.alone);
            true
        });
        if self.measured {
            for ((_, count), line) in each(&self.counts).zip(&mut self.lines) {
                if line.span > 0 && count > 0 {
                    line.spill(now, count, mean(count, self.sent));
                }
            }
        }
        self.counts.raise_by(cost);
        self.sent = self.sent.saturating_add(1);
        learnt
    }

    /// One that was sent then took `actual`, and was counted as `cost`; nothing
    /// where it was refused. True where others may go earlier for it.
    pub(crate) fn took(&mut self, sent: Instant, cost: &Cost, actual: &Cost) -> bool {
        let mut less = false;
        for ((dimension, amount), line) in each(cost).zip(&mut self.lines) {
            let actual = actual.get(dimension);
            if amount != actual {
                let counted = self.counts.get(dimension);
                let count = corrected(counted, amount, actual);
                self.counts = self.counts.with(dimension, count);
                line.correct(sent, amount, actual);
                less |= line.binds;
            }
        }
        less
    }

    /// One was refused, for reasons that nobody knows, which was sent so long
    /// ago. True where nothing is known of any rate yet.
    pub(crate) fn refused(&mut self, now: Instant, took: Duration) -> bool {
        if now >= self.settles || self.refusal.is_none() {
            self.alone = volley(took);
            let longer = self.alone.saturating_mul(1 << self.barren.min(16));
            self.settles = now.saturating_add(longer.min(LATEST));
        }
        self.refusal = Some(now);
        !self.measured
    }

    /// All that were refused at `at` are known.
    fn learn(&mut self, at: Instant) {
        let mut fruitful = false;
        for ((_, count), line) in each(&self.counts).zip(&mut self.lines) {
            if count > 0 {
                fruitful |= line.learn(Point { at, count }, mean(count, self.sent));
            }
        }
        if fruitful {
            self.barren = 0;
            self.leave_more();
        } else {
            self.barren = self.barren.saturating_add(1);
        }
        let known = self.lines.iter().filter(|line| line.seen > 1);
        let best = known.map(|line| line.off).min().unwrap_or(WHOLE);
        let most = best.saturating_mul(2).saturating_add(WHOLE >> 6);
        self.measured = self.lines.iter().any(|line| line.span > 0);
        for line in &mut self.lines {
            line.binds = line.span > 0 && (line.seen < 2 || line.off <= most);
        }
    }

    /// A refusal: where it came soon after the one before, what requests differ
    /// by empties the bucket, so more is to be left in it.
    fn leave_more(&mut self) {
        let passed = self.sent.saturating_sub(self.taught);
        self.taught = self.sent;
        if !self.measured {
            return;
        }
        self.cushion = if passed < SOON {
            let more = self
                .cushion
                .saturating_add(self.cushion >> 1)
                .saturating_add(3);
            more.min(self.sent >> PART_LEFT).min(MOST_LEFT)
        } else {
            self.cushion.saturating_sub(self.cushion >> 2)
        };
    }
}

impl Line {
    const UNKNOWN: Self = Self {
        amount: 0,
        span: 0,
        latest: None,
        base: Point::ZERO,
        burst: 0,
        was_full: false,
        off: 0,
        seen: 0,
        binds: false,
        calm: 0,
    };

    /// A refusal. True where anything was let in since the one before.
    fn learn(&mut self, point: Point, mean: u64) -> bool {
        self.base = point;
        let Some(before) = self.latest else {
            self.latest = Some(point);
            self.burst = point.count;
            return false;
        };
        let count = point.count.saturating_sub(before.count);
        let span = nanos(point.at.saturating_duration_since(before.at));
        let barren = count < mean;
        if barren || core::mem::take(&mut self.was_full) {
            // What flowed in paid what was spent before, or was lost in part.
            self.latest = Some(point);
            return !barren;
        }
        if count < mean.saturating_mul(FEW) {
            return true;
        }
        self.latest = Some(point);
        if self.span > 0 {
            self.compare(count, span, mean);
            if self.is_off(count, span, mean) {
                // It changed: what was before says nothing.
                (self.amount, self.span) = (0, 0);
            }
        }
        self.amount = self.amount.saturating_add(count);
        self.span = self.span.saturating_add(span).max(1);
        self.seen = self.seen.saturating_add(1);
        true
    }

    /// How far off the latest rate is from what was believed.
    fn compare(&mut self, count: u64, span: u64, mean: u64) {
        let expected = part(self.amount, span, self.span).max(1);
        let by = count.abs_diff(expected).saturating_sub(mean);
        self.calm = if count > expected && by > expected >> 4 {
            0
        } else {
            self.calm.saturating_add(1).min(CALMEST)
        };
        let off = u32::try_from(part(by, WHOLE.into(), expected)).unwrap_or(WHOLE);
        let off = off.min(WHOLE);
        let step = self.off.abs_diff(off).div_ceil(4);
        self.off = if self.seen < 2 {
            off
        } else if off > self.off {
            self.off.saturating_add(step)
        } else {
            self.off.saturating_sub(step)
        };
    }

    /// Whether it is so far off that the rate must have changed.
    fn is_off(&self, count: u64, span: u64, mean: u64) -> bool {
        let expected = part(self.amount, span, self.span);
        let by = count.abs_diff(expected);
        by.saturating_sub(mean.saturating_mul(2)) > expected >> 2
    }

    /// What was sent by then was counted in all points since.
    fn correct(&mut self, sent: Instant, amount: u64, actual: u64) {
        for point in self.latest.iter_mut().chain([&mut self.base]) {
            if point.at >= sent {
                point.count = corrected(point.count, amount, actual);
            }
        }
    }

    /// When so much in all may have been let in.
    fn reaches(&self, base: Point, count: u64, mean: u64) -> Instant {
        let need = count.saturating_sub(base.count);
        let rate = self.amount.saturating_add(mean);
        let patience = part_up(
            (MANY << self.calm).saturating_mul(mean),
            self.span,
            self.amount,
        )
        .min(self.span.saturating_mul(STALE))
        .max(1);
        // What is left to wait for at the rate as it was measured.
        let mut left = part_up(need, self.span, rate);
        let (mut span, mut eighths) = (0_u64, EIGHTHS);
        while let Some(beyond) = left.checked_sub(part(patience, eighths, EIGHTHS)) {
            left = beyond;
            span = span.saturating_add(patience);
            eighths = eighths.saturating_add(eighths >> 1);
        }
        let last = part_up(left, EIGHTHS, eighths);
        base.at
            .saturating_add(Duration::from_nanos(span.saturating_add(last)))
    }

    /// Before one is sent: what is beyond what the bucket can hold is lost.
    fn spill(&mut self, now: Instant, count: u64, mean: u64) {
        let full = count.saturating_add(self.burst);
        if self.reaches(self.base, full, mean) < now {
            self.base = Point {
                at: now,
                count: full,
            };
            self.was_full = true;
        }
    }
}

impl Point {
    const ZERO: Self = Self {
        at: Instant::ZERO,
        count: 0,
    };
}

/// What one of `sent` requests takes that took `count` together.
fn mean(count: u64, sent: u64) -> u64 {
    count.checked_div(sent).unwrap_or_default().max(1)
}

fn each(cost: &Cost) -> impl Iterator<Item = (Dimension, u64)> {
    let cost = *cost;
    Dimension::ALL
        .into_iter()
        .map(move |dimension| (dimension, cost.get(dimension)))
}

/// `count` with `actual` in the place of `amount`.
const fn corrected(count: u64, amount: u64, actual: u64) -> u64 {
    count.saturating_sub(amount).saturating_add(actual)
}

/// `amount` · `of` / `whole`, rounded down; all where `whole` is 0.
fn part(amount: u64, of: u64, whole: u64) -> u64 {
    let product = u128::from(amount).saturating_mul(of.into());
    let part = product.checked_div(whole.into()).unwrap_or(u128::MAX);
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// The same, rounded up.
fn part_up(amount: u64, of: u64, whole: u64) -> u64 {
    let whole = whole.max(1);
    let product = u128::from(amount).saturating_mul(of.into());
    u64::try_from(product.div_ceil(whole.into())).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const TOOK: Duration = Duration::from_millis(50);

    /// A server's bucket of requests, or of tokens, that shows nothing.
    struct Server {
        by: Dimension,
        per_second: u64,
        level: u64,
        at: u64,
    }

    impl Server {
        fn lets_in(&mut self, now: u64, cost: &Cost) -> bool {
            let flowed = part(now - self.at, self.per_second * 1_000, SECOND);
            self.level += flowed;
            self.at += part_up(flowed, SECOND, self.per_second * 1_000);
            let need = cost.get(self.by) * 1_000;
            let is_in = need <= self.level;
            self.level -= if is_in { need } else { 0 };
            is_in
        }
    }

    /// Sends as fast as it may until `end`; of how many so many were refused.
    fn run(server: &mut Server, costs: impl Fn(u64) -> Cost, end: u64) -> (u64, u64) {
        let mut pace = Pace::new();
        let (mut now, mut sent, mut refused) = (SECOND, 0, 0);
        while now < end {
            let cost = costs(sent);
            if let Some(until) = pace.bound(Instant::from_nanos(now), &cost) {
                assert!(until.as_nanos() > now);
                now = until.as_nanos();
                continue;
            }
            let at = Instant::from_nanos(now);
            pace.sent(at, &cost);
            sent += 1;
            if !server.lets_in(now, &cost) {
                refused += 1;
                now += 50_000_000;
                pace.refused(Instant::from_nanos(now), TOOK);
                pace.took(at, &cost, &Cost::ZERO);
            }
            now += 1_000_000;
        }
        (sent, refused)
    }

    #[test]
    fn the_rate_is_found_and_refusals_become_rare() {
        let mut server = Server {
            by: Dimension::Requests,
            per_second: 7,
            level: 40_000,
            at: SECOND,
        };
        let (sent, refused) = run(&mut server, |_| Cost::request(), 2_000 * SECOND);
        // All that there was, but a few of a hundred.
        assert!(sent - refused > 13_800, "{sent} less {refused}");
        assert!(refused < 14_000 / 200, "{refused}");
    }

    /// As where a server bore little for a while: what was measured then is a
    /// hundredth of what it bears.
    #[test]
    fn a_rate_that_is_not_refused_rises_ever_faster() {
        let mut line = Line {
            amount: 10,
            span: SECOND,
            ..Line::UNKNOWN
        };
        let sent_in = |line: &Line, secs: u64| {
            let end = Instant::from_nanos(secs * SECOND);
            let base = Point::ZERO;
            (1..1_000_000)
                .take_while(|&count| line.reaches(base, count, 1) <= end)
                .count()
        };
        // Eleven a second for two seconds, then 16.5, then 24.75 ..
        let rates = [2, 4, 6, 8, 16].map(|secs| sent_in(&line, secs));
        assert_eq!(rates, [22, 55, 104, 178, 1_072]);
        // Or after 256 of them, where it was measured over longer and found to be
        // right once.
        line.calm = 1;
        line.amount = 1_000;
        line.span = SECOND * 100;
        assert_eq!(sent_in(&line, 25), 250);
        assert_eq!(sent_in(&line, 51), 256 + 381);
    }

    #[test]
    fn which_dimension_is_counted_shows_in_time() {
        let sizes = |n: u64| {
            let tokens = 100 + n * 7_919 % 1_900;
            Cost::request().with(Dimension::InputTokens, tokens)
        };
        let mut server = Server {
            by: Dimension::InputTokens,
            per_second: 9_000,
            level: 60_000_000,
            at: SECOND,
        };
        let (sent, refused) = run(&mut server, sizes, 2_000 * SECOND);
        let mean = 1_050;
        assert!(
            (sent - refused) * mean > 17_500_000,
            "{sent} less {refused}"
        );
        assert!(refused < 200, "{refused}");
    }

    #[test]
    fn whoever_was_never_refused_is_not_bound() {
        let mut pace = Pace::new();
        let cost = Cost::request().with(Dimension::InputTokens, u64::MAX);
        for n in 0..100 {
            assert_eq!(pace.bound(Instant::from_nanos(n), &cost), None);
            assert!(!pace.sent(Instant::from_nanos(n), &cost));
        }
    }

    /// What a request was taken for is in all points that were reckoned since.
    #[test]
    fn usage_corrects_what_was_counted_for_it() {
        let at = |secs: u64| Instant::from_nanos(secs * SECOND);
        let tokens = |n| Cost::ZERO.with(Dimension::InputTokens, n);
        let mut pace = Pace::new();
        pace.sent(at(1), &tokens(1_000));
        pace.refused(at(2), TOOK);
        pace.sent(at(3), &tokens(50));
        let before = pace;
        pace.took(at(1), &tokens(1_000), &tokens(1_000));
        assert_eq!(pace, before);
        pace.took(at(1), &tokens(1_000), &tokens(10));
        let line = pace.lines[Dimension::InputTokens.index()];
        assert_eq!(line.latest.map(|point| point.count), Some(10));
        assert_eq!(pace.counts.get(Dimension::InputTokens), 60);
    }

    #[test]
    fn the_largest_numbers_are_borne() {
        let all = Cost::ZERO.with(Dimension::InputTokens, u64::MAX);
        let mut pace = Pace::new();
        for at in [Instant::ZERO, Instant::from_nanos(1), Instant::MAX] {
            pace.sent(at, &all);
            pace.refused(at, Duration::MAX);
            let _bound = pace.bound(at, &all);
            pace.took(at, &all, &Cost::ZERO);
        }
    }

    #[test]
    fn who_learns_nothing_of_refusals_waits_longer_for_each() {
        let waits = |barren| {
            let mut pace = Pace::new();
            pace.barren = barren;
            pace.refused(Instant::ZERO, Duration::from_millis(100));
            pace.settles.saturating_duration_since(Instant::ZERO)
        };
        assert_eq!(waits(3), 8 * waits(0));
    }

    #[test]
    fn more_is_left_where_refusals_come_soon() {
        let left_after = |passed| {
            let mut pace = Pace::new();
            (pace.measured, pace.sent, pace.taught) = (true, 10_000 + passed, 10_000);
            pace.cushion = 40;
            pace.leave_more();
            pace.cushion
        };
        assert_eq!((left_after(SOON - 1), left_after(SOON)), (63, 30));
    }
}
