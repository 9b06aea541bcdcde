//! The table: Markdown, and readable as it is.

use std::io::{self, Write};

use crate::figures::{Compared, Own, Run, own};

/// Writes one table for each world, and one of all.
pub(crate) fn write(out: &mut impl Write, worlds: &[Compared], seeds: u64) -> io::Result<()> {
    writeln!(
        out,
        "Each figure is the worst of {seeds} seeds. Efficiency is what exact knowledge would\n\
         have taken over what was taken; in brackets where work was given up, for then it\n\
         says nothing. Refusals are 429s for each completed job. Some worlds have a column\n\
         of their own: the p99 wait of urgent jobs; Jain's index of the shares of several\n\
         clients; the most probes under way at once while the server is known to be down;\n\
         what was sent in vain when it was known that all is spent.\n"
    )?;
    for world in worlds {
        // What only some worlds have, in a column at the end.
        let own_name = own(world.runs.iter()).map(Own::name);
        let head = own_name.map_or_else(String::new, |name| format!(" {name:>10} |"));
        let rule = own_name.map_or("", |_| "-----------:|");
        writeln!(
            out,
            "| {:<24} | efficiency | refusals | given up |  p50 wait |  p99 wait |{head}",
            world.name
        )?;
        writeln!(
            out,
            "|{:-<26}|-----------:|---------:|---------:|----------:|----------:|{rule}",
            ""
        )?;
        for client in clients(world) {
            let figures = Figures::new(world, client);
            write!(
                out,
                "| {client:<24} | {:>10} | {:>8.3} | {:>8} | {:>7.1} s | {:>7.1} s |",
                figures.efficiency, figures.refusals, figures.given_up, figures.p50, figures.p99,
            )?;
            match (own_name, figures.own) {
                (None, _) => writeln!(out)?,
                (Some(_), None) => writeln!(out, " {:>10} |", "")?,
                (Some(_), Some(own)) => writeln!(out, " {:>10} |", own.to_string())?,
            }
        }
        writeln!(out)?;
    }
    if worlds.len() > 1 {
        summary(out, worlds)?;
    }
    Ok(())
}

/// A line for each world: this crate's worst and mean of all seeds, and the seed
/// of the least efficiency.
pub(crate) fn worst(out: &mut impl Write, worlds: &[Compared], seeds: u64) -> io::Result<()> {
    writeln!(
        out,
        "Worst and mean of {seeds} seeds; refusals are 429s for each completed job. Without\n\
         debt is the worst efficiency against exact knowledge that owes nothing at the end;\n\
         when told against one that also sends no more than four before the first head tells\n\
         it of limits.\n"
    )?;
    writeln!(
        out,
        "| {:<24} | efficiency |    mean |  seed | without debt | when told | refusals |   mean | given up | of its own       |",
        "world"
    )?;
    writeln!(
        out,
        "|{:-<26}|-----------:|--------:|------:|-------------:|----------:|---------:|-------:|---------:|------------------|",
        ""
    )?;
    for world in worlds {
        let runs = || world.runs.iter().filter(|run| run.client != "bound");
        let count = runs().count().max(1) as f64;
        let mean = |figure: fn(&Run) -> f64| runs().map(figure).sum::<f64>() / count;
        let worst = |figure: fn(&Run) -> f64| runs().map(figure).fold(f64::INFINITY, f64::min);
        let least = runs().min_by(|a, b| a.efficiency.total_cmp(&b.efficiency));
        let Some(least) = least else { continue };
        let own = own(runs());
        writeln!(
            out,
            "| {:<24} | {:>8.1} % | {:>5.1} % | {:>5} | {:>10.1} % | {:>7.1} % | {:>8.3} | {:>6.3} | {:>8} | {:<16} |",
            world.name,
            least.efficiency * 100.0,
            mean(|run| run.efficiency) * 100.0,
            least.seed,
            worst(|run| run.without_debt) * 100.0,
            worst(|run| run.when_told) * 100.0,
            runs().map(|run| run.refusals).fold(0.0, f64::max),
            mean(|run| run.refusals),
            runs().map(|run| run.given_up).sum::<usize>(),
            own.map_or_else(String::new, |own| format!("{} {own}", own.name())),
        )?;
    }
    let runs: Vec<&Run> = worlds
        .iter()
        .flat_map(|world| &world.runs)
        .filter(|run| run.client != "bound")
        .collect();
    let reach = |figure: fn(&Run) -> f64| runs.iter().filter(|run| figure(run) >= 0.97).count();
    writeln!(
        out,
        "\nOf {} runs {} reach 97 %, {} without debt, {} when told; {} are refused at most\n\
         once in a hundred.",
        runs.len(),
        reach(|run| run.efficiency),
        reach(|run| run.without_debt),
        reach(|run| run.when_told),
        runs.iter().filter(|run| run.refusals <= 0.01).count(),
    )?;
    Ok(())
}

/// Efficiency and refusals of all clients in all worlds.
fn summary(out: &mut impl Write, worlds: &[Compared]) -> io::Result<()> {
    let Some(first) = worlds.first() else {
        return Ok(());
    };
    let names: Vec<&str> = clients(first).filter(|&name| name != "bound").collect();
    let columns: String = names.iter().map(|name| format!(" {name} |")).collect();
    let rule = "---|".repeat(names.len());
    writeln!(out, "Efficiency and refusals:\n")?;
    writeln!(out, "| world |{columns}\n|---|{rule}")?;
    for world in worlds {
        write!(out, "| {} |", world.name)?;
        for name in &names {
            let figures = Figures::new(world, name);
            write!(out, " {} {:.2} |", figures.efficiency, figures.refusals)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// In the order in which they ran.
fn clients(world: &Compared) -> impl Iterator<Item = &str> {
    let first = world.runs.first().map_or(0, |run| run.seed);
    let of_first = world.runs.iter().filter(move |run| run.seed == first);
    of_first.map(|run| run.client.as_str())
}

/// The worst of all seeds.
struct Figures {
    efficiency: String,
    refusals: f64,
    given_up: String,
    p50: f64,
    p99: f64,
    own: Option<Own>,
}

impl Figures {
    fn new(world: &Compared, client: &str) -> Self {
        let runs = || world.runs.iter().filter(|run| run.client == client);
        let most = |figure: fn(&Run) -> f64| runs().map(figure).fold(0.0, f64::max);
        let efficiency = runs().map(|run| run.efficiency).fold(f64::MAX, f64::min) * 100.0;
        let jobs: usize = runs().map(|run| run.jobs).sum();
        let given_up: usize = runs().map(|run| run.given_up).sum();
        let (efficiency, given_up) = if given_up == 0 {
            (format!("{efficiency:.1} %"), String::from("0"))
        } else {
            let part = given_up as f64 / jobs as f64 * 100.0;
            (format!("({efficiency:.0} %)"), format!("{part:.1} %"))
        };
        Self {
            efficiency,
            refusals: most(|run| run.refusals),
            given_up,
            p50: most(|run| run.wait_p50_s),
            p99: most(|run| run.wait_p99_s),
            own: own(runs()),
        }
    }
}
