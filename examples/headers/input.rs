//! From the input to responses: one JSON object a line, or heads as HTTP writes
//! them.
//!
//! Of an object this is read, by whichever name is there, in the object itself
//! or in a `response` in it:
//!
//! - the status: a number, `"429"`, `"429 Too Many Requests"`, or an object with
//!   a `code`; else the `:status` among the headers;
//! - the headers: an object of strings, numbers or lists of them; a list of
//!   pairs, of objects with a `name` and a `value`, of lines, or of names and
//!   values by turns; or lines in one string. Where there are none, the object
//!   itself is taken for them, as `curl -w '%{header_json}'` prints it;
//! - the body: a string, an object with a `string` or a `text`, or the JSON that
//!   it is;
//! - the `provider`, whose word is taken where names alone do not tell.
//!
//! Objects may also stand in one list, or over several lines, or be the entries
//! of an HTTP archive or a cassette.

use core::fmt;

use sendwhen::{Field, HeaderParser};
use serde_json::Value;

/// A response, as it was recorded.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: Option<u16>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Option<String>,
    pub(crate) provider: Option<String>,
}

/// What could not be read, and where.
#[derive(Debug)]
pub(crate) struct Unreadable {
    line: usize,
    why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

type Read = Result<Response, Unreadable>;

/// All responses in the input, in its order.
pub(crate) fn responses(text: &str) -> Vec<Read> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['{', '[']) {
        objects(text)
    } else {
        heads(text)
    }
}

const STATUS: [&str; 7] = [
    "status",
    "status_code",
    "statusCode",
    "http_status",
    "httpStatus",
    "Status",
    "code",
];
const HEADERS: [&str; 8] = [
    "headers",
    "raw_headers",
    "rawHeaders",
    "response_headers",
    "responseHeaders",
    "Headers",
    "header",
    "fields",
];
const BODY: [&str; 5] = ["body", "response_body", "responseBody", "Body", "content"];
const RESPONSE: [&str; 4] = ["response", "Response", "res", "resp"];
const PROVIDER: [&str; 3] = ["provider", "dialect", "vendor"];

/// Line by line, so that one that cannot be read hinders no other; as a whole
/// where a line is no whole object.
fn objects(text: &str) -> Vec<Read> {
    let lines = || {
        (1..)
            .zip(text.lines())
            .filter(|(_, line)| !line.trim().is_empty())
    };
    let is_object = |line: &str| {
        let value = serde_json::from_str::<Value>(line);
        value.is_ok_and(|value| value.is_object() && entries(&value).is_none())
    };
    if lines().any(|(_, line)| is_object(line)) {
        return lines().map(|(number, line)| object(number, line)).collect();
    }
    let mut all = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value.as_ref().map(|value| (value, entries(value))) {
            Ok((_, Some(values))) => all.extend(values.iter().map(|value| response(1, value))),
            Ok((value, None)) => all.push(response(1, value)),
            Err(error) => {
                let line = error.line();
                all.push(Err(unreadable(line, error)));
                break;
            }
        }
    }
    all
}

/// The list that `value` is, or that stands in it for all that was recorded.
fn entries(value: &Value) -> Option<&Vec<Value>> {
    const LISTS: [&str; 4] = ["/log/entries", "/http_interactions", "/interactions", ""];
    LISTS
        .into_iter()
        .find_map(|at| value.pointer(at)?.as_array())
}

fn object(line: usize, text: &str) -> Read {
    let value = serde_json::from_str(text).map_err(|error| {
        // Of one line, only the column says more.
        let why = error.to_string();
        unreadable(line, why.replace(" at line 1 column", " at column"))
    })?;
    response(line, &value)
}

fn unreadable(line: usize, why: impl fmt::Display) -> Unreadable {
    Unreadable {
        line,
        why: why.to_string(),
    }
}

