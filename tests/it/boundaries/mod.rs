//! Every public constructor and verb at the boundaries of its numbers: 0, 1, the
//! last but one and the last, in all combinations, on values that were made by
//! verbs at theirs. None panics, none overflows (tests are built with overflow
//! checks), each says the same when it is called again, a refusal changes
//! nothing, and waits are in the future.
//!
//! Verbs are listed by their signatures alone; `docs/api.txt` says whether one is
//! missing.

mod by_hand;
mod lists;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::{NonZeroU16, NonZeroU32},
    sync::OnceLock,
    time::Duration,
};

use sendwhen::*;

use world::{Answer, Value, World, found, given};

type Backoff = sendwhen::Backoff<'static>;
type ErrorDetails = sendwhen::ErrorDetails<'static>;
type Of = sendwhen::Of<TokenBucket>;
type SlidingLog = sendwhen::SlidingLog<[LogEntry; 3]>;
type SlidingMinute = sendwhen::SlidingMinute<[LogEntry; 3]>;

/// An event that borrows nothing.
#[derive(Clone, Debug)]
enum Told {
    Submitted,
    Woken,
    Responded(u16, Box<ServerHints>, ErrorDetails),
    Progressed(Usage, bool),
    Finished(Option<Usage>),
    Failed(Failure<'static>),
    Cancelled,
}

impl Told {
    fn event(&self) -> Event<'_> {
        match self {
            Self::Submitted => Event::Submitted,
            Self::Woken => Event::Woken,
            Self::Responded(status, hints, error) => Event::responded(*status, hints, *error),
            Self::Progressed(usage, handed_on) => Event::progressed(*usage, *handed_on),
            Self::Finished(usage) => Event::Finished(*usage),
            Self::Failed(failure) => Event::Failed(*failure),
            Self::Cancelled => Event::Cancelled,
        }
    }
}

found! {
    ActiveBudget, AdaptiveInFlight, Backoff, Breaker, Budget, Charge, ClassRule, ClientThrottle,
    Control, Cost, CubicRate, ErrorDetails, Explanation, FixedWindow, HalfBudget, HeaderParser,
    InFlight, Level, Limiter, LogCharge, LowWater, Meter, Meters, Of, Pause, Profile, Pushback,
    Quota, QuotaCharge, RampCharge, Rate, RatioBudget, Remaining, Request, Reservation, Reset,
    RetryGrant, RetryPolicy, ServerHints, SlidingCounter, SlidingLog, SlidingMinute, SmoothRamp,
    Spacing, SpacingCharge, SpreadPause, StepRamp, TierLimits, Told, TokenBucket, TokenBudget,
    Turn, Usage, WindowCharge,
}
#[cfg(feature = "serde")]
found!(LimiterSnapshot);

given! {
    u8, u16, u32, u64, i64, usize, bool, Duration, Instant, UnixTime, BareReset, Class, Dialect,
    Dimension, Family, Jitter, Outcome, OutputRule, Phase, Problems, ResetGiven, Sdk, ServerWait,
    Status, OverageDisabled, Tier, Unit, WaitRule, Cause, NonZeroU16, NonZeroU32,
}
#[cfg(feature = "alloc")]
given!(Bounds, Priority, TenantId);

impl Value for Refusal {}
impl Value for () {}
impl Value for &'static str {}
impl Value for &'static [u8] {}
impl Answer for ConfigError {}

