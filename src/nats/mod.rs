//! The door to NATS: its settings, connections, what they may not do, and streams and consumers that are missing.

pub mod config;
pub mod connect;
pub mod fitness;
pub mod permissions;
pub mod provision;
