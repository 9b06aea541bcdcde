//! Others who take from the same meters, seen or unseen.

use super::draw::{Draw, pace};
use crate::{server::OthersSpec, world::World};

/// A workspace with limits of its own beside those of its organisation, which
/// may have other members.
pub(super) fn workspace(d: &mut Draw) -> World {
    let mut world = d.any();
    let whole = world.server.limits;
    world.server.organisation = Some(whole);
    let own = d.chance.usize(0..3);
    for (i, limit) in world.server.limits.iter_mut().enumerate() {
        let step = if i == 0 { 1.0 } else { 1_000.0 };
        *limit = if i == own || d.chance.bool() {
            (whole[i] * d.even(0.3, 0.9) / step).ceil() * step
        } else {
            f64::INFINITY
        };
    }
    world.limits_known = d.chance.bool();
    if d.chance.bool() {
        let share = d.even(0.05, 0.3);
        others(d, &mut world, share, false);
    }
    d.fill(world)
}

/// Others take up to four fifths, all the time or in bursts.
pub(super) fn beside_others(d: &mut Draw, bursts: bool) -> World {
    let mut world = d.any();
    let share = d.even(0.1, 0.8);
    others(d, &mut world, share, bursts);
    d.fill(world)
}

fn others(d: &mut Draw, world: &mut World, share: f64, bursts: bool) {
    // Their requests are a third to three times as large as ours.
    let every = d.log(0.33, 3.0) / pace(world) / share;
    let bursts = bursts.then(|| {
        let (on, busy) = (d.log(2.0, 20.0), d.even(0.2, 0.7));
        (on, on / busy - on)
    });
    world.server.others = Some(OthersSpec {
        share,
        every,
        bursts,
        seed: d.chance.u64(..),
    });
}

/// Two to thirty-two clients that know nothing of each other. Some of the
/// smaller teams begin one after another, with work enough that the first does
/// not do all of its own before the last begins.
pub(super) fn fleet(d: &mut Draw) -> World {
    let mut world = d.any();
    world.clients = d.log(2.0, 33.0) as usize;
    if world.clients <= 8 && d.chance.bool() {
        world.joins = d.even(5.0, 60.0);
        d.minutes *= 3.0;
        world = d.fill(world);
    }
    world
}
