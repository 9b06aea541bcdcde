//! Layer 1, what a server says: from a response's header fields to
//! [`ServerHints`].
//!
//! In come names and values as bytes, one by one, in any order; out comes plain
//! data. A value that cannot be read is left out and counted among the
//! [`Problems`], and hinders no other. Nothing allocates, and nothing is kept
//! of the input. The time it takes grows with the number of fields and with
//! nothing else, because what is longer than a name or value can be that is
//! meant is not looked at.
//!
//! A dialect is a file with its names in a table, a row in `marks.rs` by which
//! it is known, and what its bare numbers mean in `kept.rs`.
//!
//! What is kept of a field that comes more than once is the stricter of its
//! values, so that no order of arrival makes a difference. What depends on the
//! time of the response is worked out at the end, because its `date` may come
//! last.

mod calendar;
mod claude;
mod generic;
mod go_duration;
mod http_date;
mod ietf;
mod js_date;
mod kept;
mod marks;
mod mistral;
mod name;
mod number;
mod openai;
mod reset;
mod retry_after;
mod rfc3339;
mod structured;
mod table;

use self::{
    claude::{UnifiedKept, UnifiedName},
    ietf::{Ietf, IetfName},
    kept::{Kept, Key, Member, Reading},
    marks::Marks,
    reset::Raw,
    retry_after::{Dates, Members, Waits},
};
use crate::{
    hints::{Dialect, Label, Problems, ServerHints},
    time::UnixTime,
};

pub use self::{
    go_duration::{GoDuration, parse_go_duration},
    http_date::{HttpDate, parse_http_date},
    reset::BareReset,
    retry_after::WaitRule,
    rfc3339::{Rfc3339, parse_rfc3339},
    structured::{SfDictionary, SfItem, SfList, SfParams},
};

/// No value that matters is longer, the blanks around it included.
const MAX_VALUE: usize = 1024;

/// Reads a response's header fields, one by one, in any order.
///
/// Names are read in any case. Whose they are is told by them, and where names
/// are shared by how resets look and by what else the response has in it; it can
/// also be [said](Self::dialect).
///
/// | whose | names |
/// |---|---|
/// | everyone's | `retry-after`, `retry-after-ms`, `x-should-retry`, `date` |
/// | Claude | `anthropic-ratelimit-*`, `anthropic-priority-*`, `anthropic-fast-*`, `anthropic-ratelimit-unified-*` |
/// | OpenAI, Azure, Groq, xAI | `x-ratelimit-{limit,remaining,reset}-{requests,tokens,input-images,..}`, `x-ratelimit-renewalperiod-*` |
/// | Mistral, Cerebras | the same with a window: `-tokens-minute`, `-req-10-second` |
/// | GitHub, OpenRouter, Together, many | `x-ratelimit-{limit,remaining,reset}`, `x-ratelimit-resource`, `x-tokenlimit-*` |
/// | IETF, Hugging Face, Cloudflare, Replicate | `ratelimit`, `ratelimit-policy`, `ratelimit-{limit,remaining,reset}` |
/// | proxies' | `llm_provider-*`, `claude-ratelimit-*`, `x-rate-limit-*`, `x-sib-ratelimit-*` |
///
/// Blanks around a value are trimmed. A field that comes more than once, or
/// whose value is a list, counts with the stricter of its values: the smaller
/// limit, the later reset, the longer wait, the earlier `date`, `false`. Where
/// they differ, [`Problems::CONFLICT`] is set. Dates in the form with a
/// two-digit year are not compared: of those that differ, none is taken. The
/// same fields in another order give equal hints. Where there are more meters
/// than find room, those with the strictest values stay and
/// [`Problems::OVERFLOW`] is set; `CONFLICT` then says nothing of meters.
///
/// Dates in `retry-after` become spans from the response's own `date` on, or,
/// where it has none, from when it was [`received`](Self::received). Where
/// neither is known, [`Problems::NO_DATE`] is set. A past one is a wait of
/// zero. A wait too long for a `u64` of its unit is as long as that holds.
///
/// A reset is a date, a span as Go prints it, or a bare number, and becomes a
/// span only from the response's own `date` on. A bare number is told by its
/// size, where the dialect does not settle it: below 10^8 a span, then seconds
/// of the Unix clock, and from 10^11 on its milliseconds. A span is in seconds,
/// and from more than a day on in milliseconds. [`Problems::IN_DOUBT`] is set
/// where the span may as well be of the other unit, and where the point in time
/// is a year off. Azure has [a setting of its own](Self::bare_resets).
///
/// A remaining amount of -1 whose limit is not told, and a limit below 0, mean
/// that the server does not know. The sources of all this stand in the files of
/// the module.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Dimension, Family, Field, HeaderParser};
///
/// let mut parser = HeaderParser::new();
/// for (name, value) in [
///     ("anthropic-ratelimit-requests-limit", "50"),
///     ("anthropic-ratelimit-requests-remaining", "0"),
///     ("anthropic-ratelimit-requests-reset", "2024-10-16T05:02:55Z"),
///     ("retry-after", "4"),
///     ("date", "Wed, 16 Oct 2024 05:02:23 GMT"),
/// ] {
///     assert_eq!(parser.field(name.as_bytes(), value.as_bytes()), Field::Understood);
/// }
/// let hints = parser.finish();
/// assert_eq!(hints.retry_after, Some(Duration::from_secs(4)));
/// let meter = hints.meters.get(Family::Standard, Dimension::Requests).unwrap();
/// assert_eq!(meter.limit, Some(50));
/// assert_eq!(meter.reset.unwrap().after_date_ms, Some(32_000));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct HeaderParser {
    received: Option<UnixTime>,
    dialect: Option<Dialect>,
    bare: BareReset,
    rule: WaitRule,
    date: Dates,
    waits: Waits,
    should_retry: Option<bool>,
    pool: Option<Label>,
    marks: Marks,
    problems: Problems,
    kept: Kept,
    unified: UnifiedKept,
    /// Made when the first of its fields comes, as most responses have none.
    ietf: Option<Ietf>,
}

