//! What the compiler says of what was woven.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use proc_macro2::LineColumn;
use serde_json::Value;
use syn::{Expr, ExprIf, Lit, spanned::Spanned as _, visit::Visit};

use crate::{Place, weave::Excepted};

/// Builds what the tests need; adds to `excepted` what stands in the way of that.
pub fn check(tree: &Path, excepted: &mut Excepted) -> Result<()> {
    let mut branches = BTreeMap::new();
    let mut unknown = Vec::new();
    let before = excepted.len();
    for message in cargo(tree, &["check", "--lib", "--tests"])? {
        let message = &message["message"];
        if message["level"] != "error" {
            continue;
        }
        let text = message["message"].as_str().unwrap_or_default();
        if message["code"]["code"] == "E0015" {
            if !function(text).is_some_and(|name| excepted.constant.insert(name)) {
                unknown.push(text.to_owned());
            }
            continue;
        }
        let spans = message["spans"].as_array().into_iter().flatten();
        for span in spans.filter(|span| span["is_primary"] == true) {
            let file = span["file_name"].as_str().unwrap_or_default();
            let at = Place {
                line: number(&span["line_start"]),
                column: number(&span["column_start"]),
            };
            if !branches.contains_key(file) {
                branches.insert(file.to_owned(), Branches::of(&tree.join(file))?);
            }
            match branches.get(file).and_then(|branches| branches.around(at)) {
                Some(number) => {
                    excepted.unviable.insert(number);
                }
                None => unknown.push(format!("{file}:{}: {text}", at.line)),
            }
        }
    }
    if excepted.len() == before && !unknown.is_empty() {
        bail!("no mutant explains this:\n{}", unknown.join("\n"));
    }
    Ok(())
}

/// The programs of the tests.
pub fn tests(tree: &Path) -> Result<Vec<PathBuf>> {
    let messages = cargo(tree, &["test", "--no-run", "--lib", "--test", "it"])?;
    let programs = messages.iter().filter_map(|m| m["executable"].as_str());
    let programs: Vec<PathBuf> = programs.map(PathBuf::from).collect();
    if programs.len() != 2 {
        bail!("the tests were not built");
    }
    Ok(programs)
}

fn cargo(tree: &Path, words: &[&str]) -> Result<Vec<Value>> {
    let output = Command::new("cargo")
        .current_dir(tree)
        .args(["--config", "profile.release.lto=false"])
        .args(["--config", "profile.release.codegen-units=16"])
        .args(["--config", "profile.release.opt-level=2"])
        .args(words)
        .args(["-p", "sendwhen", "--release", "--all-features"])
        .args(["--message-format", "json"])
        .env("RUSTFLAGS", "--cap-lints allow")
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo")?;
    let text = String::from_utf8(output.stdout)?;
    let messages = text.lines().map(serde_json::from_str);
    Ok(messages.collect::<Result<_, _>>()?)
}

/// The function of which an error says that it is not `const`, as `Type::name` or
/// `name`.
fn function(text: &str) -> Option<String> {
    let path = text.split('`').nth(1)?;
    // One of a type that another module has: `module::<impl path::Type>::name`.
    let path = path.split_once("<impl ").map_or_else(
        || path.to_owned(),
        |(_, rest)| rest.replacen(">::", "::", 1),
    );
    let mut depth = 0_u32;
    let path: String = path
        .chars()
        .filter(|&c| {
            depth += u32::from(c == '<');
            let is_outside = depth == 0;
            depth -= u32::from(c == '>');
            is_outside
        })
        .collect();
    let names: Vec<&str> = path.split("::").filter(|name| !name.is_empty()).collect();
    let (name, path) = names.split_last()?;
    let of = path.last().filter(|of| of.starts_with(char::is_uppercase));
    Some(of.map_or_else(|| (*name).to_owned(), |of| format!("{of}::{name}")))
}

fn number(value: &Value) -> usize {
    value.as_u64().and_then(|n| n.try_into().ok()).unwrap_or(0)
}

/// Where the mutants of a file are: the smallest come first.
struct Branches(Vec<(Place, Place, u32)>);

impl Branches {
    fn of(path: &Path) -> Result<Self> {
        let mut branches = Self(Vec::new());
        branches.visit_file(&syn::parse_file(&fs::read_to_string(path)?)?);
        branches.0.reverse();
        branches.0.sort_by_key(|(from, to, _)| to.line - from.line);
        Ok(branches)
    }

    fn around(&self, at: Place) -> Option<u32> {
        let around = |&&(from, to, _): &&(Place, Place, u32)| from <= at && at <= to;
        self.0.iter().find(around).map(|&(_, _, number)| number)
    }
}

impl Visit<'_> for Branches {
    fn visit_expr_if(&mut self, whole: &ExprIf) {
        if let Expr::Call(call) = &*whole.cond
            && let Some(Expr::Lit(literal)) = call.args.first()
            && let Lit::Int(number) = &literal.lit
        {
            let place = |at: LineColumn| Place {
                line: at.line,
                column: at.column + 1,
            };
            let span = whole.span();
            let number = number.base10_parse().unwrap_or(0);
            self.0
                .push((place(span.start()), place(span.end()), number));
        }
        syn::visit::visit_expr_if(self, whole);
    }
}
