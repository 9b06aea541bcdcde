//! What kind of end an attempt came to.

use crate::{
    decision::{Class, ErrorDetails},
    hints::{Dialect, Family, Meter, OverageDisabled, ServerHints, Status as Says},
    retry::message::{LimitKind, LimitMessage},
    units::Dimension,
};

/// Where in its life an answer was when it ended as it did.
///
/// ```
/// use sendwhen::{Class, ErrorDetails, Phase, ServerHints, classify};
///
/// // The words of an error speak inside a 200 too.
/// let overloaded = ErrorDetails::new("overloaded_error");
/// for phase in [Phase::Head, Phase::Stream, Phase::HandedOn] {
///     assert_eq!(classify(200, overloaded, &ServerHints::NONE, phase), Class::Overloaded);
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Phase {
    /// The head has just been read; its status speaks.
    Head,
    /// Inside the body of a 200, where only the error's own words can speak.
    /// Nothing of the output was handed on yet.
    Stream,
    /// As [`Stream`](Self::Stream), after part of the output was handed on to
    /// where it cannot be taken back from.
    HandedOn,
}

impl Phase {
    /// Whether the request may be sent again if its [`Class`] says that this
    /// helps: nobody would get an answer twice.
    ///
    /// ```
    /// use sendwhen::Phase;
    ///
    /// assert!(Phase::Head.is_replay_safe() && Phase::Stream.is_replay_safe());
    /// assert!(!Phase::HandedOn.is_replay_safe());
    /// ```
    pub const fn is_replay_safe(self) -> bool {
        !matches!(self, Self::HandedOn)
    }
}

/// Says what an attempt's end means, from the HTTP status, what the body says,
/// what the header fields say, and where in the answer it happened.
///
/// One table decides, row by row, the first that fits: spend, credit and
/// entitlement, under whatever status they come; then the error's own words,
/// because some servers refuse under a status of 200 and some call an overload
/// a 500; then the status. `x-should-retry` goes before all but the first:
/// `true` comes with refusals for spend and credit too, which no retry mends.
/// `false` makes an error of the caller out of what it forbids to retry.
///
/// A rate limit is blamed on the one dimension of which the head shows nothing
/// left; where it shows none, or several, on what the message names.
///
/// ```
/// use sendwhen::{Class, Dimension, ErrorDetails, Phase, ServerHints, classify};
///
/// let (bare, said_nothing) = (ServerHints::NONE, ErrorDetails::NONE);
/// let by_status = |status| classify(status, said_nothing, &bare, Phase::Head);
/// assert_eq!(by_status(200), Class::Success);
/// assert_eq!(by_status(429), Class::Throttled(None));
/// assert_eq!(by_status(529), Class::Overloaded);
/// assert_eq!(by_status(400), Class::CallerError);
///
/// let error = ErrorDetails::new("rate_limit_error");
/// let input = error.message("This request would exceed your organization's rate limit of 30,000 input tokens per minute");
/// assert_eq!(classify(429, input, &bare, Phase::Head), Class::Throttled(Some(Dimension::InputTokens)));
///
/// let spent = error.code("enforced_spend_limit_reached");
/// assert_eq!(classify(429, spent, &bare, Phase::Head), Class::Exhausted);
/// ```
pub fn classify(status: u16, error: ErrorDetails<'_>, hints: &ServerHints, phase: Phase) -> Class {
    let fine = phase != Phase::Head || matches!(status, 200..=399);
    let said_nothing = error.kind.is_empty() && error.code.is_empty();
    if phase == Phase::Head && fine && said_nothing && !Hints::Refused.fits(hints) {
        return Class::Success;
    }
    let end = End {
        status: if fine { None } else { Some(status) },
        error,
        hints,
    };
    let found = RULES.iter().find(|rule| rule.fits(&end));
    let class = found.map_or(CallerError, |rule| rule.class);
    match hints.should_retry.filter(|_| phase == Phase::Head) {
        Some(true) if class == CallerError => Transient,
        Some(false) if class.is_retryable() => CallerError,
        _ => refined(class, &end),
    }
}