/// What became of a field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Field {
    /// Its value was taken.
    Understood,
    /// Its name is not one that says anything here.
    Ignored,
    /// Its value, or one of those in its list, could not be read and was left
    /// out.
    Malformed,
    /// Its value is longer than any that is meant, and was not looked at.
    TooLong,
    /// A value of the same name was there before. It was read all the same, and
    /// the stricter of them stays.
    Duplicate,
    /// Its form is not what it should be. It was read all the same.
    Tolerated,
    /// It says nothing of limits, and tells whose response it is.
    Identifies,
}

impl Default for HeaderParser {
    fn default() -> Self {
        Self::new()
    }
}

impl HeaderParser {
    /// A parser that was given nothing yet.
    ///
    /// ```
    /// use sendwhen::{HeaderParser, ServerHints};
    ///
    /// assert_eq!(HeaderParser::new().finish(), ServerHints::NONE);
    /// ```
    #[inline]
    pub const fn new() -> Self {
        Self {
            received: None,
            dialect: None,
            bare: BareReset::Auto,
            rule: WaitRule::Longer,
            date: Dates::NONE,
            waits: Waits::NONE,
            should_retry: None,
            pool: None,
            marks: Marks::NONE,
            problems: Problems::NONE,
            kept: Kept::new(),
            unified: UnifiedKept::NONE,
            ietf: None,
        }
    }

    /// Says whose response it is, instead of finding it out. All names are read
    /// as before; what bare numbers mean, how amounts are rounded and which
    /// windows are usual is as it is with that server.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Dialect, Dimension, Family, HeaderParser};
    ///
    /// let mut parser = HeaderParser::new().dialect(Dialect::Groq);
    /// parser.field(b"x-ratelimit-limit-requests", b"14400");
    /// let meter = parser.finish().meters.get(Family::Standard, Dimension::Requests).unwrap();
    /// assert_eq!(meter.window, Some(Duration::from_secs(86_400)));
    /// ```
    pub const fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// Says what a reset counts that is a bare number: see [`BareReset`].
    ///
    /// ```
    /// use sendwhen::{BareReset, Dimension, Family, HeaderParser, Problems};
    ///
    /// let reset = |parser: HeaderParser| {
    ///     let mut parser = parser;
    ///     parser.field(b"x-ratelimit-reset-tokens", b"64");
    ///     let hints = parser.finish();
    ///     let meter = hints.meters.get(Family::Standard, Dimension::TotalTokens).unwrap();
    ///     (meter.reset.unwrap().after_date_ms, hints.problems)
    /// };
    /// let auto = reset(HeaderParser::new());
    /// assert_eq!(auto, (Some(64_000), Problems::IN_DOUBT));
    /// let set = reset(HeaderParser::new().bare_resets(BareReset::Millis));
    /// assert_eq!(set, (Some(64), Problems::NONE));
    /// ```
    pub const fn bare_resets(mut self, unit: BareReset) -> Self {
        self.bare = unit;
        self
    }

