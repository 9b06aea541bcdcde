//! What a call does, told line by line in virtual time: [`tell`].
//!
//! A story is a script. Settings come first, then lines of
//! `time  call  event -> decision`:
//!
//! ```text
//! limit requests 60/min burst 1
//! request a in=1000 out=200 by=30s
//! 0s     a submitted          -> send 1
//! 0.2s   a 429 retry-after=5  -> wait 5.2s..6.2s retry-after
//! ```
//!
//! A wait is given as the instant at which it ends, or two between which it
//! must. The cause is any part of what it prints.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use sendwhen::{
    Call, Decision, Dimension, ErrorDetails, Event, Failure, Family, Instant, Limiter, Meter,
    Profile, Rate, Request, ServerHints, Usage,
};

/// Plays `script`, and panics with the line that came out otherwise.
pub(crate) fn tell(script: &str) {
    let mut stage = Stage {
        limiter: Some(Limiter::new(7)),
        requests: BTreeMap::new(),
        calls: BTreeMap::new(),
    };
    let mut told = String::new();
    for line in script.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let came_out = stage.play(line);
        writeln!(told, "{line}").unwrap();
        if let Err(otherwise) = came_out {
            panic!("\n{told}    ^ {otherwise}\n");
        }
    }
}

struct Stage {
    limiter: Option<Limiter>,
    requests: BTreeMap<String, Request>,
    calls: BTreeMap<String, Call>,
}

impl Stage {
    fn play(&mut self, line: &str) -> Result<(), String> {
        let (left, expected) = match line.split_once("->") {
            Some((left, right)) => (left.trim(), Some(right.trim())),
            None => (line, None),
        };
        let words: Vec<&str> = left.split_whitespace().collect();
        match (words[0], expected) {
            ("limit", None) => self.limit(&words[1..]),
            ("window", None) => {
                self.set(|limiter| limiter.initial_window(words[1].parse().unwrap()).unwrap());
            }
            ("in-flight", None) => {
                self.set(|limiter| limiter.in_flight(words[1].parse().unwrap()).unwrap());
            }
            ("request", None) => {
                self.requests
                    .insert(words[1].to_owned(), request(&words[2..]));
            }
            (now, None) if words[1] == "rebase" => {
                self.limiter.as_mut().unwrap().rebase(time(now));
            }
            (now, Some(expected)) => {
                let decision = self.event(time(now), words[1], &words[2..]);
                return compare(decision, expected);
            }
            _ => panic!("cannot read `{line}`"),
        }
        Ok(())
    }

    fn set(&mut self, change: impl FnOnce(Limiter) -> Limiter) {
        self.limiter = Some(change(self.limiter.take().unwrap()));
    }

    /// `requests 60/min burst 1`
    fn limit(&mut self, words: &[&str]) {
        let per_minute: u64 = words[1].strip_suffix("/min").unwrap().parse().unwrap();
        let burst: u64 = words[3].parse().unwrap();
        self.set(|limiter| {
            let rate = Rate::per_minute(per_minute).unwrap();
            limiter.limit(dimension(words[0]), rate, burst).unwrap()
        });
    }

    fn event(&mut self, now: Instant, who: &str, words: &[&str]) -> Decision {
        let limiter = self.limiter.as_mut().unwrap();
        let wanted = self.requests.get(who).copied().unwrap_or_default();
        let call = self
            .calls
            .entry(who.to_owned())
            .or_insert_with(|| limiter.call(wanted));
        let hints = hints(words);
        // `says=30,000_input_tokens`: words of a message, blanks as underscores.
        let message = value(words, "says=").unwrap_or_default().replace('_', " ");
        let mut tell = |event| call.handle(limiter, now, event);
        let error = |kind| ErrorDetails::new(kind);
        match words[0] {
            "submitted" => tell(Event::Submitted),
            "woken" => tell(Event::Woken),
            "cancelled" => tell(Event::Cancelled),
            "lost" => tell(Event::Failed(Failure::Lost)),
            "timed-out" => tell(Event::Failed(Failure::TimedOut)),
            "not-sent" => tell(Event::Failed(Failure::NotSent)),
            "in-stream" => tell(Event::Failed(Failure::InStream(error(words[1])))),
            "progress" => tell(Event::Progressed {
                usage: usage(words),
                handed_on: words.contains(&"handed-on"),
            }),
            "finished" if words.len() == 1 => tell(Event::Finished(None)),
            "finished" => tell(Event::Finished(Some(usage(words)))),
            status => tell(Event::Responded {
                status: status.parse().unwrap(),
                hints: &hints,
                error: refusal(words, &message),
            }),
        }
    }
}