/// What the rows are held against.
struct End<'a> {
    /// `None` where it says nothing: see [`Status::Fine`].
    status: Option<u16>,
    error: ErrorDetails<'a>,
    hints: &'a ServerHints,
}

/// One row: all that it names must fit.
struct Rule {
    status: Status,
    /// `error.type`; "" is any.
    kind: &'static str,
    /// `error.code`; "" is any.
    code: &'static str,
    /// Words in `error.message`; after "=" all of it; "" is any.
    message: &'static str,
    hints: Hints,
    class: Class,
}

/// The status that a row asks for.
#[derive(Clone, Copy)]
enum Status {
    Any,
    /// One of success, or that of an answer whose body has begun: it says
    /// nothing.
    Fine,
    Is(u16),
    /// From the first to the last.
    In(u16, u16),
}

impl Status {
    const fn fits(self, status: Option<u16>) -> bool {
        match (self, status) {
            (Self::Any, _) | (Self::Fine, None) => true,
            (Self::Is(wanted), Some(status)) => status == wanted,
            (Self::In(first, last), Some(status)) => first <= status && status <= last,
            (Self::Fine, Some(_)) | (Self::Is(_) | Self::In(..), None) => false,
        }
    }
}

/// The header fields that a row asks for.
#[derive(Clone, Copy)]
enum Hints {
    Any,
    /// No wait and no meter.
    Bare,
    /// A wait, or a meter on which nothing is left.
    Limited,
    /// A wait and a meter on which nothing is left, from a server that refuses
    /// so under a status of success.
    Refused,
    /// GitHub's, with a meter.
    GitHub,
    /// That nothing is served beyond a subscription's windows for want of
    /// credit, and no wait nor a window that refuses: that something beyond them
    /// was asked for.
    NoCredit,
}

impl Hints {
    fn fits(self, hints: &ServerHints) -> bool {
        match self {
            Self::Any => true,
            Self::Bare => hints.retry_after.is_none() && hints.meters.is_empty(),
            Self::Limited => hints.retry_after.is_some() || spent(hints).next().is_some(),
            Self::Refused => {
                hints.dialect.refuses_under_success()
                    && hints.retry_after.is_some()
                    && spent(hints).next().is_some()
            }
            Self::GitHub => hints.dialect == Dialect::GitHub && !hints.meters.is_empty(),
            Self::NoCredit => {
                let refuses = |meter: Meter| {
                    meter.family != Family::Overage && meter.status.is_some_and(Says::refuses)
                };
                hints.retry_after.is_none()
                    && matches!(
                        hints.unified.overage_disabled,
                        Some(OverageDisabled::OutOfCredits | OverageDisabled::OrgSpendCapReached)
                    )
                    && !hints.meters.iter().any(refuses)
            }
        }
    }
}

const fn row(
    status: Status,
    kind: &'static str,
    code: &'static str,
    message: &'static str,
    class: Class,
) -> Rule {
    Rule {
        status,
        kind,
        code,
        message,
        hints: Hints::Any,
        class,
    }
}

impl Rule {
    fn fits(&self, end: &End<'_>) -> bool {
        let is_any_or = |wanted: &str, said: &str| wanted.is_empty() || wanted == said;
        self.status.fits(end.status)
            && is_any_or(self.kind, end.error.kind)
            && is_any_or(self.code, end.error.code)
            && match self.message.strip_prefix('=') {
                Some(all) => end.error.message == all,
                None => holds(end.error.message.as_bytes(), self.message.as_bytes()),
            }
            && self.hints.fits(end.hints)
    }

    const fn with(mut self, hints: Hints) -> Self {
        self.hints = hints;
        self
    }
}

