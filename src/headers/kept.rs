//! What is kept of the fields that make up meters, and how it becomes meters.

use core::{cmp::Reverse, ops::Range, time::Duration};

use super::{
    Tally,
    http_date::HttpDateRead,
    number::{floor, signed, unsigned, with_commas},
    reset::{Bare, BareReset, Raw, resolve, unit_that_fits},
    retry_after::{Member as Part, Members},
    rfc3339::LastHour,
    table::Table,
    trim,
};
use crate::{
    hints::{
        Dialect, Family, Label, Meters, Problems, Rank, Remaining, Reset, ResetGiven, ServerHints,
        Slot, Unit,
    },
    time::UnixTime,
    units::Dimension,
};

/// Which meter a field belongs to, as its name has it: family and unit, and the
/// window in seconds, 0 where the name has none. One number, because it is
/// compared with many others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key(u64);

impl Key {
    /// What names without a unit are taken to mean.
    pub(super) const REQUESTS: Self = Self::of(Family::Standard, Unit::Of(Dimension::Requests));

    #[inline]
    pub(super) const fn of(family: Family, unit: Unit) -> Self {
        let [f, u] = Rank::of(family, unit).to_bytes();
        Self(u64::from_be_bytes([0, 0, f, u, 0, 0, 0, 0]))
    }

    pub(super) const fn window(self, seconds: u32) -> Self {
        let [_, _, f, u, ..] = self.0.to_be_bytes();
        let [a, b, c, d] = seconds.to_be_bytes();
        Self(u64::from_be_bytes([0, 0, f, u, a, b, c, d]))
    }

    #[inline]
    pub(super) const fn rank(self) -> Rank {
        let [_, _, f, u, ..] = self.0.to_be_bytes();
        Rank::from_bytes([f, u])
    }

    #[inline]
    pub(super) const fn seconds(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    #[inline]
    pub(super) const fn is_share(self) -> bool {
        self.rank().counts(Unit::Share)
    }
}

/// Which member of a meter a field is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Member {
    Limit,
    Remaining,
    Reset,
    /// A reset that is a span of seconds, whatever its size.
    ResetAfter,
    /// The seconds in which the limit comes in.
    Window,
}

/// Limits, what remains, and resets, by the meter that they belong to. Of each
/// the strictest find room: the smallest limits, what is smallest of what
/// remains, the latest resets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    limits: Table<Key, u64, { Meters::CAPACITY }>,
    remaining: Table<Key, i64, { Meters::CAPACITY }>,
    resets: Table<Key, Reverse<Raw>, { Meters::CAPACITY }>,
    windows: Table<Key, Reverse<u32>, 4>,
    hour: LastHour,
}

/// What was said of one meter.
#[derive(Clone, Copy, Debug)]
struct Said {
    limit: Option<u64>,
    left: Option<i64>,
    reset: Option<Reverse<Raw>>,
}

/// How a response's bare values are to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) dialect: Dialect,
    pub(super) bare: BareReset,
    /// Of an Azure host that was seen to count in seconds.
    pub(super) is_foundry: bool,
    /// What the response or the caller says what time it is.
    pub(super) now: Option<UnixTime>,
    /// The name of the pool, where a field of its own has it.
    pub(super) pool: Label,
}

impl Kept {
    #[inline]
    pub(super) const fn new() -> Self {
        let key = Key::REQUESTS;
        Self {
            limits: Table::new((key, 0)),
            remaining: Table::new((key, 0)),
            resets: Table::new((key, Reverse(Raw::Number(0)))),
            windows: Table::new((key, Reverse(0))),
            hour: LastHour::NONE,
        }
    }

    pub(super) const fn has_limit(&self) -> bool {
        !self.limits.is_empty()
    }

    pub(super) const fn has_reset(&self) -> bool {
        !self.resets.is_empty()
    }

    /// Takes a field's value, if it is what most are: digits and nothing else, or
    /// a date of RFC 3339. `None` where it is not, and nothing was done.
    ///
    /// Inlined, because of each of a response's meters it is asked three times.
    #[inline(always)]
    pub(super) fn take_plain(
        &mut self,
        key: Key,
        member: Member,
        value: &[u8],
        tally: &mut Tally,
    ) -> Option<()> {
        match member {
            Member::Limit => self.limits.take(key, unsigned(value)?, tally),
            Member::Remaining => {
                let left = i64::try_from(unsigned(value)?).ok()?;
                self.remaining.take(key, left, tally);
            }
            Member::Reset => {
                let at = Raw::At(self.hour.read(value)?);
                self.resets.take(key, Reverse(at), tally);
            }
            Member::ResetAfter | Member::Window => return None,
        }
        Some(())
    }

