//! The door to NATS: its settings, connections, what they may not do, and streams and consumers that are missing.

pub(crate) mod config;
pub(crate) mod connect;
pub(crate) mod fitness;
pub(crate) mod permissions;
pub(crate) mod provision;