    /// Says which of `retry-after` and `retry-after-ms` counts.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{HeaderParser, WaitRule};
    ///
    /// let wait = |rule| {
    ///     let mut parser = HeaderParser::new().wait_rule(rule);
    ///     parser.field(b"retry-after", b"1");
    ///     parser.field(b"retry-after-ms", b"250");
    ///     parser.finish().retry_after.unwrap()
    /// };
    /// assert_eq!(wait(WaitRule::Longer), Duration::from_secs(1));
    /// assert_eq!(wait(WaitRule::Millis), Duration::from_millis(250));
    /// ```
    pub const fn wait_rule(mut self, rule: WaitRule) -> Self {
        self.rule = rule;
        self
    }

    /// Says when the response was received, by the caller's wall clock. It can
    /// be said at any point before [`finish`](Self::finish).
    ///
    /// It is asked only where the response does not say itself what time it
    /// is: for a date in `retry-after` without a `date`, and for the century of
    /// a two-digit year. Resets are never measured by it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{HeaderParser, UnixTime};
    ///
    /// let now = UnixTime::from_secs(784_111_777);
    /// let mut parser = HeaderParser::new().received(now);
    /// parser.field(b"Retry-After", b"Sun, 06 Nov 1994 08:49:57 GMT");
    /// assert_eq!(parser.finish().retry_after, Some(Duration::from_secs(20)));
    /// ```
    pub const fn received(mut self, now: UnixTime) -> Self {
        self.received = Some(now);
        self
    }

    /// Takes one field, and tells what became of it. Any bytes will do.
    ///
    /// ```
    /// use sendwhen::{Field, HeaderParser};
    ///
    /// let mut parser = HeaderParser::new();
    /// assert_eq!(parser.field(b"Retry-After", b"5"), Field::Understood);
    /// assert_eq!(parser.field(b"retry-after", b"10"), Field::Duplicate);
    /// assert_eq!(parser.field(b"retry-after-ms", b"soon"), Field::Malformed);
    /// assert_eq!(parser.field(b"retry-after-ms", &[b'0'; 2000]), Field::TooLong);
    /// assert_eq!(parser.field(b"content-type", b"text/html"), Field::Ignored);
    /// ```
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Field {
        // The Claude API's meters go first: of these there are most.
        if let Some((key, member)) = claude::meter_name(name) {
            self.marks.set(Marks::CLAUDE);
            self.take_meter(key, member, value)
        } else if name::may_mean(name) {
            self.take_field(name, value)
        } else {
            Field::Ignored
        }
    }

