//! The derived state.
//!
//! - `bench`: a derived state writer on a real PostgreSQL, with events made by hand.
//! - `sensors`: which sensors there are, and their values. `writing`: times, positions, replicas, faults, and a whole node.
#![allow(clippy::unwrap_used)]

mod bench;
mod sensors;
mod writing;
