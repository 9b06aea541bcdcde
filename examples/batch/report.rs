//! The figures at the end.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{
    limits::Totals,
    tally::{Account, Group},
};

/// The figures at the end. With `--json` this is what is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    completed: u64,
    given_up: u64,
    refused: u64,
    overloaded: u64,
    /// How many of `completed` the fallback model answered; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<u64>,
    /// Counted input: what was read from the cache is not in it.
    input_tokens: u64,
    output_tokens: u64,
    elapsed_s: f64,
    least_s: f64,
    /// Absent where nothing was answered.
    ratio: Option<f64>,
    /// What was not begun or was cancelled, after an interruption.
    #[serde(skip_serializing_if = "is_zero")]
    left: u64,
    tenants: Vec<Share>,
    /// Absent where nothing was urgent.
    #[serde(skip_serializing_if = "Option::is_none")]
    urgent: Option<Waits>,
    /// Why calls were given up, and how many.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    reasons: BTreeMap<String, u64>,
    notices: Vec<String>,
}

/// How a tenant fared.
#[derive(Debug, Serialize)]
struct Share {
    name: String,
    weight: u32,
    /// Its part of the output while each tenant had prompts that waited; absent
    /// where that never was.
    share: Option<f64>,
    #[serde(flatten)]
    waits: Waits,
}

/// How long calls waited for their first sending, in seconds; absent where none
/// was sent.
#[derive(Debug, Serialize)]
struct Waits {
    completed: u64,
    wait_p50_s: Option<f64>,
    wait_p99_s: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How long it all took, and what it was for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) prompts: u64,
    pub(crate) elapsed: Duration,
    /// What the limits allow.
    pub(crate) least: Duration,
    /// What the server charged.
    pub(crate) totals: Totals,
    pub(crate) with_fallback: bool,
}

impl Summary {
    pub(crate) fn new(account: Account, run: &Run) -> Self {
        let counts = account.counts;
        let ended = counts.completed.saturating_add(counts.given_up);
        let ratio = (!run.least.is_zero()).then(|| run.elapsed.div_duration_f64(run.least));
        let contended = account.tenants.iter().map(|(_, group)| group.contended);
        let contended = contended.fold(0, u64::saturating_add);
        let share = |(tenant, group): (super::deal::Tenant, Group)| Share {
            name: tenant.name,
            weight: tenant.weight.get(),
            share: part(group.contended, contended),
            waits: Waits::of(&group),
        };
        let mut notices = account.notices;
        if account.more_notices > 0 {
            notices.push(format!("and {} more", account.more_notices));
        }
        Self {
            completed: counts.completed,
            given_up: counts.given_up,
            refused: counts.refused,
            overloaded: counts.overloaded,
            fallback: run.with_fallback.then_some(counts.fallback),
            input_tokens: run.totals.input_tokens,
            output_tokens: run.totals.output_tokens,
            elapsed_s: thousandths(run.elapsed.as_secs_f64()),
            least_s: thousandths(run.least.as_secs_f64()),
            ratio: ratio.map(thousandths),
            left: run.prompts.saturating_sub(ended),
            tenants: account.tenants.into_iter().map(share).collect(),
            urgent: Waits::of(&account.urgent).if_any(),
            reasons: account.reasons,
            notices,
        }
    }
}

impl Waits {
    fn of(group: &Group) -> Self {
        let seconds = |percent| group.wait(percent).map(|wait| wait.as_secs_f64());
        Self {
            completed: group.completed,
            wait_p50_s: seconds(50).map(thousandths),
            wait_p99_s: seconds(99).map(thousandths),
        }
    }

    fn if_any(self) -> Option<Self> {
        (self.wait_p50_s.is_some()).then_some(self)
    }
}

/// `value` with three digits after the point.
fn thousandths(value: f64) -> f64 {
    format!("{value:.3}").parse().unwrap_or(value)
}

fn part(of: u64, whole: u64) -> Option<f64> {
    let (of, whole) = (Duration::from_micros(of), Duration::from_micros(whole));
    (!whole.is_zero()).then(|| thousandths(of.div_duration_f64(whole)))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered in {:.1} s", self.completed, self.elapsed_s)?;
        if let Some(ratio) = self.ratio {
            write!(
                f,
                ", {ratio:.2} times the least that the limits allow ({:.1} s)",
                self.least_s
            )?;
        }
        write!(
            f,
            "\n{} given up, {} refused (429), {} overloaded (529)\
             \n{} input tokens counted, {} output tokens",
            self.given_up, self.refused, self.overloaded, self.input_tokens, self.output_tokens
        )?;
        if let Some(fallback) = self.fallback {
            write!(f, "\n{fallback} answered by the fallback model")?;
        }
        if self.left > 0 {
            write!(f, "\n{} left over; --resume goes on with them", self.left)?;
        }
        for (reason, many) in &self.reasons {
            write!(f, "\ngiven up: {many} because {reason}")?;
        }
        self.write_tenants(f)?;
        for notice in &self.notices {
            write!(f, "\nnotice: {notice}")?;
        }
        Ok(())
    }
}

impl Summary {
    fn write_tenants(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.tenants.iter().map(|tenant| {
            let share = tenant
                .share
                .map_or_else(|| String::from("-"), |share| format!("{share:.3}"));
            (
                &*tenant.name,
                tenant.weight.to_string(),
                share,
                &tenant.waits,
            )
        });
        let urgent = self.urgent.as_ref();
        let urgent = urgent.map(|waits| ("all urgent", String::new(), String::new(), waits));
        write!(
            f,
            "\n\n| {:<16} | {:>6} | {:>8} | {:>6} | {:>8} | {:>8} |\
             \n|{:-<18}|{:->7}:|{:->9}:|{:->7}:|{:->9}:|{:->9}:|",
            "tenant", "weight", "answered", "share", "p50 wait", "p99 wait", "", "", "", "", "", ""
        )?;
        for (name, weight, share, waits) in rows.chain(urgent) {
            write!(
                f,
                "\n| {name:<16} | {weight:>6} | {:>8} | {share:>6} | {:>8} | {:>8} |",
                waits.completed,
                span(waits.wait_p50_s),
                span(waits.wait_p99_s)
            )?;
        }
        writeln!(f)
    }
}

fn span(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| String::from("-"), |seconds| format!("{seconds:.2} s"))
}
