//! HTTP: sends a prompt to the Messages API and reads what comes back. The only
//! file that knows the client, the wire format and the key.

use std::{
    error::Error,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use reqwest::{Client, Response, Url, redirect::Policy};
use sendwhen::{Dimension, ErrorDetails, Failure, Family, ServerHints, UnixTime};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{input::Prompt, limits::Limits, output::Tokens};

/// A model may think for long, but not for ever.
const TIMEOUT: Duration = Duration::from_secs(600);
/// How much of a refusal's body is read.
const LARGEST_REFUSAL: usize = 64 << 10;
/// How much of an answer's body is read.
const LARGEST_ANSWER: usize = 64 << 20;

/// The API key. It is never shown.
pub(crate) struct Key(String);

impl Key {
    /// The key in the environment.
    #[expect(clippy::disallowed_methods, reason = "a program has an environment")]
    pub(crate) fn from_environment() -> Result<Self, String> {
        let key = std::env::var("ANTHROPIC_API_KEY").unwrap_or_default();
        let key = key.trim();
        if key.is_empty() {
            return Err(
                "with --base-url the environment variable ANTHROPIC_API_KEY must hold the API \
                 key; set it, or leave out --base-url to try it without a key"
                    .to_owned(),
            );
        }
        if !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(
                "the environment variable ANTHROPIC_API_KEY holds signs that no key has".to_owned(),
            );
        }
        Ok(Self(key.to_owned()))
    }

    /// What the embedded server takes.
    pub(crate) fn demo() -> Self {
        Self("embedded".to_owned())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Transport {
    http: Client,
    url: Url,
    key: Key,
    models: Vec<String>,
    /// Of each model, as its answers last told them.
    limits: Mutex<Vec<Limits>>,
}

/// The head of an answer, and what follows it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) hints: ServerHints,
    pub(crate) rest: Rest,
}

/// What follows a head.
#[derive(Debug)]
pub(crate) enum Rest {
    /// A good answer, that is to be read.
    Good(Body),
    /// A refusal, that was read.
    Refusal(Refusal),
}

/// The body of a good answer.
#[derive(Debug)]
pub(crate) struct Body(Response);

/// What is said in a refusal.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    body: Value,
    /// The same for people.
    pub(crate) words: String,
}

/// What an answer says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) tokens: Tokens,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Fault {
    /// What it means for the call.
    pub(crate) failure: Failure<'static>,
    /// What it was, for people.
    pub(crate) words: String,
}

impl Transport {
    /// A client of the server at `base_url` that keeps `connections` open.
    ///
    /// No proxy stands between this machine and itself, so `embedded` asks for
    /// none.
    pub(crate) fn new(
        base_url: &str,
        key: Key,
        models: Vec<String>,
        connections: u32,
        embedded: bool,
    ) -> Result<Self, String> {
        let url = messages(base_url)?;
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        allow_open_files(connections.saturating_mul(models.len()), embedded);
        // Fails where another part of the program chose already: then that holds.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .timeout(TIMEOUT)
            // A redirect would take the key to another server.
            .redirect(Policy::none())
            .pool_max_idle_per_host(connections);
        if embedded {
            client = client.no_proxy();
        }
        Ok(Self {
            http: client
                .build()
                .map_err(|error| format!("the HTTP client does not start: {}", chain(&error)))?,
            url,
            key,
            limits: Mutex::new(vec![Limits::default(); models.len()]),
            models,
        })
    }

    /// The models, in the order of preference.
    pub(crate) fn models(&self) -> &[String] {
        &self.models
    }

