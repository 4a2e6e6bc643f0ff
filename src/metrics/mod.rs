//! Metrics: typed handles for each component, the lanes' delivery ledgers, and the exposition that `/metrics` serves.

mod broker;
mod consumer;
mod exposition;
mod influx;
mod label;
mod ledger;
mod nats;
mod node;
mod outbox;
mod postgres;
#[cfg(test)]
mod reference;
mod registry;
mod routes;
mod state;
mod supervisor;
mod validation;

pub(crate) use self::broker::{BrokerReport, Unknown};
pub(crate) use self::influx::InfluxMetrics;
pub use self::label::{Effect, FlushResult, LookupResult, Outcome};
pub(crate) use self::label::{Label, LineResult, MsgKind, ReplayClaim, ServerLimit};
pub use self::node::Metrics;
pub(crate) use self::outbox::OutboxBacklog;
