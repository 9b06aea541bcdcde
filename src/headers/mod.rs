//! Layer 1, what a server says: from a response's header fields to
//! [`ServerHints`].
//!
//! In come names and values as bytes, one by one, in any order; out comes plain
//! data. A value that cannot be read is left out and counted among the
//! [`Problems`], and hinders no other. Nothing allocates, and nothing is kept
//! of the input. The time it takes grows with the number of fields and with
//! nothing else, because what is longer than [`MAX_NAME`] or [`MAX_VALUE`] is
//! not looked at.
//!
//! What is kept of a field that comes more than once is the stricter of its
//! values, so that no order of arrival makes a difference. What depends on the
//! time of the response is worked out at the end, because its `date` may come
//! last.

mod calendar;
mod claude;
mod http_date;
mod number;
mod retry_after;
mod rfc3339;

use self::{
    claude::Claude,
    retry_after::{Dates, Member, Members, Waits},
};
use crate::{
    hints::{Problems, ServerHints},
    time::UnixTime,
};

pub use self::{
    http_date::{HttpDate, parse_http_date},
    rfc3339::{Rfc3339, parse_rfc3339},
};

/// No name that matters is longer.
const MAX_NAME: usize = 64;
/// No value that matters is longer, the blanks around it included.
const MAX_VALUE: usize = 256;

/// Reads a response's header fields, one by one, in any order.
///
/// The fields that it knows, by names in any case:
///
/// | name | value |
/// |---|---|
/// | `retry-after` | seconds, whole or with digits on both sides of a point; an HTTP-date; a date as in RFC 3339 |
/// | `retry-after-ms` | milliseconds, likewise |
/// | `x-should-retry` | `true` or `false` |
/// | `date` | an HTTP-date |
/// | `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-*` | the Claude API's limits |
/// | `anthropic-priority-{input,output}-tokens-*` | those of its Priority Tier |
/// | `anthropic-fast-{input,output}-tokens-*` | those of its fast mode |
///
/// with `*` as `limit`, `remaining` or `reset`. Any other name that begins with
/// `anthropic-` tells only whose response it is.
///
/// `retry-after` and `date` are those of RFC 9110, with fractions and RFC 3339
/// added because servers send them. `retry-after-ms` and `x-should-retry` stand
/// in no document; official SDKs of more than one server heed them. The rest is
/// the documentation of the Claude API.
///
/// Blanks around a value are trimmed. A field that comes more than once, or
/// whose value is a list, counts with the stricter of its values: the smaller
/// limit, the later reset, the longer wait, the earlier `date`, `false`. Where
/// they differ, [`Problems::CONFLICT`] is set. Dates in the form with a
/// two-digit year are not compared: of those that differ, none is taken. The
/// same fields in another order give equal hints.
///
/// Dates in `retry-after` become spans from the response's own `date` on, or,
/// where it has none, from when it was [`received`](Self::received). Where
/// neither is known, [`Problems::NO_DATE`] is set. A past one is a wait of
/// zero. A wait too long for a `u64` of its unit is as long as that holds.
/// A reset becomes a span only from the response's own `date` on.
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
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct HeaderParser {
    received: Option<UnixTime>,
    date: Dates,
    waits: Waits,
    should_retry: Option<bool>,
    claude: Claude,
    problems: Problems,
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
}

impl HeaderParser {
    /// A parser that was given nothing yet.
    ///
    /// ```
    /// use sendwhen::{HeaderParser, ServerHints};
    ///
    /// assert_eq!(HeaderParser::new().finish(), ServerHints::NONE);
    /// ```
    pub fn new() -> Self {
        Self::default()
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
    /// assert_eq!(parser.field(b"retry-after-ms", &[b'0'; 300]), Field::TooLong);
    /// assert_eq!(parser.field(b"content-type", b"text/html"), Field::Ignored);
    /// ```
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Field {
        let Some(name) = known(name) else {
            return Field::Ignored;
        };
        if let Name::Claude(meter) = name {
            self.claude.seen = true;
            if meter.is_none() {
                return Field::Ignored;
            }
        }
        if value.len() > MAX_VALUE {
            self.problems.set(Problems::TOO_LONG);
            return Field::TooLong;
        }
        let mut tally = Tally::default();
        match name {
            Name::Date => self.take_date(value, &mut tally),
            Name::RetryAfter => self.waits.take(value, &mut tally),
            Name::RetryAfterMs => self.waits.take_millis(value, &mut tally),
            Name::ShouldRetry => self.take_should_retry(value, &mut tally),
            Name::Claude(Some(meter)) => self.claude.take(meter, value, &mut tally),
            Name::Claude(None) => {}
        }
        self.problems.set(tally.problems);
        tally.field()
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
    pub fn finish(&self) -> ServerHints {
        let mut hints = ServerHints::NONE;
        hints.should_retry = self.should_retry;
        hints.problems = self.problems;
        let now = self.date.exact().or(self.received);
        hints.date = self.date.place(now, Ord::min, &mut hints.problems);
        self.waits.finish(self.received, &mut hints);
        self.claude.finish(&mut hints);
        hints
    }

    fn take_date(&mut self, value: &[u8], tally: &mut Tally) {
        for member in Members::of(value) {
            tally.again |= self.date.any();
            match member {
                Member::Date(read) => self.date.take(read, Ord::min, tally),
                Member::Other(_) => tally.problems.set(Problems::MALFORMED),
            }
        }
    }

    fn take_should_retry(&mut self, value: &[u8], tally: &mut Tally) {
        for member in list(value) {
            let said = if same(member, b"true") {
                true
            } else if same(member, b"false") {
                false
            } else {
                tally.problems.set(Problems::MALFORMED);
                continue;
            };
            keep(&mut self.should_retry, said, Ord::min, tally);
        }
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
        let mut parser = HeaderParser {
            received,
            ..HeaderParser::default()
        };
        for (name, value) in fields {
            parser.field(name.as_ref(), value.as_ref());
        }
        parser.finish()
    }
}

/// A name that says something.
enum Name {
    Date,
    RetryAfter,
    RetryAfterMs,
    ShouldRetry,
    /// One of the Claude API's, and the member of a meter where it is one.
    Claude(Option<claude::Name>),
}

/// The length goes first, because most names are settled by it.
fn known(name: &[u8]) -> Option<Name> {
    let (text, known): (&[u8], _) = match name.len() {
        4 => (b"date", Name::Date),
        11 => (b"retry-after", Name::RetryAfter),
        14 => match name.first()? {
            b'r' | b'R' => (b"retry-after-ms", Name::RetryAfterMs),
            _ => (b"x-should-retry", Name::ShouldRetry),
        },
        ..=MAX_NAME => return claude::name(name).map(Name::Claude),
        _ => return None,
    };
    if same(name, text) {
        return Some(known);
    }
    claude::name(name).map(Name::Claude)
}

/// What was found in one field.
#[derive(Default)]
struct Tally {
    /// A value was there before.
    again: bool,
    problems: Problems,
}

impl Tally {
    const fn field(&self) -> Field {
        if self.problems.contains(Problems::MALFORMED) {
            Field::Malformed
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
