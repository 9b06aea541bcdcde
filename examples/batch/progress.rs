//! What is shown while it goes on: a bar on a terminal, else a line now and
//! then. All of it goes to stderr.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use sendwhen::Instant;

use super::tally::Counts;

/// How often a bar is drawn anew.
const FRAME: Duration = Duration::from_millis(100);
/// How often there is a line where there is no bar.
const LINE: Duration = Duration::from_secs(5);

/// The display. Clones are the same display.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    jobs: u64,
    /// `None` where stderr is no terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(jobs: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:20} {pos}/{len}  {prefix}\n{wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(jobs).with_style(style)
        });
        Self { jobs, bar }
    }

    /// How long to leave the display as it is.
    pub(crate) const fn pause(&self) -> Duration {
        if self.bar.is_some() { FRAME } else { LINE }
    }

    /// Shows the counts as they stand at `now`.
    pub(crate) fn show(&self, counts: &Counts, now: Instant) {
        let ended = counts.completed.saturating_add(counts.given_up);
        let (how, why) = (how_many(counts), why_not_more(counts, now));
        match &self.bar {
            Some(bar) => {
                bar.set_position(ended);
                bar.set_prefix(how);
                bar.set_message(why);
            }
            None if why.is_empty() => say(&format!("{ended}/{} done, {how}", self.jobs)),
            None => say(&format!("{ended}/{} done, {how}; {why}", self.jobs)),
        }
    }

    /// Puts a line above the bar.
    pub(crate) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => say(text),
        }
    }

    /// Takes the display away.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn how_many(counts: &Counts) -> String {
    let mut words = format!(
        "{} in flight, {} waiting, {} refused",
        counts.in_flight, counts.waiting, counts.refused
    );
    let rarer = [
        (counts.overloaded, "overloaded"),
        (counts.unanswered, "without an answer"),
        (counts.given_up, "given up"),
    ];
    for (count, what) in rarer.into_iter().filter(|&(count, _)| count > 0) {
        words.push_str(&format!(", {count} {what}"));
    }
    words
}

/// What is waited for, and how long still.
fn why_not_more(counts: &Counts, now: Instant) -> String {
    let wait = counts.wait.filter(|wait| wait.until > now);
    wait.map_or_else(String::new, |wait| {
        let left = wait.until.saturating_duration_since(now).as_secs_f64();
        format!("waiting {left:.1} s for {}", wait.cause)
    })
}

/// Writes to stderr; where that is closed, nobody listens.
pub(crate) fn say(text: &str) {
    let _written = writeln!(std::io::stderr(), "{text}");
}
