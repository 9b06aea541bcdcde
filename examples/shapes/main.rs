//! Draws what each limit algorithm lets pass in two minutes: 45 s in which there
//! is always somebody who asks, 30 s of quiet, and 45 s more.
//!
//! ```text
//! cargo run --example shapes              # into docs/shapes
//! cargo run --example shapes -- FOLDER
//! ```
//!
//! `limits` has the algorithms and their settings, `chart` the drawing.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "a program may show rounded figures, has std, and knows its settings"
)]

mod chart;
mod limits;

use std::{error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("docs/shapes"), PathBuf::from);
    fs::create_dir_all(&folder)?;
    let shapes = limits::all();
    for shape in &shapes {
        let path = folder.join(shape.file).with_extension("svg");
        fs::write(path, chart::one(shape)?)?;
    }
    fs::write(folder.join("all.svg"), chart::all(&shapes)?)?;
    println!("{} pictures in {}", shapes.len() + 1, folder.display());
    Ok(())
}
