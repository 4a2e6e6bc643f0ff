//! Validation: the checks of a message, in their order, and what it becomes: an event, a shadow report, a command
//! acknowledgement, or a rejection with its quarantine record.

mod checks;
mod command;
mod common;
mod context;
pub mod event;
pub mod quarantine_record;
pub mod rejection_summary;
pub mod settings;
mod shadow;
mod telemetry;

pub use self::checks::Checks;
pub use self::command::command;
pub use self::context::{Context, Policy, Validated, ValidationCounts};
pub use self::shadow::shadow;
pub use self::telemetry::{Passed, check_telemetry, claimed_seq, claimed_site, telemetry};
