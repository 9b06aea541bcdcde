//! Others who take from the same limit, unseen: [`Sharing`].

use core::time::Duration;

use crate::{
    limit::{ticks, tokens},
    time::{Instant, nanos},
    units::Rate,
};

/// What others take of one limit, and how fast to send beside them.
///
/// # Theory of operation
///
/// What two heads show differs by what came in between, less what this client
/// sent between, less what others took. The difference is summed up over a
/// quarter of a minute, fading; how little the server rounds and how late
/// requests are matters once in such a sum, and not once a head. Where it is
/// more than that, and than three standard deviations of what estimates may be
/// off, and more than a sixteenth of what came in, there are others.
///
/// Nobody tells any of them how many there are, but all see the same level. So
/// each sends the faster the more is there:
///
/// ```text
/// rate * sqrt(share) * e^((level - set point) / scale)
/// ```
///
/// where `share` is this client's part of what is taken, and `scale` what comes
/// in while a head is awaited, and four requests. The exponential makes the
/// answer to a change equally strong however many they are, and weak enough for
/// what is heard so late; the square root makes unequal shares grow alike: who
/// has more than others sends less than in proportion. Above the set point it
/// goes on straight. Requests are not sent at that rate by chance but one after
/// another, each after what the one before took, a quarter more or less, so that
/// clients drift apart by themselves.
///
/// The set point is where 32 clients find a level that their own chance does not
/// empty. All that is in it must come out alike for all of them: what only one
/// of them measured would be his advantage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Sharing {
    /// The newest head that was read; of one limit only.
    heard: Option<Heard>,
    /// What the bucket holds at least, by the most that any head showed, and by
    /// when it was to be full.
    holds: i64,
    /// The most that any head showed, and what this client had been charged by
    /// then.
    peak: (i64, u64),
    /// Fading sums over the time between heads.
    taken: Taken,
    /// Whether there are others.
    among: bool,
    /// Fading sums over requests: what they took, in 256ths of a token, and the
    /// squares of that.
    costs: u64,
    squares: u64,
    last: Sent,
    /// When the next may go, where there are others.
    next: Option<Instant>,
}

/// What was newest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Heard {
    rate: Rate,
    sent: Instant,
    left: i64,
    totals: Totals,
}

/// All that one client was charged, up to a request: running totals, which wrap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Totals {
    pub(crate) charged: u64,
    pub(crate) returned: u64,
    pub(crate) variance: u64,
}

/// In units of the rate, but for the variance, which is in tokens, and the span,
/// in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Taken {
    span: u64,
    /// How many heads, as far as that matters.
    heads: u8,
    /// By this client, with what was given back and without.
    charged: i128,
    own: i128,
    others: i128,
    variance: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Sent {
    at: Instant,
    amount: u64,
    /// From three quarters to five quarters, in [`ONE`]ths.
    spread: u64,
}

/// What a head shows of a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) rate: Rate,
    /// When its request was sent.
    pub(crate) sent: Instant,
    pub(crate) left: i64,
    /// What the bucket holds at least.
    pub(crate) holds: u64,
    pub(crate) totals: Totals,
    /// Half the step in which the server rounds.
    pub(crate) rounding: u32,
    /// How much of what this client took the server may count at another time.
    pub(crate) unsure: u64,
    /// What is missing may not have come back yet, and not be taken by others.
    pub(crate) may_be_log: bool,
}

/// What is believed of a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) rate: Rate,
    pub(crate) capacity: u64,
    /// What is there, as far as this client knows, in tokens.
    pub(crate) level: i128,
    pub(crate) rounding: u32,
    /// For how long what others take is not seen, in nanoseconds.
    pub(crate) delay: u64,
    /// What others take for each that this client takes, as another limit shows
    /// it, in [`ONE`]ths; 0 where it shows none.
    pub(crate) ratio: u64,
}

/// Numbers with a fraction are in 65536ths.
const ONE: u128 = 1 << 16;

/// What was taken is forgotten in so many nanoseconds, 17 s: by a part of two to
/// this power.
const MEMORY: u32 = 34;

/// And in so many heads: by a part of two to this power.
const HEADS: u32 = 7;

