//! The derived state.
//!
//! - `bench`: a derived state writer on a real PostgreSQL, with events made by hand.
//! - `numbers`: gaps in what devices count. `sensors`: which sensors there are, and their values. `writing`: times, positions, replicas, faults, and a whole node.
#![allow(clippy::unwrap_used)]

mod bench;
mod legacy;
mod numbers;
mod sensors;
mod writing;
