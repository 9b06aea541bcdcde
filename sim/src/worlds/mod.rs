//! The catalogue: each world a function of a seed, its parameters drawn from
//! ranges, so that nothing can be fitted to one setting.

mod alone;
mod draw;
mod faults;
mod meters;
mod shared;

use self::draw::{Binding, Draw};
use crate::{
    server::{Kind, OutputRule},
    world::World,
};

/// All worlds, drawn from `seed`.
pub fn worlds(seed: u64) -> Vec<World> {
    CATALOGUE
        .iter()
        .map(|&(name, draw)| {
            let mut world = draw(&mut Draw::new(name, seed));
            world.name = String::from(name);
            world
        })
        .collect()
}

/// A name, and how a world of it is drawn.
type Entry = (&'static str, fn(&mut Draw) -> World);

const CATALOGUE: &[Entry] = &[
    ("requests bind", |d| alone::binding(d, Binding::Requests)),
    ("input binds", |d| alone::binding(d, Binding::Input)),
    ("output binds, upfront", |d| {
        alone::output(d, OutputRule::Upfront)
    }),
    ("output binds, live", |d| alone::output(d, OutputRule::Live)),
    ("output binds, at the end", |d| {
        alone::output(d, OutputRule::AtEnd)
    }),
    ("output binds, reserved", |d| {
        alone::output(d, OutputRule::Reserved)
    }),
    ("smallest tier", alone::smallest_tier),
    ("limits known", alone::limits_known),
    ("cache, share known", |d| alone::cached(d, true)),
    ("cache, share unknown", |d| alone::cached(d, false)),
    ("short intervals", alone::short_intervals),
    ("clock skew", alone::clock_skew),
    ("clock step", alone::clock_step),
    ("estimates off", alone::estimates_off),
    ("two classes, told apart", |d| alone::two_classes(d, true)),
    ("two classes, unknown", |d| alone::two_classes(d, false)),
    ("outputs drift", alone::outputs_drift),
    ("limits double", |d| alone::limits_change(d, 2.0)),
    ("limits halve", |d| alone::limits_change(d, 0.5)),
    ("process sleeps", alone::process_sleeps),
    ("fast answers", alone::fast_answers),
    ("slow answers", alone::slow_answers),
    ("few in flight", alone::few_in_flight),
    ("ten thousand in flight", alone::ten_thousand_in_flight),
    ("answers in one piece", alone::answers_in_one_piece),
    ("overloads", faults::overloads),
    ("jitter", alone::jitter),
    ("arrivals over time", alone::arrivals_over_time),
    ("all at once", alone::all_at_once),
    ("urgent arrivals", alone::urgent),
    ("fixed windows", |d| meters::claude(d, Kind::Window)),
    ("sliding logs", |d| meters::claude(d, Kind::Log)),
    ("OpenAI, buckets", |d| meters::openai(d, Kind::Bucket)),
    ("OpenAI, fixed windows", |d| meters::openai(d, Kind::Window)),
    ("OpenAI, sliding logs", |d| meters::openai(d, Kind::Log)),
    ("OpenAI, counted as asked", meters::openai_asked),
    ("bare proxy", meters::bare),
    ("outages", faults::outages),
    ("lossy", faults::lossy),
    ("spend cap", faults::spend_cap),
    ("concurrency cap", faults::concurrency),
    ("acceleration", faults::acceleration),
    ("workspace", shared::workspace),
    ("others, steady", |d| shared::beside_others(d, false)),
    ("others, in bursts", |d| shared::beside_others(d, true)),
    ("many clients", shared::fleet),
];
