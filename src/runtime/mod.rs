//! What every actor and command needs: guards, readiness, drain, logs, secrets, exit codes.

pub(crate) mod actor_guard;
pub(crate) mod bisect;
pub(crate) mod descriptors;
pub(crate) mod drain;
pub(crate) mod error_chain;
pub(crate) mod exit;
pub(crate) mod failpoint;
pub(crate) mod fault;
pub(crate) mod last_word;
pub(crate) mod log_level;
pub(crate) mod log_once;
pub(crate) mod log_queue;
pub(crate) mod logging;
pub(crate) mod panics;
pub(crate) mod postgres_url;
mod queue;
pub(crate) mod readiness;
pub(crate) mod secret;
pub(crate) mod setting;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod stats;
pub(crate) mod terminal;
pub(crate) mod tls;
pub(crate) mod value_type;
