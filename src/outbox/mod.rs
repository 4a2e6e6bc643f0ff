//! The replay: keeps the record of what InfluxDB has not confirmed, and writes what nobody else will.
//!
//! ```text
//! Writer --rows and record, one transaction--> influx_outbox --claim--> Reader --Points--> Router -> Batcher
//!                                                    ^                                               |
//!                                                    +----delete or release---- maintainer <-- shares ----+
//! ```
//!
//! Beside them the monitor merges rows that fit together, and tells what is owed.
//!
//! Replayed points take the way of all points, through the tenant's batcher: its breaker, its bounds, its reading of
//! the server's answers. So a tenant's trouble is its own here too.

pub(crate) mod actor;
pub(crate) mod compact;
mod entries;
pub(crate) mod insert;
mod maintainer;
mod monitor;
pub(crate) mod policy;
mod rates;
mod redelivery;
mod report;
mod session;
pub(crate) mod settings;
mod shared;
mod tenants;
mod time_ranges;

pub(crate) use crate::outbox::actor::Parts;
