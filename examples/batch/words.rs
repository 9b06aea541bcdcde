//! What the scheduler says, in words.

use std::time::Duration;

use sendwhen::{Dropped, GiveUp, Instant, Level, Notice, Rate};

/// Why a call was given up, without what differs from call to call, so that
/// reasons can be counted.
pub(crate) fn reason(why: &GiveUp) -> String {
    match why {
        GiveUp::DeadlineTooClose { cause, .. } => {
            format!("it could not start by its deadline because of {cause}")
        }
        why => why.to_string(),
    }
}

/// Why a call that waited is over, likewise.
pub(crate) fn drop_reason(why: &Dropped) -> String {
    match why {
        Dropped::GivenUp(why) => reason(why),
        why => why.to_string(),
    }
}

/// A notice of `now`. Pool by pool, `models` are what the pools are of.
pub(crate) fn notice(notice: &Notice, models: &[String], now: Instant) -> String {
    let (pool, words) = match notice {
        Notice::LimitChanged {
            pool,
            dimension,
            from,
            to,
        } => {
            let was = from.map_or(String::new(), |from| format!(", was {}", level(&from)));
            (
                pool,
                format!("the limit of {dimension} is {}{was}", level(to)),
            )
        }
        Notice::Scarce {
            pool,
            dimension,
            since,
        } => {
            let seconds = now.saturating_duration_since(*since).as_secs();
            let words = format!("for {seconds} s there was less than a fifth of its {dimension}");
            (pool, words)
        }
        Notice::Stopped { pool, until } => {
            let seconds = until.saturating_duration_since(now).as_secs_f64();
            (pool, format!("the server stopped it for {seconds:.1} s"))
        }
        Notice::Failing { pool, class } => {
            let words = format!("ten attempts in a row failed, the last as {class}");
            (pool, words)
        }
        Notice::ClockSkew { pool, gained_ms } => {
            let words = format!("the server's clock gained {gained_ms} ms on this one");
            (pool, words)
        }
        Notice::Malformed { pool, problems } => {
            let words = format!("something is wrong in a response's fields: {problems:?}");
            (pool, words)
        }
        Notice::Lost(count) => return format!("{count} notices were lost"),
        other => return format!("{other:?}"),
    };
    match models.get(pool.index()) {
        Some(model) => format!("{model}: {words}"),
        None => words,
    }
}

fn level(level: &Level) -> String {
    format!("{}, {} at once", rate(level.rate), level.capacity)
}

/// Limits are given per minute, whatever their fraction in lowest terms is.
fn rate(rate: Rate) -> String {
    let minute = Duration::from_secs(60).as_nanos();
    let count = u128::from(rate.count()).saturating_mul(minute);
    match count.checked_div(rate.period().as_nanos()) {
        Some(count) => format!("{count} a minute"),
        None => format!("{rate:?}"),
    }
}
