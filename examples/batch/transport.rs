//! HTTP: sends a job to the Messages API and reads what comes back. The only
//! file that knows the client, the wire format and the key.

use std::{
    fmt, io,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use sendwhen::{Dimension, ErrorDetails, Failure, Family, ServerHints, UnixTime, Usage};
use serde::Deserialize;
use serde_json::json;
use ureq::{Agent, Body, http::Uri};

use crate::{
    driver::{Exchange, Head, Refusal, Rest},
    input::Job,
    output::Tokens,
    report::Limits,
};

/// A model may think for long, but not for ever.
const TIMEOUT: Duration = Duration::from_secs(600);
/// How much of a refusal's body is read.
const LARGEST_REFUSAL: u64 = 64 << 10;
/// How much of an answer's body is read.
const LARGEST_ANSWER: u64 = 64 << 20;

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
                "with --base-url the environment variable ANTHROPIC_API_KEY must hold the \
                        API key, and it is not set"
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
    agent: Agent,
    url: String,
    key: Key,
    model: String,
    /// As the server last told them.
    limits: Mutex<Limits>,
}

impl Transport {
    /// A client of the server at `base_url` that keeps `connections` open.
    ///
    /// No proxy stands between this machine and itself, so `embedded` asks for
    /// none.
    pub(crate) fn new(
        base_url: &str,
        key: Key,
        model: String,
        connections: usize,
        embedded: bool,
    ) -> Result<Self, String> {
        let url = format!("{}/v1/messages", base_url.trim_end_matches('/'));
        check(&url)?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            // A redirect would take the key to another server.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections);
        if embedded {
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().new_agent(),
            url,
            key,
            model,
            limits: Mutex::new(Limits::default()),
        })
    }

    /// The limits that the answers told.
    pub(crate) fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request for `job`, which may produce `max_tokens`.
    pub(crate) fn letter(&self, job: &Job, max_tokens: u64) -> Letter<'_> {
        let mut body = json!({
            "model": self.model,
            "max_tokens": max_tokens,
            "messages": [{ "role": "user", "content": job.prompt }],
        });
        if let (Some(system), Some(fields)) = (&job.system, body.as_object_mut()) {
            let block = json!([{
                "type": "text",
                "text": system,
                "cache_control": { "type": "ephemeral" },
            }]);
            fields.insert("system".to_owned(), block);
        }
        Letter {
            transport: self,
            body: body.to_string(),
            sent: None,
            took: Duration::ZERO,
            status: None,
            trouble: String::new(),
        }
    }

    fn learn(&self, hints: &ServerHints) {
        let limit = |dimension| hints.meters.get(Family::Standard, dimension)?.limit;
        let mut known = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Limits {
            requests: limit(Dimension::Requests).or(known.requests),
            input_tokens: limit(Dimension::InputTokens).or(known.input_tokens),
            output_tokens: limit(Dimension::OutputTokens).or(known.output_tokens),
        };
    }
}

/// Whether `url` is one to send a key to.
fn check(url: &str) -> Result<(), String> {
    let parsed = url.parse::<Uri>().ok();
    let Some((scheme, authority)) = parsed
        .as_ref()
        .and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)))
    else {
        return Err("--base-url is not a URL such as https://api.anthropic.com".to_owned());
    };
    if !matches!(scheme, "http" | "https") {
        return Err("--base-url must begin with https:// or http://".to_owned());
    }
    if authority.as_str().contains('@') {
        return Err("--base-url must not hold a user name or password".to_owned());
    }
    Ok(())
}

/// One request, and what is known of its last attempt.
#[derive(Debug)]
pub(crate) struct Letter<'a> {
    transport: &'a Transport,
    body: String,
    sent: Option<Instant>,
    /// How long the attempt that was answered took.
    pub(crate) took: Duration,
    /// The status of the last attempt, if it had one.
    pub(crate) status: Option<u16>,
    /// What was wrong with it, in words.
    pub(crate) trouble: String,
}

/// What an answer says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) tokens: Tokens,
}

impl Exchange for Letter<'_> {
    type Body = Body;
    type Answer = Answer;

    #[expect(
        clippy::disallowed_methods,
        reason = "a program may read the clocks: how long it took, and when the head came"
    )]
    fn send(&mut self) -> Result<Head<Body>, Failure<'static>> {
        self.sent = Some(Instant::now());
        self.status = None;
        let transport = self.transport;
        let sent = transport
            .agent
            .post(&transport.url)
            .header("x-api-key", &transport.key.0)
            .header("anthropic-version", "2023-06-01")
            .header("content-type", "application/json")
            .send(&self.body);
        let response = match sent {
            Ok(response) => response,
            Err(error) => return Err(self.fails(&error)),
        };
        let status = response.status().as_u16();
        self.status = Some(status);
        let now = UnixTime::from_millis(wall(SystemTime::now()));
        let hints = ServerHints::parse(response.headers(), Some(now));
        transport.learn(&hints);
        let rest = if (200..300).contains(&status) {
            Rest::Good(response.into_body())
        } else {
            Rest::Refusal(self.refusal(status, response.into_body()))
        };
        Ok(Head {
            status,
            hints,
            rest,
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a program may read the clock: how long it took"
    )]
    fn read(&mut self, mut body: Body) -> Result<(Answer, Usage), Failure<'static>> {
        let read = body.with_config().limit(LARGEST_ANSWER).read_to_vec();
        let bytes = read.map_err(|error| self.fails(&error))?;
        self.took = self.sent.map_or(Duration::ZERO, |sent| sent.elapsed());
        let message: Message = serde_json::from_slice(&bytes).map_err(|error| {
            self.trouble = format!("the answer is not one of the Messages API: {error}");
            // It came whole; the same request would bring the same.
            Failure::InStream(ErrorDetails::new("invalid_request_error"))
        })?;
        let answer = Answer {
            text: message
                .content
                .into_iter()
                .map(|block| block.text)
                .collect(),
            tokens: message.usage,
        };
        let usage = answer.tokens.into();
        Ok((answer, usage))
    }
}

impl Letter<'_> {
    /// What a failure of the client means: whether the request was sent at all,
    /// and whether the server may have worked on it.
    fn fails(&mut self, error: &ureq::Error) -> Failure<'static> {
        use ureq::{Error, Timeout};

        self.trouble = self.without_key(&error.to_string());
        match error {
            Error::HostNotFound
            | Error::ConnectionFailed
            | Error::Tls(_)
            | Error::Rustls(_)
            | Error::Timeout(Timeout::Resolve | Timeout::Connect) => Failure::NotSent,
            Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Failure::NotSent
            }
            Error::Timeout(_) => Failure::TimedOut,
            _ => Failure::Lost,
        }
    }

    fn refusal(&mut self, status: u16, mut body: Body) -> Refusal {
        let read = body.with_config().limit(LARGEST_REFUSAL).read_to_vec();
        let said: ErrorBody = read
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let mut refusal = Refusal {
            kind: said.error.kind,
            code: said.error.details.unwrap_or_default().error_code,
            message: said.error.message,
        };
        let words = format!("HTTP {status} {}: {}", refusal.kind, refusal.message);
        self.trouble = self.without_key(words.trim_end_matches([' ', ':']));
        if (300..400).contains(&status) {
            self.trouble = format!("HTTP {status}: the server redirects; name the other server");
            "invalid_request_error".clone_into(&mut refusal.kind);
        }
        refusal
    }

    fn without_key(&self, words: &str) -> String {
        words.replace(&self.transport.key.0, "[the key]")
    }
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

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorFields,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorFields {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    details: Option<ErrorCode>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorCode {
    error_code: String,
}
