//! `ingest-node`: validates IoT messages from NATS JetStream and makes them durable before it acknowledges them.
#![forbid(unsafe_code)]

mod admin;
mod app;
mod commands;
mod config;
mod delivery;
mod devices;
mod gateway;
mod http;
mod message;
mod metrics;
mod nats;
mod outbox;
mod postgres;
mod provision;
mod registry;
mod retention;
mod runtime;
mod sink;
mod source;
mod supervisor;
#[cfg(feature = "testing")]
pub mod testing;
mod validate;

pub use self::commands::dispatch::run_program as run;
