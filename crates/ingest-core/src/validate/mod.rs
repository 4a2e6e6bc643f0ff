//! The checks of a message, in their order, and what it becomes: an event, a shadow report, an acknowledgement, or a refusal.

mod context;
mod door;
pub mod event;
pub mod refusal;
pub mod settings;
mod side;
mod telemetry;

pub use self::context::{Context, Judged, Policy, Tally};
pub use self::side::{command, shadow};
pub use self::telemetry::{claimed_site, telemetry};