/// So many heads are compared before others are believed in: one burst of theirs
/// is no share.
const FEW: u8 = 3;

/// No client is reckoned with less than a part of this.
const MOST_CLIENTS: u128 = 64;

/// ln 32 / 2: what the set point is above the level at which one in 32 sends.
const ROOM: u128 = 113_574;

/// log2 e, and ln 2.
const LOG2_E: u128 = 94_548;
const LN_2: u128 = 45_426;

impl Sharing {
    pub(crate) const fn new() -> Self {
        Self {
            heard: None,
            holds: 0,
            peak: (0, 0),
            taken: Taken::NONE,
            among: false,
            costs: 0,
            squares: 0,
            last: Sent {
                at: Instant::ZERO,
                amount: 0,
                spread: 0,
            },
            next: None,
        }
    }

    /// Whether there are others, as this limit shows or another, of which
    /// `ratio` is known.
    pub(crate) const fn is_among(&self, ratio: u64) -> bool {
        self.among || ratio > 0
    }

    /// What others take for each that this client takes, in [`ONE`]ths, at most
    /// 64; 0 where there are none.
    pub(crate) fn ratio(&self) -> u64 {
        if !self.among {
            return 0;
        }
        let own = self.taken.own.max(1).unsigned_abs();
        let others = self.taken.others.max(0).unsigned_abs();
        let most = MOST_CLIENTS.saturating_mul(ONE);
        u64::try_from(over(others, own).min(most)).unwrap_or(u64::MAX)
    }

    /// What others take of all that comes in, in thousandths; 0 where there are
    /// none.
    pub(crate) fn part(&self) -> u16 {
        let Some(heard) = self.heard.filter(|_| self.among) else {
            return 0;
        };
        let part = times(self.taken.busy(heard.rate), 1_000);
        u16::try_from(part).unwrap_or(u16::MAX)
    }