fn compare(decision: Decision, expected: &str) -> Result<(), String> {
    let words: Vec<&str> = expected.splitn(3, ' ').collect();
    let came_out = match decision {
        Decision::Send(attempt) => format!("send {}", attempt.number),
        Decision::Deliver => "deliver".to_owned(),
        Decision::GiveUp(why) => format!("give-up: {why}"),
        Decision::Wait(wait) => {
            let until = wait.until.as_nanos() as f64 / 1e9;
            format!("wait {until}s {}", wait.cause)
        }
    };
    let same = match (decision, words[0]) {
        (Decision::Wait(wait), "wait") => {
            let (from, to) = words[1].split_once("..").unwrap_or((words[1], words[1]));
            (time(from)..=time(to)).contains(&wait.until)
                && wait.cause.to_string().contains(words[2])
        }
        (Decision::GiveUp(why), "give-up") => {
            let reason = expected.strip_prefix("give-up").unwrap().trim();
            why.to_string().contains(reason)
        }
        _ => came_out == expected,
    };
    if same {
        Ok(())
    } else {
        Err(format!("but it came out as `{came_out}`"))
    }
}

/// `12.5s` or `12h`.
fn time(word: &str) -> Instant {
    let (number, unit) = word.split_at(word.len() - 1);
    let seconds: f64 = number.parse().unwrap_or_else(|_| panic!("`{word}`"));
    let factor = match unit {
        "s" => 1.0,
        "h" => 3_600.0,
        _ => panic!("`{word}` has no unit"),
    };
    Instant::from_nanos((seconds * factor * 1e9).round() as u64)
}

fn dimension(word: &str) -> Dimension {
    match word {
        "requests" => Dimension::Requests,
        "input" => Dimension::InputTokens,
        "output" => Dimension::OutputTokens,
        _ => panic!("`{word}` is no dimension"),
    }
}

fn value<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name))
}

fn number(words: &[&str], name: &str) -> u64 {
    value(words, name).map_or(0, |n| n.parse().unwrap())
}

fn request(words: &[&str]) -> Request {
    let request = Request::new()
        .input_tokens(number(words, "in="))
        .max_tokens(number(words, "out="))
        .profile(Profile::new(number(words, "profile=") as u8));
    match value(words, "by=") {
        Some(at) => request.start_by(time(at)),
        None => request,
    }
}

fn refusal<'a>(words: &[&'a str], message: &'a str) -> ErrorDetails<'a> {
    match value(words, "code=") {
        None if message.is_empty() => ErrorDetails::NONE,
        code => ErrorDetails::new("rate_limit_error")
            .code(code.unwrap_or_default())
            .message(message),
    }
}

fn usage(words: &[&str]) -> Usage {
    Usage::new(number(words, "in="), number(words, "out="))
}

/// `input=30000:12000` shows a limit and what is left of it.
fn hints(words: &[&str]) -> ServerHints {
    let mut hints = ServerHints::NONE;
    if let Some(seconds) = value(words, "retry-after=") {
        hints = hints.with_retry_after(Duration::from_secs(seconds.parse().unwrap()));
    }
    for (name, rounding) in [("requests=", 0), ("input=", 500), ("output=", 500)] {
        if let Some((limit, left)) = value(words, name).and_then(|shown| shown.split_once(':')) {
            hints = hints.with_meter(
                Meter::new(Family::Standard, dimension(&name[..name.len() - 1]))
                    .limit(limit.parse().unwrap())
                    .remaining(left.parse().unwrap(), rounding),
            );
        }
    }
    hints
}
