//! Other meters than buckets, other heads than the Claude API's.

use super::draw::Draw;
use crate::{
    server::{Heads, Kind, OutputRule},
    world::World,
};

/// Meters of `kind`, over a minute or ten seconds; output counts when a request
/// is admitted.
fn counted(d: &mut Draw, kind: Kind) -> World {
    let mut world = d.any();
    world.server.kind = kind;
    world.server.output = OutputRule::Upfront;
    // Where the edges are is drawn too.
    world.server.skew = d.even(-600.0, 600.0);
    if d.chance.usize(0..3) == 0 {
        world.server.capacity = 1.0 / 6.0;
    }
    world
}

/// As the Claude API had them until 2024.
pub(super) fn claude(d: &mut Draw, kind: Kind) -> World {
    let world = counted(d, kind);
    d.fill(world)
}

/// OpenAI's heads: requests and tokens, resets to the millisecond.
pub(super) fn openai(d: &mut Draw, kind: Kind) -> World {
    let mut world = counted(d, kind);
    world.server.heads = Heads::OpenAi;
    world.server.rounding = 1.0;
    world.server.refusals_count = d.chance.bool();
    d.together(world)
}

/// The same, and a request counts with all that it might produce.
pub(super) fn openai_asked(d: &mut Draw) -> World {
    let mut world = openai(d, Kind::Bucket);
    world.server.output = OutputRule::Asked;
    for sizes in &mut world.work.classes {
        sizes.max_tokens = (sizes.output * d.log(2.0, 8.0)).round() as u64;
    }
    d.together(world)
}

/// No word of any limit but the refusals, and those perhaps without a
/// `retry-after`.
pub(super) fn bare(d: &mut Draw) -> World {
    let mut world = d.any();
    world.server.heads = Heads::Bare;
    world.server.retry_after = d.chance.bool();
    world
}
