//! `ingest-node`: validates IoT messages from NATS JetStream and makes them durable before it acknowledges them.
#![forbid(unsafe_code)]

pub mod app;
pub mod backfill;
pub mod cli;
pub mod commands;
pub mod config;
pub mod debt;
pub mod delivery;
pub mod drained;
pub mod exit;
pub mod failpoint;
mod guard;
pub mod health;
pub mod http;
pub mod lifeline;
pub mod logging;
pub mod message;
pub mod metrics;
pub mod migrate;
pub mod provision_tenants;
pub mod quarantine;
pub mod registry;
pub mod secret;
mod sentence;
pub mod signals;
pub mod simulate;
pub mod sink;
pub mod source;
pub mod stats;
pub mod supervisor;
pub mod survey;
pub mod terminal;
pub mod tree;
pub mod validate;
