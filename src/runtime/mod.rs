//! What every actor and command needs: guards, readiness, drain, logs, secrets, exit codes.

pub mod actor_guard;
pub mod drain;
pub mod error_chain;
pub mod exit;
pub mod failpoint;
pub mod fault;
pub mod logging;
pub mod panics;
pub mod readiness;
pub mod secret;
pub mod shutdown_signal;
pub mod stats;
pub mod terminal;