/// Whether `words` stand somewhere in `text`. As `str::contains`, but that this
/// has no panic for the compiler to leave in.
fn holds(mut text: &[u8], words: &[u8]) -> bool {
    while !text.starts_with(words) {
        let Some((_, rest)) = text.split_first() else {
            return false;
        };
        text = rest;
    }
    true
}

use Class::{CallerError, Exhausted, NotEntitled, Overloaded, Throttled, Transient};
use Status::{Any, Fine, In, Is};

const LIMITED: Class = Throttled(None);

/// The table. The first row that fits decides; where none does, it is an error
/// of the caller's.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    //  status         error.type               error.code                      error.message contains                   class

    // Of the account: no wait mends these, whatever `x-should-retry` says.
    row(Is(402),       "",                      "",                             "",                                      Exhausted),
    row(Any,           "billing_error",         "",                             "",                                      Exhausted),
    row(Any,           "insufficient_quota",    "",                             "",                                      Exhausted),
    row(Any,           "",                      "enforced_spend_limit_reached", "",                                      Exhausted),
    row(Any,           "",                      "contract_spend_limit_reached", "",                                      Exhausted),
    row(Any,           "",                      "out_of_credits",               "",                                      Exhausted),
    row(Any,           "",                      "org_spend_cap_reached",        "",                                      Exhausted),
    row(Any,           "",                      "insufficient_quota",           "",                                      Exhausted),
    row(Any,           "",                      "billing_hard_limit_reached",   "",                                      Exhausted),
    row(Any,           "",               "organization_spend_limit_exceeded",   "",                                      Exhausted),
    row(Any,           "",                    "project_spend_limit_exceeded",   "",                                      Exhausted),
    row(Any,           "",                      "",  "You have reached your specified API usage limits",                 Exhausted),
    row(Any,           "",                      "",  "You have reached your specified workspace API usage limits",       Exhausted),
    row(Any,           "",                      "",  "API calls / month",                                                Exhausted),
    row(Any,           "",                      "",  "credit balance is too low",                                        Exhausted),
    row(Any,           "",                      "",  "Extra usage is required",                                          NotEntitled),
    row(Any,           "",                      "",  "Usage credits are required",                                       NotEntitled),
    // No credit for what lies beyond the windows: of this call, not of the pool
    // (tombii/better-ccflare, issue 261).
    row(Is(429),       "",                      "",                             "",                                      NotEntitled).with(Hints::NoCredit),
    // A gate that says nothing, where a throttled request is told something
    // (anthropics/claude-code, issue 87420).
    row(Is(429),       "rate_limit_error",      "",                             "=Error",                                NotEntitled).with(Hints::Bare),

    // The error's own words.
    row(Any,           "overloaded_error",      "",                             "",                                      Overloaded),
    row(Any,           "api_error",             "",                             "Overloaded",                            Overloaded),
    row(Any,           "UNAVAILABLE",           "",                             "",                                      Overloaded),
    row(Any,           "rate_limit_error",      "",                             "",                                      LIMITED),
    row(Any,           "rate_limit_exceeded",   "",                             "",                                      LIMITED),
    row(Any,           "RESOURCE_EXHAUSTED",    "",                             "",                                      LIMITED),
    row(Any,           "ThrottlingException",   "",                             "",                                      LIMITED),
    row(Any,           "",                      "rate_limit_exceeded",          "",                                      LIMITED),
    row(Any,           "api_error",             "",                             "",                                      Transient),
    row(Any,           "timeout_error",         "",                             "",                                      Transient),
    row(Any,           "conflict_error",        "",                             "",                                      Transient),
    row(Any,           "server_error",          "",                             "",                                      Transient),
    row(Any,           "ModelNotReadyException", "",                            "",                                      Transient),
    row(Fine,          "invalid_request_error", "",                             "",                                      CallerError),
    row(Fine,          "authentication_error",  "",                             "",                                      CallerError),
    row(Fine,          "permission_error",      "",                             "",                                      CallerError),
    row(Fine,          "not_found_error",       "",                             "",                                      CallerError),
    row(Fine,          "request_too_large",     "",                             "",                                      CallerError),
    // Azure's, of a stream that is not going to come.
    row(Fine,          "",                      "",                             "",                                      LIMITED).with(Hints::Refused),
    // An error of which nothing is known, inside an answer.
    row(Fine,          "",                      "",                             "",                                      Transient),

    // The status. 408 and 409 are time-outs of locks; 403 is how GitHub refuses
    // for a secondary limit, of which only the message tells: where that was not
    // read, it is taken for one.
    row(Is(408),       "",                      "",                             "",                                      Transient),
    row(Is(409),       "",                      "",                             "",                                      Transient),
    row(Is(429),       "",                      "",                             "",                                      LIMITED),
    row(Is(403),       "",                      "",                             "",                                      LIMITED).with(Hints::Limited),
    row(Is(403),       "",                      "",                             "rate limit",                            LIMITED),
    row(Is(403),       "",                      "",                             "abuse detection",                       LIMITED),
    row(Is(403),       "",                      "",                             "=",                                     LIMITED).with(Hints::GitHub),
    row(Is(503),       "",                      "",                             "",                                      Overloaded),
    row(Is(529),       "",                      "",                             "",                                      Overloaded),
    row(In(500, 599),  "",                      "",                             "",                                      Transient),
];

