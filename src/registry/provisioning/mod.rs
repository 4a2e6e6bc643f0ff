//! Provisioning: devices are registered, listed, revoked, activated, and get other tokens.
//!
//! No actor of its own: a request is a transaction, answered after its commit, and what it changes reaches every node as any
//! change of the registry does, by the notification of PostgreSQL's triggers.

pub(crate) mod api;
mod body;
mod databases;
mod devices;
mod error;
mod openapi;
mod outage;
mod routes;
mod secrets;
mod statements;
mod tokens;
mod transaction;

pub(crate) use self::databases::TenantDatabases;
pub(crate) use self::devices::Devices;
pub(crate) use self::openapi::openapi;
pub(crate) use self::routes::{activation, devices};
pub(crate) use self::tokens::{Activations, PLACES};
