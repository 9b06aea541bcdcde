//! A limiter or a call as a value that outlives its process, and what all
//! snapshots have in common: a version, then what it is a version of.

use core::{fmt, marker::PhantomData, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
    ser::SerializeStruct,
};

use crate::{call::Call, limiter::Limiter, retry::RetryPolicy, time::Instant};

/// A [`Limiter`] with its levels, what it has learnt and who holds its permits,
/// to be restored later, perhaps by another process. From
/// [`Limiter::snapshot`]; serializes with any format of `serde` that tells what
/// it holds. One of an unknown version is refused.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Denied, Dimension, Instant, Limiter, LimiterSnapshot, Rate, Request, RetryPolicy};
///
/// let mut limiter = Limiter::new(7).limit(Dimension::Requests, Rate::per_minute(60)?, 1)?;
/// let cost = limiter.forecast(&Request::new());
/// let permit = limiter.try_acquire(Instant::from_secs(500), &cost)?;
/// limiter.settle(Instant::from_secs(500), permit, None);
/// let text = serde_json::to_string(&limiter.snapshot())?;
///
/// // Another process, whose clock begins anew; nobody knows how much later.
/// let snapshot: LimiterSnapshot = serde_json::from_str(&text)?;
/// let now = Instant::from_secs(1);
/// let limiter = snapshot.restore(now, Duration::ZERO, RetryPolicy::new());
/// let Err(Denied::Until { wait, .. }) = limiter.peek(now, &cost) else { panic!() };
/// assert_eq!(wait.until, Instant::from_secs(2));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LimiterSnapshot(Versioned<Limiter>);

/// A [`Call`] with its attempts and the permits that it holds, to be restored
/// beside its limiter: with one that has forgotten it, its permits are worth
/// nothing. From [`Call::snapshot`].
///
/// ```
/// use sendwhen::{CallSnapshot, Decision, Event, Failure, Instant, Limiter, Request};
///
/// let mut limiter = Limiter::new(7);
/// let mut call = limiter.call(Request::new());
/// let now = Instant::from_secs(5);
/// assert!(matches!(call.handle(&mut limiter, now, Event::Submitted), Decision::Send(_)));
/// let text = serde_json::to_string(&call.snapshot())?;
///
/// let snapshot: CallSnapshot = serde_json::from_str(&text)?;
/// let mut call = snapshot.restore();
/// let decision = call.handle(&mut limiter, now, Event::Failed(Failure::NotSent));
/// assert!(matches!(decision, Decision::Wait(_)), "it goes on where it was");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct CallSnapshot(Versioned<Call>);

/// What [`Call::snapshot`] gives: a snapshot to be written, which borrows the
/// call.
#[derive(Clone, Copy, Debug)]
pub struct CallSnapshotOf<'a>(&'a Call);

impl Limiter {
    /// All that is to be kept over a restart. Not in it: how calls are retried,
    /// which code sets.
    pub fn snapshot(&self) -> LimiterSnapshot {
        LimiterSnapshot(Versioned(self.clone()))
    }
}

impl LimiterSnapshot {
    /// The limiter as it was. `now` is the present instant on the caller's
    /// clock, whose origin may be another than before. `asleep` is how long ago
    /// the snapshot was taken, as far as it is known: so much refills, and waits
    /// are so much shorter. Where it is not known, nothing: then no more passes
    /// than would have at once. `policy` says how calls are retried.
    pub fn restore(self, now: Instant, asleep: Duration, policy: RetryPolicy) -> Limiter {
        let Versioned(limiter) = self.0;
        limiter.resumed(now, asleep, policy)
    }
}

impl Call {
    /// All that is to be kept over a restart.
    pub const fn snapshot(&self) -> CallSnapshotOf<'_> {
        CallSnapshotOf(self)
    }
}

impl CallSnapshot {
    /// The call as it was: under way, if it was. If its answer cannot come any
    /// more, report it as [`Lost`](crate::Failure::Lost).
    pub fn restore(self) -> Call {
        let Versioned(call) = self.0;
        call
    }
}

impl Serialize for CallSnapshotOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Versioned(self.0).serialize(serializer)
    }
}

/// A value that is read only where its version is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versioned<T>(pub(crate) T);

impl<T: Serialize> Serialize for Versioned<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Snapshot", FIELDS.len())?;
        fields.serialize_field("version", &VERSION)?;
        fields.serialize_field("state", &self.0)?;
        fields.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Versioned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Snapshot", FIELDS, VersionAndState(PhantomData))
    }
}

/// Reads the version, and what comes after it only if it is known. Stores that
/// sort the names of fields, as PostgreSQL's `jsonb`, have the state first.
struct VersionAndState<T>(PhantomData<T>);

/// The one that this release writes and reads.
const VERSION: u32 = 1;

const FIELDS: &[&str] = &["version", "state"];

impl<'de, T: Deserialize<'de>> Visitor<'de> for VersionAndState<T> {
    type Value = Versioned<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a snapshot of version {VERSION}: its version and its state"
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Versioned<T>, A::Error> {
        let missing = |place| A::Error::invalid_length(place, &self);
        known(seq.next_element()?.ok_or_else(|| missing(0))?)?;
        let state = seq.next_element()?.ok_or_else(|| missing(1))?;
        Ok(Versioned(state))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Versioned<T>, A::Error> {
        let (mut is_known, mut state) = (false, None);
        while let Some(field) = map.next_key()? {
            match field {
                Field::Version => {
                    known(map.next_value()?)?;
                    is_known = true;
                }
                Field::State => state = Some(map.next_value()?),
                Field::Other => {
                    let _ignored: IgnoredAny = map.next_value()?;
                }
            }
        }
        if !is_known {
            return Err(A::Error::missing_field("version"));
        }
        let state = state.ok_or_else(|| A::Error::missing_field("state"))?;
        Ok(Versioned(state))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Field {
    Version,
    State,
    #[serde(other)]
    Other,
}

fn known<E: serde::de::Error>(version: u32) -> Result<(), E> {
    if version == VERSION {
        return Ok(());
    }
    Err(E::custom(format_args!(
        "a snapshot of version {version}; this release reads version {VERSION} alone"
    )))
}