    /// Takes a field's value, which may be a list.
    pub(super) fn take(&mut self, key: Key, member: Member, value: &[u8], tally: &mut Tally) {
        let value = trim(value);
        // Most values are no list, and to find that out costs as much as to
        // read them.
        if self.take_one(key, member, value, tally).is_none() {
            self.take_list(key, member, value, tally);
        }
    }

    #[cold]
    fn take_list(&mut self, key: Key, member: Member, value: &[u8], tally: &mut Tally) {
        if let (Member::Limit | Member::Remaining, Some(number)) = (member, with_commas(value)) {
            tally.tolerated = true;
            match member {
                Member::Limit => self.take_limit(key, number, tally),
                _ => self.take_remaining(key, number, tally),
            }
            return;
        }
        // HTTP-dates have a comma in them.
        for part in Members::of(value) {
            let taken = match part {
                Part::Date(HttpDateRead::At(at)) if member == Member::Reset => {
                    self.take_reset(key, Raw::At(at), tally);
                    Some(())
                }
                Part::Date(_) => None,
                Part::Other(text) => self.take_one(key, member, text, tally),
            };
            if taken.is_none() {
                tally.problems.set(Problems::MALFORMED);
            }
        }
    }

    /// `None` where `text` cannot be read.
    fn take_one(&mut self, key: Key, member: Member, text: &[u8], tally: &mut Tally) -> Option<()> {
        match member {
            Member::Limit => match text {
                // A server writes a limit that it does not know as -1.
                [b'-', magnitude @ ..] => _ = unsigned(magnitude)?,
                _ => self.take_limit(key, floor(text)?, tally),
            },
            Member::Remaining => match signed(text) {
                Some(left) => self.take_signed(key, left, tally),
                None => self.take_signed(key, i64::try_from(floor(text)?).ok()?, tally),
            },
            Member::Reset => {
                let raw = Raw::read(text)?;
                tally.resets_as(raw);
                self.take_reset(key, raw, tally);
            }
            Member::ResetAfter => self.take_reset(key, Raw::seconds(text)?, tally),
            Member::Window => {
                let seconds = u32::try_from(unsigned(text)?).ok()?;
                self.windows.take(key, Reverse(seconds), tally);
            }
        }
        Some(())
    }

    pub(super) fn take_limit(&mut self, key: Key, limit: u64, tally: &mut Tally) {
        self.limits.take(key, limit, tally);
    }

    pub(super) fn take_remaining(&mut self, key: Key, left: u64, tally: &mut Tally) {
        self.take_signed(key, i64::try_from(left).unwrap_or(i64::MAX), tally);
    }

    pub(super) fn take_signed(&mut self, key: Key, left: i64, tally: &mut Tally) {
        self.remaining.take(key, left, tally);
    }

    pub(super) fn take_reset(&mut self, key: Key, raw: Raw, tally: &mut Tally) {
        self.resets.take(key, Reverse(raw), tally);
    }

    pub(super) fn limit(&self, key: Key) -> Option<u64> {
        self.limits.get(key)
    }

    /// Whether requests come in by the day, to judge by their reset.
    #[cold]
    pub(super) fn is_by_the_day(&self) -> bool {
        const DAY: Range<u128> = 79_200_000..93_600_000;
        let said = self.said(Key::REQUESTS);
        let Some(Reverse(Raw::Span(millis))) = said.reset else {
            return false;
        };
        inferred(said, Some(millis)).is_some_and(|window| DAY.contains(&window))
    }

    /// Puts into `hints`, which has its date already, all meters but the shares
    /// of a subscription, which have more to them.
    ///
    /// `policy` is the quota and the seconds of the policy without a name that
    /// belongs to the limit without one; whether it was used is the answer.
    pub(super) fn finish(
        &self,
        reading: &Reading,
        policy: Option<(u64, u32)>,
        hints: &mut ServerHints,
    ) -> bool {
        let mut is_used = false;
        for conflicts in [
            self.limits.conflicts(),
            self.remaining.conflicts(),
            self.resets.conflicts(),
            self.windows.conflicts(),
        ] {
            if conflicts {
                hints.problems.set(Problems::CONFLICT);
            }
        }
        let overflows = self.limits.overflows()
            || self.remaining.overflows()
            || self.resets.overflows()
            || self.windows.overflows();
        if overflows {
            hints.problems.set(Problems::OVERFLOW);
        }
        let host = self.host(reading);
        // Members of one meter mostly come side by side, and so stand at the
        // same place.
        let (mut left, mut resets) = (self.remaining.len(), self.resets.len());
        for (place, &(key, limit)) in (0..).zip(self.limits.iter()) {
            let said = Said {
                limit: Some(limit),
                left: self.remaining.near(place, key),
                reset: self.resets.near(place, key),
            };
            left = left.saturating_sub(usize::from(said.left.is_some()));
            resets = resets.saturating_sub(usize::from(said.reset.is_some()));
            is_used |= self.put(key, said, reading, host, policy, hints);
        }
        if left > 0 || resets > 0 {
            is_used |= self.put_rest(reading, host, policy, hints);
        }
        is_used
    }

