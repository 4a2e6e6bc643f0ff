//! The checks of a message, in their order, and what it becomes: an event, a shadow report, an acknowledgement, or a refusal.

mod command;
mod common;
mod context;
pub mod event;
pub mod refusal;
pub mod settings;
mod shadow;
mod telemetry;

pub use self::command::command;
pub use self::context::{Context, Judged, Policy, Tally};
pub use self::shadow::shadow;
pub use self::telemetry::{claimed_site, telemetry};
