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
mod today;
mod writable;

pub use self::actor::{Parts, Registry};
pub use self::config::Config;
pub(crate) use self::fault::Fault;
pub use self::query::replay_key;
pub(crate) use self::today::{DeviceToday, device_today, settings_today};