    /// From when on one more may go; `None` from now on.
    pub(crate) fn bound(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|&next| next > now)
    }

    /// A head was read, of a younger request than all before.
    pub(crate) fn saw(&mut self, look: &Look) {
        let now_heard = Heard {
            rate: look.rate,
            sent: look.sent,
            left: look.left,
            totals: look.totals,
        };
        let before = self.heard.replace(now_heard);
        let holds = i64::try_from(look.holds).unwrap_or(i64::MAX);
        let holds = holds.max(look.left);
        let Some(before) = before.filter(|before| before.rate == look.rate) else {
            // The first head, or another limit.
            self.taken = Taken::NONE;
            self.among = false;
            self.holds = holds;
            self.peak = (look.left, look.totals.charged);
            return;
        };
        self.holds = self.holds.max(holds);
        if look.left >= self.peak.0 {
            self.peak = (look.left, look.totals.charged);
        }
        self.compare(&before, look);
        self.judge(look);
    }

    /// Adds what was taken between two heads.
    fn compare(&mut self, before: &Heard, look: &Look) {
        let rate = look.rate;
        let units = |amount: i64| signed(rate, amount);
        let span = nanos(look.sent.saturating_duration_since(before.sent));
        let charged = units(difference(look.totals.charged, before.totals.charged));
        let returned = units(difference(look.totals.returned, before.totals.returned));
        let own = charged.saturating_sub(returned);
        let came_in = i128::try_from(ticks(rate, Instant::from_nanos(span))).unwrap_or(i128::MAX);
        let most_before = units(before.left).saturating_add(came_in);
        // A full bucket loses what comes in, and how much it holds is not known
        // exactly: only what is clearly missing in one that may have been full
        // was taken by others.
        let step = i64::from(look.rounding).saturating_add(self.quantum());
        let full = units(self.holds.saturating_sub(step.saturating_mul(2)));
        let left = units(look.left);
        let others = if most_before > full {
            let missing = full.saturating_sub(own.max(0)).saturating_sub(left);
            missing.max(0)
        } else {
            most_before.saturating_sub(own).saturating_sub(left)
        };
        let variance = look.totals.variance.wrapping_sub(before.totals.variance);
        self.taken.fade(span);
        let taken = &mut self.taken;
        taken.span = taken.span.saturating_add(span);
        taken.heads = taken.heads.saturating_add(1);
        taken.charged = taken.charged.saturating_add(charged);
        taken.own = taken.own.saturating_add(own);
        taken.others = taken.others.saturating_add(others);
        taken.variance = taken.variance.saturating_add(variance);
    }

    /// Whether there are others.
    fn judge(&mut self, look: &Look) {
        let others = self.taken.others.max(0).unsigned_abs();
        let came_in = ticks(look.rate, Instant::from_nanos(self.taken.span));
        let deviations = self.taken.variance.saturating_mul(9).isqrt();
        let doubt = deviations
            .saturating_add(look.unsure)
            .saturating_add(u64::from(look.rounding).saturating_mul(2));
        let is_few = others.saturating_mul(32) < came_in || others == 0;
        if is_few || (look.may_be_log && !self.is_short(look, doubt)) {
            self.among = false;
        } else if !self.among && self.taken.heads >= FEW && others.saturating_mul(16) > came_in {
            self.among = others > tokens(look.rate, doubt);
        }
    }

    /// Whether less is there than there was but for what this client took since,
    /// even if none of that came back: no meter of one client's own is.
    fn is_short(&self, look: &Look, doubt: u64) -> bool {
        let (left, charged) = self.peak;
        let own = look.totals.charged.wrapping_sub(charged);
        let least =
            left.saturating_sub(i64::try_from(own.saturating_add(doubt)).unwrap_or(i64::MAX));
        look.left < least
    }

    /// A refusal showed that there are so many units less than was believed.
    pub(crate) fn fell(&mut self, units: u128) {
        let units = i128::try_from(units).unwrap_or(i128::MAX);
        self.taken.others = self.taken.others.saturating_add(units);
    }

    /// A request is sent that takes `amount`; `chance` is drawn for it.
    pub(crate) fn sent(&mut self, now: Instant, amount: u64, chance: u64) {
        let fade = |sum: u64| sum.saturating_sub(sum.div_ceil(32));
        self.costs = fade(self.costs).saturating_add(amount.saturating_mul(256));
        let square = amount.saturating_mul(amount).saturating_mul(256);
        self.squares = fade(self.squares).saturating_add(square);
        let half = chance.wrapping_shr(49);
        self.last = Sent {
            at: now,
            amount,
            // Three quarters, and up to a half.
            spread: half.saturating_add(49_152),
        };
    }

    /// What one request takes, weighed by what it takes, in tokens: at least one.
    fn quantum(&self) -> i64 {
        let mean = self.squares.checked_div(self.costs).unwrap_or_default();
        i64::try_from(mean.max(1)).unwrap_or(i64::MAX)
    }

    /// There are no others: nothing is left to them.
    pub(crate) const fn leave(&mut self) {
        self.next = None;
    }

    /// There are others, and something changed: sets when the next may go.
    pub(crate) fn plan(&mut self, now: Instant, scene: &Scene) {
        let gap = self.gap(now, scene);
        self.next = Some(self.last.at.saturating_add(gap));
    }

    /// What the next must wait after the last one.
    fn gap(&self, now: Instant, scene: &Scene) -> Duration {
        let rate = scene.rate;
        let whole = |amount: u64| u128::from(amount).saturating_mul(ONE);
        // Of what is charged so much is not given back.
        let net = |amount: u128| {
            let (own, charged) = (self.taken.own.max(1), self.taken.charged);
            let part = over(own.unsigned_abs(), charged.max(own).unsigned_abs());
            times(amount, part).max(1)
        };
        let quantum = net(whole(self.quantum().unsigned_abs()));
        let capacity = whole(scene.capacity);
        let delayed = came_in(rate, scene.delay);
        let scale = delayed
            .saturating_add(quantum.saturating_mul(4))
            .min(capacity >> 3)
            .max(1);
        // Four deviations of what a set of clients leaves to chance.
        let chance = (quantum >> 1).saturating_mul(scale).isqrt();
        let set_point = chance
            .saturating_mul(2)
            .saturating_add(whole(scene.rounding.into()))
            .saturating_add(times(scale, ROOM))
            .min(capacity >> 1);
        let own = self.taken.own.max(0).unsigned_abs();
        let others = self.taken.others.max(0).unsigned_abs();
        let others = others.max(times(own, scene.ratio.into()));
        let share = over(own, own.saturating_add(others)).max(ONE.div_ceil(MOST_CLIENTS));
        let root = share.saturating_mul(ONE).isqrt();
        // Others who took all for a while may be gone: a fifth is left at least.
        let taken = Taken {
            others: i128::try_from(others).unwrap_or(i128::MAX),
            ..self.taken
        };
        let free = ONE.saturating_sub(taken.busy(rate).min(ONE.saturating_mul(4).div_ceil(5)));
        // As it was when the last was sent: less what others took since the head,
        // and less what came in since.
        let unseen = self
            .heard
            .map_or(0, |heard| nanos(now.saturating_duration_since(heard.sent)));
        let since = nanos(now.saturating_duration_since(self.last.at));
        let gone = times(came_in(rate, unseen), ONE.saturating_sub(free))
            .saturating_add(times(came_in(rate, since), free));
        let believed = scene.level.saturating_mul(1 << 16);
        let level = believed.saturating_sub(i128::try_from(gone).unwrap_or(i128::MAX));
        let beyond = level.saturating_sub(i128::try_from(set_point).unwrap_or(i128::MAX));
        let scales = over(beyond.unsigned_abs(), scale).min(ONE.saturating_mul(8));
        let cost = net(times(whole(self.last.amount), self.last.spread.into()));
        let part = over(cost, root);
        let gap = if beyond < 0 {
            // Until what e^(level / scale) adds up to, as the level rises with
            // what is free, is what was sent.
            let grown = times(over(over(part, exp_minus(scales)), scale), free);
            let rise = times(scale, ln(ONE.saturating_add(grown)));
            over(rise, free)
        } else {
            over(part, ONE.saturating_add(scales))
        };
        let most = cost.saturating_mul(MOST_CLIENTS);
        coming_in(rate, gap.min(most))
    }
}

