//! Route jobs: one JetStream message each, for the service that delivers them.

mod backlog;
mod budget;
mod classify;
mod config;
mod message;
mod publisher;
pub(crate) mod stream;
#[cfg(test)]
mod testing;

pub use self::config::Config;
pub use self::publisher::{Parts, Publisher};
