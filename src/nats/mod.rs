//! NATS: settings, connections, permission violations, and the provisioning of streams and consumers.

pub(crate) mod account;
pub(crate) mod config;
pub(crate) mod connect;
pub(crate) mod fitness;
pub(crate) mod login;
pub(crate) mod permissions;
pub(crate) mod provision;
pub(crate) mod server_stream;
pub(crate) mod stored;
