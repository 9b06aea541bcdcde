//! A call driven by a transport of the user's own: HTTP/1.1 by hand over a
//! socket, nothing from this crate in it but the vocabulary.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use sendwhen::{
    Decision, ErrorDetails, Event, Failure, HeaderParser, Instant, Limiter, Request, ServerHints,
    Usage,
};
use serde_json::Value;

use crate::server::support::{Config, Limits, Server};

/// One exchange: what came back, or why nothing did.
fn post(host: &str, body: &str) -> Result<(u16, ServerHints, Value), Failure<'static>> {
    let mut stream = TcpStream::connect(host).map_err(|_| Failure::NotSent)?;
    let exchange = |stream: &mut TcpStream| -> std::io::Result<(u16, ServerHints, Vec<u8>)> {
        write!(
            stream,
            "POST /v1/messages HTTP/1.1\r\nhost: {host}\r\nx-api-key: k\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .unwrap_or(0);
        let (mut parser, mut length) = (HeaderParser::new(), 0);
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            let _field = parser.field(name.as_bytes(), value.as_bytes());
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok((status, parser.finish(), body))
    };
    let (status, hints, body) = exchange(&mut stream).map_err(|_| Failure::Lost)?;
    Ok((
        status,
        hints,
        serde_json::from_slice(&body).unwrap_or_default(),
    ))
}

#[test]
fn a_transport_of_ones_own() {
    let server = Server::start(Config {
        seed: 9,
        latency_percent: 5,
        overload_one_in: 3,
        ..Config::new(Limits::new(300, 60_000, 60_000))
    })
    .unwrap();
    let url = server.base_url();
    let host = url.strip_prefix("http://").unwrap();
    let origin = std::time::Instant::now();
    let now = || Instant::from_nanos(origin.elapsed().as_nanos() as u64);
    let mut limiter = Limiter::new(1);
    let (mut delivered, mut attempts) = (0, 0);
    for n in 0..8 {
        let body = format!(
            r#"{{"model":"m","max_tokens":64,"messages":[{{"role":"user","content":"What is {n} and {n}?"}}]}}"#
        );
        let mut call = limiter.call(Request::new().input_tokens(12).max_tokens(64));
        let mut decision = call.handle(&mut limiter, now(), Event::Submitted);
        let mut answer = Value::Null;
        loop {
            decision = match decision {
                Decision::Wait(wait) => {
                    std::thread::sleep(wait.until.saturating_duration_since(now()));
                    call.handle(&mut limiter, now(), Event::Woken)
                }
                Decision::Send(_) => match post(host, &body) {
                    Ok((status, hints, body)) => {
                        answer = body;
                        let kind = answer["error"]["type"].as_str().unwrap_or_default();
                        let error = ErrorDetails::new(kind);
                        let hints = &hints;
                        call.handle(
                            &mut limiter,
                            now(),
                            Event::Responded {
                                status,
                                hints,
                                error,
                            },
                        )
                    }
                    Err(failure) => call.handle(&mut limiter, now(), Event::Failed(failure)),
                },
                Decision::Deliver => {
                    let tokens = |name: &str| answer["usage"][name].as_u64().unwrap();
                    let usage = Usage::new(tokens("input_tokens"), tokens("output_tokens"));
                    let _end = call.handle(&mut limiter, now(), Event::Finished(Some(usage)));
                    delivered += 1;
                    attempts += call.attempts();
                    break;
                }
                Decision::GiveUp(why) => panic!("{why}"),
            }
        }
    }
    assert_eq!(delivered, 8);
    assert!(attempts > 8, "the server is overloaded every third time");
    assert_eq!(limiter.flying(now()), 0);
    assert!(
        limiter
            .peek(
                now().saturating_add(Duration::from_secs(60)),
                &sendwhen::Cost::request()
            )
            .is_ok()
    );
}
