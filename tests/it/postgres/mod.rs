//! The PostgreSQL sink, with deliveries made by hand.
#![allow(clippy::unwrap_used)]

mod bench;
mod faults;
mod fitness;
mod held;
mod isolation;
mod known;
mod lanes;
mod last_resort;
mod legacy;
mod platform;
mod quarantine;
pub(crate) mod roles;
mod rows;
mod schema;
mod secrets;
mod sessions;
mod table_fault;
mod wire;
