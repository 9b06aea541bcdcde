//! The work: one job after another on many threads, each through the driver and
//! into the output.

use std::{
    collections::HashSet,
    num::NonZeroU64,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sendwhen::{GiveUp, Instant, Profile, Request, Usage};

use crate::{
    driver::Driver,
    input::Job,
    output::{Output, Record},
    progress::Progress,
    report::{Counts, Tally},
    transport::{Letter, Transport},
};

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) driver: Arc<Driver>,
    pub(crate) tally: Tally,
    pub(crate) progress: Progress,
    pub(crate) transport: Transport,
    pub(crate) output: Output,
    pub(crate) max_tokens: NonZeroU64,
    pub(crate) deadline: Option<Instant>,
    /// System prompts that the server's cache holds.
    pub(crate) cached: Mutex<HashSet<String>>,
    /// Stopped because of a failure, not by the user.
    pub(crate) failed: AtomicBool,
}

impl Batch {
    /// Does all `jobs` on `threads` threads, and shows how it goes.
    pub(crate) fn work(&self, jobs: Vec<Job>, threads: u16) {
        let queue = Mutex::new(jobs.into_iter());
        let next = || {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.next().filter(|_| !self.driver.is_stopped())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        while let Some(job) = next() {
                            self.one(&job);
                        }
                    })
                })
                .collect();
            let mut shown = std::time::Instant::now();
            while workers.iter().any(|worker| !worker.is_finished()) {
                if shown.elapsed() >= self.progress.pause() {
                    self.progress.show(&self.tally.counts(), self.driver.now());
                    shown = std::time::Instant::now();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
    }

    /// Does one job.
    fn one(&self, job: &Job) {
        let max_tokens = job.max_tokens.unwrap_or_else(|| self.max_tokens.get());
        let request = self.request(job, max_tokens);
        let mut letter = self.transport.letter(job, max_tokens);
        self.tally.begins();
        match self.driver.run(request, &mut letter, &self.tally) {
            Ok((answer, attempts)) => {
                let usage = Usage::from(answer.tokens);
                self.note_cached(job, &usage);
                let written = self.output.write(&Record {
                    id: &job.id,
                    text: &answer.text,
                    usage: answer.tokens,
                    attempts,
                });
                match written {
                    Ok(()) => self.tally.completes(&usage, letter.took),
                    Err(error) => {
                        self.tally.gives_up();
                        let path = self.output.path().display();
                        self.fail(&format!("{path}: cannot be written: {error}"));
                    }
                }
            }
            Err(GiveUp::Cancelled) => self.tally.cancels(),
            Err(why) => {
                self.tally.gives_up();
                self.give_up(job, why, &letter);
            }
        }
    }

    /// What the limiter is to know of `job`: about four letters are a token,
    /// and requests that may become equally long resemble each other.
    fn request(&self, job: &Job, max_tokens: u64) -> Request {
        let estimate = |text: &str| count(text.chars().count()).div_ceil(4);
        let system = job.system.as_deref().unwrap_or_default();
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let read = if cached.contains(system) {
            estimate(system)
        } else {
            0
        };
        let profile = u8::try_from(max_tokens.max(1).ilog2()).unwrap_or(u8::MAX);
        let request = Request::new()
            .input_tokens(estimate(system).saturating_add(estimate(&job.prompt)))
            .cached_tokens(read)
            .max_tokens(max_tokens)
            .profile(Profile::new(profile));
        match self.deadline {
            Some(latest) => request.start_by(latest),
            None => request,
        }
    }

    fn note_cached(&self, job: &Job, usage: &Usage) {
        let read_or_written = usage.raw_input().saturating_sub(usage.input_tokens);
        if let (Some(system), true) = (&job.system, read_or_written > 0) {
            let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
            if !cached.contains(system) {
                cached.insert(system.clone());
            }
        }
    }

    /// Says that `job` was given up, and stops where all others would be too.
    fn give_up(&self, job: &Job, why: GiveUp, letter: &Letter<'_>) {
        let mut words = format!("{}: given up: {why}", job.id);
        if !letter.trouble.is_empty() {
            words.push_str(&format!(" ({})", letter.trouble));
        }
        self.progress.line(&words);
        match letter.status {
            Some(401 | 403) => {
                self.fail("the server does not accept the key; nothing more is sent")
            }
            None if !letter.trouble.is_empty() && self.tally.counts().completed == 0 => {
                self.fail("the server cannot be reached; nothing more is sent");
            }
            _ => {}
        }
    }

    /// Stops everything, and says why, once.
    fn fail(&self, why: &str) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            self.progress.line(why);
            self.driver.stop();
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Whether it was stopped because of a failure.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
