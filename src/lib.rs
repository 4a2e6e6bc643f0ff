//! `ingest-node`: validates IoT messages from NATS JetStream and makes them durable before it acknowledges them.
#![forbid(unsafe_code)]

pub mod app;
pub mod commands;
pub mod config;
pub mod delivery;
pub mod http;
pub mod message;
pub mod metrics;
pub mod nats;
pub mod outbox;
pub mod postgres;
pub mod registry;
pub mod runtime;
pub mod sink;
pub mod source;
pub mod supervisor;
pub mod validate;

pub use self::commands::dispatch::run_program as run;