    /// Takes many fields.
    ///
    /// ```
    /// use sendwhen::{Dialect, HeaderParser};
    ///
    /// let mut parser = HeaderParser::new();
    /// parser.fields([("x-github-request-id", "x"), ("x-ratelimit-limit", "30")]);
    /// assert_eq!(parser.finish().dialect, Dialect::GitHub);
    /// ```
    pub fn fields<F, N, V>(&mut self, fields: F)
    where
        F: IntoIterator<Item = (N, V)>,
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        for (name, value) in fields {
            self.field(name.as_ref(), value.as_ref());
        }
    }

    /// What the fields so far come to. More may follow, and asking changes
    /// nothing.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::HeaderParser;
    ///
    /// let mut parser = HeaderParser::new();
    /// assert_eq!(parser.finish().retry_after, None);
    /// parser.field(b"retry-after", b"1.5");
    /// assert_eq!(parser.finish().retry_after, Some(Duration::from_millis(1_500)));
    /// ```
    #[inline]
    pub fn finish(&self) -> ServerHints {
        let mut hints = ServerHints::NONE;
        self.fill(&mut hints);
        hints
    }

    /// On its own, so that the hints are not moved when they are done.
    #[inline(never)]
    fn fill(&self, hints: &mut ServerHints) {
        hints.should_retry = self.should_retry;
        hints.problems = self.problems;
        let now = self.date.exact().or(self.received);
        hints.date = self.date.place(now, Ord::min, &mut hints.problems);
        self.waits.finish(self.received, self.rule, hints);
        let (has_limit, has_reset) = (self.kept.has_limit(), self.kept.has_reset());
        hints.dialect =
            self.dialect
                .unwrap_or_else(|| match self.marks.dialect(has_limit, has_reset) {
                    Dialect::OpenAi
                        if !self.marks.has(Marks::OPENAI) && self.kept.is_by_the_day() =>
                    {
                        Dialect::Groq
                    }
                    told => told,
                });
        let reading = Reading {
            dialect: hints.dialect,
            bare: self.bare,
            is_foundry: self.marks.has(Marks::FOUNDRY),
            now: hints.date.or(self.received),
            pool: self.pool.unwrap_or_default(),
        };
        let ietf = self.ietf.as_ref();
        let policy = ietf.and_then(|ietf| ietf.of_the_unnamed(self.kept.limit(Key::REQUESTS)));
        let is_used = self.kept.finish(&reading, policy, hints);
        if let Some(ietf) = ietf {
            ietf.finish(policy.filter(|_| is_used), hints);
        }
        if self.marks.has(Marks::UNIFIED) {
            self.unified.finish(&self.kept, &reading, hints);
        }
    }

    /// Any other field. Not inlined, so that [`field`](Self::field) has nothing
    /// to save when it begins: most fields end there.
    #[inline(never)]
    fn take_field(&mut self, name: &[u8], value: &[u8]) -> Field {
        let Some((name, marks)) = name::known(name) else {
            return Field::Ignored;
        };
        self.marks.set(marks);
        let Some(name) = name else {
            return Field::Identifies;
        };
        if value.len() > MAX_VALUE {
            return self.too_long();
        }
        let tally = &mut Tally::default();
        match name {
            Name::Meter(key, member) => {
                if key.is_share() {
                    self.marks.set(Marks::UNIFIED);
                }
                return self.take_meter(key, member, value);
            }
            Name::Date => self.take_date(value, tally),
            Name::RetryAfter => self.waits.take(value, tally),
            Name::RetryAfterMs => self.waits.take_millis(value, tally),
            Name::ShouldRetry => self.take_should_retry(value, tally),
            Name::Pool => keep(&mut self.pool, Label::new(trim(value)), Ord::min, tally),
            Name::Unified(name) => {
                self.marks.set(Marks::UNIFIED);
                self.unified.take(name, value, &mut self.kept, tally);
            }
            Name::Ietf(IetfName::Limit) if !value.contains(&b';') => {
                return self.take_meter(Key::REQUESTS, Member::Limit, value);
            }
            Name::Ietf(name) => {
                let ietf = self.ietf.get_or_insert_with(Ietf::new);
                ietf.take(name, value, &mut self.kept, tally);
            }
        }
        self.tally(tally)
    }

    #[inline(never)]
    fn take_meter(&mut self, key: Key, member: Member, value: &[u8]) -> Field {
        if value.len() > MAX_VALUE {
            return self.too_long();
        }
        let mut tally = Tally::default();
        match self.kept.take_plain(key, member, value, &mut tally) {
            Some(()) => self.tally(&tally),
            None => self.take_listed(key, member, value),
        }
    }

    #[inline(never)]
    fn take_listed(&mut self, key: Key, member: Member, value: &[u8]) -> Field {
        let mut tally = Tally::default();
        self.kept.take(key, member, value, &mut tally);
        self.tally(&tally)
    }

    #[cold]
    const fn too_long(&mut self) -> Field {
        self.problems.set(Problems::TOO_LONG);
        Field::TooLong
    }

    /// Keeps what was found in one field, and tells what became of it.
    #[inline]
    const fn tally(&mut self, found: &Tally) -> Field {
        self.problems.set(found.problems);
        self.marks.set(found.marks);
        found.field()
    }

    fn take_date(&mut self, value: &[u8], tally: &mut Tally) {
        if let Some(read) = http_date::read(trim(value)) {
            tally.again |= self.date.any();
            self.date.take(read, Ord::min, tally);
            return;
        }
        for member in Members::of(value) {
            tally.again |= self.date.any();
            match member {
                retry_after::Member::Date(read) => self.date.take(read, Ord::min, tally),
                retry_after::Member::Other(_) => tally.problems.set(Problems::MALFORMED),
            }
        }
    }

    fn take_should_retry(&mut self, value: &[u8], tally: &mut Tally) {
        for member in list(value) {
            match truth(member) {
                Some(said) => keep(&mut self.should_retry, said, Ord::min, tally),
                None => tally.problems.set(Problems::MALFORMED),
            }
        }
    }
}

