//! Retention: old partitions of `raw_events` and old records of the quarantine go, and partitions that nobody writes to any more get an
//! index for readers. By one replica at a time, an hour apart.
//!
//! Which partitions may go is a rule (`ingest-core/retention`); the database drops them (`ingest_drop_partition`, a function of the
//! migrations), and looks once more at what InfluxDB is owed when it does.

mod actor;
mod config;
mod quarantine;
mod reader_index;
mod report;
mod rounds;
mod rows;
mod session;

pub(crate) use self::actor::{Parts, Retention};
pub(crate) use self::config::Config;
