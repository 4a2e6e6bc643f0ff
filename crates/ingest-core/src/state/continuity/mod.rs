//! Continuity of a device's messages: which of its numbers (`seq`) are missing, came twice or began again, how often it
//! usually sends, and when it counts as silent.
//!
//! Replicas hear of a device in no common order, so nothing here depends on the order in which they write: what one of them
//! has [`Heard`] is merged into what is on record, by the broker's facts. What is missing is counted only when it has been
//! missing for a while.

mod cadence;
mod device;
mod heard;
mod numbering;
mod ranges;
mod silence;
#[cfg(test)]
mod tests;

pub use self::cadence::Cadence;
pub use self::device::{Continuity, Found, Rules};
pub use self::heard::{Heard, Message};
pub use self::numbering::Numbering;
pub use self::ranges::Ranges;
pub use self::silence::{Assessment, Limits, Silence};