/// Of a rate limit, which one.
fn refined(class: Class, end: &End<'_>) -> Class {
    if class != LIMITED {
        return class;
    }
    let said = LimitMessage::read(end.error.message);
    match said.map(|said| said.kind) {
        Some(LimitKind::Concurrency) => Class::Concurrency,
        Some(LimitKind::Acceleration) => Class::Acceleration,
        Some(LimitKind::Rate) | None => {
            let shown = only(spent(end.hints));
            Throttled(shown.or_else(|| said?.dimension))
        }
    }
}

/// The dimensions of which `hints` show nothing left. The Claude API's sum of
/// input and output, shown beside the two, is none of its own.
fn spent(hints: &ServerHints) -> impl Iterator<Item = Dimension> {
    let has = |family: Family, dimension| hints.meters.get(family, dimension).is_some();
    hints
        .meters
        .iter()
        .filter(|meter| meter.remaining.is_some_and(|left| left.shown <= 0))
        .filter_map(|meter| Some((meter.family, meter.dimension()?)))
        .filter(move |&(family, dimension)| {
            dimension != Dimension::TotalTokens
                || !(has(family, Dimension::InputTokens) || has(family, Dimension::OutputTokens))
        })
        .map(|(_, dimension)| dimension)
}

/// The one that all are, if there is any.
fn only(mut dimensions: impl Iterator<Item = Dimension>) -> Option<Dimension> {
    let first = dimensions.next()?;
    dimensions.all(|next| next == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hints::{Meter, Unit};
    use Phase::{HandedOn, Head, Stream};
    use core::time::Duration;

    /// Status, type, code, message, `x-should-retry`, phase, class.
    type Row = (
        u16,
        &'static str,
        &'static str,
        &'static str,
        Option<bool>,
        Phase,
        Class,
    );

    const ACCELERATION: &str = "This request would exceed your organization's maximum usage increase rate for input tokens per minute.";

    #[rustfmt::skip]
    const ROWS: &[Row] = &[
        (200, "", "", "", None, Head, Class::Success),
        (204, "", "", "", None, Head, Class::Success),
        (400, "invalid_request_error", "", "max_tokens: too large", Some(false), Head, CallerError),
        (400, "invalid_request_error", "", "You have reached your specified API usage limits. You will regain access on 2026-09-01", None, Head, Exhausted),
        (400, "invalid_request_error", "", "You have reached your specified workspace API usage limits.", None, Head, Exhausted),
        (401, "authentication_error", "", "", None, Head, CallerError),
        (402, "", "", "", None, Head, Exhausted),
        (402, "billing_error", "", "", Some(true), Head, Exhausted),
        (402, "billing_error", "", "", Some(false), Head, Exhausted),
        (403, "permission_error", "", "", None, Head, CallerError),
        (404, "not_found_error", "", "", None, Head, CallerError),
        (408, "", "", "", None, Head, Transient),
        (409, "conflict_error", "", "", None, Head, Transient),
        (413, "", "", "", None, Head, CallerError),
        (413, "request_too_large", "", "", None, Head, CallerError),
        (429, "", "", "", None, Head, Throttled(None)),
        (429, "rate_limit_error", "", "", Some(true), Head, Throttled(None)),
        (429, "rate_limit_error", "", "", Some(false), Head, CallerError),
        (429, "rate_limit_error", "enforced_spend_limit_reached", "", Some(true), Head, Exhausted),
        (429, "rate_limit_error", "out_of_credits", "", Some(true), Head, Exhausted),
        (429, "rate_limit_error", "", "Extra usage is required for long context requests.", None, Head, NotEntitled),
        (429, "rate_limit_error", "", "Usage credits are required for long context requests.", Some(true), Head, NotEntitled),
        (429, "rate_limit_error", "", "Error", None, Head, NotEntitled),
        (429, "rate_limit_error", "", "Rate limited", None, Head, Throttled(None)),
        (429, "rate_limit_error", "", "Number of concurrent connections has exceeded your rate limit.", None, Head, Class::Concurrency),
        (429, "rate_limit_error", "", ACCELERATION, None, Head, Class::Acceleration),
        (429, "rate_limit_error", "", "This request would exceed your organization\u{2019}s rate limit of 8,000 output tokens per minute.", None, Head, Throttled(Some(Dimension::OutputTokens))),
        (429, "insufficient_quota", "insufficient_quota", "", None, Head, Exhausted),
        (429, "", "organization_spend_limit_exceeded", "", None, Head, Exhausted),
        (429, "", "project_spend_limit_exceeded", "", Some(true), Head, Exhausted),
        (429, "", "", "You are using a Trial key, which is limited to 1000 API calls / month.", None, Head, Exhausted),
        (429, "", "", "You are using a Trial key, which is limited to 40 API calls / minute.", None, Head, Throttled(None)),
        (429, "RESOURCE_EXHAUSTED", "", "", None, Head, Throttled(None)),
        (500, "api_error", "", "Internal server error", None, Head, Transient),
        (500, "api_error", "", "Overloaded", None, Head, Overloaded),
        (502, "", "", "", None, Head, Transient),
        (503, "", "", "", None, Head, Overloaded),
        (504, "timeout_error", "", "", None, Head, Transient),
        (529, "overloaded_error", "", "Overloaded", Some(true), Head, Overloaded),
        (529, "", "", "", None, Head, Overloaded),
        (418, "", "", "", Some(true), Head, Transient),
        (500, "", "", "", Some(false), Head, CallerError),
        (200, "", "rate_limit_exceeded", "", None, Head, Throttled(None)),
        (200, "overloaded_error", "", "Overloaded", None, Stream, Overloaded),
        (200, "overloaded_error", "", "Overloaded", None, HandedOn, Overloaded),
        (200, "rate_limit_error", "", ACCELERATION, None, Stream, Class::Acceleration),
        (200, "", "rate_limit_exceeded", "", None, Stream, Throttled(None)),
        (200, "invalid_request_error", "", "", Some(true), Stream, CallerError),
        (200, "", "", "", None, Stream, Transient),
        (999, "", "", "", None, Head, CallerError),
        (0, "", "", "", None, Head, CallerError),
    ];

    #[test]
    fn each_row_of_the_table_is_classified_so() {
        for &(status, kind, code, message, should_retry, phase, class) in ROWS {
            let error = ErrorDetails::new(kind).code(code).message(message);
            let mut hints = ServerHints::NONE;
            hints.should_retry = should_retry;
            assert_eq!(
                classify(status, error, &hints, phase),
                class,
                "{status} {kind} {code} {message} {should_retry:?} {phase:?}"
            );
        }
    }

    const fn meter(dimension: Dimension, left: i64) -> Meter {
        Meter::new(Family::Standard, dimension)
            .limit(1_000)
            .remaining(left, 0)
    }

    #[test]
    fn the_head_is_asked_which_limit_it_was_before_the_message() {
        let error = ErrorDetails::new("rate_limit_error")
            .message("rate limit of 30,000 input tokens per minute");
        let with = |meters: &[Meter]| {
            let hints = meters
                .iter()
                .fold(ServerHints::NONE, |hints, &meter| hints.with_meter(meter));
            classify(429, error, &hints, Head)
        };
        let (input, output) = (Dimension::InputTokens, Dimension::OutputTokens);
        assert_eq!(with(&[meter(output, 0)]), Throttled(Some(output)));
        assert_eq!(
            with(&[meter(output, -5), meter(input, 3)]),
            Throttled(Some(output))
        );
        // Two are spent: the message tells which.
        assert_eq!(
            with(&[meter(output, 0), meter(Dimension::Requests, 0)]),
            Throttled(Some(input))
        );
        // The sum beside the two says nothing.
        let sum = meter(Dimension::TotalTokens, 0);
        assert_eq!(
            with(&[sum, meter(output, 0), meter(input, 9)]),
            Throttled(Some(output))
        );
        assert_eq!(with(&[sum]), Throttled(Some(Dimension::TotalTokens)));
        // Nor beside one of them: the message tells.
        for part in [input, output] {
            assert_eq!(with(&[sum, meter(part, 9)]), Throttled(Some(input)));
        }
    }

    #[test]
    fn a_403_with_a_wait_or_nothing_left_is_a_limit() {
        let none = ErrorDetails::NONE;
        let waits = ServerHints::NONE.with_retry_after(Duration::from_secs(60));
        assert_eq!(classify(403, none, &waits, Head), Throttled(None));
        let spent = ServerHints::NONE.with_meter(meter(Dimension::Requests, 0));
        assert_eq!(
            classify(403, none, &spent, Head),
            Throttled(Some(Dimension::Requests))
        );
        let said = ErrorDetails::NONE.message("You have exceeded a secondary rate limit.");
        assert_eq!(
            classify(403, said, &ServerHints::NONE, Head),
            Throttled(None)
        );
        let mut left = ServerHints::NONE.with_meter(meter(Dimension::Requests, 14));
        assert_eq!(classify(403, none, &left, Head), CallerError);
        // Nobody read the body, which alone would tell.
        left.dialect = Dialect::GitHub;
        assert_eq!(classify(403, none, &left, Head), Throttled(None));
        let abuse = none.message("You have triggered an abuse detection mechanism.");
        assert_eq!(classify(403, abuse, &left, Head), Throttled(None));
        let forbidden = none.message("Resource not accessible by integration");
        assert_eq!(classify(403, forbidden, &left, Head), CallerError);
    }

    /// So it answers streaming calls, and says why in the stream's first event.
    #[test]
    fn azure_refuses_under_a_status_of_200() {
        let tokens = Dimension::TotalTokens;
        let mut hints = ServerHints::NONE
            .with_meter(meter(tokens, -27_689))
            .with_retry_after(Duration::from_secs(4));
        let class = |hints: &ServerHints, status| classify(status, ErrorDetails::NONE, hints, Head);
        assert_eq!(class(&hints, 200), Class::Success);
        hints.dialect = Dialect::Azure;
        assert_eq!(class(&hints, 200), Throttled(Some(tokens)));
        hints.retry_after = None;
        assert_eq!(class(&hints, 200), Class::Success);
        // How long to wait before asking again for what is under way.
        let mut polled = ServerHints::NONE
            .with_meter(meter(tokens, 5))
            .with_retry_after(Duration::from_secs(10));
        polled.dialect = Dialect::Azure;
        assert_eq!(class(&polled, 200), Class::Success);
    }

    #[test]
    fn a_gate_that_says_anything_more_is_a_limit() {
        let error = ErrorDetails::new("rate_limit_error").message("Error");
        let waits = ServerHints::NONE.with_retry_after(Duration::from_secs(4));
        assert_eq!(classify(429, error, &waits, Head), Throttled(None));
    }

    #[test]
    fn no_credit_beyond_the_windows_is_no_limit_of_the_pool() {
        let error = ErrorDetails::new("rate_limit_error");
        let class = |status, family, wait: Option<u64>| {
            let mut meter = Meter::of(family, Unit::Share);
            meter.status = Some(status);
            let mut hints = ServerHints::NONE.with_meter(meter);
            hints.unified.overage_disabled = Some(OverageDisabled::OutOfCredits);
            hints.should_retry = Some(true);
            hints.retry_after = wait.map(Duration::from_secs);
            classify(429, error, &hints, Head)
        };
        use Family::{Overage, Unified};
        assert_eq!(class(Says::Allowed, Unified, None), NotEntitled);
        assert_eq!(class(Says::Rejected, Overage, None), NotEntitled);
        assert_eq!(class(Says::Rejected, Unified, None), Throttled(None));
        assert_eq!(class(Says::Allowed, Unified, Some(4)), Throttled(None));
    }

    /// A row that can never be reached is a mistake in the order.
    #[test]
    fn no_row_is_hidden_by_one_before_it() {
        for (place, rule) in RULES.iter().enumerate() {
            let mut hints = ServerHints::NONE;
            match rule.hints {
                Hints::Limited => hints.retry_after = Some(Duration::from_secs(1)),
                Hints::NoCredit => {
                    hints.unified.overage_disabled = Some(OverageDisabled::OutOfCredits);
                }
                Hints::Refused => {
                    hints = hints.with_meter(meter(Dimension::Requests, 0));
                    hints.dialect = Dialect::Azure;
                    hints.retry_after = Some(Duration::from_secs(1));
                }
                Hints::GitHub => {
                    hints = hints.with_meter(meter(Dimension::Requests, 1));
                    hints.dialect = Dialect::GitHub;
                }
                Hints::Any | Hints::Bare => {}
            }
            let status = match rule.status {
                Is(status) => Some(status),
                In(_, last) => Some(last),
                Any => Some(418),
                Fine => None,
            };
            let message = rule.message.strip_prefix('=').unwrap_or(rule.message);
            let error = ErrorDetails::new(rule.kind)
                .code(rule.code)
                .message(message);
            let end = End {
                status,
                error,
                hints: &hints,
            };
            let first = RULES.iter().position(|rule| rule.fits(&end));
            assert_eq!(
                first,
                Some(place),
                "{} {} {}",
                rule.kind,
                rule.code,
                rule.message
            );
        }
    }

    proptest::proptest! {
        #![proptest_config(crate::retry::ten_thousand_cases())]

        /// Of the account's own refusals none is ever retried, and a replay
        /// that is unsafe changes no class.
        #[test]
        fn nothing_makes_a_spent_account_retry(
            status: u16, should_retry: Option<bool>, row in 0..RULES.len(), kind in "[a-z_]{0,12}",
        ) {
            let rule = &RULES[row];
            let error = ErrorDetails::new(if rule.kind.is_empty() { &kind } else { rule.kind })
                .code(rule.code)
                .message(rule.message);
            let mut hints = ServerHints::NONE;
            hints.should_retry = should_retry;
            let status = if let Is(status) = rule.status { status } else { status };
            let class = classify(status, error, &hints, Head);
            if matches!(rule.class, Exhausted) {
                proptest::prop_assert!(!class.is_retryable());
            }
            proptest::prop_assert_eq!(
                classify(status, error, &hints, Stream),
                classify(status, error, &hints, HandedOn)
            );
        }
    }
}
