//! Many threads on one limiter, with a turnstile: askers pass one at a time,
//! reports never queue.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sendwhen::{
    Call, Decision, Dimension, ErrorDetails, Event, Instant, Limiter, Rate, Request, ServerHints,
    Usage,
};

struct Pool {
    limiter: Mutex<Limiter>,
    /// Moves on when something opened.
    opened: Condvar,
    /// Held by the one who asks or waits to ask again.
    turnstile: Mutex<()>,
    origin: std::time::Instant,
    asked: AtomicU32,
    sent: AtomicU32,
}

impl Pool {
    fn now(&self) -> Instant {
        Instant::from_std(self.origin, std::time::Instant::now())
    }

    fn tell(
        &self,
        limiter: &mut MutexGuard<'_, Limiter>,
        call: &mut Call,
        event: Event<'_>,
    ) -> Decision {
        let opened = limiter.opened();
        let decision = call.handle(&mut **limiter, self.now(), event);
        if limiter.opened() != opened {
            self.opened.notify_all();
        }
        decision
    }

    /// Asks until `call` may be sent.
    fn until_sent(&self, call: &mut Call) {
        let _turn = self.turnstile.lock().unwrap();
        let mut limiter = self.limiter.lock().unwrap();
        loop {
            self.asked.fetch_add(1, Ordering::Relaxed);
            match self.tell(&mut limiter, call, Event::Woken) {
                Decision::Send(_) => break,
                Decision::Wait(wait) => {
                    let span = wait.until.saturating_duration_since(self.now());
                    let opened = limiter.opened();
                    let unmoved = |limiter: &mut Limiter| limiter.opened() == opened;
                    limiter = self
                        .opened
                        .wait_timeout_while(limiter, span, unmoved)
                        .unwrap()
                        .0;
                }
                other => panic!("{other:?}"),
            }
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn run(&self, request: Request, output: u64) {
        let mut call = self.limiter.lock().unwrap().call(request);
        self.until_sent(&mut call);
        std::thread::sleep(Duration::from_millis(20));
        let head = Event::Responded {
            status: 200,
            hints: &ServerHints::NONE,
            error: ErrorDetails::NONE,
        };
        let usage = Usage::new(request.input_tokens, output);
        for event in [head, Event::Finished(Some(usage))] {
            let mut limiter = self.limiter.lock().unwrap();
            assert_eq!(self.tell(&mut limiter, &mut call, event), Decision::Deliver);
        }
    }
}

#[test]
fn sixty_four_threads_on_one_limiter_ask_about_twice_per_request_sent() {
    let limiter = Limiter::new(1)
        .limit(Dimension::Requests, Rate::per_second(400).unwrap(), 20)
        .and_then(|l| {
            l.limit(
                Dimension::OutputTokens,
                Rate::per_second(40_000).unwrap(),
                2_000,
            )
        })
        .unwrap();
    let pool = Arc::new(Pool {
        limiter: Mutex::new(limiter),
        opened: Condvar::new(),
        turnstile: Mutex::new(()),
        origin: std::time::Instant::now(),
        asked: AtomicU32::new(0),
        sent: AtomicU32::new(0),
    });
    let threads: Vec<_> = (0..64)
        .map(|_| {
            let pool = Arc::clone(&pool);
            std::thread::spawn(move || {
                for i in 0..10 {
                    pool.run(Request::new().input_tokens(10).max_tokens(200), 60 + 8 * i);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let (asked, sent) = (
        pool.asked.load(Ordering::Relaxed),
        pool.sent.load(Ordering::Relaxed),
    );
    assert_eq!(sent, 640);
    let ratio = f64::from(asked) / f64::from(sent);
    println!("asked {asked} times for {sent} requests: {ratio:.2} each");
    assert!(ratio <= 3.2, "{ratio}");
    // 640 requests at 400 a second, 20 of them at once.
    let least = Duration::from_secs_f64(620.0 / 400.0);
    assert!(pool.origin.elapsed() >= least);
}
