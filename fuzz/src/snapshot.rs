//! A snapshot as somebody may have left it: what is read of it can be used.

use std::time::Duration;

use sendwhen::{
    CallId, ErrorDetails, Event, Failure, Instant, Next, RetryPolicy, Scheduler, ServerHints,
    Snapshot,
};

/// The bytes are JSON.
pub fn check(data: &[u8]) {
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(data) else {
        return;
    };
    let now = Instant::from_secs(1_000);
    let asleep = Duration::from_secs(data.len() as u64 % 2 * 3_600);
    if let Ok(mut scheduler) = snapshot.restore(now, asleep, |_| RetryPolicy::new()) {
        let written = serde_json::to_vec(&scheduler.snapshot()).expect("it can be written");
        let read = serde_json::from_slice::<Snapshot>(&written).expect("and read");
        let again = read.restore(now, Duration::ZERO, |_| RetryPolicy::new());
        let again = again.expect("and restored");
        assert_eq!(
            (scheduler.waiting(), scheduler.flying()),
            (again.waiting(), again.flying())
        );
        drive(&mut scheduler, now);
    }
}

/// Goes on with a scheduler for a while, whatever it says.
fn drive(scheduler: &mut Scheduler, mut now: Instant) {
    let flights: Vec<CallId> = scheduler.flights().collect();
    for id in flights {
        let _queued = scheduler.handle(now, id, Event::Failed(Failure::Lost));
    }
    for _ in 0..200 {
        match scheduler.next(now) {
            Next::Send { id, .. } => {
                let head = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
                let _proceed = scheduler.handle(now, id, head);
                let _over = scheduler.handle(now, id, Event::Finished(None));
            }
            Next::Drop { .. } => {}
            Next::Wait(wait) => now = now.max(wait.until),
            Next::Idle => return,
        }
    }
}
