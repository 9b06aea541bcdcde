//! An answer in its two forms: one piece of JSON, or server-sent events that
//! leave as it is produced.

use std::time::Duration;

use serde_json::{Value, json};

use super::meters::Production;

/// An answer, before anything of it is sent.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) id: String,
    pub(crate) model: String,
    /// All of it, also where the stream breaks off.
    pub(crate) text: String,
    /// How many tokens `text` has.
    pub(crate) tokens: u64,
    pub(crate) stop_reason: &'static str,
    pub(crate) input: Input,
    /// How it comes to be. Fewer than `tokens` where it breaks off.
    pub(crate) production: Production,
}

/// What the prompt took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input {
    /// Neither read from nor written to the cache.
    pub(crate) plain: u64,
    pub(crate) created: u64,
    pub(crate) read: u64,
}

/// A piece of a body.
#[derive(Debug)]
pub(crate) struct Piece {
    /// When it leaves, after the request came.
    pub(crate) after: Duration,
    pub(crate) bytes: String,
}

impl Answer {
    /// As one message.
    pub(crate) fn message(&self) -> Value {
        let content = json!([{ "type": "text", "text": self.text }]);
        self.shell(&content, Some(self.stop_reason), self.tokens)
    }

    /// As events, in the order of the Messages API. One that is produced only
    /// in part ends with an error.
    pub(crate) fn stream(&self) -> Vec<Piece> {
        let (begins, ends) = (self.production.silence, self.production.span());
        let start = self.shell(&json!([]), None, 1);
        let block = json!({ "type": "text", "text": "" });
        let mut events = vec![
            event(begins, "message_start", json!({ "message": start })),
            event(
                begins,
                "content_block_start",
                json!({ "index": 0, "content_block": block }),
            ),
            event(begins, "ping", json!({})),
        ];
        events.extend(self.deltas());
        if self.production.tokens < self.tokens {
            let error = json!({ "type": "overloaded_error", "message": "Overloaded" });
            events.push(event(ends, "error", json!({ "error": error })));
            return events;
        }
        let delta = json!({ "stop_reason": self.stop_reason, "stop_sequence": null });
        let usage = json!({ "output_tokens": self.tokens });
        events.extend([
            event(ends, "content_block_stop", json!({ "index": 0 })),
            event(
                ends,
                "message_delta",
                json!({ "delta": delta, "usage": usage }),
            ),
            event(ends, "message_stop", json!({})),
        ]);
        events
    }

    /// The text in parts, each when its last token is there.
    fn deltas(&self) -> impl Iterator<Item = Piece> {
        let words: Vec<&str> = self.text.split_inclusive(' ').collect();
        let mut said = 0;
        (1..=self.production.tokens.div_ceil(PER_DELTA)).map(move |number| {
            let produced = number.saturating_mul(PER_DELTA).min(self.production.tokens);
            let upto = share(words.len(), produced, self.tokens);
            let text = words.get(said..upto).unwrap_or_default().concat();
            said = upto;
            let delta = json!({ "type": "text_delta", "text": text });
            event(
                self.production.time_of(produced),
                "content_block_delta",
                json!({ "index": 0, "delta": delta }),
            )
        })
    }

    fn shell(&self, content: &Value, stop_reason: Option<&str>, output: u64) -> Value {
        json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": null,
            "usage": {
                "input_tokens": self.input.plain,
                "cache_creation_input_tokens": self.input.created,
                "cache_read_input_tokens": self.input.read,
                "output_tokens": output,
            },
        })
    }
}

/// So many tokens come with each delta.
const PER_DELTA: u64 = 8;

/// One event, whose data bears its name as its type.
fn event(after: Duration, name: &str, mut data: Value) -> Piece {
    if let Some(fields) = data.as_object_mut() {
        fields.insert("type".to_owned(), name.into());
    }
    Piece {
        after,
        bytes: format!("event: {name}\ndata: {data}\n\n"),
    }
}

/// `part` in `whole` of `count`.
fn share(count: usize, part: u64, whole: u64) -> usize {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    let upto = count.saturating_mul(part).checked_div(whole).unwrap_or(0);
    usize::try_from(upto).unwrap_or(usize::MAX)
}
