//! The pictures: what passed in each second as bars, and all that had passed by
//! then as a line.

use std::error::Error;

use plotters::{
    coord::Shift,
    prelude::{
        ChartBuilder, DrawingArea, IntoDrawingArea, LineSeries, RGBColor, Rectangle, SVGBackend,
        WHITE,
    },
    style::Color,
};

use crate::limits::{END, QUIET, Shape};

const SIZE: (u32, u32) = (640, 240);
const COLUMNS: usize = 2;

const BARS: RGBColor = RGBColor(90, 140, 200);
const LINE: RGBColor = RGBColor(0, 0, 0);
const SHADE: RGBColor = RGBColor(238, 238, 238);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One algorithm.
pub(crate) fn one(shape: &Shape) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        draw(&root, shape)?;
        root.present()?;
    }
    Ok(svg)
}

/// All of them on one page.
pub(crate) fn all(shapes: &[Shape]) -> Result<String, Box<dyn Error>> {
    let rows = shapes.len().div_ceil(COLUMNS);
    let (width, height) = SIZE;
    let page = (
        width * u32::try_from(COLUMNS)?,
        height * u32::try_from(rows)?,
    );
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, page).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, shape) in root.split_evenly((rows, COLUMNS)).iter().zip(shapes) {
            draw(area, shape)?;
        }
        root.present()?;
    }
    Ok(svg)
}

fn draw(area: &Area<'_>, shape: &Shape) -> Result<(), Box<dyn Error>> {
    let mut each_second = vec![0_u32; usize::try_from(END)?];
    for at in &shape.admitted {
        if let Some(count) = each_second.get_mut(usize::try_from(at / 1_000_000_000)?) {
            *count += 1;
        }
    }
    let tallest = each_second.iter().copied().max().unwrap_or(1);
    let tallest = f64::from(tallest).max(4.0) * 1.1;
    let total = f64::from(u32::try_from(shape.admitted.len())?).max(1.0) * 1.1;
    let end = f64::from(u32::try_from(END)?);
    let mut chart = ChartBuilder::on(area)
        .caption(shape.title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(40)
        .right_y_label_area_size(44)
        .build_cartesian_2d(0.0..end, 0.0..tallest)?
        .set_secondary_coord(0.0..end, 0.0..total);
    let (from, to) = (
        f64::from(u32::try_from(QUIET.0)?),
        f64::from(u32::try_from(QUIET.1)?),
    );
    if shape.file != "pause" {
        let quiet = Rectangle::new([(from, 0.0), (to, tallest)], SHADE.filled());
        chart.draw_series([quiet])?;
    }
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&|x| format!("{x:.0} s"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .y_desc("in a second")
        .draw()?;
    chart
        .configure_secondary_axes()
        .y_labels(5)
        .y_label_formatter(&|y| format!("{y:.0}"))
        .y_desc("in all")
        .draw()?;
    let bars = (0_u32..).zip(&each_second).filter(|(_, count)| **count > 0);
    chart.draw_series(bars.map(|(second, &count)| {
        let left = f64::from(second);
        Rectangle::new([(left, 0.0), (left + 0.9, f64::from(count))], BARS.filled())
    }))?;
    let mut sum = 0.0;
    let line = (1_u32..).zip(&each_second).map(|(second, &count)| {
        sum += f64::from(count);
        (f64::from(second), sum)
    });
    let line: Vec<(f64, f64)> = std::iter::once((0.0, 0.0)).chain(line).collect();
    chart.draw_secondary_series(LineSeries::new(line, &LINE))?;
    Ok(())
}
