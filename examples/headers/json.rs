//! One object a line.

use core::time::Duration;

use sendwhen::{Class, Family, Meter, Unit};
use serde_json::{Map, Number, Value, json};

use crate::explain::Explained;

/// The object that a response comes to.
pub(crate) fn object(explained: &Explained) -> Value {
    let hints = &explained.hints;
    let (mut dimensions, mut pools) = (Map::new(), Map::new());
    for meter in hints.meters.leading() {
        if meter.family == Family::Standard {
            dimensions.insert(meter.unit.as_str().to_owned(), values(&meter));
        }
    }
    let leading: Vec<Meter> = hints.meters.leading().collect();
    for meter in &hints.meters {
        let is_plain = meter.family == Family::Standard && meter.pool.is_empty();
        if !(is_plain && leading.contains(&meter)) {
            let pool = pools.entry(pool(&meter)).or_insert_with(|| json!({}));
            if let Value::Object(pool) = pool {
                pool.insert(meter.unit.as_str().to_owned(), values(&meter));
            }
        }
    }
    json!({
        "dialect": hints.dialect.as_str(),
        "retry_after_ms": hints.retry_after.map(millis),
        "dimensions": dimensions,
        "pools": pools,
        "class": explained.class.map(Class::as_str),
        "reports": explained.reports,
    })
}

/// The object in the place of what could not be read.
pub(crate) fn error(why: &str) -> Value {
    json!({ "error": why })
}

fn values(meter: &Meter) -> Value {
    let mut values = Map::new();
    let mut say = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.insert(name.to_owned(), value);
        }
    };
    let remaining = meter.remaining.map(|left| left.shown);
    if meter.unit == Unit::Share {
        say("status", meter.status.map(|status| status.as_str().into()));
        say("utilization", remaining.and_then(utilization));
    } else {
        say("limit", meter.limit.map(Value::from));
        say("remaining", remaining.map(Value::from));
    }
    say(
        "reset_ms",
        meter
            .reset
            .and_then(|reset| reset.after_date_ms)
            .map(Value::from),
    );
    Value::Object(values)
}

/// What was used, with 1 as the whole.
#[expect(
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "for people; millionths are exact"
)]
fn utilization(left: i64) -> Option<Value> {
    let used = 1_000_000_i64.saturating_sub(left);
    Number::from_f64(used as f64 / 1e6).map(Value::Number)
}

/// The pool's name, as `priority`, `unified_5h`, `unified_7d_opus`, `search` or
/// `month`.
pub(crate) fn pool(meter: &Meter) -> String {
    let of_models = meter.family.as_str().strip_prefix("unified_");
    if let (Some(models), Some(window)) = (of_models, meter.window) {
        return format!("unified_{}_{models}", span(window));
    }
    let mut parts = Vec::new();
    if meter.family != Family::Standard {
        parts.push(meter.family.as_str().to_owned());
    }
    if !meter.pool.is_empty() {
        parts.push(meter.pool.to_string());
    }
    let is_window_told = meter.unit == Unit::Share || parts.is_empty();
    if let (true, Some(window)) = (is_window_told, meter.window) {
        parts.push(span(window));
    }
    if parts.is_empty() {
        return meter.family.as_str().to_owned();
    }
    parts.join("_")
}

fn span(window: Duration) -> String {
    match window.as_secs() {
        1 => "second".to_owned(),
        60 => "minute".to_owned(),
        3_600 => "hour".to_owned(),
        18_000 => "5h".to_owned(),
        86_400 => "day".to_owned(),
        604_800 => "7d".to_owned(),
        2_592_000 => "month".to_owned(),
        seconds => format!("{seconds}s"),
    }
}

/// Milliseconds, whole where they are.
#[expect(
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "for people"
)]
fn millis(wait: Duration) -> Value {
    let whole = wait.subsec_nanos() % 1_000_000 == 0;
    match u64::try_from(wait.as_millis()) {
        Ok(millis) if whole => millis.into(),
        _ => Number::from_f64(wait.as_nanos() as f64 / 1e6).map_or(Value::Null, Value::Number),
    }
}
