//! The route jobs.
//!
//! - `bench`: a publisher on a real broker with deliveries made by hand.
//! - `publisher`: what it does with jobs. `full`: the stream takes none. `memory`: messages times routes.
#![allow(clippy::unwrap_used)]

mod bench;
mod full;
mod memory;
mod publisher;
