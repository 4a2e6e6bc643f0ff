//! The way in over HTTP: a message is answered 2xx when its stream has it, and never before.

mod answer;
mod batch;
mod body;
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
mod tls;

pub(crate) use self::config::Config;
pub(crate) use self::server::{IngestServer, Listener, Parts};
