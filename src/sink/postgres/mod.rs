//! PostgreSQL: rows by binary COPY, rejections, counters and side updates, one transaction per batch.

mod batch;
mod bisect;
pub(crate) mod copy;
mod downstream;
mod duty;
mod isolate;
mod kinds;
pub(crate) mod partitions;
mod probe;
mod quarantine;
mod quarantine_policy;
mod quarantine_statements;
mod queue;
mod row;
mod rows;
mod statement;
mod store;
mod stored;
mod unregistered_names;
mod writer;

pub use self::duty::Duty;
pub use super::postgres::downstream::Downstream;
pub use super::postgres::writer::{Parts, Writer};
