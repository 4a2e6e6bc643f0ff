//! The batchers as they are shown one by one: read when somebody looks, never a series.

use std::sync::Arc;

use super::actors::LastExit;
use super::traffic::Counts;

/// All batchers at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatcherFigures {
    /// Tenants with a batcher.
    pub tenants: u64,
    /// Lines in all buffers and requests.
    pub held_lines: u64,
    /// The memory that they take.
    pub held_bytes: u64,
    /// Some of the tenants, a bounded number: those that fail first, then those that hold most.
    pub shown: Vec<BatcherReading>,
}

/// One tenant's batcher at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatcherReading {
    /// Whose.
    pub tenant_id: Arc<str>,
    /// The thread that it runs on; `None` before it ran.
    pub thread: Option<Arc<str>>,
    /// A number that changes as long as the thread runs its event loop.
    pub thread_progress: u64,
    /// Its messages and its time.
    pub counts: Counts,
    /// Restarts.
    pub restarts: u64,
    /// How it ended last without being asked to.
    pub last_exit: Option<LastExit>,
    /// Whether its lines wait on purpose: its breaker is open, or the server asked for it.
    pub is_waiting: bool,
    /// The circuit breaker: `closed`, `troubled` or `open`.
    pub breaker: &'static str,
    /// Lines whose fate is open.
    pub held_lines: u64,
    /// The memory that they take.
    pub held_bytes: u64,
    /// Requests under way.
    pub requests_in_flight: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests that failed.
    pub requests_failed: u64,
    /// Lines that the server took.
    pub lines_ok: u64,
    /// Lines whose fate is known.
    pub lines_ended: u64,
    /// The last thing that went wrong; empty where nothing has. Never holds a line or a token.
    pub last_error: String,
}