    /// The meters whose limit was not said.
    #[cold]
    fn put_rest(
        &self,
        reading: &Reading,
        host: Option<Bare>,
        policy: Option<(u64, u32)>,
        hints: &mut ServerHints,
    ) -> bool {
        let mut is_used = false;
        let left = self.remaining.iter().map(|&(key, _)| key);
        let resets = self.resets.iter().map(|&(key, _)| key);
        let late = resets.filter(|&key| self.remaining.get(key).is_none());
        for key in left
            .chain(late)
            .filter(|&key| self.limits.get(key).is_none() && !key.is_share())
        {
            is_used |= self.put(key, self.said(key), reading, host, policy, hints);
        }
        is_used
    }

    /// Puts one meter into `hints`; true where `policy` is its.
    ///
    /// Inlined, because it is what most of the time goes to that is left when
    /// all fields are read.
    #[inline(always)]
    fn put(
        &self,
        key: Key,
        said: Said,
        reading: &Reading,
        host: Option<Bare>,
        policy: Option<(u64, u32)>,
        hints: &mut ServerHints,
    ) -> bool {
        let mut slot = Slot::of(key.rank());
        if let Some(limit) = said.limit {
            slot.limit(limit);
        }
        // Where the limit is not known, -1 means that this is not either.
        let left = said.left.filter(|&left| left != -1 || slot.has_limit());
        if let Some(shown) = left {
            let rounding = rounding(reading.dialect, key, shown);
            slot.remaining(Remaining { shown, rounding });
        }
        let mut after = None;
        if let Some(Reverse(raw)) = said.reset {
            let reset = self.reset(key, raw, reading, host, hints);
            after = reset.after_date_ms;
            slot.reset(reset);
        }
        let window = match key.seconds() {
            0 => self.windows.get(key).map_or(0, |Reverse(seconds)| seconds),
            seconds => seconds,
        };
        if window > 0 {
            slot.window(Duration::from_secs(window.into()));
        } else if let Dialect::Claude | Dialect::Azure = reading.dialect {
            // Its limits are per minute, though a bucket is filled all the time.
            slot.window(MINUTE);
        } else if let Some(window) = usual_window(reading, key, said, after) {
            slot.window(window);
        }
        let policy = policy.filter(|_| key == Key::REQUESTS);
        if let Some((quota, window)) = policy {
            if !slot.has_limit() {
                slot.limit(quota);
            }
            slot.window(Duration::from_secs(window.into()));
        }
        if slot.is_said() {
            let problems = &mut hints.problems;
            hints.meters.insert_slot(slot, &reading.pool, problems);
        }
        policy.is_some()
    }

    /// What was said of a subscription's window beside its status.
    pub(super) fn share(
        &self,
        key: Key,
        whole: i64,
        reading: &Reading,
        hints: &mut ServerHints,
    ) -> Slot {
        let mut slot = Slot::of(key.rank());
        if let Some(Reverse(raw)) = self.resets.get(key) {
            slot.reset(self.reset(key, raw, reading, None, hints));
        }
        // Below nothing is what was used beyond the whole, -1 too.
        if let Some(shown) = self.remaining.get(key) {
            slot.limit(whole.unsigned_abs());
            slot.remaining(Remaining { shown, rounding: 0 });
        }
        if key.seconds() > 0 {
            slot.window(Duration::from_secs(key.seconds().into()));
        }
        slot
    }

    fn said(&self, key: Key) -> Said {
        Said {
            limit: self.limits.get(key),
            left: self.remaining.get(key),
            reset: self.resets.get(key),
        }
    }

