//! What things are called in reports and errors: all of a kind, each by a name
//! of its own.

use std::{collections::BTreeSet, fmt, time::Duration};

use sendwhen::{
    Cause, Class, Cost, Denied, Dialect, Dimension, ErrorDetails, Family, GiveUp, HeaderParser,
    Instant, Label, Limiter, Meter, Meters, Never, OverageDisabled, Phase, Rate, ServerHints,
    Status, Unit, classify,
};

/// No two are called the same, and none has no name.
fn names<T: fmt::Debug>(all: &[T], name: impl Fn(&T) -> String) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for one in all {
        let name = name(one);
        assert!(!name.is_empty(), "{one:?}");
        assert!(seen.insert(name.clone()), "{name} is {one:?}, and another");
    }
    seen
}

/// As settings and reports have them.
fn in_small_letters(names: &BTreeSet<String>) {
    for name in names {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.bytes().all(fits), "{name}");
    }
}

const FAMILIES: [Family; 9] = [
    Family::Standard,
    Family::Priority,
    Family::Fast,
    Family::Project,
    Family::Unified,
    Family::UnifiedSonnet,
    Family::UnifiedOpus,
    Family::UnifiedOverageIncluded,
    Family::Overage,
];

const UNITS: [Unit; 8] = [
    Unit::Images,
    Unit::Pages,
    Unit::AudioSeconds,
    Unit::Characters,
    Unit::Bytes,
    Unit::Concurrent,
    Unit::Share,
    Unit::Other,
];

pub(crate) const CLASSES: [Class; 9] = [
    Class::Success,
    Class::Throttled(None),
    Class::Concurrency,
    Class::Acceleration,
    Class::Overloaded,
    Class::Transient,
    Class::Exhausted,
    Class::NotEntitled,
    Class::CallerError,
];

#[test]
fn what_headers_tell_has_names() {
    in_small_letters(&names(&Dialect::ALL, |one| one.as_str().to_owned()));
    for dialect in Dialect::ALL {
        let heeds = dialect.refuses_under_success();
        assert_eq!(heeds, dialect == Dialect::Azure, "{dialect}");
        assert_eq!(dialect.to_string(), dialect.as_str());
    }
    in_small_letters(&names(&FAMILIES, |one| one.as_str().to_owned()));

    let units: Vec<Unit> = Dimension::ALL
        .map(Unit::Of)
        .into_iter()
        .chain(UNITS)
        .collect();
    in_small_letters(&names(&units, |one| one.as_str().to_owned()));
    for (place, unit) in units.iter().enumerate() {
        assert_eq!(unit.dimension(), Dimension::ALL.get(place).copied());
    }

    let refuses = [
        Status::RateLimited,
        Status::PaymentRequired,
        Status::Blocked,
        Status::Rejected,
    ];
    let passes = [
        Status::Allowed,
        Status::AllowedWarning,
        Status::Other,
        Status::Queueing,
    ];
    let all = [refuses, passes].concat();
    in_small_letters(&names(&all, |one| one.as_str().to_owned()));
    for status in all {
        assert_eq!(status.refuses(), refuses.contains(&status), "{status:?}");
    }
}

/// The word that the server uses is the one that the classifier reads.
#[test]
fn why_overage_is_off_is_an_error_code() {
    for (word, why, spent) in [
        ("fetch_error", OverageDisabled::FetchError, false),
        (
            "org_level_disabled",
            OverageDisabled::OrgLevelDisabled,
            false,
        ),
        (
            "org_spend_cap_reached",
            OverageDisabled::OrgSpendCapReached,
            true,
        ),
        ("out_of_credits", OverageDisabled::OutOfCredits, true),
        ("who_knows", OverageDisabled::Other, false),
    ] {
        let name = "anthropic-ratelimit-unified-overage-disabled-reason";
        let hints = ServerHints::parse([(name, word)], None);
        assert_eq!(hints.unified.overage_disabled, Some(why));
        let said = if why == OverageDisabled::Other {
            "other"
        } else {
            word
        };
        assert_eq!(why.as_str(), said);
        let error = ErrorDetails::new("rate_limit_error").code(why.as_str());
        let class = classify(429, error, &ServerHints::NONE, Phase::Head);
        assert_eq!(class == Class::Exhausted, spent, "{word}");
    }
}

#[test]
fn what_an_attempt_comes_to_has_a_name_and_a_sentence() {
    in_small_letters(&names(&CLASSES, |one| one.as_str().to_owned()));
    let of = |dimension| Class::Throttled(Some(dimension));
    for dimension in Dimension::ALL {
        assert_eq!(of(dimension).as_str(), Class::Throttled(None).as_str());
        assert!(of(dimension).to_string().contains(&dimension.to_string()));
    }
    let all = [&CLASSES[..], &Dimension::ALL.map(of)].concat();
    names(&all, Class::to_string);
    for class in all {
        let again = !matches!(
            class,
            Class::Success | Class::Exhausted | Class::NotEntitled | Class::CallerError
        );
        assert_eq!(class.is_retryable(), again, "{class}");
    }
}

