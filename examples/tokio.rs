//! Tokio and one limiter: streamed answers, some of which break off, one dropped half-way.
#![expect(clippy::unwrap_used, reason = "a lock fails only after a panic")]

#[path = "support/server/mod.rs"]
mod server;

use std::sync::{LazyLock, Mutex};

use eventsource_stream::Eventsource;
use futures_util::{StreamExt, future::try_join_all};
use sendwhen::{Call, Decision, ErrorDetails, Event, Failure, GiveUp};
use sendwhen::{Instant, Limiter, Request, ServerHints, Usage};
use serde_json::{Value, json};
use server::{Config, Limits, Server};
use tokio::{sync::Notify, time};

static LIMITER: Mutex<Limiter> = Mutex::new(Limiter::new(42));
/// Wakes those who wait: they may go earlier than they were told.
static OPENED: Notify = Notify::const_new();
static ORIGIN: LazyLock<time::Instant> = LazyLock::new(time::Instant::now);

fn now() -> Instant {
    Instant::ZERO.saturating_add(ORIGIN.elapsed())
}

fn handle(call: &mut Call, event: Event<'_>) -> Decision {
    let mut limiter = LIMITER.lock().unwrap();
    let before = limiter.opened();
    let decision = call.handle(&mut *limiter, now(), event);
    if limiter.opened() != before {
        OPENED.notify_waiters();
    }
    decision
}

/// Takes a request to the end of its stream. To drop this is to cancel it.
async fn run(request: Request, post: reqwest::RequestBuilder) -> Result<String, GiveUp> {
    let call = LIMITER.lock().unwrap().call(request);
    let mut call = scopeguard::guard(call, |mut call| _ = handle(&mut call, Event::Cancelled));
    let (mut event, mut stream, mut text) = (Event::Submitted, None, String::new());
    let (mut said, mut hints): (Value, ServerHints);
    loop {
        let opened = OPENED.notified(); // before asking: from here on no wake-up is lost
        event = match (handle(&mut call, event), &mut stream) {
            (Decision::Wait(wait), _) => {
                _ = time::timeout(wait.until.saturating_duration_since(now()), opened).await;
                Event::Woken
            }
            (Decision::Send(_), _) => match post.try_clone().unwrap().send().await {
                Ok(head) => {
                    let status = head.status().as_u16();
                    hints = ServerHints::parse(head.headers(), None);
                    (said, text) = Default::default();
                    if status < 400 {
                        stream = Some(head.bytes_stream().eventsource());
                    } else {
                        said = head.json().await.unwrap_or_default();
                    }
                    let error = ErrorDetails::find(|at| said.pointer(at)?.as_str());
                    Event::responded(status, &hints, error)
                }
                Err(error) if error.is_connect() => Event::Failed(Failure::NotSent),
                Err(_) => Event::Failed(Failure::Lost),
            },
            (Decision::Deliver, Some(events)) => {
                let data = events.next().await.and_then(|sse| Some(sse.ok()?.data));
                said = serde_json::from_str(&data.unwrap_or_default()).unwrap_or_default();
                text.extend(said.pointer("/delta/text").and_then(Value::as_str));
                let usage = Usage::find(|at| said.pointer(at)?.as_u64());
                let error = ErrorDetails::find(|at| said.pointer(at)?.as_str());
                match said.get("type").and_then(Value::as_str) {
                    None | Some("error") => Event::Failed(Failure::InStream(error)),
                    Some("message_stop") => Event::Finished(stream.take().and(usage)),
                    Some(_) => Event::progressed(usage.unwrap_or_default(), false), // not shown yet
                }
            }
            (Decision::Deliver, None) => return Ok(text),
            (Decision::GiveUp(why), _) => return Err(why),
        };
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), GiveUp> {
    let server = Server::start(Config::new(Limits::new(33, 30_000, 30_000)).faults(0, 8)).unwrap();
    let url = format!("{}/v1/messages", server.base_url());
    _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = |n: u32, max_tokens: u64| {
        let body = json!({ "model": "claude-demo", "max_tokens": max_tokens, "stream": true,
            "messages": [{ "role": "user", "content": format!("What is {n} squared?") }] });
        let post = http.post(&url).header("x-api-key", "any").json(&body);
        run(Request::new().input_tokens(15).max_tokens(max_tokens), post)
    };
    let dropped = time::timeout(time::Duration::from_millis(500), ask(0, 4_000)).await;
    assert!(dropped.is_err() && LIMITER.lock().unwrap().flying(now()) == 0);
    let answers = try_join_all((1..=32).map(|n| ask(n, 200))).await?;
    println!("{} answers, {:?}", answers.len(), server.totals());
    Ok(())
}
