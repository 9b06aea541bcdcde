//! What was decided is decided still: in each simulated world, when what was sent, how
//! long who was told to wait, and when waiting was worth another question. A change
//! that should decide nothing otherwise shows here if it does; one that should, changes
//! `tests/data/decided.txt`, and in its difference one sees where and from when on:
//!
//! ```text
//! UPDATE_GOLDEN=1 cargo test --release --test it decided
//! ```
//!
//! How well it is decided is seen by `worlds` and by `compare`. The simulator draws by
//! `exp` and `ln`, whose last bits are the platform's: this is for Linux with glibc.

use std::{cell::RefCell, fmt, fs, rc::Rc};

use sendwhen_sim::{Answer, Ask, Client, Job, Ours, Time, Verdict, World, run_team, worlds};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/decided.txt");

const SEED: u64 = 1;

#[test]
#[cfg_attr(debug_assertions, ignore = "a minute without optimisation")]
fn what_was_decided_is_decided_still() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let all: String = worlds(SEED).iter().map(decided).collect();
        fs::write(PATH, all).unwrap();
        return;
    }
    let before = fs::read_to_string(PATH).unwrap();
    let mut before = before.split_inclusive("\n\n");
    for world in worlds(SEED) {
        let now = decided(&world);
        let before = before.next().unwrap_or_default();
        assert_eq!(
            before, now,
            "if this is meant: UPDATE_GOLDEN=1 cargo test --release --test it decided"
        );
    }
    assert_eq!(before.next(), None, "of no world");
}

/// A paragraph about all decisions in a world.
fn decided(world: &World) -> String {
    let log = Rc::new(RefCell::new(Log::default()));
    let team = Ours::team(world, SEED).into_iter();
    let mut team: Vec<Box<dyn Client>> = team
        .map(|client| {
            let log = Rc::clone(&log);
            Box::new(Watched { client, log }) as _
        })
        .collect();
    let out = run_team(world, SEED, &mut team);
    let (done, refused) = (out.completed, out.refused);
    let log = log.borrow();
    format!(
        "{}: {done} completed, {refused} refused\n{log}\n",
        world.name
    )
}

/// A client all of whose decisions are written down.
struct Watched {
    client: Box<dyn Client>,
    log: Rc<RefCell<Log>>,
}

impl Watched {
    fn note(&self, now: Time, words: [u64; 3]) {
        let mut log = self.log.borrow_mut();
        let [of, id, at] = words;
        log.note(now, &[now, of, id, at, self.client.opened()]);
    }
}

impl Client for Watched {
    fn name(&self) -> String {
        self.client.name()
    }

    fn ask(&mut self, now: Time, id: usize, job: &Job) -> Ask {
        let ask = self.client.ask(now, id, job);
        let (of, at) = match ask {
            Ask::Send => (SENT, now),
            Ask::Wait(until) => (TOLD, until),
            Ask::Hold(until) => (HELD, until),
            Ask::GiveUp => (GIVEN_UP, now),
        };
        self.note(now, [of, id as u64, at]);
        ask
    }

    fn head(&mut self, now: Time, id: usize, answer: &Answer) -> Verdict {
        let verdict = self.client.head(now, id, answer);
        self.note(now, fate(now, id, verdict));
        verdict
    }

    fn lost(&mut self, now: Time, id: usize) -> Verdict {
        let verdict = self.client.lost(now, id);
        self.note(now, fate(now, id, verdict));
        verdict
    }

    fn end(&mut self, now: Time, id: usize, job: &Job) {
        self.client.end(now, id, job);
        self.note(now, [DELIVERED, id as u64, now]);
    }

    fn opened(&self) -> u64 {
        self.client.opened()
    }
}

fn fate(now: Time, id: usize, verdict: Verdict) -> [u64; 3] {
    let (of, at) = match verdict {
        Verdict::Deliver => (DELIVERED, now),
        Verdict::Again(at) => (HELD, at),
        Verdict::GiveUp => (GIVEN_UP, now),
    };
    [of, id as u64, at]
}

const SENT: u64 = 0;
const TOLD: u64 = 1;
const HELD: u64 = 2;
const GIVEN_UP: u64 = 3;
const DELIVERED: u64 = 4;

/// The decisions of a run: those of the first seconds, and then of spans of which each
/// is twice as long.
#[derive(Default)]
struct Log(Vec<Span>);

/// How many there were of each, and a fingerprint of all up to its end.
#[derive(Clone, Copy, Default)]
struct Span {
    counts: [u64; 5],
    fingerprint: u64,
}

impl Log {
    fn note(&mut self, now: Time, words: &[u64; 5]) {
        let place = (now / 4_000_000_000 + 1).ilog2() as usize;
        while self.0.len() <= place {
            let fingerprint = self.0.last().map_or(FNV, |last| last.fingerprint);
            let counts = [0; 5];
            self.0.push(Span {
                counts,
                fingerprint,
            });
        }
        let span = &mut self.0[place];
        span.counts[words[1] as usize] += 1;
        for word in words {
            span.fingerprint = (span.fingerprint ^ word).wrapping_mul(0x0100_0000_01b3);
            span.fingerprint ^= span.fingerprint >> 29;
        }
    }
}

/// Where FNV-1a begins.
const FNV: u64 = 0xcbf2_9ce4_8422_2325;

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, span) in self.0.iter().enumerate() {
            let until = (4 << (place + 1)) - 4;
            let [sent, told, held, given_up, _] = span.counts;
            write!(
                f,
                "  to {until} s: {sent} sent, {told} told to wait, {held} held"
            )?;
            if given_up > 0 {
                write!(f, ", {given_up} given up")?;
            }
            writeln!(f, ", {:016x}", span.fingerprint)?;
        }
        Ok(())
    }
}
