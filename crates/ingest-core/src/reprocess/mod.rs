//! Rejected messages sent through again: the proof that they are, and the period to choose.

pub mod period;
pub mod replay;