/// The ends of each integer and an ordinary number; of spans and amounts also the
/// ends of the ranges in which this crate computes exactly.
fn boundaries(world: &mut World) {
    const EXACT: u64 = 1 << 63;
    world.give([0, 1, u8::MAX - 1, u8::MAX]);
    world.give([0, 1, 200, 429, 529, 1_000, u16::MAX - 1, u16::MAX]);
    world.give([0, 1, 60, u32::MAX - 1, u32::MAX]);
    world.give([0, 1, 60, EXACT - 1, u64::MAX - 1, u64::MAX]);
    world.give([i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]);
    world.give([0, 1, usize::MAX - 1, usize::MAX]);
    world.give([1, 2, u32::MAX - 1, u32::MAX].map(|weight| NonZeroU32::new(weight).unwrap()));
    world.give([1, 2, u16::MAX - 1, u16::MAX].map(|most| NonZeroU16::new(most).unwrap()));
    world.give([false, true]);
    world.give([()]);
    let nanos = [
        0,
        1,
        60_000_000_000,
        EXACT - 1,
        EXACT,
        u64::MAX - 1,
        u64::MAX,
    ];
    world.give(nanos.map(Duration::from_nanos));
    world.give([Duration::MAX]);
    world.give([0, 1, 60_000_000_000, u64::MAX - 1, u64::MAX].map(Instant::from_nanos));
    let millis = [
        i64::MIN,
        i64::MIN + 1,
        -1,
        0,
        1,
        1_655_120_933_000,
        i64::MAX - 1,
        i64::MAX,
    ];
    world.give(millis.map(UnixTime::from_millis));
    world.give(millis.map(|millis| ResetGiven::In { millis }));
    world.give(millis.map(|millis| ResetGiven::At(UnixTime::from_millis(millis))));
    world.give([
        Refusal::Never,
        Refusal::Until(Instant::ZERO),
        Refusal::Until(Instant::MAX),
    ]);
    // As text: the ends, and what lies just beyond them.
    let numbers: &[&str] = &[
        "",
        "0",
        "1",
        "-1",
        "59",
        "60",
        "255",
        "256",
        "65535",
        "65536",
        "2147483647",
        "2147483648",
        "4294967295",
        "4294967296",
        "999999999999999",
        "-999999999999999",
        "1000000000000000",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551614",
        "18446744073709551615",
        "18446744073709551616",
        "0.000000001",
        "9223372036.854775807s",
        "9223372036.854775808s",
        "2562047h47m16.854775807s",
        "2562047h47m16.854775808s",
        "-2562047h47m16.854775808s",
        "18446744073709551615ns",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sat, 01 Jan 0000 00:00:00 GMT",
        "Friday, 31-Dec-99 23:59:59 GMT",
        "Fri Dec 31 23:59:60 9999",
        "0000-01-01T00:00:00Z",
        "0000-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999999999Z",
        "9999-12-31T23:59:60-23:59",
        "@9223372036854775807",
        "a;w=999999999999999;q=999999999999999",
        "5;w=0",
        "a=-1;r=0;t=0",
    ];
    world.give(numbers.iter().map(|text| text.as_bytes()));
    let words: &[&str] = &[
        "",
        "retry-after",
        "retry-after-ms",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
        "anthropic-ratelimit-unified-5h-utilization",
        "x-ratelimit-reset-requests",
        "x-ratelimit-remaining",
        "ratelimit-policy",
        "ratelimit",
        "claude-opus-5",
        "w",
        "rate_limit_error",
        "18446744073709551615s",
        "Your current limit is 18446744073709551616 input tokens per minute",
    ];
    world.give(words.iter().copied());
}

