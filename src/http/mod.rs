//! HTTP endpoints for operators and Kubernetes: `/health`, `/ready`, `/metrics`, `/stats`.

mod config;
mod connections;
mod metrics;
mod probes;
mod server;
mod stats;

pub(crate) use self::config::Config;
pub(crate) use self::server::start;
