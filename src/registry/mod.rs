//! The device registry: batched look-ups, invalidation by notification, and the run-time settings.

mod actor;
mod availability;
mod bisect;
mod config;
mod fault;
mod listen;
mod lookup;
mod provision;
mod query;
mod resolve;
mod routes;
mod settings;
mod tenants;
mod writable;

pub use self::actor::{Parts, Registry};
pub use self::config::Config;
pub use self::query::replay_key;
