//! The one door to PostgreSQL: settings, connections, bounded sessions, the schema, how errors are read; and retention, which
//! drops what is older than the settings say.

pub(crate) mod bounded_session;
pub(crate) mod classify;
mod columns;
pub(crate) mod config;
pub(crate) mod connector;
pub(crate) mod errors;
pub(crate) mod lease;
pub(crate) mod partitions;
pub(crate) mod pool;
pub(crate) mod raw_events;
pub(crate) mod retention;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod start;
pub(crate) mod target;
pub(crate) mod types;

pub use self::config::Config;
