//! HTTP endpoints for operators and Kubernetes: `/health`, `/ready`, `/metrics`, `/stats`, `/lag`; and the listener of the
//! administration (`admin`), which shares no connection with them.

pub(crate) mod admin;
mod config;
mod lag;
mod metrics;
mod probes;
mod server;
mod stats;

pub(crate) use self::config::Config;
pub(crate) use self::server::start;
