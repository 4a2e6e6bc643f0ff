//! The way in over HTTP: a message is answered 2xx when its stream has it, and never before.

mod answer;
mod batch;
mod body;
mod client_auth;
mod common_name;
mod config;
mod connections;
mod device;
mod failure;
mod ingest;
mod limits;
mod openapi;
mod request;
mod server;
mod service;
mod shapes;
mod tls;
mod tls_error;

pub(crate) use self::config::Config;
pub(crate) use self::server::{Further, IngestServer, Listener, Parts};
pub(crate) use self::tls::problems as tls_problems;
