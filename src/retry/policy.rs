//! How often, how long and how patiently a call is retried.

use core::time::Duration;

use super::schedule::Backoff;
use crate::error::ConfigError;

/// When to stop retrying, and how long to wait between attempts.
///
/// The wait after a failure is the larger of the backoff and what the server
/// asked for, never their sum. What the server asked for is never undercut; a
/// little is added to it, so that those whom it refused together do not come
/// back together: up to a quarter of it, at most one second.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::RetryPolicy;
///
/// let patient = RetryPolicy::new()
///     .attempts(20)?
///     .longest_wait(Duration::from_secs(600));
/// # let _ = patient;
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    attempts: u32,
    backoff: Backoff<'static>,
    total: Option<Duration>,
    longest_wait: Option<Duration>,
}

impl RetryPolicy {
    /// Ten attempts; backoff from 500 ms to 8 s, the base and cap of the
    /// official SDKs, with full jitter; any wait that the server asks for.
    pub const fn new() -> Self {
        Self {
            attempts: 10,
            backoff: Backoff::SDK,
            total: None,
            longest_wait: None,
        }
    }

    /// Sets how many attempts there are, the first included.
    ///
    /// # Errors
    /// Where it is 0.
    pub const fn attempts(mut self, attempts: u32) -> Result<Self, ConfigError> {
        if attempts == 0 {
            return Err(ConfigError::ZeroAttempts);
        }
        self.attempts = attempts;
        Ok(self)
    }

    /// Sets the delays between attempts.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff<'static>) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how long after the first asking the last attempt may start.
    #[must_use]
    pub const fn total(mut self, total: Duration) -> Self {
        self.total = Some(total);
        self
    }

    /// Sets the longest wait that a server may ask for; a call that is asked
    /// for more is given up.
    #[must_use]
    pub const fn longest_wait(mut self, longest: Duration) -> Self {
        self.longest_wait = Some(longest);
        self
    }

    pub(crate) const fn max_attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) const fn schedule(&self) -> &Backoff<'static> {
        &self.backoff
    }

    pub(crate) const fn max_total(&self) -> Option<Duration> {
        self.total
    }

    pub(crate) const fn max_wait(&self) -> Option<Duration> {
        self.longest_wait
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}