fn response(line: usize, value: &Value) -> Read {
    if !value.is_object() {
        return Err(unreadable(line, format!("no object but {}", kind(value))));
    }
    let inner = member(value, &RESPONSE).filter(|inner| inner.is_object());
    let find = |names: &[&str]| member(value, names).or_else(|| member(inner?, names));
    let status = match find(&STATUS) {
        None | Some(Value::Null) => None,
        Some(value) => {
            let why = || unreadable(line, format!("a status that is none: {value}"));
            Some(status(value).ok_or_else(why)?)
        }
    };
    let headers = find(&HEADERS)
        .or_else(|| Some(value).filter(|value| is_bare(value)))
        .ok_or_else(|| {
            let why = format!("no headers under any of {}", HEADERS.join(", "));
            unreadable(line, why)
        })?;
    let mut fields = Vec::new();
    collect(headers, &mut fields).map_err(|why| unreadable(line, why))?;
    let status = status.or_else(|| pseudo(&mut fields));
    let provider = member(value, &PROVIDER).and_then(Value::as_str);
    Ok(Response {
        status,
        fields,
        body: find(&BODY).and_then(body),
        provider: provider.map(str::to_owned),
    })
}

/// Whether an object is itself the headers: one of its members is, and all are
/// what headers may be.
fn is_bare(value: &Value) -> bool {
    let is_name = |name: &str| {
        HeaderParser::new().field(name.as_bytes(), b"") != Field::Ignored
            || ["content-type", "server"].contains(&name.to_ascii_lowercase().as_str())
    };
    value.as_object().is_some_and(|map| {
        let mut values = map.values();
        map.keys().any(|name| is_name(name)) && values.all(|value| !value.is_object())
    })
}

/// Takes the fields out that HTTP/2 has for the status line, and gives the
/// status.
fn pseudo(fields: &mut Vec<(String, String)>) -> Option<u16> {
    let status = fields.iter().find(|(name, _)| name == ":status");
    let status = status.and_then(|(_, value)| value.trim().parse().ok());
    fields.retain(|(name, _)| !name.starts_with(':'));
    status
}

fn member<'a>(value: &'a Value, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| value.get(name))
}

fn status(value: &Value) -> Option<u16> {
    match value {
        // Some tables make decimals of all their numbers.
        Value::Number(number) => number.to_string().trim_end_matches(".0").parse().ok(),
        Value::String(text) => text.split_whitespace().find_map(|word| word.parse().ok()),
        Value::Object(_) => status(member(value, &STATUS)?),
        _ => None,
    }
}

fn body(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Object(_) => match member(value, &["string", "text"]) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => Some(value.to_string()),
        },
        _ => Some(value.to_string()),
    }
}

/// The fields, in whatever form they are.
fn collect(value: &Value, fields: &mut Vec<(String, String)>) -> Result<(), String> {
    match value {
        Value::Null => Ok(()),
        Value::Object(map) => {
            for (name, value) in map {
                each(name, value, fields)?;
            }
            Ok(())
        }
        Value::Array(list) => {
            if let Some(pairs) = by_turns(list) {
                fields.extend(pairs);
                return Ok(());
            }
            for (place, entry) in (1..).zip(list) {
                pair(entry, fields).map_err(|why| format!("header {place}: {why}"))?;
            }
            Ok(())
        }
        Value::String(lines) => {
            for text in lines.lines().filter(|text| !text.trim().is_empty()) {
                if status_line(text).is_none() {
                    fields.push(split(text)?);
                }
            }
            Ok(())
        }
        _ => Err(format!("headers that are none: {}", kind(value))),
    }
}

/// Names and values by turns, as Node.js hands them out. No name has a colon or
/// a blank in it, as lines have.
fn by_turns(list: &[Value]) -> Option<Vec<(String, String)>> {
    let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
    let is_name = |name: &str| !name.is_empty() && !name.contains([':', ' ']);
    let pairs = texts?
        .chunks(2)
        .map(|pair| match *pair {
            [name, value] if is_name(name) => Some((name.to_owned(), value.to_owned())),
            _ => None,
        })
        .collect::<Option<Vec<_>>>();
    pairs.filter(|pairs| !pairs.is_empty())
}

fn pair(entry: &Value, fields: &mut Vec<(String, String)>) -> Result<(), String> {
    match entry {
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(name), value] => each(name, value, fields),
            _ => Err(format!("no pair of a name and a value: {entry}")),
        },
        Value::Object(map) => {
            let named = member(entry, &["name", "Name", "key", "Key"]).and_then(Value::as_str);
            let value = member(entry, &["value", "Value", "values"]);
            match (named, value, map.iter().next()) {
                (Some(name), Some(value), _) => each(name, value, fields),
                (_, _, Some((name, value))) if map.len() == 1 => each(name, value, fields),
                _ => Err(format!("no name with a value: {entry}")),
            }
        }
        Value::String(text) => {
            fields.push(split(text)?);
            Ok(())
        }
        _ => Err(format!("no pair of a name and a value: {entry}")),
    }
}

