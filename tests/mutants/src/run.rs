//! The tests, once for each mutant.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

use anyhow::{Result, bail};
use wait_timeout::ChildExt as _;

use crate::Mutant;

/// Tests that take seconds, start programs, or look at what is not the code.
const SLOW: [&str; 19] = [
    "batch::",
    "boundaries::",
    "explore::",
    "headers::example",
    "limits::peers",
    "plan::",
    "server::",
    "shape::",
    "threads::",
    "transport::",
    "tree::",
    "worlds::",
    "scheduler::machine",
    "props::a_call_costs_a_bounded",
    "props::a_tenant_takes_at_most",
    "props::a_waiting_call_takes",
    "props::of_calls_that_are_seconds",
    "props::shares_are_those_of",
    "stories::of_many_vacant_places",
];

/// Who goes from promised instant to promised instant never ends where none is
/// promised. Without a mutant the tests take six or seven seconds, alone.
const PATIENCE: Duration = Duration::from_secs(40);

/// What became of each mutant, by its name.
pub struct Report {
    path: PathBuf,
    outcomes: BTreeMap<String, String>,
}

impl Report {
    /// What an earlier run wrote, if there was one, of what it did not miss: new
    /// tests may notice that.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let lines = lines.filter(|(outcome, _)| *outcome != "missed");
        Self {
            path: path.to_owned(),
            outcomes: lines
                .map(|(outcome, name)| (name.to_owned(), outcome.to_owned()))
                .collect(),
        }
    }

    pub fn set(&mut self, mutant: &Mutant, outcome: &str) {
        self.outcomes
            .insert(mutant.name.clone(), outcome.to_owned());
    }

    /// Runs all that nothing is known of yet.
    pub fn run(&mut self, tree: &Path, tests: &[PathBuf], mutants: &[Mutant]) -> Result<()> {
        let mut left = mutants.to_vec();
        left.retain(|mutant| !self.outcomes.contains_key(&mutant.name));
        if !left.is_empty() && one(tree, tests, NONE)? != "missed" {
            bail!("the tests fail, or take too long, without any mutant");
        }
        let left = Mutex::new(left.into_iter());
        let shared = Mutex::new(self);
        let work = || -> Result<()> {
            while let Some(mutant) = left.lock().ok().and_then(|mut left| left.next()) {
                let outcome = one(tree, tests, mutant.number)?;
                if let Ok(mut report) = shared.lock() {
                    report.set(&mutant, outcome);
                    report.write()?;
                }
            }
            Ok(())
        };
        let count = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("it panicked")))
        })
    }

    fn write(&self) -> Result<()> {
        let lines = self.outcomes.iter();
        let text: String = lines
            .map(|(name, outcome)| format!("{outcome} {name}\n"))
            .collect();
        Ok(fs::write(&self.path, text)?)
    }
}

/// How many of each file came to what.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut files: BTreeMap<&str, BTreeMap<&str, u32>> = BTreeMap::new();
        for (name, outcome) in &self.outcomes {
            let file = name.split(':').next().unwrap_or_default();
            let counts = files.entry(file).or_default();
            *counts.entry(outcome).or_default() += 1;
        }
        writeln!(f, "| file | {} |", OUTCOMES.join(" | "))?;
        writeln!(f, "|---|{}", "---|".repeat(OUTCOMES.len()))?;
        for (file, counts) in files {
            let count = |outcome| counts.get(outcome).copied().unwrap_or_default();
            let counts = OUTCOMES.map(|outcome| u32::to_string(&count(outcome)));
            writeln!(f, "| `{file}` | {} |", counts.join(" | "))?;
        }
        Ok(())
    }
}

/// The number of no mutant.
const NONE: u32 = 0;

const OUTCOMES: [&str; 5] = ["caught", "timed-out", "missed", "unviable", "not-woven"];

/// What becomes of the tests with this mutant.
fn one(tree: &Path, tests: &[PathBuf], number: u32) -> Result<&'static str> {
    for program in tests {
        let mut child = Command::new(program)
            .current_dir(tree)
            .args(["--test-threads=1", "-Z", "unstable-options", "--fail-fast"])
            .args(SLOW.iter().flat_map(|test| ["--skip", *test]))
            // Options of the test harness that are not stable.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("MUTANT", number.to_string())
            .env("PROPTEST_CASES", "60")
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        match child.wait_timeout(PATIENCE)? {
            None => {
                child.kill()?;
                child.wait()?;
                return Ok("timed-out");
            }
            Some(status) if !status.success() => return Ok("caught"),
            Some(_) => {}
        }
    }
    Ok("missed")
}
