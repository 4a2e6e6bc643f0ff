//! The tree: built bottom-up from one list of factories, watched, rebuilt after a death, drained top-down.

pub(crate) mod child;
mod config;
pub(crate) mod environment;
mod generation;
pub(crate) mod root;
mod watch;

pub(crate) use self::config::Config;
