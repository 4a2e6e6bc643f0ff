//! The metrics: typed handles for the components, the accounts of the lanes, and what the outbox holds.

mod instruments;
mod label;
mod ledger;
mod owed;
#[cfg(test)]
mod reference;

pub use self::instruments::*;
pub use self::label::{
    Effect, FlushResult, Label, LineResult, LookupResult, MsgKind, Outcome, Per, ReplayClaim, ServerLimit,
};
pub use self::ledger::{Ledger, Ledgers};
pub use self::owed::{Owed, Standing};