impl Taken {
    const NONE: Self = Self {
        span: 0,
        heads: 0,
        charged: 0,
        own: 0,
        others: 0,
        variance: 0,
    };

    /// Forgets for so many nanoseconds more.
    fn fade(&mut self, span: u64) {
        let least = 1_u64.wrapping_shl(MEMORY.saturating_sub(HEADS));
        let most = 1_u64.wrapping_shl(MEMORY);
        let gone = span.clamp(least, most);
        let left = most.saturating_sub(gone);
        let narrow = |sum: u64| {
            let wide = u128::from(sum).saturating_mul(left.into());
            u64::try_from(wide.wrapping_shr(MEMORY)).unwrap_or(u64::MAX)
        };
        // Toward zero, so that nothing stays for ever.
        let wide = |sum: i128| {
            let kept = sum.saturating_mul(left.into());
            kept.checked_div(most.into()).unwrap_or_default()
        };
        self.span = narrow(self.span);
        self.variance = narrow(self.variance);
        self.charged = wide(self.charged);
        self.own = wide(self.own);
        self.others = wide(self.others);
    }

    /// What others took of all that came in, in [`ONE`]ths.
    fn busy(&self, rate: Rate) -> u128 {
        let came_in = ticks(rate, Instant::from_nanos(self.span));
        over(self.others.max(0).unsigned_abs(), came_in.max(1))
    }
}

/// By how much a running total that wraps grew, or shrank.
fn difference(total: u64, before: u64) -> i64 {
    let more = i64::try_from(total.wrapping_sub(before));
    let less = i64::try_from(before.wrapping_sub(total));
    match (more, less) {
        (Ok(more), _) => more,
        (_, Ok(less)) => less.saturating_neg(),
        _ => i64::MIN,
    }
}

/// `amount` in units of `rate`.
fn signed(rate: Rate, amount: i64) -> i128 {
    let units = i128::try_from(tokens(rate, amount.unsigned_abs())).unwrap_or(i128::MAX);
    if amount < 0 {
        units.saturating_neg()
    } else {
        units
    }
}

/// Tokens, in [`ONE`]ths, that come in in so many nanoseconds.
fn came_in(rate: Rate, span: u64) -> u128 {
    let units = ticks(rate, Instant::from_nanos(span));
    over(units, rate.period_nanos().into())
}

