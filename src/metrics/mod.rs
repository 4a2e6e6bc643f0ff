//! Metrics: typed handles for each component, the lanes' delivery ledgers, and the exposition that `/metrics` serves.

mod actors;
mod admin;
mod batchers;
mod broker;
mod console;
mod consumer;
mod counted;
mod event_lag;
mod exposition;
mod figure_source;
mod gateway;
mod health;
mod influx;
mod label;
mod ledger;
mod missing_readings;
mod mqtt;
mod nats;
mod nats_mqtt;
mod node;
mod noted_devices;
mod outbox;
mod postgres;
mod postgres_pool;
mod process;
#[cfg(test)]
mod reference;
mod registry;
mod retention;
mod routes;
mod state;
mod traffic;
mod validation;
mod window_bytes;

pub(crate) use self::actors::LastExit;
pub(crate) use self::admin::{AdminRequests, Endpoint};
pub(crate) use self::batchers::{BatcherFigures, BatcherReading};
pub(crate) use self::broker::{BrokerReport, FiguresUnknown};
pub(crate) use self::console::ConsoleMetrics;
pub(crate) use self::event_lag::EventLags;
pub(crate) use self::figure_source::FigureSource;
pub(crate) use self::gateway::{FailureReason, GatewayMetrics, Publication, RequestFault};
pub(crate) use self::health::Health;
pub(crate) use self::influx::InfluxMetrics;
pub use self::label::{Effect, FlushResult, LookupResult, Outcome};
pub(crate) use self::label::{
    ErrorClass, Label, LineResult, MsgKind, Per, ReplayClaim, RequestStatus, RetainedTable, ServerLimit,
};
pub(crate) use self::ledger::Ledger;
pub(crate) use self::missing_readings::{MissingFigures, Silent};
pub(crate) use self::mqtt::{MqttDrop, MqttMetrics, MqttQos};
pub use self::node::Metrics;
pub(crate) use self::noted_devices::{MOST_DEVICES, SilentDevice};
pub(crate) use self::outbox::OutboxBacklog;
pub(crate) use self::postgres::{PostgresMetrics, TenantRejection, count_error};
pub(crate) use self::postgres_pool::PoolFigures;
pub(crate) use self::retention::RetentionFigures;
pub(crate) use self::traffic::{Counts, Traffic};