    /// What `raw` comes to, in a response whose date is in `hints` already.
    #[inline(always)]
    fn reset(
        &self,
        key: Key,
        raw: Raw,
        reading: &Reading,
        host: Option<Bare>,
        hints: &mut ServerHints,
    ) -> Reset {
        let given = match raw {
            Raw::At(at) => ResetGiven::At(at),
            Raw::Span(millis) => ResetGiven::In { millis },
            Raw::Number(number) => {
                let (unit, is_guessed) = self.bare(reading, host, key, number);
                let (given, is_doubtful) = resolve(number, unit, reading.now);
                if is_doubtful || is_guessed {
                    hints.problems.set(Problems::IN_DOUBT);
                }
                given
            }
        };
        Reset::new(given, hints.date)
    }

    /// What a bare reset counts, and whether that is in doubt.
    fn bare(&self, reading: &Reading, host: Option<Bare>, key: Key, number: i64) -> (Bare, bool) {
        let set = match reading.bare {
            BareReset::Seconds => Some(Bare::Seconds),
            BareReset::Millis => Some(Bare::Millis),
            BareReset::Auto => None,
        };
        if let Some(set) = set {
            return (set, false);
        }
        match reading.dialect {
            Dialect::Azure => {
                let own = self.fitting(key, number).or(host);
                let foundry = reading.is_foundry.then_some(Bare::Seconds);
                let told = own.or(foundry);
                // A reset of 0 is now, whatever it counts.
                (told.unwrap_or(Bare::Seconds), told.is_none() && number != 0)
            }
            Dialect::Generic | Dialect::GitHub | Dialect::OpenRouter | Dialect::Unknown => {
                (Bare::Either, false)
            }
            _ => (Bare::Seconds, false),
        }
    }

    /// The unit that all bare resets of an Azure host that settle it agree on.
    fn host(&self, reading: &Reading) -> Option<Bare> {
        if reading.dialect != Dialect::Azure {
            return None;
        }
        let mut told = self
            .resets
            .iter()
            .filter_map(|&(key, Reverse(raw))| match raw {
                Raw::Number(number) => self.fitting(key, number),
                _ => None,
            });
        let first = told.next()?;
        told.all(|other| other == first).then_some(first)
    }

    fn fitting(&self, key: Key, number: i64) -> Option<Bare> {
        let limit = self.limits.get(key)?;
        let left = self.remaining.get(key)?;
        let used = i128::from(limit).checked_sub(i128::from(left))?;
        let window = self.windows.get(key).map_or(60, |Reverse(seconds)| seconds);
        let window = u64::from(window).checked_mul(1_000)?;
        unit_that_fits(number, u64::try_from(used).ok()?, limit, window)
    }
}

/// How far off `shown` may be. The Claude API rounds tokens to the nearest
/// thousand; those that are no whole thousands were not rounded, which has been
/// seen from proxies and in the documentation's samples.
const fn rounding(dialect: Dialect, key: Key, shown: i64) -> u32 {
    let counts_requests = key.rank().counts(Unit::Of(Dimension::Requests));
    match dialect {
        Dialect::Claude if !counts_requests && shown % 1_000 == 0 => 500,
        _ => 0,
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// The window where no field says it, of those whose limits are not all per
/// minute.
#[inline(never)]
fn usual_window(reading: &Reading, key: Key, said: Said, after: Option<i64>) -> Option<Duration> {
    const HOUR: Duration = Duration::from_secs(3_600);
    const DAY: Duration = Duration::from_secs(86_400);
    match reading.dialect {
        Dialect::Groq if key.rank().counts(Unit::Of(Dimension::Requests)) => Some(DAY),
        Dialect::Groq => Some(MINUTE),
        Dialect::Together => Some(Duration::from_secs(1)),
        Dialect::OpenAi => {
            inferred(said, after).map(|millis| if millis < 1_200_000 { MINUTE } else { DAY })
        }
        Dialect::GitHub => match reading.pool.as_bytes() {
            b"core" | b"graphql" => Some(HOUR),
            b"search" | b"code_search" => Some(MINUTE),
            _ => None,
        },
        _ => None,
    }
}

/// The milliseconds in which the whole limit comes in, from the time in which
/// what was used is there again. OpenAI has pools by the minute and by the day
/// under the same names.
fn inferred(said: Said, after: Option<i64>) -> Option<u128> {
    let (limit, left, millis) = (said.limit?, said.left?, after?);
    let used = i128::from(limit).checked_sub(i128::from(left))?;
    if used <= 0 || millis <= 0 {
        return None;
    }
    u128::from(millis.unsigned_abs())
        .checked_mul(u128::from(limit))?
        .checked_div(used.unsigned_abs())
}
