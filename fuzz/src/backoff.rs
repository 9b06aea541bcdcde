//! Any schedule, policy and number of failures: a delay that is there, in its
//! band, and grows to its cap.
//!
//! The input is decimal numbers between blanks; what is missing or none is 0:
//! curve, jitter, base, what the cap lies above it, factor, step, degree, share,
//! longest, previous, asked, number of failures, seed. Spans are nanoseconds.

use core::time::Duration;

use sendwhen::{Backoff, Class, Jitter, RetryPolicy, Sdk, ServerWait};

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut words = text.split_ascii_whitespace();
    let mut number = || {
        words
            .next()
            .and_then(|word| word.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let (curve, jitter) = (number(), number());
    let base = Duration::from_nanos(number());
    let cap = base.saturating_add(Duration::from_nanos(number()));
    let (factor, step, degree) = (
        number() as u32,
        Duration::from_nanos(number()),
        number() as u32,
    );
    let (share, longest) = (number() as u16, Duration::from_nanos(number()));
    let (previous, asked) = (
        Duration::from_nanos(number()),
        Duration::from_nanos(number()),
    );
    let (failures, seed) = (number() as u32, number());

    let list = [base, step, cap];
    let made = match curve % 6 {
        0 => Backoff::constant(base),
        1 => Backoff::linear(base, step, cap),
        2 => Backoff::polynomial(base, degree, cap),
        3 => Backoff::exponential(base, cap).and_then(|plain| plain.factor_per_mille(factor)),
        4 => Backoff::fibonacci(base, cap),
        _ => Backoff::list(&list),
    };
    let Ok(backoff) = made else {
        assert!(base.is_zero() || factor < 1_000, "it could be meant");
        return;
    };
    let jitter = match jitter % 7 {
        0 => Jitter::None,
        1 => Jitter::Full,
        2 => Jitter::Equal,
        3 => Jitter::Decorrelated,
        4 => Jitter::Additive(step),
        5 => Jitter::Above { per_mille: share },
        _ => Jitter::Below { per_mille: share },
    };
    let backoff = backoff.jitter(jitter);
    if curve % 6 != 5 {
        check_curve(&backoff, failures, base, cap);
    }
    check_band(&backoff, failures, previous, seed);
    check_band(&backoff.at_most(longest), failures, previous, seed);
    let (_, most) = backoff.at_most(longest).band(failures, previous);
    assert!(most <= longest, "what comes out is cut");

    let mut before = Duration::ZERO;
    for (n, delay) in (1..).zip(backoff.delays(seed).take(8)) {
        assert_eq!(delay, backoff.delay(n, before, seed), "one after another");
        before = delay;
    }
    check_policies(failures, previous, asked, step, seed);
}

fn check_curve(backoff: &Backoff<'_>, failures: u32, base: Duration, cap: Duration) {
    let most = cap.min(Duration::from_nanos(u64::MAX));
    for n in [0, 1, failures, u32::MAX] {
        let here = backoff.ceiling(n);
        assert!(base <= here && here <= most, "between base and cap");
        assert!(
            here <= backoff.ceiling(n.saturating_add(1)),
            "it never shrinks"
        );
    }
}

fn check_band(backoff: &Backoff<'_>, failures: u32, previous: Duration, seed: u64) {
    let (least, most) = backoff.band(failures, previous);
    let delay = backoff.delay(failures, previous, seed);
    assert!(least <= delay && delay <= most, "in its band");
    assert_eq!(
        delay,
        backoff.delay(failures, previous, seed),
        "from a seed"
    );
}

/// What a server asked for is never undercut, but where a policy is verbatim.
fn check_policies(failures: u32, previous: Duration, asked: Duration, above: Duration, seed: u64) {
    let [python, ts, ts078, go, java, ruby, csharp] = Sdk::ALL.map(ServerWait::As);
    let ways = [
        ServerWait::Apart,
        ServerWait::Raises,
        ServerWait::Replaces,
        ServerWait::Within(above),
        python,
        ts,
        ts078,
        go,
        java,
        ruby,
        csharp,
    ];
    for way in ways {
        let policy = RetryPolicy::new().server_wait(way);
        for class in [
            Class::Throttled(None),
            Class::Acceleration,
            Class::Transient,
        ] {
            let wait = policy.delay(class, failures, previous, Some(asked), seed);
            assert_eq!(wait.is_some(), failures < 10, "while there are attempts");
            assert!(wait.is_none_or(|wait| wait >= asked), "never undercut");
            let own = policy
                .verbatim(true)
                .delay(class, failures, previous, Some(asked), seed);
            let most = own.map(|own| own.max(asked.saturating_add(Duration::from_secs(1))));
            assert!(wait <= most, "no more than one of the two");
        }
        assert_eq!(
            policy.delay(Class::CallerError, 1, previous, Some(asked), seed),
            None
        );
    }
}
