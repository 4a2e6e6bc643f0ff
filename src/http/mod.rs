//! HTTP endpoints for operators and Kubernetes: `/health`, `/ready`, `/metrics`, `/stats`, `/lag`.

mod config;
mod lag;
mod metrics;
mod probes;
mod server;
mod stats;

pub(crate) use self::config::Config;
pub(crate) use self::server::start;
