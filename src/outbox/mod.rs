//! The outbox: what InfluxDB has not confirmed, in PostgreSQL, redelivered until it has.
//!
//! ```text
//! Writer --rows and entries, one transaction--> influx_outbox --claim--> Redelivery --Points--> Router -> Batcher
//!                                                    ^                                                       |
//!                                                    +---delete or release--- OutboxMaintainer <--pending acks--+
//! ```
//!
//! Beside them the monitor merges entries that fit together, and reports the backlog.
//!
//! Redelivered points pass the tenant's batcher like all others: its circuit breaker, its bounds, its reading of the server's
//! answers. So one tenant's failing database does not delay another's redelivery either (bulkhead).

pub(crate) mod compact;
mod entries;
pub(crate) mod insert;
pub(crate) mod maintainer;
mod monitor;
pub(crate) mod policy;
mod rates;
mod reader;
pub(crate) mod redelivery;
pub(crate) mod redelivery_state;
mod releaser;
mod report;
pub(crate) mod settings;
mod tenants;
mod time_ranges;