/// All variants of what has no numbers, and those with numbers at the ends.
fn variants(world: &mut World) {
    world.give(Dimension::ALL);
    world.give(Dimension::ALL.map(Unit::Of));
    world.give([Unit::Share, Unit::Other]);
    world.give(Dialect::ALL);
    world.give(Sdk::ALL);
    world.give(Sdk::ALL.map(ServerWait::As));
    world.give([ServerWait::Apart, ServerWait::Raises, ServerWait::Replaces]);
    world.give([Duration::ZERO, Duration::MAX].map(ServerWait::Within));
    world.give([
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
    ]);
    world.give([Duration::ZERO, Duration::MAX].map(Jitter::Additive));
    for per_mille in [0, 1, 1_000, u16::MAX - 1, u16::MAX] {
        world.give([Jitter::Above { per_mille }, Jitter::Below { per_mille }]);
    }
    world.give(crate::words::CLASSES);
    world.give([Class::Throttled(Some(Dimension::Requests))]);
    world.give([Cause::Backoff, Cause::Limit(Dimension::Requests)]);
    world.give([
        Family::Standard,
        Family::Fast,
        Family::Unified,
        Family::Overage,
    ]);
    world.give([BareReset::Auto, BareReset::Millis, BareReset::Seconds]);
    world.give([WaitRule::Longer, WaitRule::Millis, WaitRule::Seconds]);
    world.give([OutputRule::AsProduced, OutputRule::Reserved]);
    world.give([Outcome::Admitted, Outcome::Refused, Outcome::Unknown]);
    world.give([Phase::Head, Phase::Stream, Phase::HandedOn]);
    world.give(Problems::ALL.map(|(problem, _)| problem));
    world.give([Problems::NONE]);
    world.give([Status::Allowed, Status::Rejected]);
    world.give([OverageDisabled::Other, OverageDisabled::OutOfCredits]);
    world.give([Tier::Tier1, Tier::Start, Tier::Build, Tier::Scale]);
    // An ordinary one, so that there always is one with limits.
    let rate = Rate::per_minute(60).unwrap();
    world.give(Limiter::new(1).limit(Dimension::Requests, rate, 60));
    for (shown, unit) in [(i64::MIN, 0), (0, u32::MAX), (i64::MAX, u32::MAX)] {
        let meter = Meter::new(Family::Standard, Dimension::Requests).remaining(shown, unit);
        world.give(meter.remaining);
    }
    world.give([Told::Submitted, Told::Woken, Told::Cancelled]);
    world.give([Failure::NotSent, Failure::TimedOut, Failure::Lost].map(Told::Failed));
    world.give([Told::Failed(Failure::InStream(ErrorDetails::new(
        "overloaded_error",
    )))]);
    #[cfg(feature = "alloc")]
    {
        world.give(Priority::ALL);
        world.give([0, 1, u32::MAX - 1, u32::MAX].map(TenantId::new));
        world.give([0, 1, usize::MAX].map(|most| Bounds::NONE.calls(most)));
        world.give([Duration::ZERO, Duration::MAX].map(|most| Bounds::NONE.cost(most)));
    }
}

/// How often each verb was called. What is made in one round is used in the
/// next.
fn played() -> &'static BTreeMap<&'static str, usize> {
    static CALLS: OnceLock<BTreeMap<&'static str, usize>> = OnceLock::new();
    CALLS.get_or_init(|| {
        let mut world = World::default();
        boundaries(&mut world);
        variants(&mut world);
        for _ in 0..3 {
            lists::all(&mut world);
            by_hand::all(&mut world);
        }
        world.calls
    })
}

#[test]
fn every_verb_bears_the_boundaries_of_its_numbers() {
    let never: Vec<_> = played().iter().filter(|(_, calls)| **calls == 0).collect();
    assert!(never.is_empty(), "what these take is not made: {never:?}");
    let calls: usize = played().values().sum();
    println!("{} verbs, {calls} calls", played().len());
}

/// Verbs that are not played here, and why: they take no number, or hand it on.
#[cfg(all(feature = "serde", feature = "std", feature = "http"))]
const NOT_PLAYED: [(&str, &str); 24] = [
    ("Limit::charge", "played for each limit"),
    ("Limit::leaves", "played for each limit"),
    ("Limit::peek", "played for each limit"),
    ("Limit::refund", "played for each limit"),
    ("Limit::try_acquire", "played for each limit"),
    ("Permit::cost", "played with Limiter::try_acquire"),
    ("Recorder::change", "hands on what it is given"),
    ("Recorder::handle", "hands on to Scheduler::handle"),
    ("Recorder::into_scheduler", "takes nothing"),
    ("Recorder::new", "takes no number"),
    ("Recorder::next", "hands on to Scheduler::next"),
    ("Recorder::notice", "takes nothing"),
    ("Recorder::postpone", "hands on to Scheduler::postpone"),
    ("Recorder::prioritise", "hands on to Scheduler::prioritise"),
    ("Recorder::rebase", "hands on to Scheduler::rebase"),
    ("Recorder::scheduler", "takes nothing"),
    ("Recorder::set_bounds", "hands on to Scheduler::set_bounds"),
    (
        "Recorder::set_patience",
        "hands on to Scheduler::set_patience",
    ),
    ("Recorder::set_weight", "hands on to Scheduler::set_weight"),
    ("Recorder::submit", "hands on to Scheduler::submit"),
    ("Replay::new", "takes no number"),
    ("Replay::scheduler", "takes nothing"),
    ("Replay::step", "takes records alone: fuzz target `replay`"),
    (
        "ServerHints::from_header_map",
        "hands on to ServerHints::parse",
    ),
];

