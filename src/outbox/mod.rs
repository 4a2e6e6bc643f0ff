//! The replay: keeps the record of what InfluxDB has not confirmed, and writes what nobody else will.
//!
//! ```text
//! Writer --rows and record, one transaction--> influx_outbox --claim--> Reader --Points--> Router -> Batcher
//!                                                    ^                                               |
//!                                                    +----delete or release---- Clerk <-- shares ----+
//! ```
//!
//! Beside them the Auditor merges rows that fit together, and tells what is owed.
//!
//! Replayed points take the way of all points, through the tenant's batcher: its breaker, its bounds, its reading of
//! the server's answers. So a tenant's trouble is its own here too.

mod auditor;
mod clerk;
pub(crate) mod compact;
pub(crate) mod insert;
pub(crate) mod policy;
mod rates;
mod reader;
mod record;
pub(crate) mod replayer;
mod session;
pub(crate) mod settings;
pub(crate) mod share;
mod shared;
mod tenants;
mod told;
mod windows;

pub(crate) use self::replayer::Parts;
