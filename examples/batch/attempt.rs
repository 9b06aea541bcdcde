//! One attempt: sends a prompt, reports to the driver what happens, and brings
//! back the answer, or how it ended without one.

use sendwhen::{Event, Failure, Usage, Verdict};

use super::{
    driver::Flight,
    input::Prompt,
    tally::Tally,
    transport::{Answer, Fault, Refusal, Rest, Transport},
};

/// An attempt that brought no answer.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What becomes of the call.
    pub(crate) verdict: Verdict,
    /// The status of the attempt, if it had one.
    pub(crate) status: Option<u16>,
    /// What was wrong, for people.
    pub(crate) words: String,
}

/// Sends `prompt` to the model at the place `model`.
pub(crate) async fn attempt(
    transport: &Transport,
    tally: &Tally,
    flight: &mut Flight,
    model: usize,
    prompt: &Prompt,
    max_tokens: u64,
) -> Result<Answer, Ended> {
    let head = match transport.send(model, prompt, max_tokens).await {
        Ok(head) => head,
        Err(fault) => {
            tally.hears(None);
            return Err(failed(flight, None, fault));
        }
    };
    let status = Some(head.status);
    tally.hears(status);
    let (body, refusal) = match head.rest {
        Rest::Good(body) => (Some(body), Refusal::default()),
        Rest::Refusal(refusal) => (None, refusal),
    };
    let event = Event::responded(head.status, &head.hints, refusal.details());
    let verdict = flight.tell(event);
    match (verdict, body) {
        (Verdict::Proceed, Some(body)) => match transport.read(body).await {
            Ok(answer) => {
                let usage = Usage::from(answer.tokens);
                let _delivered = flight.tell(Event::Finished(Some(usage)));
                Ok(answer)
            }
            Err(fault) => Err(failed(flight, status, fault)),
        },
        // Its status is no failure, and yet there is nothing in it.
        (Verdict::Proceed, None) => {
            let words = refusal.words;
            let failure = Failure::Lost;
            Err(failed(flight, status, Fault { failure, words }))
        }
        (verdict, _) => Err(Ended {
            verdict,
            status,
            words: refusal.words,
        }),
    }
}

fn failed(flight: &mut Flight, status: Option<u16>, fault: Fault) -> Ended {
    Ended {
        verdict: flight.tell(Event::Failed(fault.failure)),
        status,
        words: fault.words,
    }
}
