//! Which mutants no test notices, with one build for all of them.
//!
//! `cargo mutants` builds the crate anew for each mutant, which takes seconds.
//! Here all that it lists are woven into the sources at once, each behind
//! `crate::mutant(number)`, which the environment variable `MUTANT` makes true for
//! one of them; then the tests run once for each.
//!
//! ```text
//! cargo mutants --list --json .. >LIST
//! mutants LIST TREE
//! ```
//!
//! `TREE` is a copy of the repository: its sources are overwritten. What was found
//! is in `TREE/mutants.txt`, one mutant a line; those that were noticed are not run
//! again.

mod build;
mod run;
mod weave;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// One of `cargo mutants --list --json`.
#[derive(Deserialize, Clone)]
pub struct Mutant {
    /// Its place in the list, from 1 on.
    #[serde(skip)]
    pub number: u32,
    pub file: String,
    pub name: String,
    pub genre: String,
    pub replacement: String,
    pub span: Span,
}

#[derive(Deserialize, Clone)]
pub struct Span {
    pub start: Place,
}

/// Both count from 1.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let list = arguments.next().context("no LIST")?;
    let tree = PathBuf::from(arguments.next().context("no TREE")?);
    let text = fs::read_to_string(&list).with_context(|| format!("reading {list}"))?;
    let mut mutants: Vec<Mutant> = serde_json::from_str(&text)?;
    for (number, mutant) in (1..).zip(&mut mutants) {
        mutant.number = number;
    }
    let (woven, unviable) = weave_all(&tree, &mutants)?;
    let tests = build::tests(&tree)?;
    let mut report = run::Report::read(&tree.join("mutants.txt"));
    for mutant in &mutants {
        if unviable.contains(&mutant.number) {
            report.set(mutant, "unviable");
        } else if !woven.contains(&mutant.number) {
            report.set(mutant, "not-woven");
        }
    }
    report.run(&tree, &tests, &mutants)?;
    print!("{report}");
    Ok(())
}

/// Weaves all that compile into the sources of `tree`: their numbers, and those of
/// the others that are of the wrong type.
fn weave_all(tree: &Path, mutants: &[Mutant]) -> Result<(BTreeSet<u32>, BTreeSet<u32>)> {
    let mut files: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        files.entry(&mutant.file).or_default().push(mutant);
    }
    let sources = files
        .keys()
        .map(|file| Ok((*file, fs::read_to_string(tree.join(file))?)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    let root = tree.join("src/lib.rs");
    let lib = fs::read_to_string(&root)?;
    fs::write(&root, lib + weave::SWITCH)?;
    let mut excepted = weave::Excepted::default();
    loop {
        let mut woven = BTreeSet::new();
        for (file, mutants) in &files {
            let text = sources.get(file).context("a file that was read")?;
            let text = weave::weave(text, mutants, &excepted, &mut woven)
                .with_context(|| format!("weaving {file}"))?;
            fs::write(tree.join(file), text)?;
        }
        let before = excepted.len();
        build::check(tree, &mut excepted)?;
        if excepted.len() == before {
            return Ok((woven, excepted.unviable));
        }
        println!("{} woven, {before} excepted", woven.len());
    }
}
