//! What keeps a limiter true to its server: one small machine a file, in
//! integers, without allocation.
//!
//! In come charges, settlements and what response heads show; out go levels,
//! forecasts and how many may be sent before the server is heard. Nothing here
//! decides alone: the limiter asks all of them.

mod concurrency;
mod forecast;
mod kind;
mod ledger;
mod outage;
mod output;
mod pace;
mod server_clock;
mod settings;
mod sharing;
mod slow_start;
mod window;

pub(crate) use concurrency::Concurrency;
pub(crate) use forecast::{Forecast, Spread};
pub(crate) use kind::{Kind, Whole};
pub(crate) use ledger::{Counting, Entry, Ledger, Seen, Sending, Stamped, mean};
pub(crate) use outage::Outage;
pub(crate) use output::{Amounts, Entries, Output};
pub(crate) use pace::Pace;
pub(crate) use server_clock::ServerClock;
pub use settings::{Control, OutputRule};
pub(crate) use slow_start::SlowStart;
