//! Private servers and helpers for everything that looks at `ingest-node` from outside: integration tests, the benchmark
//! and the demo.
//!
//! - [`Nats`], [`Postgres`]: real servers as child processes, on free loopback ports, with stores of their own.
//! - [`PgBouncer`]: a pooler before such a PostgreSQL.
//! - [`Mosquitto`]: an MQTT broker; [`publish_mqtt`] is its devices.
//! - [`VictoriaMetrics`], [`Influx1`]: the same, for other servers of line protocol.
//! - [`InfluxStub`]: a stand-in that answers like InfluxDB 3 Core.
//! - [`MqttDevice`]: a device that publishes over MQTT.
//! - [`Proxy`]: a TCP proxy that can make connections half-open.
//! - [`Authority`], [`NatsOperator`]: certificates and log-ins for secured servers.
//! - [`Node`]: the program under test as a child process; [`Metrics`] reads its metrics.
//! - [`seed`], [`jetstream`], [`envelope`]: what is in the registry, what devices send.
//!
//! No fixed sleeps: [`wait_for`] polls a condition and fails with what it waited for. Every process that the kit starts is
//! stopped on drop, and also when the test process itself is killed.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod database;
pub mod envelope;
mod http;
pub mod influx;
mod influx1;
pub mod jetstream;
mod jwt;
mod metrics;
mod mosquitto;
mod mqtt;
mod mqtt_device;
mod nats;
mod node;
mod pgbouncer;
mod pki;
mod ports;
mod postgres;
mod process;
pub mod procfs;
mod proxy;
mod scratch;
pub mod seed;
mod server_user;
mod tls_proxy;
mod victoria;
mod wait;

pub use database::Database;
pub use http::{Response, get, get_with, post};
pub use influx::{InfluxStub, Point, Value};
pub use influx1::Influx1;
pub use jwt::NatsOperator;
pub use metrics::Metrics;
pub use mosquitto::Mosquitto;
pub use mqtt::{MqttMessage, publish_mqtt};
pub use mqtt_device::MqttDevice;
pub use nats::Nats;
pub use node::{Finished, Node, NodeBuilder};
pub use pgbouncer::PgBouncer;
pub use pki::{Authority, Certified};
pub use ports::free_port;
pub use postgres::{Postgres, PostgresBuilder, PostgresTls};
pub use proxy::Proxy;
pub use tls_proxy::TlsProxy;
pub use victoria::{Series, VictoriaMetrics};
pub use wait::{wait_for, wait_for_value};
