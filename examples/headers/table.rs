//! For people: a head line, the meters, and each field.

use core::fmt::Write as _;

use sendwhen::{Field, Meter, Unit};

use crate::{
    explain::{Explained, cut},
    json,
};

/// The text of the response at place `number`.
pub(crate) fn text(number: u32, explained: &Explained) -> String {
    let hints = &explained.hints;
    let mut head = format!("response {number}");
    if let Some(status) = explained.status {
        head += &format!(" {status}");
    }
    head += &format!(", dialect {}", hints.dialect);
    if let Some(class) = explained.class {
        head += &format!(", {class}");
    }
    if let Some(wait) = hints.retry_after {
        head += &format!(", retry after {wait:?}");
    }
    if let Some(should_retry) = hints.should_retry {
        head += &format!(", should retry: {should_retry}");
    }

    let mut rows =
        vec![["pool", "counts", "limit", "remaining", "reset", "window"].map(String::from)];
    rows.extend(hints.meters.iter().map(|meter| row(&meter)));
    let mut text = format!("{head}\n");
    if rows.len() > 1 {
        aligned(&rows, &mut text);
    }
    for report in &explained.reports {
        _ = writeln!(text, "  ! {report}");
    }
    let fields: Vec<_> = explained
        .fields
        .iter()
        .map(|(name, value, what)| [became(*what).to_owned(), name.clone(), cut(value)])
        .collect();
    aligned(&fields, &mut text);
    text.push('\n');
    text
}

fn row(meter: &Meter) -> [String; 6] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let remaining = meter
        .remaining
        .map(|left| match (meter.unit, left.rounding) {
            (Unit::Share, _) => share(left.shown),
            (_, 0) => left.shown.to_string(),
            (_, rounding) => format!("{} +-{rounding}", left.shown),
        });
    let reset = meter.reset.map(|reset| match reset.after_date_ms {
        Some(millis) => format!("{millis:+} ms"),
        None => "no date to measure it by".to_owned(),
    });
    let limit = meter.limit.filter(|_| meter.unit != Unit::Share);
    let status = meter.status.map(|status| status.as_str().to_owned());
    [
        json::pool(meter),
        meter.unit.as_str().to_owned(),
        or_none(limit.map(|limit| limit.to_string()).or(status)),
        or_none(remaining),
        or_none(reset),
        or_none(meter.window.map(|window| format!("{window:?}"))),
    ]
}

/// Millionths, as hundredths.
fn share(left: i64) -> String {
    let sign = if left < 0 { "-" } else { "" };
    let left = left.unsigned_abs();
    let (whole, rest) = (left / 10_000, left % 10_000);
    format!("{sign}{whole}.{rest:04} %")
}

const fn became(what: Field) -> &'static str {
    match what {
        Field::Understood => "understood",
        Field::Malformed => "cannot be read",
        Field::TooLong => "longer than is meant",
        Field::Duplicate => "came before",
        Field::Tolerated => "not well-formed, but understood",
        Field::Identifies => "tells whose it is",
        _ => "says nothing of limits",
    }
}

/// Columns of equal width, two blanks apart.
fn aligned<const N: usize>(rows: &[[String; N]], text: &mut String) {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            _ = write!(line, "  {cell:width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
