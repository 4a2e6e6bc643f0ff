//! Administration: a listener of its own, behind a key.

mod config;
mod key;
mod log_in;
mod server;
mod sessions;

pub(crate) use self::config::Config;
pub(crate) use self::server::{Parts, start};
