//! The one door to PostgreSQL: settings, connections, bounded sessions, the schema, and how errors are read.

pub mod classify;
mod columns;
pub mod config;
pub mod lease;
pub mod pool;
pub mod raw_events;
pub mod schema;
pub mod session;
pub mod start;
pub mod types;

pub use self::config::Config;
