//! The PostgreSQL sink, with deliveries made by hand.
#![allow(clippy::unwrap_used)]

mod bench;
mod faults;
mod lanes;
mod legacy;
mod platform;
mod quarantine;
mod rows;
mod schema;
