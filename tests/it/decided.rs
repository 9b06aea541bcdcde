//! What was decided is decided still, for the same reasons: in each simulated world,
//! when what was sent, how long who was told to wait and with which numbers, and when
//! waiting was worth another question. A change that should decide nothing otherwise
//! shows here if it does; one that should, changes `tests/data/decided.txt`, and in its
//! difference one sees where and from when on:
//!
//! ```text
//! UPDATE_GOLDEN=1 cargo test --release --test it decided
//! ```
//!
//! How well it is decided is seen by `worlds` and by `compare`. The simulator draws by
//! `exp` and `ln`, whose last bits are the platform's: this is for Linux with glibc.

use std::{cell::RefCell, fmt, fs, rc::Rc};

use sendwhen::Explanation;
use sendwhen_sim::{Answer, Ask, Client, Job, Ours, Time, Verdict, World, run_team, worlds};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/decided.txt");

const SEEDS: [u64; 2] = [1, 2];

#[test]
#[cfg_attr(debug_assertions, ignore = "a minute without optimisation")]
fn what_was_decided_is_decided_still() {
    let all = SEEDS.into_iter().flat_map(|seed| {
        let worlds = worlds(seed).into_iter();
        worlds.map(move |world| decided(&world, seed))
    });
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(PATH, all.collect::<String>()).unwrap();
        return;
    }
    let before = fs::read_to_string(PATH).unwrap();
    let mut before = before.split_inclusive("\n\n");
    for now in all {
        let before = before.next().unwrap_or_default();
        assert_eq!(
            before, now,
            "if this is meant: UPDATE_GOLDEN=1 cargo test --release --test it decided"
        );
    }
    assert_eq!(before.next(), None, "of no world");
}

/// A paragraph about all decisions in a world.
fn decided(world: &World, seed: u64) -> String {
    let log = Rc::new(RefCell::new(Log::default()));
    let watched = |client| {
        let log = Rc::clone(&log);
        Box::new(Watched { client, log }) as Box<dyn Client>
    };
    let mut team: Vec<_> = if world.work.urgent > 0.0 {
        let team = Ours::team(world, seed).into_iter();
        team.map(|client| watched(Either::Queued(client))).collect()
    } else {
        let each = Ours::each(world, seed).into_iter();
        each.map(|client| watched(Either::Plain(Box::new(client))))
            .collect()
    };
    let out = run_team(world, seed, &mut team);
    let (name, done, refused) = (&world.name, out.completed, out.refused);
    let log = log.borrow();
    format!("{name}, seed {seed}: {done} completed, {refused} refused\n{log}\n")
}

/// A client all of whose decisions are written down.
struct Watched {
    client: Either,
    log: Rc<RefCell<Log>>,
}

enum Either {
    Plain(Box<Ours>),
    Queued(Box<dyn Client>),
}

impl Either {
    fn client(&mut self) -> &mut dyn Client {
        match self {
            Self::Plain(client) => &mut **client,
            Self::Queued(client) => &mut **client,
        }
    }

    fn explain(&mut self, now: Time, id: usize) -> Option<Explanation> {
        match self {
            Self::Plain(client) => client.explain(now, id),
            Self::Queued(_) => None,
        }
    }
}

impl Watched {
    fn note(&mut self, now: Time, words: [u64; 3]) {
        let opened = self.client.client().opened();
        let mut log = self.log.borrow_mut();
        let [kind, id, at] = words;
        log.count(now, kind);
        log.hash(&[now, kind, id, at, opened]);
    }
}

impl Client for Watched {
    fn name(&self) -> String {
        String::from("watched")
    }

    fn ask(&mut self, now: Time, id: usize, job: &Job) -> Ask {
        let ask = self.client.client().ask(now, id, job);
        let (kind, at) = match ask {
            Ask::Send => (SENT, now),
            Ask::Wait(until) => (TOLD, until),
            Ask::Hold(until) => (HELD, until),
            Ask::GiveUp => (GIVEN_UP, now),
        };
        self.note(now, [kind, id as u64, at]);
        if let Some(why) = self.client.explain(now, id) {
            self.log.borrow_mut().explained(&why);
        }
        ask
    }

    fn head(&mut self, now: Time, id: usize, answer: &Answer) -> Verdict {
        let verdict = self.client.client().head(now, id, answer);
        self.note(now, fate(now, id, verdict));
        verdict
    }

    fn lost(&mut self, now: Time, id: usize) -> Verdict {
        let verdict = self.client.client().lost(now, id);
        self.note(now, fate(now, id, verdict));
        verdict
    }

    fn end(&mut self, now: Time, id: usize, job: &Job) {
        self.client.client().end(now, id, job);
        self.note(now, [DELIVERED, id as u64, now]);
    }

    fn opened(&self) -> u64 {
        match &self.client {
            Either::Plain(client) => client.opened(),
            Either::Queued(client) => client.opened(),
        }
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
    fn count(&mut self, now: Time, kind: u64) {
        let place = (now / 4_000_000_000 + 1).ilog2() as usize;
        while self.0.len() <= place {
            let fingerprint = self.0.last().map_or(FNV, |last| last.fingerprint);
            let counts = [0; 5];
            self.0.push(Span {
                counts,
                fingerprint,
            });
        }
        self.0[place].counts[kind as usize] += 1;
    }

    fn explained(&mut self, why: &Explanation) {
        self.hash(&[u64::from(why.flying), why.unheard]);
        for byte in format!("{:?}", why.stance).bytes() {
            self.hash(&[u64::from(byte)]);
        }
        if let Some(level) = why.level {
            self.hash(&[
                level.dimension as u64,
                level.there as u64,
                level.capacity,
                level.wanted,
                level.rounding,
                level.unconfirmed,
                level.surprise,
                u64::from(level.others),
            ]);
        }
    }

    fn hash(&mut self, words: &[u64]) {
        let Some(span) = self.0.last_mut() else {
            return;
        };
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