    /// The limits that the answers told, of each model.
    pub(crate) fn limits(&self) -> Vec<Limits> {
        self.limits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends `prompt` to a model, by its place, and reads the head of the answer;
    /// of a refusal also the body.
    #[expect(
        clippy::disallowed_methods,
        reason = "a program may read the clock: when the head came"
    )]
    pub(crate) async fn send(
        &self,
        model: usize,
        prompt: &Prompt,
        max_tokens: u64,
    ) -> Result<Head, Fault> {
        let name = self.models.get(model).map_or("", String::as_str);
        let request = self
            .http
            .post(self.url.clone())
            .header("x-api-key", &self.key.0)
            .header("anthropic-version", "2023-06-01")
            .json(&letter(name, prompt, max_tokens));
        let sent = request.send().await;
        let response = sent.map_err(|error| self.fault(&error))?;
        let status = response.status().as_u16();
        let now = UnixTime::from_millis(wall(SystemTime::now()));
        let hints = ServerHints::parse(response.headers(), Some(now));
        self.learn(model, &hints);
        let rest = if response.status().is_success() {
            Rest::Good(Body(response))
        } else {
            Rest::Refusal(self.refusal(status, response).await)
        };
        Ok(Head {
            status,
            hints,
            rest,
        })
    }

    /// Reads the body of a good answer.
    pub(crate) async fn read(&self, body: Body) -> Result<Answer, Fault> {
        let bytes = read(body.0, LARGEST_ANSWER).await;
        let bytes = bytes.map_err(|error| self.fault(&error))?;
        let message: Message = serde_json::from_slice(&bytes).map_err(|error| Fault {
            words: format!("the answer is not one of the Messages API: {error}"),
            // It came whole; the same request would bring the same.
            failure: Failure::InStream(ErrorDetails::new("invalid_request_error")),
        })?;
        let texts = message.content.into_iter().map(|block| block.text);
        Ok(Answer {
            text: texts.collect(),
            tokens: message.usage,
        })
    }

    async fn refusal(&self, status: u16, response: Response) -> Refusal {
        let body = read(response, LARGEST_REFUSAL).await;
        let body: Value = body
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        if (300..400).contains(&status) {
            return Refusal {
                body: json!({ "error": { "type": "invalid_request_error" } }),
                words: format!("HTTP {status}: the server redirects; name the other server"),
            };
        }
        let field = |at| body.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let words = format!(
            "HTTP {status} {}: {}",
            field("/error/type"),
            field("/error/message")
        );
        Refusal {
            words: self.without_key(words.trim_end_matches([' ', ':'])),
            body,
        }
    }

    /// What a failure of the client means: whether the request was sent at all,
    /// and whether the server may have worked on it.
    fn fault(&self, error: &reqwest::Error) -> Fault {
        let failure = if error.is_connect() || error.is_builder() {
            Failure::NotSent
        } else if error.is_timeout() {
            Failure::TimedOut
        } else {
            Failure::Lost
        };
        let words = self.without_key(&chain(error));
        Fault { failure, words }
    }

    fn learn(&self, model: usize, hints: &ServerHints) {
        let limit = |dimension| hints.meters.get(Family::Standard, dimension)?.limit;
        let told = Limits {
            requests: limit(Dimension::Requests),
            input_tokens: limit(Dimension::InputTokens),
            output_tokens: limit(Dimension::OutputTokens),
        };
        let mut known = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(model) {
            *known = told.or(*known);
        }
    }

    fn without_key(&self, words: &str) -> String {
        words.replace(&self.key.0, "[the key]")
    }
}

impl Refusal {
    /// The fields that decide what to do.
    pub(crate) fn details(&self) -> ErrorDetails<'_> {
        ErrorDetails::find(|at| self.body.pointer(at)?.as_str())
    }
}

/// Where messages go, if `base_url` is one to send a key to.
fn messages(base_url: &str) -> Result<Url, String> {
    let url = format!("{}/v1/messages", base_url.trim_end_matches('/'));
    let url: Url = url.parse().map_err(|error| {
        format!("--base-url is not a URL such as https://api.anthropic.com: {error}")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("--base-url must begin with https:// or http://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("--base-url must not hold a user name or password".to_owned());
    }
    Ok(url)
}

/// Asks the system for as many open files as there may be connections, both ends
/// of which are in this program if the server is. Where it does not grant them,
/// some are tried again later.
fn allow_open_files(connections: usize, embedded: bool) {
    let ends = if embedded { 2 } else { 1 };
    let files = connections.saturating_mul(ends).saturating_add(100);
    let _granted = rlimit::increase_nofile_limit(u64::try_from(files).unwrap_or(u64::MAX));
}

/// The request's body.
fn letter(model: &str, prompt: &Prompt, max_tokens: u64) -> Value {
    let mut letter = json!({
        "model": model,
        "max_tokens": max_tokens,
        "messages": [{ "role": "user", "content": prompt.text }],
    });
    if let (Some(system), Some(fields)) = (&prompt.system, letter.as_object_mut()) {
        let block = json!([{
            "type": "text",
            "text": system,
            "cache_control": { "type": "ephemeral" },
        }]);
        fields.insert("system".to_owned(), block);
    }
    letter
}

/// The whole body, or as much of it as is enough to see that it is too large.
async fn read(mut response: Response, most: usize) -> reqwest::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            break;
        }
    }
    Ok(bytes)
}

/// An error with what it came from.
fn chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        source = inner.source();
    }
    words
}

/// Milliseconds since 1970.
fn wall(now: SystemTime) -> i64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |span| i64::try_from(span.as_millis()).unwrap_or(0))
}

#[derive(Deserialize)]
struct Message {
    content: Vec<Block>,
    usage: Tokens,
}

/// A block that is no text has none.
#[derive(Deserialize)]
struct Block {
    #[serde(default)]
    text: String,
}
