//! One request in, one answer out: `POST /v1/messages` and its errors, as a
//! function of the time that is handed in.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Input, Piece},
    headers::{self, Fields},
    meters::{Limits, Meters, Number, Shortage, Totals},
    model::{self, Cache},
};

/// What the server is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// The limits of each model: each has a pool of its own.
    pub(crate) limits: Limits,
    /// Decides on lengths, latencies and overloads.
    pub(crate) seed: u64,
    /// 100 is a first byte after about 150 ms and a token every 2 to 4 ms.
    pub(crate) latency_percent: u32,
    /// One request in so many, on average, meets an overload (529); 0 is none.
    pub(crate) overload_one_in: u64,
    /// One stream in so many, on average, breaks off with an overload; 0 is
    /// none.
    pub(crate) break_one_in: u64,
}

impl Config {
    /// A server with these limits, at full latency, that never fails.
    pub(crate) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            seed: 1,
            latency_percent: 100,
            overload_one_in: 0,
            break_one_in: 0,
        }
    }

    /// The same with one overload in so many requests, and one break in so many
    /// streams.
    pub(crate) const fn faults(self, overload_one_in: u64, break_one_in: u64) -> Self {
        Self {
            overload_one_in,
            break_one_in,
            ..self
        }
    }
}

/// A request as it came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// The value of `x-api-key`. Any will do.
    pub(crate) key: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// An answer, whose head is to be sent a while after its request came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) after: Duration,
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Body,
}

/// What follows a head.
#[derive(Debug)]
pub(crate) enum Body {
    /// All at once.
    Whole(String),
    /// Piece by piece. If the client leaves before the last one, the answer is
    /// to be [stopped](Api::stop) by its number.
    Stream(Number, Vec<Piece>),
}

/// The server without its socket.
#[derive(Debug)]
pub(crate) struct Api {
    config: Config,
    /// The wall time at zero.
    started: SystemTime,
    /// By the models' names.
    pools: BTreeMap<String, Meters>,
    cache: Cache,
    /// Requests seen, of any kind.
    seen: u64,
}

impl Api {
    pub(crate) fn new(config: Config, started: SystemTime) -> Self {
        Self {
            config,
            started,
            pools: BTreeMap::new(),
            cache: Cache::default(),
            seen: 0,
        }
    }

    /// What was charged for all that was let pass, answers that are still being
    /// produced included in full.
    pub(crate) fn totals(&mut self, now: Duration) -> Totals {
        let mut totals = Totals::default();
        for meters in self.pools.values_mut() {
            totals.add(&meters.totals(now));
        }
        totals
    }

    /// The client of a stream left at `now`: nothing more is produced.
    pub(crate) fn stop(&mut self, now: Duration, number: Number) {
        for meters in self.pools.values_mut() {
            meters.stop(now, number);
        }
    }

    /// Answers a request that came in at `now`.
    pub(crate) fn handle(&mut self, now: Duration, incoming: &Incoming<'_>) -> Reply {
        self.seen = self.seen.wrapping_add(1);
        let mut reply = self
            .pass(now, incoming)
            .unwrap_or_else(|fault| self.refuse(now, &fault));
        let leaves = self.wall(now.saturating_add(reply.after));
        let kind = match reply.body {
            Body::Whole(_) => "application/json",
            Body::Stream(..) => "text/event-stream; charset=utf-8",
        };
        reply.fields.extend([
            ("content-type", kind.to_owned()),
            ("date", headers::date(leaves)),
            ("request-id", self.request_id()),
            ("anthropic-organization-id", ORGANISATION.to_owned()),
        ]);
        reply
    }

    fn pass(&mut self, now: Duration, incoming: &Incoming<'_>) -> Result<Reply, Fault> {
        if (incoming.method, incoming.path) != ("POST", "/v1/messages") {
            return Err(Fault::NotFound);
        }
        if incoming.key.is_none_or(str::is_empty) {
            return Err(Fault::NoKey);
        }
        let wanted: Wanted = serde_json::from_slice(incoming.body)
            .map_err(|error| Fault::Invalid(error.to_string()))?;
        wanted.check()?;
        let seed = self.config.seed;
        if self.meets(seed, self.config.overload_one_in) {
            return Err(Fault::Overloaded);
        }

        let prompt = wanted.prompt();
        let key = wanted.cached_system().map(|text| model::hash(&text));
        let system = model::tokens(&wanted.system.joined());
        let held = key.is_some_and(|key| self.cache.holds(now, key));
        let (created, read, plain) = match (key, held) {
            (None, _) => (0, 0, system),
            (Some(_), false) => (system, 0, 0),
            (Some(_), true) => (0, system, 0),
        };
        let input = model::tokens(&prompt)
            .saturating_add(plain)
            .saturating_add(OVERHEAD);
        let mut production = model::production(
            seed,
            model::hash(&prompt),
            wanted.max_tokens,
            self.config.latency_percent,
        );
        let tokens = production.tokens;
        if wanted.stream && self.meets(!seed, self.config.break_one_in) {
            production.tokens = model::below(seed, self.seen, tokens);
        }
        let number = self.seen;
        self.pool(&wanted.model)
            .admit(now, number, input.saturating_add(created), production)
            .map_err(|shortage| Fault::Limited(shortage, wanted.model.clone()))?;
        if let Some(key) = key {
            let begins = now.saturating_add(production.silence);
            self.cache.used(now, key, begins);
        }

        let fields = self.rate_limits(now, &wanted.model);
        let answer = Answer {
            id: format!("msg_{:016x}", model::mix(seed ^ self.seen)),
            stop_reason: if tokens < wanted.max_tokens {
                "end_turn"
            } else {
                "max_tokens"
            },
            model: wanted.model,
            text: model::text(seed, &prompt, tokens),
            tokens,
            input: Input {
                plain: input,
                created,
                read,
            },
            production,
        };
        let (after, body) = if wanted.stream {
            let body = Body::Stream(number, answer.stream());
            (production.silence, body)
        } else {
            let body = Body::Whole(answer.message().to_string());
            (production.span(), body)
        };
        Ok(Reply {
            after,
            status: 200,
            fields,
            body,
        })
    }

