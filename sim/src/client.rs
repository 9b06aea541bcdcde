//! What a client is to a world.

use crate::{Time, head::Answer, work::Job};

/// Decides for all jobs when they are sent.
pub trait Client {
    /// What it is called.
    fn name(&self) -> String;

    /// May job `id` be sent now?
    fn ask(&mut self, now: Time, id: usize, job: &Job) -> Ask;

    /// The head of an answer to job `id` arrived, or the refusal.
    fn head(&mut self, now: Time, id: usize, answer: &Answer) -> Verdict;

    /// No answer to job `id` came in the transport's time. It may have cost
    /// everything.
    fn lost(&mut self, now: Time, id: usize) -> Verdict {
        self.head(now, id, &Answer::NONE)
    }

    /// The last byte of the answer to job `id` arrived.
    fn end(&mut self, now: Time, id: usize, job: &Job);

    /// Moves whenever it is worth asking earlier than was told.
    fn opened(&self) -> u64;
}

/// The answer to "may it be sent?".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Now.
    Send,
    /// All who ask wait until then, or until something opened.
    Wait(Time),
    /// This job alone waits until then.
    Hold(Time),
    /// Never.
    GiveUp,
}

/// The answer to a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is good.
    Deliver,
    /// It is to be asked for again, from then on.
    Again(Time),
    /// It is over.
    GiveUp,
}
