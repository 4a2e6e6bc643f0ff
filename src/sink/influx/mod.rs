//! InfluxDB: one batcher per tenant behind one router; without a server, one line-protocol file per tenant.

mod backend;
mod batch;
mod batcher;
mod batcher_life;
mod breaker;
mod buffer_stats;
mod catalog;
mod check;
mod classify;
mod client;
pub(crate) mod config;
pub(crate) mod error;
mod files;
mod presence;
mod probe;
mod provision;
mod request;
mod router;
mod server_health;
mod tenants;

#[cfg(test)]
mod tests;

pub(crate) use self::config::{Api, Config};
pub(crate) use self::router::{Parts, Router};
pub(crate) use super::influx::backend::Backend;
pub(crate) use super::influx::check::CapacityReport;
pub(crate) use super::influx::classify::Provisioned;
pub(crate) use super::influx::presence::Presence;
pub(crate) use super::influx::probe::Probe;
