//! Supervision tree with one-for-all restarts: one list of factories builds a generation of actors bottom-up; when one exits
//! or stalls, the whole generation ends and the next is built after a backoff.
//!
//! - Restart budget: more than `restart_budget` restarts within `restart_window_secs` end the process.
//! - Watchdog: an actor that has work and makes no progress for `stuck_after_secs`, or a thread that does not run its event
//!   loop for as long, counts as exited.
//! - Shutdown drains the actors top-down.

pub(crate) mod child;
mod config;
pub(crate) mod environment;
mod generation;
pub(crate) mod root;
mod stall;

pub(crate) use self::config::Config;
