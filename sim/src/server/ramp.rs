//! A limit on how fast the use of input grows.

use super::spec::Acceleration;
use crate::{SECOND, Time, seconds};

const MINUTE: Time = 60 * SECOND;

/// What was used in the present minute, and what may be.
#[derive(Debug)]
pub(super) struct Ramp {
    spec: Acceleration,
    /// When the present minute ends.
    edge: Time,
    /// How many minutes ago the first request came, if it came.
    minutes: Option<u32>,
    used: f64,
}

impl Ramp {
    /// Of a server whose clock shows `clock` Unix seconds when the world begins.
    pub(super) fn new(spec: Acceleration, clock: f64) -> Self {
        Self {
            spec,
            edge: seconds(60.0 - clock.rem_euclid(60.0)),
            minutes: None,
            used: 0.0,
        }
    }

    pub(super) fn advance(&mut self, now: Time) {
        while self.edge <= now {
            self.edge += MINUTE;
            self.used = 0.0;
            self.minutes = self.minutes.map(|minutes| minutes + 1);
        }
    }

    /// What may be used in this minute and in the next, of `limit`.
    pub(super) fn allowed(&self, limit: f64) -> [f64; 2] {
        let minutes = f64::from(self.minutes.unwrap_or(0));
        [minutes, minutes + 1.0].map(|minutes| {
            let part = self.spec.start + self.spec.step * minutes;
            // From there on the meter alone binds.
            if part >= 1.0 {
                f64::INFINITY
            } else {
                limit * part
            }
        })
    }

    /// When `input` more may be tried, if not now.
    pub(super) fn admits(&self, limit: f64, input: f64) -> Result<(), Time> {
        let [now, _] = self.allowed(limit);
        if self.used + input <= now {
            Ok(())
        } else {
            Err(self.edge)
        }
    }

    pub(super) fn take(&mut self, input: f64) {
        self.minutes.get_or_insert(0);
        self.used += input;
    }
}
