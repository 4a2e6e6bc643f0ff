//! The metrics: typed handles for the components, the accounts of the lanes, and what the outbox holds.

mod instruments;
mod label;
mod ledger;
mod owed;
#[cfg(test)]
mod reference;

pub use self::instruments::*;
pub use self::label::{Effect, FlushResult, LookupResult, Outcome};
pub(crate) use self::label::{Label, LineResult, MsgKind, ReplayClaim, ServerLimit};
pub(crate) use self::owed::OutboxBacklog;