#[test]
fn why_one_waits_has_a_sentence() {
    let own = [
        Cause::RetryAfter,
        Cause::Backoff,
        Cause::Response,
        Cause::AskedLate,
    ];
    let shared = [
        Cause::InFlight,
        Cause::Confirmation,
        Cause::Pause,
        Cause::Breaker,
        Cause::Outage,
        Cause::SendRate,
    ];
    let limits = Dimension::ALL.map(Cause::Limit);
    let others = Dimension::ALL.map(Cause::Others);
    let all = [&own[..], &shared, &limits, &others].concat();
    names(&all, Cause::to_string);
    for cause in all {
        assert_eq!(cause.is_shared(), !own.contains(&cause), "{cause}");
    }
    names(&Dimension::ALL, Dimension::to_string);

    let one = Rate::per_second(1).unwrap();
    let mut limiter = Limiter::new(1).limit(Dimension::Requests, one, 1).unwrap();
    let _taken = limiter.try_acquire(Instant::ZERO, &Cost::request());
    let denied = limiter.peek(Instant::ZERO, &Cost::request()).unwrap_err();
    let Denied::Until { wait, .. } = denied else {
        panic!("a second later it passes");
    };
    let said = format!("not before 1000000000 ns: {}", wait.cause);
    assert_eq!(denied.to_string(), said);
}

/// With the figures that it is about.
#[test]
fn why_a_call_is_over_has_a_sentence() {
    let exceeds = Never::ExceedsBurst {
        dimension: Dimension::InputTokens,
        cost: 31,
        burst: 30,
    };
    let late = GiveUp::DeadlineTooClose {
        earliest: Instant::from_nanos(77),
        cause: Cause::Pause,
    };
    let spent = GiveUp::AttemptsSpent {
        attempts: 3,
        class: Class::Overloaded,
    };
    let all = [
        late,
        spent,
        GiveUp::TimeSpent(Class::Overloaded),
        GiveUp::WaitTooLong(Duration::from_secs(505)),
        GiveUp::BudgetSpent(Class::Overloaded),
        GiveUp::NotRetryable(Class::CallerError),
        GiveUp::HandedOn(Class::Overloaded),
        GiveUp::Never(exceeds),
        GiveUp::Never(Never::NotEnabled(Dimension::OutputTokens)),
        GiveUp::Never(Never::Spend),
        GiveUp::Cancelled,
    ];
    names(&all, GiveUp::to_string);
    let overload = Class::Overloaded.to_string();
    for (why, says) in [
        (all[0], "77 ns"),
        (all[0], &Cause::Pause.to_string()),
        (all[1], "3 times"),
        (all[1], &overload),
        (all[2], &overload),
        (all[3], "505 s"),
        (all[4], &overload),
        (all[6], &overload),
        (all[7], "31 input tokens"),
        (all[7], "30"),
        (all[8], "output tokens"),
    ] {
        assert!(why.to_string().contains(says), "{why}: {says}");
    }
}

/// A label is what the server called something, whatever bytes that is.
#[test]
fn labels_print_whatever_they_hold() {
    for (bytes, shown, debug) in [
        (&b"burst"[..], "burst", "\"burst\""),
        (b"", "", "\"\""),
        (b"a\xffb", "a\u{fffd}b", "\"a\\xffb\""),
    ] {
        let label = Label::new(bytes);
        assert_eq!(label.as_bytes(), bytes);
        assert_eq!(label.is_empty(), bytes.is_empty());
        assert_eq!(
            (label.to_string().as_str(), format!("{label:?}").as_str()),
            (shown, debug)
        );
    }
}

#[test]
fn meters_print_as_a_list() {
    let none = Meters::default();
    assert!(none.is_empty());
    assert_eq!(
        (format!("{none:?}"), format!("{:?}", none.iter())),
        ("[]".into(), "[]".into())
    );
    let meter = Meter::new(Family::Standard, Dimension::Requests).limit(50);
    let meters = ServerHints::NONE.with_meter(meter).meters;
    let list = format!("[{:?}]", meters.iter().next().unwrap());
    assert_eq!(
        (format!("{meters:?}"), format!("{:?}", meters.iter())),
        (list.clone(), list)
    );
    assert_eq!(
        HeaderParser::default().finish(),
        HeaderParser::new().finish()
    );
}