/// In what time so many [`ONE`]ths of a token come in.
fn coming_in(rate: Rate, amount: u128) -> Duration {
    let units = amount.saturating_mul(rate.period_nanos().into());
    let span = units
        .checked_div(u128::from(rate.count()))
        .unwrap_or(u128::MAX);
    Duration::from_nanos(u64::try_from(span.wrapping_shr(16)).unwrap_or(u64::MAX))
}

/// The product of two numbers in [`ONE`]ths; saturating.
const fn times(one: u128, other: u128) -> u128 {
    one.saturating_mul(other) >> 16
}

/// Their quotient; saturating.
fn over(one: u128, other: u128) -> u128 {
    let wide = one.saturating_mul(ONE);
    wide.checked_div(other).unwrap_or(u128::MAX)
}

/// e to the power of `-exponent`, to a sixteenth: straight between powers of 2.
fn exp_minus(exponent: u128) -> u128 {
    let twos = times(exponent, LOG2_E);
    let part = twos.wrapping_rem(ONE);
    let whole = u32::try_from(twos >> 16).unwrap_or(u32::MAX);
    ONE.saturating_sub(part >> 1)
        .checked_shr(whole)
        .unwrap_or_default()
        .max(1)
}

/// The natural logarithm of `number`, at least one, to a sixteenth: straight
/// between powers of 2.
fn ln(number: u128) -> u128 {
    let log = number.max(ONE).ilog2();
    let above = log.saturating_sub(16);
    let part = number.wrapping_shr(above).saturating_sub(ONE);
    let twos = u128::from(above).saturating_mul(ONE).saturating_add(part);
    times(twos, LN_2)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// A minute of which is in the bucket when it is full.
    const LIMIT: u64 = 6_000;

    fn rate() -> Rate {
        Rate::per_minute(LIMIT).unwrap()
    }

    /// A bucket on a server, from which this client takes `own` a second and
    /// others as much as `others` says for each second.
    struct Server {
        left: i64,
        sharing: Sharing,
        charged: u64,
        second: u64,
        may_be_log: bool,
    }

    impl Server {
        fn new() -> Self {
            Self {
                left: 6_000,
                sharing: Sharing::new(),
                charged: 0,
                second: 0,
                may_be_log: false,
            }
        }

        fn pass(&mut self, own: u64, others: i64, rounding: u32) {
            self.second += 1;
            self.left = (self.left + 100).min(6_000);
            self.left -= others;
            let now = Instant::from_secs(self.second);
            self.left -= i64::try_from(own).unwrap();
            self.charged += own;
            self.sharing.sent(now, own, self.second << 60);
            let step = i64::from(rounding.max(1)) * 2;
            self.sharing.saw(&Look {
                rate: rate(),
                sent: now,
                left: (self.left + step / 2).div_euclid(step) * step,
                holds: LIMIT,
                totals: Totals {
                    charged: self.charged,
                    ..Totals::default()
                },
                rounding,
                unsure: 0,
                may_be_log: self.may_be_log,
            });
        }
    }

    fn scene(level: i128) -> Scene {
        Scene {
            rate: rate(),
            capacity: LIMIT,
            level,
            rounding: 0,
            delay: 500_000_000,
            ratio: 0,
        }
    }

    /// Seconds to the next send after one of `amount`, when so much is there.
    fn wait(mut sharing: Sharing, amount: u64, level: i128) -> f64 {
        let now = Instant::from_secs(1_000);
        if let Some(heard) = &mut sharing.heard {
            heard.sent = now;
        }
        sharing.sent(now, amount, 1 << 63);
        sharing.plan(now, &scene(level));
        let next = sharing.next.unwrap();
        next.saturating_duration_since(now).as_secs_f64()
    }

    /// What is waited, in seconds, reckoned with a point: after `amount` was sent,
    /// where so much is there, by what `sharing` knows.
    #[expect(
        clippy::float_arithmetic,
        clippy::cast_precision_loss,
        reason = "beside what is reckoned in integers"
    )]
    fn reckoned(sharing: &Sharing, amount: u64, level: f64) -> f64 {
        let taken = &sharing.taken;
        let (own, others) = (taken.own as f64, taken.others as f64);
        let net = own / taken.charged.max(taken.own) as f64;
        let (rate, capacity) = (100.0, LIMIT as f64);
        let mut after = *sharing;
        after.sent(Instant::from_secs(1_000), amount, 1 << 63);
        let quantum = after.quantum() as f64 * net;
        let scale = f64::min(rate * 0.5 + 4.0 * quantum, capacity / 8.0);
        // Four deviations of chance, and ln 32 / 2 of the scale.
        let set = 2.0 * (quantum / 2.0 * scale).sqrt() + scale * 32_f64.ln() / 2.0;
        let set = set.min(capacity / 2.0);
        let busy = taken.busy(self::rate()) as f64 / ONE as f64;
        let free = 1.0 - busy.min(0.8);
        let cost = amount as f64 * net;
        let part = cost / (own / (own + others)).sqrt();
        let scales = ((level - set) / scale).clamp(-8.0, 8.0);
        // Both straight between powers of two.
        let exp_minus = |exponent: f64| {
            let twos = exponent / 2_f64.ln();
            (1.0 - twos.fract() / 2.0) / 2_f64.powf(twos.floor())
        };
        let ln = |number: f64| {
            let log = number.log2().floor();
            (log + number / 2_f64.powf(log) - 1.0) * 2_f64.ln()
        };
        let gap = if level < set {
            scale * ln(1.0 + part / exp_minus(-scales) / scale * free) / free
        } else {
            part / (1.0 + scales)
        };
        gap.min(cost * 64.0) / rate
    }

    #[test]
    fn a_wait_is_what_the_formula_says() {
        let mut server = Server::new();
        for _ in 0..90 {
            server.pass(100, 50, 0);
        }
        assert!(server.sharing.among);
        for amount in [10, 60, 300] {
            for level in [-600, 0, 100, 200, 400, 800, 1_600, 6_000] {
                let exact = reckoned(&server.sharing, amount, level as f64);
                let told = wait(server.sharing, amount, level);
                let off = (told - exact).abs();
                assert!(
                    off <= exact * 0.01 + 0.001,
                    "{told} s, not {exact}, for {amount} at {level}"
                );
            }
        }
    }

    #[test]
    fn alone_is_alone() {
        for rounding in [0, 500] {
            for own in [1, 40, 99, 130] {
                let mut server = Server::new();
                for _ in 0..40 {
                    server.pass(own, 0, rounding);
                    assert!(!server.sharing.among, "{own} of 100, rounded by {rounding}");
                }
            }
        }
    }

    #[test]
    fn others_are_seen_and_how_much_they_take() {
        let mut server = Server::new();
        for _ in 0..90 {
            server.pass(100, 50, 0);
        }
        assert!(server.sharing.among);
        let part = server.sharing.part();
        assert!((480..=520).contains(&part), "{part} thousandths");
        let ratio = server.sharing.ratio();
        assert!((31_000..=35_000).contains(&ratio), "{ratio} to 65536");
    }

    /// What a sliding log does not give back for a while was once taken for what
    /// others take, and what was sent so slowly never showed the log.
    #[test]
    fn what_a_log_may_keep_is_not_taken_by_others() {
        let mut server = Server::new();
        server.may_be_log = true;
        for _ in 0..90 {
            server.pass(20, 80, 0);
            assert!(!server.sharing.among);
        }
        // It is none.
        server.may_be_log = false;
        server.pass(20, 80, 0);
        assert!(server.sharing.among);
    }

    #[test]
    fn who_left_is_forgotten() {
        let mut server = Server::new();
        for _ in 0..60 {
            server.pass(100, 50, 0);
        }
        assert!(server.sharing.among);
        for _ in 0..90 {
            server.pass(100, 0, 0);
        }
        assert!(!server.sharing.among);
        assert_eq!((server.sharing.ratio(), server.sharing.part()), (0, 0));
    }

    #[test]
    fn of_another_limit_nothing_is_known() {
        let mut server = Server::new();
        for _ in 0..60 {
            server.pass(100, 50, 0);
        }
        server.sharing.saw(&Look {
            rate: Rate::per_minute(60).unwrap(),
            sent: Instant::from_secs(61),
            left: 3,
            holds: 0,
            totals: Totals::default(),
            rounding: 0,
            unsure: 0,
            may_be_log: false,
        });
        assert!(!server.sharing.among);
    }

    #[test]
    fn a_bucket_that_is_smaller_than_was_believed_is_no_other() {
        // It is full at 500, so all that comes in while it is, is lost.
        let mut sharing = Sharing::new();
        for second in 0..60 {
            let now = Instant::from_secs(second);
            sharing.sent(now, 10, 0);
            sharing.saw(&Look {
                rate: rate(),
                sent: now,
                left: 490,
                holds: 0,
                totals: Totals {
                    charged: second * 10,
                    ..Totals::default()
                },
                rounding: 0,
                unsure: 0,
                may_be_log: false,
            });
            assert!(!sharing.among);
        }
    }

    fn among(own: u64, others: i64) -> Sharing {
        let mut server = Server::new();
        server.left = 3_000;
        for _ in 0..60 {
            server.pass(own, others, 0);
        }
        assert!(server.sharing.among);
        server.sharing
    }

    #[test]
    fn the_more_is_there_the_sooner() {
        let sharing = among(50, 50);
        let waits: Vec<f64> = (-10..60).map(|k| wait(sharing, 50, k * 100)).collect();
        // Where the exponential goes on straight it no longer adds up.
        assert!(waits.is_sorted_by(|a, b| a * 1.1 >= *b), "{waits:?}");
    }

    #[test]
    fn who_has_more_sends_less_than_in_proportion() {
        let of = |parts: i128| {
            let mut sharing = among(50, 50);
            let all = sharing.taken.own + sharing.taken.others;
            sharing.taken.own = all * parts / 100;
            sharing.taken.charged = sharing.taken.own;
            sharing.taken.others = all - sharing.taken.own;
            sharing
        };
        let (small, large) = (wait(of(20), 50, 100), wait(of(80), 50, 100));
        let times = small / large;
        assert!((1.2..3.0).contains(&times), "{small} s and {large} s");
    }

    #[test]
    fn no_one_waits_for_ever() {
        let sharing = among(1, 110);
        // As many as there may be take their turns.
        let turns = 64.0 * 50.0 / 100.0;
        assert!(wait(sharing, 50, -100_000) <= turns * 1.25);
    }

    #[test]
    fn powers_and_logarithms_are_near() {
        let float = |fixed: u128| f64::from(u32::try_from(fixed).unwrap()) / 65_536.0;
        for fixed in (0..10 << 16).step_by(331) {
            let exponent = float(fixed);
            let (got, right) = (float(exp_minus(fixed)), (-exponent).exp());
            assert!(
                (got - right).abs() <= right / 16.0 + 2e-5,
                "e^-{exponent}: {got}"
            );
            let (got, right) = (float(ln(ONE + fixed)), exponent.ln_1p());
            assert!((got - right).abs() <= 0.0625, "ln 1 + {exponent}: {got}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_head_and_any_time_give_an_answer(
            steps in proptest::collection::vec(any::<(u64, i64, [u64; 3], u32, u64, u64)>(), 1..20),
            count in 1_u64..,
            level in any::<i64>(),
            capacity in any::<u64>(),
            ratio in any::<u64>(),
        ) {
            let rate = Rate::per(count >> 1 | 1, Duration::from_secs(60)).unwrap();
            let mut sharing = Sharing::new();
            for (sent, left, [charged, returned, variance], rounding, unsure, delay) in steps {
                let sent = Instant::from_nanos(sent);
                let totals = Totals { charged, returned, variance };
                sharing.sent(sent, charged, unsure);
                sharing.saw(&Look { rate, sent, left, holds: unsure, totals, rounding, unsure, may_be_log: false });
                sharing.fell(u128::from(unsure) << 64);
                let level = level.into();
                sharing.plan(sent, &Scene { rate, capacity, level, rounding, delay, ratio });
                prop_assert!(sharing.next.is_some_and(|next| next >= sent));
                let _stated = (sharing.part(), sharing.ratio());
            }
        }
    }
}
