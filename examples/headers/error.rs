//! What an error body says: its type, code, message and delay, and the header
//! fields that some put into it.

use core::time::Duration;

use sendwhen::parse_go_duration;
use serde_json::Value;

/// The fields of an error that a classifier asks for.
#[derive(Debug, Default)]
pub(crate) struct ErrorBody {
    pub(crate) kind: String,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) delay: Option<Duration>,
    /// OpenRouter echoes its header fields in the body.
    pub(crate) fields: Vec<(String, String)>,
}

/// `None` where the body has no error in it. A stream is read up to its first
/// error.
pub(crate) fn read(body: &str) -> Option<ErrorBody> {
    if let Ok(value) = serde_json::from_str::<Value>(body) {
        return error(&value);
    }
    body.lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .find_map(|value| error(&value))
}

fn error(value: &Value) -> Option<ErrorBody> {
    // Google wraps it into a list, and streams into a response.
    let value = value.get(0).unwrap_or(value);
    let error = value
        .get("error")
        .or_else(|| value.pointer("/response/error"))
        .or_else(|| Some(value).filter(|v| v.get("type").is_some_and(|kind| kind == "error")))
        .filter(|error| !error.is_null())?;
    let text = |path: &str| {
        error
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let code = [text("/details/error_code"), text("/code"), text("/status")];
    let message = error.as_str().unwrap_or_else(|| text("/message"));
    Some(ErrorBody {
        kind: text("/type").to_owned(),
        code: code
            .into_iter()
            .find(|code| !code.is_empty())
            .unwrap_or_default()
            .to_owned(),
        message: message.to_owned(),
        delay: delay(error),
        fields: echoed(error),
    })
}

/// Google's `RetryInfo`: a span in seconds, `48s` or `45.837906927s`.
fn delay(error: &Value) -> Option<Duration> {
    let details = error.get("details")?.as_array()?;
    let text = details
        .iter()
        .find_map(|detail| detail.get("retryDelay")?.as_str())?;
    let nanos = parse_go_duration(text.as_bytes())?;
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

fn echoed(error: &Value) -> Vec<(String, String)> {
    let Some(Value::Object(map)) = error.pointer("/metadata/headers") else {
        return Vec::new();
    };
    map.iter()
        .map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (name.clone(), text)
        })
        .collect()
}
