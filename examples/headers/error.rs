//! What an error body says: its type, code, message and delay, and the header
//! fields that some put into it.

use sendwhen::ErrorDetails;
use serde_json::{Value, json};

/// An error body, and what it has of header fields.
#[derive(Debug)]
pub(crate) struct ErrorBody {
    /// As an object with an `error`, or a `message`, in it.
    value: Value,
    /// OpenRouter echoes its header fields in the body.
    pub(crate) fields: Vec<(String, String)>,
}

impl ErrorBody {
    /// What a classifier asks for.
    pub(crate) fn details(&self) -> ErrorDetails<'_> {
        ErrorDetails::find(|at| self.value.pointer(at)?.as_str())
    }
}

/// `None` where the body has no error in it: with a status of success, one must
/// be named as such. A stream is read up to its first error.
pub(crate) fn read(body: &str, status: Option<u16>) -> Option<ErrorBody> {
    let is_refusal = status.is_some_and(|status| status >= 400);
    let value = match whole(body) {
        Some(value) => error(value, is_refusal)?,
        None => body
            .lines()
            .filter_map(|line| whole(line.trim_start().strip_prefix("data:")?))
            .find_map(|value| error(value, false))?,
    };
    let fields = echoed(&value);
    Some(ErrorBody { value, fields })
}

fn error(value: Value, is_refusal: bool) -> Option<Value> {
    let value = match value {
        // Google wraps it into a list.
        Value::Array(list) => list.into_iter().next()?,
        value => value,
    };
    let has = |at: &str| value.pointer(at).is_some_and(|error| !error.is_null());
    let is_named = has("/error") || has("/response/error");
    // Azure's streams have no `error` around it.
    let is_typed = value.get("type").is_some_and(|kind| kind == "error");
    match value {
        value if is_named || is_typed => Some(value),
        Value::String(message) if is_refusal => Some(json!({ "message": message })),
        value => Some(value).filter(|value| is_refusal && value.is_object()),
    }
}

fn echoed(value: &Value) -> Vec<(String, String)> {
    let Some(Value::Object(map)) = value.pointer("/error/metadata/headers") else {
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

/// The value that `text` is, or that it was before its end was cut off, as logs
/// and those who quote them do.
fn whole(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let mut open = Vec::new();
    let (mut is_quoted, mut is_escaped) = (false, false);
    for letter in text.chars() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' if open.pop() != Some(letter) => return None,
            _ => {}
        }
    }
    let closed = open.into_iter().rev().collect::<String>();
    let quote = if is_quoted { "\"" } else { "" };
    // The cut may have gone through a pair: then it goes.
    let cuts = [text.len()]
        .into_iter()
        .chain(text.rmatch_indices(',').map(|(at, _)| at));
    cuts.take(2).find_map(|end| {
        let quote = if end == text.len() { quote } else { "" };
        serde_json::from_str(&format!("{}{quote}{closed}", text.get(..end)?)).ok()
    })
}
