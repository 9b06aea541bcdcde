//! Many threads and one limiter: 40 requests to a server in this process, which
//! allows 36 a minute and is overloaded now and then.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a program")]

#[path = "support/server/mod.rs"]
mod server;

use std::{sync::Condvar, sync::LazyLock, sync::Mutex, thread, time};

use sendwhen::{Call, Decision, ErrorDetails, Event, Failure, GiveUp};
use sendwhen::{Instant, Limiter, Request, ServerHints, Usage};
use serde_json::{Value, json};
use server::{Config, Limits, Server};

static LIMITER: Mutex<Limiter> = Mutex::new(Limiter::new(42));
/// Wakes the one who waits: it may go earlier than it was told.
static OPENED: Condvar = Condvar::new();
/// Held by the one who asks, or waits to ask again.
static TURNSTILE: Mutex<()> = Mutex::new(());
static ORIGIN: LazyLock<time::Instant> = LazyLock::new(time::Instant::now);

fn now() -> Instant {
    Instant::ZERO.saturating_add(ORIGIN.elapsed())
}

/// Reports what happened. Who asks passes the turnstile, and waits there for what
/// others may bring about, but for nothing else; other reports never queue.
fn handle(call: &mut Call, mut event: Event<'_>) -> Decision {
    let asks = matches!(event, Event::Submitted | Event::Woken);
    let _turn = asks.then(|| TURNSTILE.lock().unwrap());
    let mut limiter = LIMITER.lock().unwrap();
    loop {
        let before = limiter.opened();
        let decision = call.handle(&mut *limiter, now(), event);
        if limiter.opened() != before {
            OPENED.notify_all();
        }
        match decision {
            Decision::Wait(wait) if asks && wait.cause.is_shared() => {
                let span = wait.until.saturating_duration_since(now());
                limiter = OPENED.wait_timeout(limiter, span).unwrap().0;
                event = Event::Woken;
            }
            other => return other,
        }
    }
}

/// Takes a request from asking to its end.
fn run(http: &ureq::Agent, url: &str, request: Request, body: &Value) -> Result<Value, GiveUp> {
    let mut call = LIMITER.lock().unwrap().call(request);
    let (mut event, mut said) = (Event::Submitted, Value::Null);
    let mut hints;
    loop {
        event = match handle(&mut call, event) {
            Decision::Wait(wait) => {
                // For something of its own, so outside the turnstile.
                thread::sleep(wait.until.saturating_duration_since(now()));
                Event::Woken
            }
            Decision::Send(_) => match http.post(url).header("x-api-key", "any").send_json(body) {
                Ok(mut head) => {
                    hints = ServerHints::parse(head.headers(), None);
                    said = head.body_mut().read_json().unwrap_or_default();
                    let error = ErrorDetails::find(|at| said.pointer(at)?.as_str());
                    Event::responded(head.status().as_u16(), &hints, error)
                }
                Err(ureq::Error::ConnectionFailed) => Event::Failed(Failure::NotSent),
                Err(_) => Event::Failed(Failure::Lost),
            },
            Decision::Deliver if said.is_null() => Event::Failed(Failure::Lost),
            Decision::Deliver => {
                let usage = Usage::find(|at| said.pointer(at)?.as_u64());
                let _end = handle(&mut call, Event::Finished(usage));
                return Ok(said);
            }
            Decision::GiveUp(why) => return Err(why),
        };
    }
}

fn main() -> Result<(), GiveUp> {
    let server = Server::start(Config::new(Limits::new(36, 30_000, 30_000)).faults(8, 0)).unwrap();
    let url = format!("{}/v1/messages", server.base_url());
    let http = ureq::Agent::config_builder().http_status_as_error(false);
    let http = http.proxy(None).build().new_agent();
    let ask = |n: u32| {
        let body = json!({ "model": "claude-demo", "max_tokens": 200,
            "messages": [{ "role": "user", "content": format!("What is {n} squared?") }] });
        let request = Request::new().input_tokens(15).max_tokens(200);
        run(&http, &url, request, &body).map(|_| println!("{n}, {:.1?}", ORIGIN.elapsed()))
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (1..=40).map(|n| scope.spawn(move || ask(n))).collect();
        threads.into_iter().try_for_each(|t| t.join().unwrap())
    })?;
    println!("{:?}", server.totals());
    Ok(())
}
