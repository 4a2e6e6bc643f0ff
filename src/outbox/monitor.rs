//! The outbox monitor: compacts entries that fit together, measures the backlog, and reports it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slog::{Logger, debug, warn};
use tokio_postgres::{Client, Error};

use super::compact::{CompactPage, Compactor};
use super::redelivery_state::RedeliveryState;
use super::report::{BacklogState, Entries, Report};
use super::settings::SESSION_BOUND;
use crate::metrics::InfluxMetrics;
use crate::postgres::bounded_session::{BoundedSession, SessionError};
use crate::postgres::connector::Connector;
use crate::runtime::log_once::LogOnce;

/// Interval between rounds, and how many times longer it pauses between two counts than one takes: a count reads all of the
/// outbox.
const EVERY: Duration = Duration::from_secs(2);
const PAUSE_PER_COUNT: u32 = 20;
/// A count that is so late makes the one before unknown.
const OVERDUE: Duration = Duration::from_secs(15);

/// Entries of a compact page, and pages per round as long as they find something.
const PAGE_ROWS: i64 = 2_000;
const MAX_PAGES: usize = 50;

/// Compacts and counts over a connection of its own: what takes long here delays no heartbeat.
pub(super) struct Monitor {
    state: Arc<RedeliveryState>,
    backlog: Arc<BacklogState>,
    metrics: InfluxMetrics,
    log: Logger,
    session: BoundedSession,
    compactor: Compactor,
    page: CompactPage,
    /// Lines of entries that nobody owns, as the gauge holds them now.
    free_lines: i64,
    /// When it counted last, and when it will again.
    counted_at: Instant,
    count_at: Instant,
    /// The first error, until a round succeeds.
    logged: LogOnce,
}

impl Monitor {
    /// A monitor that compacts entries up to `claim_lines` lines.
    pub(super) fn new(
        claim_lines: usize,
        connector: Connector,
        state: Arc<RedeliveryState>,
        backlog: Arc<BacklogState>,
        metrics: InfluxMetrics,
        log: Logger,
    ) -> Self {
        Self {
            state,
            backlog,
            metrics,
            log,
            session: BoundedSession::new(connector, SESSION_BOUND),
            compactor: Compactor::default(),
            page: CompactPage { rows: PAGE_ROWS, lines: claim_lines as i64 },
            free_lines: 0,
            counted_at: Instant::now(),
            count_at: Instant::now(),
            logged: LogOnce::new(1),
        }
    }

    /// Compacts and counts, round by round; never ends by itself.
    pub(super) async fn run(mut self) {
        loop {
            let began = Instant::now();
            match self.round().await {
                Ok(()) => self.logged.reset(),
                Err(error) if self.logged.is_new(&error.to_string()) => {
                    warn!(self.log, "outbox entries can't be compacted and counted; trying on"; "error" => %error);
                }
                Err(_) => {}
            }
            // Half of the time at most.
            tokio::time::sleep(EVERY.max(began.elapsed())).await;
        }
    }

    async fn round(&mut self) -> Result<(), SessionError> {
        self.compact().await?;
        let began = Instant::now();
        if self.count_at <= began {
            let entries = self.session.run(async |client| count(client).await).await?;
            self.count_at = Instant::now() + began.elapsed() * PAUSE_PER_COUNT;
            self.report(&entries);
        }
        Ok(())
    }

    async fn compact(&mut self) -> Result<(), SessionError> {
        let (compactor, page) = (&mut self.compactor, self.page);
        for _ in 0..MAX_PAGES {
            let compacted = self.session.run(async |client| compactor.compact(client, page).await).await?;
            if compacted.merged > 0 {
                debug!(self.log, "compacted outbox entries"; "entries" => compacted.merged, "into" => compacted.made);
            }
            if compacted.is_round_done {
                break;
            }
        }
        Ok(())
    }

    /// Brings the metrics and `/stats` up to date.
    fn report(&mut self, entries: &[Entries]) {
        let free_lines: i64 = entries.iter().map(|entries| entries.free_lines).sum();
        self.metrics.unconfirmed_lines.inc_by(free_lines - self.free_lines);
        self.free_lines = free_lines;

        let since = std::mem::replace(&mut self.counted_at, Instant::now()).elapsed();
        let report = {
            let mut rates = self.state.rates();
            rates.update(since);
            Report::of(entries, |tenant_id| rates.of(tenant_id))
        };
        self.metrics.outbox.set(report.backlogs, self.count_at + EVERY + OVERDUE);
        self.backlog.set(report.state);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // The metrics outlive this generation.
        self.metrics.unconfirmed_lines.dec_by(self.free_lines);
        self.metrics.outbox.clear();
    }
}

/// The entries of each tenant; all of them are counted.
async fn count(client: &Client) -> Result<Vec<Entries>, Error> {
    const SQL: &str = "
        SELECT tenant_id, count(*), sum(lines)::bigint, (coalesce(sum(lines) FILTER (WHERE owner IS NULL), 0))::bigint,
            greatest(0, extract(epoch FROM now() - min(created_at)))::bigint
        FROM influx_outbox GROUP BY tenant_id";
    let rows = client.query(SQL, &[]).await?;
    let entries = |row: &tokio_postgres::Row| Entries {
        tenant_id: row.get(0),
        flushes: row.get(1),
        lines: row.get(2),
        free_lines: row.get(3),
        oldest_secs: row.get(4),
    };
    Ok(rows.iter().map(entries).collect())
}
