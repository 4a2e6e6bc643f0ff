//! Reprocessing: rejected messages that are sent through again from the quarantine.

pub mod period;
pub mod proof;
