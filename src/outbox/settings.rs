//! How fast and how much is redelivered.

use std::time::Duration;

use ingest_core::influx::point::Layout;

/// Bound on one piece of the outbox's work with PostgreSQL; a page of rows takes milliseconds.
pub(super) const SESSION_BOUND: Duration = Duration::from_secs(30);

/// What the outbox needs of the `[influx]` settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How points are laid out.
    pub layout: Layout,
    /// Most lines per second that are read back from PostgreSQL.
    pub lines_per_sec: usize,
    /// How often redelivery tries to claim, where nothing wakes it.
    pub interval: Duration,
    /// An owner without a heartbeat for this long is expired.
    pub takeover: Duration,
    /// Lines of a tenant that are claimed at once.
    pub claim_lines: usize,
    /// Most lines of a tenant that are under way.
    pub open_lines: usize,
    /// Most lines that are read at once.
    pub page_lines: usize,
}
