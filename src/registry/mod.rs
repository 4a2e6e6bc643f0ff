//! The device registry: batched look-ups, invalidation by notification, and the run-time settings; what readers keep of it
//! (`devices`), and how operators change it over HTTP (`provisioning`).

mod actor;
mod auto_provision;
mod availability;
mod bisect;
mod config;
pub(crate) mod devices;
mod error;
mod listen;
mod lookup;
pub(crate) mod provisioning;
mod query;
mod resolve;
mod routes;
mod settings;
mod tenants;
mod today;
mod writable;

pub use self::actor::{Parts, Registry};
pub use self::config::Config;
pub(crate) use self::error::RegistryError;
pub use self::query::replay_key;
pub(crate) use self::today::{DeviceToday, device_today, settings_today};