    /// Whether this request is one in `one_in`; with 0 none is.
    fn meets(&self, seed: u64, one_in: u64) -> bool {
        one_in > 0 && model::below(seed, self.seen, one_in) == 0
    }

    fn refuse(&mut self, now: Duration, fault: &Fault) -> Reply {
        let mut fields = vec![("x-should-retry", fault.is_passing().to_string())];
        if let Fault::Limited(shortage, model) = fault {
            fields.extend(self.rate_limits(now, model));
            fields.push(("retry-after", headers::retry_after(shortage.wait)));
        }
        let (status, kind, message) = fault.words();
        let body = json!({
            "type": "error",
            "error": { "type": kind, "message": message },
            "request_id": self.request_id(),
        });
        let jitter = model::below(self.config.seed, self.seen, 20);
        Reply {
            after: Duration::from_millis(jitter.saturating_add(20)),
            status,
            fields,
            body: Body::Whole(body.to_string()),
        }
    }

    /// The meters as they stand when a request is let pass or refused. A long
    /// answer carries them late, and so the resets that it shows are past.
    fn rate_limits(&mut self, now: Duration, model: &str) -> Fields {
        let gauges = self.pool(model).gauges(now);
        headers::rate_limits(&gauges, self.wall(now))
    }

    fn pool(&mut self, model: &str) -> &mut Meters {
        let new = || Meters::new(self.config.limits);
        self.pools.entry(model.to_owned()).or_insert_with(new)
    }

    fn wall(&self, now: Duration) -> SystemTime {
        self.started.checked_add(now).unwrap_or(self.started)
    }

    fn request_id(&self) -> String {
        format!("req_{:016x}", model::mix(self.config.seed ^ !self.seen))
    }
}

const ORGANISATION: &str = "3f0c1a6e-5a57-4b7e-9d52-6c7f0a1be210";

/// Tokens that each prompt takes beyond its text.
const OVERHEAD: u64 = 8;

/// A system prompt below this is not cached. Real models ask for more: 1024
/// and up.
const CACHE_FROM: u64 = 100;

/// Why there is no answer.
#[derive(Debug)]
enum Fault {
    NotFound,
    NoKey,
    Invalid(String),
    Overloaded,
    Limited(Shortage, String),
}

impl Fault {
    const fn is_passing(&self) -> bool {
        matches!(self, Self::Overloaded | Self::Limited(..))
    }

    fn words(&self) -> (u16, &'static str, String) {
        match self {
            Self::NotFound => (404, "not_found_error", "Not found".to_owned()),
            Self::NoKey => (
                401,
                "authentication_error",
                "x-api-key header is required".to_owned(),
            ),
            Self::Invalid(what) => (400, "invalid_request_error", what.clone()),
            Self::Overloaded => (529, "overloaded_error", "Overloaded".to_owned()),
            Self::Limited(shortage, model) => (
                429,
                "rate_limit_error",
                format!(
                    "This request would exceed your organization's rate limit of {} {} per minute \
                     (org: {ORGANISATION}, model: {model})",
                    headers::with_commas(shortage.limit),
                    shortage.what,
                ),
            ),
        }
    }
}

/// The fields of a request that the server looks at.
#[derive(Debug, Deserialize)]
struct Wanted {
    model: String,
    max_tokens: u64,
    messages: Vec<Message>,
    #[serde(default)]
    system: Text,
    #[serde(default)]
    stream: bool,
}

#[derive(Debug, Deserialize)]
struct Message {
    content: Text,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Blocks(Vec<Block>),
}

#[derive(Debug, Deserialize)]
struct Block {
    text: String,
    cache_control: Option<Value>,
}

impl Default for Text {
    fn default() -> Self {
        Self::Plain(String::new())
    }
}

impl Text {
    fn joined(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Blocks(blocks) => blocks.iter().map(|block| block.text.as_str()).collect(),
        }
    }
}

impl Wanted {
    fn check(&self) -> Result<(), Fault> {
        let fault = if self.max_tokens == 0 {
            "max_tokens: must be greater than or equal to 1"
        } else if self.messages.is_empty() {
            "messages: at least one message is required"
        } else {
            return Ok(());
        };
        Err(Fault::Invalid(fault.to_owned()))
    }

    fn prompt(&self) -> String {
        let texts: Vec<String> = self.messages.iter().map(|m| m.content.joined()).collect();
        texts.join("\n")
    }

    /// The system prompt, where it is to be cached.
    fn cached_system(&self) -> Option<String> {
        let Text::Blocks(blocks) = &self.system else {
            return None;
        };
        let marked = blocks.iter().any(|block| block.cache_control.is_some());
        let text = self.system.joined();
        (marked && model::tokens(&text) >= CACHE_FROM).then_some(text)
    }
}
