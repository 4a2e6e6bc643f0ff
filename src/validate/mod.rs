//! Validation: a pool of actors, a device always on the same one, so that caches and token buckets need no lock.

mod check;
mod chunk_metrics;
mod config;
mod inquiry;
mod outcome;
mod validator;

pub(crate) use self::config::Config;
pub(crate) use self::validator::{Parts, Validator};
