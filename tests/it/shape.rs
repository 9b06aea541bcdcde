//! Three drivers of the same core: threads, tokio, virtual time.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use sendwhen::{
    Call, Decision, ErrorDetails, Event, GiveUp, Instant, Limiter, Request, ServerHints, Usage,
};

const OK: Event<'static> = Event::Responded {
    status: 200,
    hints: &ServerHints::NONE,
    error: ErrorDetails::NONE,
};

/// Blocking threads with a mutex and a condition variable.
#[test]
fn blocking_threads() {
    struct Shared {
        limiter: Mutex<Limiter>,
        opened: Condvar,
        origin: std::time::Instant,
    }

    impl Shared {
        fn run(&self, request: Request) -> Result<(), GiveUp> {
            let now = || Instant::from_nanos(self.origin.elapsed().as_nanos() as u64);
            let mut guard = self.limiter.lock().unwrap();
            let mut call = guard.call(request);
            let mut event = Event::Submitted;
            loop {
                match call.handle(&mut *guard, now(), event) {
                    Decision::Wait(wait) => {
                        let span = wait.until.saturating_duration_since(now());
                        guard = self.opened.wait_timeout(guard, span).unwrap().0;
                        event = Event::Woken;
                    }
                    Decision::Send(_) => {
                        drop(guard);
                        std::thread::yield_now(); // the request
                        guard = self.limiter.lock().unwrap();
                        event = OK;
                    }
                    Decision::Deliver => {
                        drop(guard);
                        let usage = Usage::new(10, 10); // the body
                        guard = self.limiter.lock().unwrap();
                        let end = call.handle(&mut *guard, now(), Event::Finished(Some(usage)));
                        assert_eq!(end, Decision::Deliver);
                        self.opened.notify_all();
                        return Ok(());
                    }
                    Decision::GiveUp(why) => return Err(why),
                }
            }
        }
    }

    let shared = Arc::new(Shared {
        limiter: Mutex::new(Limiter::new(1)),
        opened: Condvar::new(),
        origin: std::time::Instant::now(),
    });
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.run(Request::new().input_tokens(10)))
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Ok(()));
    }
}

/// Tokio, with a guard that reports `Cancelled` when its future is dropped.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn tokio_with_a_guard() {
    struct Guard<'a> {
        call: Call,
        limiter: &'a RefCell<Limiter>,
        notify: &'a tokio::sync::Notify,
        origin: tokio::time::Instant,
    }

    impl Guard<'_> {
        fn tell(&mut self, event: Event<'_>) -> Decision {
            let now = Instant::from_nanos(self.origin.elapsed().as_nanos() as u64);
            let limiter = &mut *self.limiter.borrow_mut();
            let opened = limiter.opened();
            let decision = self.call.handle(limiter, now, event);
            if limiter.opened() != opened {
                self.notify.notify_waiters();
            }
            decision
        }
    }

    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            let _ended = self.tell(Event::Cancelled);
        }
    }

    async fn run(mut guard: Guard<'_>) -> Result<(), GiveUp> {
        let mut event = Event::Submitted;
        loop {
            let woken = guard.notify.notified();
            match guard.tell(event) {
                Decision::Wait(wait) => {
                    let until = guard.origin + Duration::from_nanos(wait.until.as_nanos());
                    let _either = tokio::time::timeout_at(until, woken).await;
                    event = Event::Woken;
                }
                Decision::Send(_) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    event = OK;
                }
                Decision::Deliver => {
                    let _end = guard.tell(Event::Finished(None));
                    return Ok(());
                }
                Decision::GiveUp(why) => return Err(why),
            }
        }
    }

    let limiter = RefCell::new(Limiter::new(1));
    let notify = tokio::sync::Notify::new();
    let guard = || Guard {
        call: limiter.borrow_mut().call(Request::new()),
        limiter: &limiter,
        notify: &notify,
        origin: tokio::time::Instant::now(),
    };
    assert_eq!(run(guard()).await, Ok(()));
    let start = tokio::time::Instant::now();
    let cut_off = tokio::time::timeout(Duration::from_millis(10), run(guard())).await;
    assert!(cut_off.is_err());
    let now = Instant::from_nanos(start.elapsed().as_nanos() as u64);
    let flying = limiter.borrow().flying(now);
    assert_eq!(flying, 0, "the drop was reported");
}

/// Ten thousand calls in virtual time: no clock, no threads, an event queue.
#[test]
fn ten_thousand_calls_in_virtual_time() {
    let mut limiter = Limiter::new(1);
    let mut calls: Vec<Call> = (0..10_000)
        .map(|_| limiter.call(Request::new().input_tokens(100)))
        .collect();
    let mut timers = BinaryHeap::new();
    for id in 0..calls.len() {
        timers.push(Reverse((Instant::ZERO, id, 0)));
    }
    let mut delivered = 0;
    while let Some(Reverse((now, id, what))) = timers.pop() {
        let event = match what {
            0 => Event::Submitted,
            1 => OK,
            _ => Event::Finished(Some(Usage::new(100, 50))),
        };
        match calls[id].handle(&mut limiter, now, event) {
            Decision::Wait(wait) => timers.push(Reverse((wait.until, id, 0))),
            Decision::Send(_) => {
                let head = now.saturating_add(Duration::from_secs(1));
                timers.push(Reverse((head, id, 1)));
            }
            Decision::Deliver if what == 2 => delivered += 1,
            Decision::Deliver => {
                let end = now.saturating_add(Duration::from_secs(2));
                timers.push(Reverse((end, id, 2)));
            }
            Decision::GiveUp(why) => panic!("{why}"),
        }
    }
    assert_eq!(delivered, 10_000);
}