/// One field, or one for each of its values.
fn each(name: &str, value: &Value, fields: &mut Vec<(String, String)>) -> Result<(), String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => return Ok(()),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Array(values) => {
            return values
                .iter()
                .try_for_each(|value| each(name, value, fields));
        }
        Value::Object(_) => return Err(format!("{name} has an object for its value")),
    };
    fields.push((name.to_owned(), text));
    Ok(())
}

fn split(text: &str) -> Result<(String, String), String> {
    // The fields that HTTP/2 has for the status line begin with a colon.
    let begins = text.bytes().take_while(|&byte| byte == b':').count();
    let (begin, rest) = text.split_at(begins.min(1));
    match rest.split_once(':') {
        Some((name, value)) => Ok((format!("{begin}{}", name.trim()), value.trim().to_owned())),
        None => Err(format!("no colon in {text:?}")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Heads as HTTP writes them, with their bodies; also as `curl -v` and `wget -S`
/// show them. Several may follow one another, as when a redirect answers first.
/// Interim answers, 1xx, are left out, and so is that of a proxy that a tunnel
/// is there.
fn heads(text: &str) -> Vec<Read> {
    let mut all: Vec<Read> = Vec::new();
    let mut current: Option<Response> = None;
    let (mut is_body, mut is_tunnel, mut indent) = (false, false, 0);
    // What stands before the first head is of the tool that printed it.
    let is_head = |line: &str| status_line(line.trim_start_matches(['<', ' ', '\t'])).is_some();
    let before = text.lines().position(is_head).unwrap_or(0);
    for (number, line) in (1..).zip(text.lines()).skip(before) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let begun = line.trim_start();
        if status_line(begun).is_some() {
            indent = line.len().saturating_sub(begun.len());
        }
        let line = match line.split_at_checked(indent) {
            Some((blanks, rest)) if blanks.trim().is_empty() => rest,
            _ => line,
        };
        let line = match line.split_at_checked(2) {
            Some(("< ", rest)) => rest,
            Some(("> " | "* " | "{ " | "} ", _)) if !is_body => continue,
            _ if line == "<" => "",
            _ => line,
        };
        if let Some(status) = status_line(line) {
            all.extend(current.take().filter(|_| !is_tunnel).map(Ok));
            is_tunnel = line
                .to_ascii_lowercase()
                .ends_with(" connection established");
            current = Some(Response {
                status: Some(status),
                ..Response::default()
            });
            is_body = false;
        } else if is_body {
            let body = current.get_or_insert_default().body.get_or_insert_default();
            body.push_str(line);
            body.push('\n');
        } else if line.trim().is_empty() {
            is_body = current.is_some();
        } else if let (true, Some((_, value))) = (
            line.starts_with([' ', '\t']),
            current.as_mut().and_then(|head| head.fields.last_mut()),
        ) {
            // A value that goes on, as old servers write it.
            value.push(' ');
            value.push_str(line.trim());
        } else {
            match split(line) {
                Ok(field) => current.get_or_insert_default().fields.push(field),
                Err(why) => all.push(Err(unreadable(number, why))),
            }
        }
    }
    all.extend(current.filter(|_| !is_tunnel).map(Ok));
    for response in all.iter_mut().flatten() {
        let status = pseudo(&mut response.fields);
        response.status = response.status.or(status);
    }
    all.retain(|read| {
        let status = read.as_ref().ok().and_then(|response| response.status);
        !status.is_some_and(|status| (100..200).contains(&status))
    });
    all
}

/// The status of `HTTP/1.1 429 Too Many Requests`.
fn status_line(line: &str) -> Option<u16> {
    let (begin, rest) = line.split_at_checked(5)?;
    let mut words = rest.split_whitespace();
    let _version = words.next()?;
    let status = words.next()?.parse().ok();
    status.filter(|_| begin.eq_ignore_ascii_case("HTTP/"))
}