#[cfg(all(feature = "serde", feature = "std", feature = "http"))]
#[test]
fn no_verb_is_missing() {
    let api = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.txt"));
    let there = verbs(&api.unwrap());
    assert!(there.len() > 250, "{} are found", there.len());
    let mut missing: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    for name in played().keys().filter(|name| !name.starts_with("so: ")) {
        assert!(
            missing.remove(name),
            "{name} is played twice, or is no verb any more"
        );
    }
    for (name, why) in NOT_PLAYED {
        assert!(
            missing.remove(name),
            "{name} is played, or is no verb any more: {why}"
        );
    }
    assert!(missing.is_empty(), "not played: {missing:?}");
}

/// Types of layer 3, and those of snapshots, which `serde` makes and std's times.
#[cfg(all(feature = "serde", feature = "std", feature = "http"))]
const NOT_BARE: [&str; 22] = [
    "Bounds",
    "CallId",
    "CallSnapshot",
    "Job",
    "LimiterSnapshot",
    "PoolId",
    "Recorder",
    "Replay",
    "RouteId",
    "Scheduler",
    "Snapshot",
    "TenantId",
    "Call::snapshot",
    "Instant::from_std",
    "Instant::to_std",
    "Limiter::snapshot",
    "ServerHints::from_header_map",
    "Limit::charge",
    "Limit::leaves",
    "Limit::peek",
    "Limit::refund",
    "Limit::try_acquire",
];

/// `.ci/bare` links it without std and alloc, and finds panics by their symbols.
#[cfg(all(feature = "serde", feature = "std", feature = "http"))]
#[test]
fn the_bare_program_links_every_verb() {
    let here = env!("CARGO_MANIFEST_DIR");
    let read = |file: &str| std::fs::read_to_string(format!("{here}/{file}")).unwrap();
    let linked = read("tests/bare/src/verbs.rs");
    let linked: BTreeSet<String> = linked
        .split(|c: char| !(c.is_alphanumeric() || "_:<>[];".contains(c) || c == ' '))
        .map(|path| plain(path.trim()))
        .collect();
    let mut missing = verbs(&read("docs/api.txt"));
    missing.retain(|verb| {
        let of = verb.split("::").next().unwrap();
        let is_bare = !NOT_BARE.contains(&of) && !NOT_BARE.contains(&verb.as_str());
        is_bare && !verb.starts_with("Limit for ") && !linked.contains(verb)
    });
    assert!(missing.is_empty(), "not linked: {missing:?}");
}

/// A path without its generics.
#[cfg(all(feature = "serde", feature = "std", feature = "http"))]
fn plain(path: &str) -> String {
    let mut depth = 0;
    let outside = path.chars().filter(|c| {
        depth += i32::from(*c == '<');
        let inside = depth > 0;
        depth -= i32::from(*c == '>');
        !inside
    });
    let outside: String = outside.collect();
    outside
        .replace("::::", "::")
        .trim_end_matches(':')
        .to_owned()
}

/// The inherent verbs of a listing of the public interface, and which types are a
/// `Limit`.
#[cfg(all(feature = "serde", feature = "std", feature = "http"))]
fn verbs(api: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut of_a_trait = false;
    for line in api.lines() {
        if line.starts_with("impl") {
            of_a_trait = line.contains(" for ");
            if let Some((_, limit)) = line.split_once("sendwhen::Limit for sendwhen::") {
                let name = limit.split('<').next().unwrap();
                all.insert(format!("Limit for {name}"));
            }
            continue;
        }
        let line = line.replace("pub const fn ", "pub fn ");
        let Some(verb) = line.strip_prefix("pub fn sendwhen::") else {
            // A struct, a trait or an enum: what follows is not of the last impl.
            of_a_trait &= line.starts_with("pub type ") || line.starts_with("pub fn ");
            continue;
        };
        let plain = plain(verb);
        let name = plain.split('(').next().unwrap();
        // A function is of no impl.
        if !of_a_trait || !name.contains("::") {
            all.insert(name.to_owned());
        }
    }
    all
}
