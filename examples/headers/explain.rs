//! From a response to what it says.

use sendwhen::{
    BareReset, Class, Dialect, ErrorDetails, Field, HeaderParser, Phase, ServerHints, UnixTime,
    WaitRule, classify,
};

use crate::{
    error::{self, ErrorBody},
    input::Response,
};

/// What the user set.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) dialect: Option<Dialect>,
    pub(crate) bare: BareReset,
    pub(crate) rule: WaitRule,
    pub(crate) received: Option<UnixTime>,
}

/// What a response says.
pub(crate) struct Explained {
    pub(crate) status: Option<u16>,
    pub(crate) hints: ServerHints,
    pub(crate) class: Option<Class>,
    /// Each field with what became of it.
    pub(crate) fields: Vec<(String, String, Field)>,
    /// What is to be told beside the values.
    pub(crate) reports: Vec<String>,
}

pub(crate) fn explain(response: &Response, settings: Settings) -> Explained {
    let error = response
        .body
        .as_deref()
        .and_then(|body| error::read(body, response.status));
    let mut fields = response.fields.clone();
    fields.extend(error.iter().flat_map(|error| error.fields.clone()));

    let mut parser = parser(settings);
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| {
            let what = parser.field(name.as_bytes(), value.as_bytes());
            (name, value, what)
        })
        .collect();
    let mut hints = parser.finish();
    if settings.dialect.is_none() {
        if let Some(told) = told(response.provider.as_deref(), hints.dialect) {
            hints = parser.dialect(told).finish();
        }
    }
    let mut reports = reports(&fields, &hints);
    let delay = error.as_ref().and_then(|error| error.details().delay);
    if let (Some(delay), None) = (delay, hints.retry_after) {
        hints.retry_after = Some(delay);
        reports.push("retry after: told in the body".to_owned());
    }
    Explained {
        status: response.status,
        class: response
            .status
            .map(|status| class(status, error.as_ref(), &hints)),
        hints,
        fields,
        reports,
    }
}

fn parser(settings: Settings) -> HeaderParser {
    let mut parser = HeaderParser::new()
        .bare_resets(settings.bare)
        .wait_rule(settings.rule);
    if let Some(dialect) = settings.dialect {
        parser = parser.dialect(dialect);
    }
    if let Some(received) = settings.received {
        parser = parser.received(received);
    }
    parser
}

/// Whose it is by the word of who recorded it, where the names tell nothing or
/// are shared by several.
fn told(provider: Option<&str>, by_names: Dialect) -> Option<Dialect> {
    const SHARED: [Dialect; 5] = [
        Dialect::Unknown,
        Dialect::OpenAi,
        Dialect::Xai,
        Dialect::Generic,
        Dialect::Ietf,
    ];
    /// How they are called where that is not how they are called here.
    const CALLED: [(&str, Dialect); 6] = [
        // Before what follows it, in `azure-openai`.
        ("azure", Dialect::Azure),
        ("anthropic", Dialect::Claude),
        ("grok", Dialect::Xai),
        ("hf", Dialect::HuggingFace),
        ("hugging", Dialect::HuggingFace),
        ("togetherai", Dialect::Together),
    ];
    if !SHARED.contains(&by_names) {
        return None;
    }
    let provider = provider?.to_ascii_lowercase();
    let all = Dialect::ALL.map(|dialect| (dialect.as_str(), dialect));
    let is_named = |name: &str| {
        provider
            .split(|letter: char| !letter.is_ascii_alphanumeric())
            .any(|word| word == name)
    };
    CALLED
        .into_iter()
        .chain(all)
        .find_map(|(name, dialect)| is_named(name).then_some(dialect))
        // Names of others that stand for it are those of a proxy.
        .filter(|&dialect| dialect != Dialect::Claude || by_names == Dialect::Unknown)
        .filter(|&dialect| dialect != Dialect::Unknown)
}

fn class(status: u16, error: Option<&ErrorBody>, hints: &ServerHints) -> Class {
    let details = error.map_or(ErrorDetails::NONE, ErrorBody::details);
    classify(status, details, hints, Phase::Head)
}

/// Each problem, with the field where it shows.
fn reports(fields: &[(String, String, Field)], hints: &ServerHints) -> Vec<String> {
    let mut reports = Vec::new();
    for (name, value, what) in fields {
        let kind = match what {
            Field::Malformed => "malformed",
            Field::TooLong => "too long",
            Field::Duplicate => "duplicate",
            Field::Tolerated => "tolerated",
            _ => continue,
        };
        reports.push(format!("{kind}: {name}: {}", cut(value)));
    }
    let shown: Vec<&str> = reports.iter().filter_map(|r| r.split(':').next()).collect();
    let rest: Vec<String> = hints
        .problems
        .iter()
        .filter(|name| !shown.contains(name))
        .map(str::to_owned)
        .collect();
    reports.extend(rest);
    reports
}

/// So much of a value as fits a line.
pub(crate) fn cut(value: &str) -> String {
    const MOST: usize = 60;
    let mut text = String::new();
    for letter in value.chars().take(MOST) {
        if letter.is_control() {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
    }
    if value.chars().nth(MOST).is_some() {
        text.push_str("..");
    }
    text
}
