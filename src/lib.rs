//! `ingest-node`: validates IoT messages from NATS JetStream and makes them durable before it acknowledges them.
#![forbid(unsafe_code)]

pub mod core;
