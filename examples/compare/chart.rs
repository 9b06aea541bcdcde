//! The charts: what was completed and what was refused over time, a line for
//! each client.

use std::{io, path::Path};

use plotters::{
    coord::ranged1d::ValueFormatter,
    prelude::{
        ChartBuilder, DrawingArea, IntoDrawingArea, IntoLogRange, LineSeries, PathElement,
        RGBColor, Ranged, SVGBackend, Text, WHITE,
    },
    style::{Color, ShapeStyle},
};
use sendwhen_sim::{Outcome, Time};

use crate::figures::Compared;

/// Width and height; what of them the panels and the upper of both take.
const SIZE: (u32, u32) = (900, 500);
const LEFT: u32 = 690;
const UPPER: u32 = 300;

/// No line has more points.
const POINTS: usize = 50;

/// How often the bound's time is shown: who takes longer runs out of the frame.
const SPAN: f64 = 2.0;

/// Bound, this crate, and the peers in their order.
const COLOURS: [RGBColor; 10] = [
    RGBColor(170, 170, 170),
    RGBColor(0, 0, 0),
    RGBColor(214, 39, 40),
    RGBColor(255, 127, 14),
    RGBColor(148, 103, 189),
    RGBColor(23, 160, 180),
    RGBColor(44, 140, 44),
    RGBColor(31, 100, 190),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws a world into `folder`, in a file of its name.
pub(crate) fn write(world: &Compared, folder: &Path) -> io::Result<()> {
    let name = world.name.replace(',', "").replace(' ', "-");
    let path = folder.join(name).with_extension("svg");
    let mut svg = String::new();
    draw(world, &mut svg).map_err(|error| io::Error::other(error.to_string()))?;
    std::fs::write(path, svg)
}

fn draw(world: &Compared, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(&title(world), ("sans-serif", 18))?;
    let (panels, legend) = root.split_horizontally(LEFT);
    let (upper, lower) = panels.split_vertically(UPPER);
    explain(&legend, world)?;
    let span = span(world.drawn.first().map_or(0.0, |bound| bound.makespan));
    let jobs = world.world.work.jobs as f64;
    panel(&upper, world, ("completed", true), (span, 0.0..jobs * 1.02))?;
    let refused = world.drawn.iter().map(|outcome| outcome.refused);
    let refused = refused.max().unwrap_or_default().max(10) as f64;
    panel(
        &lower,
        world,
        ("refused (log)", false),
        (span, (1.0..refused * 1.5).log_scale()),
    )?;
    root.present()?;
    Ok(())
}

fn title(world: &Compared) -> String {
    let server = &world.world.server;
    let [requests, input, output] = server.least_limits();
    let limits = if server.together {
        format!("{requests:.0} requests, {input:.0} tokens")
    } else {
        format!("{requests:.0} requests, {input:.0} input, {output:.0} output")
    };
    let jobs = world.world.work.jobs;
    format!("{}: {jobs} jobs at {limits} a minute", world.name)
}

/// One part: its name and whether it is that of the completed, and its ranges.
fn panel<'a, Y>(
    area: &Area<'a>,
    world: &Compared,
    (name, completed): (&str, bool),
    (span, range): (f64, Y),
) -> Result<(), Box<dyn std::error::Error>>
where
    Y: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(20)
        .x_label_area_size(if completed { 20 } else { 36 })
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..span, range)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_desc(if completed { "" } else { "seconds" })
        .y_desc(name)
        .draw()?;
    for (outcome, colour) in world.drawn.iter().zip(COLOURS) {
        let points = if completed {
            &outcome.completed
        } else {
            &outcome.refusals
        };
        chart.draw_series(LineSeries::new(
            points.iter().copied(),
            style(outcome, colour),
        ))?;
    }
    Ok(())
}

/// The bound and this crate stand out.
fn style(outcome: &Drawn, colour: RGBColor) -> ShapeStyle {
    let broad = outcome.client == "sendwhen" || outcome.client == "bound";
    colour.stroke_width(if broad { 3 } else { 1 })
}

/// Which line is whose.
fn explain(area: &Area<'_>, world: &Compared) -> Result<(), Box<dyn std::error::Error>> {
    let places = (24..).step_by(20);
    for ((outcome, colour), y) in world.drawn.iter().zip(COLOURS).zip(places) {
        let dash = vec![(0, y), (16, y)];
        area.draw(&PathElement::new(dash, style(outcome, colour)))?;
        let font = ("sans-serif", 13);
        area.draw(&Text::new(label(outcome), (24, y.saturating_sub(5)), font))?;
    }
    Ok(())
}

fn label(outcome: &Drawn) -> String {
    if outcome.given_up > 0 {
        format!("{}, gave up {}", outcome.client, outcome.given_up)
    } else {
        outcome.client.clone()
    }
}

/// What is drawn of a client. An outcome itself may hold every refusal of a
/// storm.
#[derive(Debug)]
pub(crate) struct Drawn {
    client: String,
    given_up: usize,
    makespan: f64,
    refused: usize,
    completed: Vec<(f64, f64)>,
    refusals: Vec<(f64, f64)>,
}

impl Drawn {
    /// Beside a bound that takes so many nanoseconds.
    pub(crate) fn new(outcome: &Outcome, bound: Time) -> Self {
        let span = span(bound as f64 / 1e9);
        Self {
            client: outcome.client.clone(),
            given_up: outcome.given_up,
            makespan: outcome.makespan as f64 / 1e9,
            refused: outcome.refused,
            completed: line(outcome, true, span),
            refusals: line(outcome, false, span),
        }
    }
}

/// How many seconds are shown.
fn span(bound: f64) -> f64 {
    (bound * SPAN).max(1.0)
}

/// How many there were up to a time, at no more than [`POINTS`] times.
fn line(outcome: &Outcome, completed: bool, span: f64) -> Vec<(f64, f64)> {
    let marks = outcome.marks.iter();
    let mut times: Vec<f64> = marks
        .filter(|mark| mark.completed == completed)
        .map(|mark| mark.at as f64 / 1e9)
        .filter(|&at| at <= span)
        .collect();
    times.sort_by(f64::total_cmp);
    let step = times.len().div_ceil(POINTS).max(1);
    let counted: Vec<_> = times.into_iter().zip(1_u32..).collect();
    let last = counted.last().copied();
    counted
        .into_iter()
        .step_by(step)
        .chain(last)
        .map(|(at, count)| (at, f64::from(count)))
        .collect()
}
