//! What a gRPC server says of retries: `grpc-retry-pushback-ms`.

use core::time::Duration;

use crate::hints::ServerHints;

/// What a server's `grpc-retry-pushback-ms` asks for (gRPC proposal A6).
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Pushback, ServerHints};
///
/// assert_eq!(Pushback::read(None), Pushback::Unsaid);
/// assert_eq!(Pushback::read(Some(b"250")), Pushback::After(Duration::from_millis(250)));
/// // Negative, or anything else: the call is not to be retried.
/// assert_eq!(Pushback::read(Some(b"-1")), Pushback::Never);
/// assert_eq!(Pushback::read(Some(b"soon")), Pushback::Never);
///
/// let hints = Pushback::Never.hints(ServerHints::NONE);
/// assert_eq!(hints.should_retry, Some(false));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Pushback {
    /// Nothing: the client goes by its own curve.
    Unsaid,
    /// A retry after exactly this, and the curve starts over
    /// ([`ServerWait::Replaces`](crate::ServerWait::Replaces)).
    After(Duration),
    /// No retry.
    Never,
}

impl Pushback {
    /// Reads the field's value, `None` where it is not there: a number of
    /// milliseconds that an `i32` holds.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::Pushback;
    ///
    /// assert_eq!(Pushback::read(Some(b"0")), Pushback::After(Duration::ZERO));
    /// assert_eq!(Pushback::read(Some(b"2147483648")), Pushback::Never);
    /// ```
    pub fn read(value: Option<&[u8]>) -> Self {
        let Some(value) = value else {
            return Self::Unsaid;
        };
        let number = core::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<i32>().ok())
            .and_then(|millis| u64::try_from(millis).ok());
        number.map_or(Self::Never, |millis| {
            Self::After(Duration::from_millis(millis))
        })
    }

    /// `hints` with this in it, as a call understands it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Pushback, ServerHints};
    ///
    /// let asked = |field| Pushback::read(field).hints(ServerHints::NONE);
    /// assert_eq!(asked(Some(b"250")).retry_after, Some(Duration::from_millis(250)));
    /// assert_eq!(asked(None), ServerHints::NONE);
    /// ```
    #[must_use]
    pub const fn hints(self, mut hints: ServerHints) -> ServerHints {
        match self {
            Self::Unsaid => {}
            Self::After(wait) => hints.retry_after = Some(wait),
            Self::Never => hints.should_retry = Some(false),
        }
        hints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_number_of_milliseconds_is_a_wait() {
        for (text, want) in [("0", 0), ("00250", 250), ("2147483647", 2_147_483_647)] {
            let after = Pushback::After(Duration::from_millis(want));
            assert_eq!(Pushback::read(Some(text.as_bytes())), after);
        }
        for text in ["", " 5", "5.0", "2147483648", "-0x1", "-5", "5ms"] {
            assert_eq!(
                Pushback::read(Some(text.as_bytes())),
                Pushback::Never,
                "{text}"
            );
        }
        assert_eq!(Pushback::read(Some(b"\xff")), Pushback::Never);
    }
}