#[cfg(feature = "http")]
impl ServerHints {
    /// Reads a response's header map: as [`parse`](Self::parse).
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::ServerHints;
    ///
    /// let mut map = http::HeaderMap::new();
    /// map.insert("retry-after", "16".parse().unwrap());
    /// let hints = ServerHints::from_header_map(&map, None);
    /// assert_eq!(hints.retry_after, Some(Duration::from_secs(16)));
    /// ```
    pub fn from_header_map(map: &http::HeaderMap, received: Option<UnixTime>) -> Self {
        Self::parse(map, received)
    }
}

impl ServerHints {
    /// Reads all header fields of a response at once: see [`HeaderParser`].
    /// `received` is when it was received, by the caller's wall clock, where
    /// that is known.
    ///
    /// Names and values are whatever can be seen as bytes, as the header maps
    /// of most HTTP libraries hand them out.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::ServerHints;
    ///
    /// let fields = [("Retry-After", "16"), ("X-Should-Retry", "true")];
    /// let hints = ServerHints::parse(fields, None);
    /// assert_eq!(hints.retry_after, Some(Duration::from_secs(16)));
    /// assert_eq!(hints.should_retry, Some(true));
    /// ```
    pub fn parse<F, N, V>(fields: F, received: Option<UnixTime>) -> Self
    where
        F: IntoIterator<Item = (N, V)>,
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut parser = HeaderParser::new();
        parser.received = received;
        parser.fields(fields);
        parser.finish()
    }
}

/// A name that says something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Name {
    Date,
    RetryAfter,
    RetryAfterMs,
    ShouldRetry,
    /// The name of the pool that all meters belong to.
    Pool,
    Meter(Key, Member),
    Unified(UnifiedName),
    Ietf(IetfName),
}

/// What was found in one field.
#[derive(Default)]
struct Tally {
    /// A value was there before.
    again: bool,
    /// Its form is not what it should be.
    tolerated: bool,
    problems: Problems,
    marks: Marks,
}

impl Tally {
    /// A reset looks so, which tells of its sender.
    #[inline]
    const fn resets_as(&mut self, raw: Raw) {
        if let Raw::Number(number) = raw {
            self.marks.set(reset::marks(number));
        }
    }

    const fn field(&self) -> Field {
        if self.problems.contains(Problems::MALFORMED) {
            Field::Malformed
        } else if self.tolerated {
            Field::Tolerated
        } else if self.again {
            Field::Duplicate
        } else {
            Field::Understood
        }
    }
}

/// Puts `new` in `held`, or the stricter of the two where that is taken.
fn keep<T: Copy + PartialEq>(
    held: &mut Option<T>,
    new: T,
    stricter: impl FnOnce(T, T) -> T,
    tally: &mut Tally,
) {
    match *held {
        None => *held = Some(new),
        Some(old) => {
            tally.again = true;
            if old != new {
                tally.problems.set(Problems::CONFLICT);
                *held = Some(stricter(old, new));
            }
        }
    }
}

/// Whether `text` is `known`, in any case. The case in which most libraries hand
/// names out is tried first, because that is quick.
fn same(text: &[u8], known: &[u8]) -> bool {
    text == known || text.eq_ignore_ascii_case(known)
}

/// `true` or `false`, in any case.
fn truth(text: &[u8]) -> Option<bool> {
    if same(text, b"true") {
        return Some(true);
    }
    same(text, b"false").then_some(false)
}

/// The members of a list, without the blanks around them.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut value = Some(value);
    core::iter::from_fn(move || {
        let (member, rest) = split_comma(value?);
        value = rest;
        Some(trim(member))
    })
}

/// What stands before the first comma and, where there is one, what follows it.
fn split_comma(value: &[u8]) -> (&[u8], Option<&[u8]>) {
    value
        .iter()
        .position(|&byte| byte == b',')
        .and_then(|comma| value.split_at_checked(comma))
        .map_or((value, None), |(member, rest)| (member, rest.get(1..)))
}

/// Without the blanks and tabs around it.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
