//! Router and batchers together, against a stand-in for InfluxDB.

mod batching;
mod bounds;
mod columns;
mod condition;
mod failures;
mod files;
mod harness;
mod life;
