//! The outbox: what InfluxDB has not confirmed, in PostgreSQL, written by itself sooner or later.
//!
//! ```text
//! Writer --rows and entries, one transaction--> influx_outbox --claim--> Redelivery --Points--> Router -> Batcher
//!                                                    ^                                                       |
//!                                                    +---delete or release--- OutboxMaintainer <--pending acks--+
//! ```
//!
//! Beside them the monitor merges entries that fit together, and reports the backlog.
//!
//! Redelivered points take the way of all points, through the tenant's batcher: its circuit breaker, its bounds, its reading of
//! the server's answers. So a tenant's trouble is its own here too.

pub(crate) mod compact;
mod entries;
pub(crate) mod insert;
pub(crate) mod maintainer;
mod monitor;
pub(crate) mod policy;
mod rates;
mod reader;
pub(crate) mod redelivery;
mod releaser;
mod report;
mod session;
pub(crate) mod settings;
pub(crate) mod shared;
mod tenants;
mod time_ranges;
