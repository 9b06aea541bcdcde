//! What is shown.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    args::Asked,
    estimate::{
        Alternative, Batch, Estimate, LANE_LARGEST, Limit, Limits, Speed, alternatives, estimate,
    },
    simulation::Checked,
};

/// All that is told.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    batch: Batch,
    limits: Limits,
    speed: Speed,
    estimate: Estimate,
    simulation: Checked,
    alternatives: Vec<Alternative>,
}

impl Report {
    pub(crate) fn new(asked: &Asked, simulation: Checked) -> Self {
        let Asked {
            batch,
            limits,
            speed,
            queue,
            ..
        } = asked;
        Self {
            batch: *batch,
            limits: *limits,
            speed: *speed,
            estimate: estimate(batch, limits, speed),
            simulation,
            alternatives: alternatives(batch, limits, speed, *queue),
        }
    }

    pub(crate) fn json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (batch, estimate) = (&self.batch, &self.estimate);
        writeln!(
            out,
            "{} requests of {:.0} input tokens ({:.0} % from the cache) and {:.0} of output",
            batch.requests,
            batch.input,
            batch.cached * 100.0,
            batch.output
        )?;
        writeln!(
            out,
            "take {}: {} until the last is sent, {} for its answer.",
            span(estimate.total_s),
            span(estimate.sending_s),
            span(estimate.last_answer_s)
        )?;
        match estimate.binding {
            Some(limit) => writeln!(
                out,
                "What binds is {}; about {:.0} are in flight then.\n",
                limit.name(),
                estimate.in_flight.ceil()
            )?,
            None => writeln!(out, "No limit binds: the full buckets are enough.\n")?,
        }
        self.needs(out)?;
        self.checked(out)?;
        self.otherwise(out)
    }

    fn needs(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "| limit         |   a minute |   in all | lets all pass in |  slack |"
        )?;
        writeln!(
            out,
            "|---------------|-----------:|---------:|-----------------:|-------:|"
        )?;
        for need in &self.estimate.needs {
            writeln!(
                out,
                "| {:<13} | {:>10} | {:>8.0} | {:>16} | {:>4.0} % |",
                need.limit.name(),
                need.per_minute,
                need.total,
                span(need.alone_s),
                need.slack * 100.0
            )?;
        }
        writeln!(out)
    }

    fn checked(&self, out: &mut impl Write) -> io::Result<()> {
        let it = &self.simulation;
        writeln!(
            out,
            "Simulated with this crate, {} requests: {}, {} refused, {} given up. That is\n\
             {} {} than in closed form, {}; a client that knows every cost takes {}.\n",
            it.requests,
            span(it.simulated_s),
            it.refused,
            it.given_up,
            span((it.simulated_s - it.closed_form_s).abs()),
            if it.simulated_s < it.closed_form_s {
                "less"
            } else {
                "more"
            },
            span(it.closed_form_s),
            span(it.exact_knowledge_s)
        )
    }

    fn otherwise(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "| otherwise                    |               time |  price | what binds    |"
        )?;
        writeln!(
            out,
            "|------------------------------|-------------------:|-------:|---------------|"
        )?;
        for other in &self.alternatives {
            let most = if other.at_most { "at most " } else { "" };
            writeln!(
                out,
                "| {:<28} | {:>18} | {:>4.0} % | {:<13} |",
                other.name,
                format!("{most}{}", span(other.total_s)),
                other.price * 100.0,
                other.binding.unwrap_or("nothing")
            )?;
        }
        writeln!(
            out,
            "\nAssumed: full buckets of a minute's worth at the start, used by nobody else;\n\
             what is read from the cache does not count as input (for some older models it\n\
             does); an output token costs five of input, one read from the cache a tenth of\n\
             one, and writing the cache nothing. Message Batches have limits of their own:\n\
             {LANE_LARGEST} requests or 256 MB a batch, here {} in all, and a queue; most end\n\
             within an hour, and what is not done after 24 hours expires, unpaid.",
            self.batch.requests.div_ceil(LANE_LARGEST)
        )?;
        if self.estimate.binding == Some(Limit::OutputTokens) {
            writeln!(
                out,
                "Output counts as it is produced, so the end may come up to an answer's time\n\
                 earlier."
            )?;
        }
        Ok(())
    }
}

/// As people say it, in two units at most.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds.round();
    let (hours, minutes) = ((whole / 3_600.0).floor(), (whole / 60.0).floor());
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if minutes < 1.0 {
        format!("{whole:.0} s")
    } else if hours < 1.0 {
        format!("{minutes:.0} min {:.0} s", whole % 60.0)
    } else {
        format!("{hours:.0} h {:.0} min", (whole % 3_600.0 / 60.0).floor())
    }
}
