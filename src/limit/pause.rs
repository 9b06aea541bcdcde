//! "Not before T", as a server says with `retry-after`.

use crate::{limit::Refusal, time::Instant};

/// A stop until an instant. Several stops overlap: the latest binds.
///
/// ```
/// use sendwhen::{Instant, Pause, Refusal};
///
/// let mut pause = Pause::new();
/// pause.until(Instant::from_secs(505));
/// pause.until(Instant::from_secs(16));
/// assert_eq!(
///     pause.peek(Instant::from_secs(10)),
///     Err(Refusal::Until(Instant::from_secs(505))),
/// );
/// assert_eq!(pause.peek(Instant::from_secs(505)), Ok(()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pause(Instant);

impl Pause {
    /// No stop.
    pub const fn new() -> Self {
        Self(Instant::ZERO)
    }

    /// Stops until `at`, or longer if that was said before.
    pub fn until(&mut self, at: Instant) {
        self.0 = self.0.max(at);
    }

    /// Ends the stop.
    pub const fn lift(&mut self) {
        self.0 = Instant::ZERO;
    }

    /// Whether something may pass at `now`.
    ///
    /// # Errors
    /// [`Refusal::Until`] the end of the stop.
    pub fn peek(&self, now: Instant) -> Result<(), Refusal> {
        if now < self.0 {
            return Err(Refusal::Until(self.0));
        }
        Ok(())
    }
}
