//! Looks over the whole record now and then: has what fits together merged, counts what is owed, and tells it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slog::{Logger, debug, warn};
use tokio_postgres::{Client, Config as Connection, Error};

use super::compact::{CompactPage, Compactor};
use super::report;
use super::report::Entries;
use super::session::Session;
use super::shared::Shared;
use crate::metrics::InfluxMetrics;

/// How often it looks, and how many times longer it does not count than it counts: all of a long record is read for it.
const EVERY: Duration = Duration::from_secs(2);
const REST_OF_COUNTING: u32 = 20;

/// Rows looked at by one merging statement, and statements per look as long as they find something.
const BITE_ROWS: i64 = 2_000;
const MOST_BITES: usize = 50;

/// Looks as long as the node lives, over a connection of its own: what takes long here delays no sign of life.
pub(super) struct Monitor {
    shared: Arc<Shared>,
    metrics: InfluxMetrics,
    log: Logger,
    session: Session,
    compactor: Compactor,
    bite: CompactPage,
    /// Lines on record that nobody works on, as the gauge holds them now.
    free_lines: i64,
    /// When it counted last, and when it will again.
    counted_at: Instant,
    count_at: Instant,
    told: bool,
}

impl Monitor {
    /// An auditor that lets rows grow to so many lines.
    pub(super) fn new(
        portion_lines: usize,
        connection: Connection,
        shared: Arc<Shared>,
        metrics: InfluxMetrics,
        log: Logger,
    ) -> Self {
        Self {
            shared,
            metrics,
            log,
            session: Session::new(connection),
            compactor: Compactor::default(),
            bite: CompactPage { rows: BITE_ROWS, lines: portion_lines as i64 },
            free_lines: 0,
            counted_at: Instant::now(),
            count_at: Instant::now(),
            told: false,
        }
    }

    /// Looks, and waits for the next time.
    pub(super) async fn run(mut self) {
        loop {
            let began = Instant::now();
            match self.look().await {
                Ok(()) => self.told = false,
                Err(error) if !self.told => {
                    warn!(self.log, "the record of what influxdb owes can't be counted; trying on"; "error" => error);
                    self.told = true;
                }
                Err(_) => {}
            }
            // Half of the time at most.
            tokio::time::sleep(EVERY.max(began.elapsed())).await;
        }
    }

    async fn look(&mut self) -> Result<(), String> {
        self.merge().await?;
        let began = Instant::now();
        if self.count_at <= began {
            let debts = self.session.run(async |client| debts(client).await).await?;
            self.count_at = Instant::now() + began.elapsed() * REST_OF_COUNTING;
            self.tell(&debts);
        }
        Ok(())
    }

    async fn merge(&mut self) -> Result<(), String> {
        let (compactor, bite) = (&mut self.compactor, self.bite);
        for _ in 0..MOST_BITES {
            let bitten = self.session.run(async |client| compactor.bite(client, bite).await).await?;
            if bitten.merged > 0 {
                debug!(self.log, "merged what is on record"; "rows" => bitten.merged, "into" => bitten.made);
            }
            if bitten.is_round_done {
                break;
            }
        }
        Ok(())
    }

    /// Brings the metrics and `/stats` up to date.
    fn tell(&mut self, debts: &[Entries]) {
        let free_lines: i64 = debts.iter().map(|debt| debt.free_lines).sum();
        self.metrics.unconfirmed_lines.inc_by(free_lines - self.free_lines);
        self.free_lines = free_lines;

        let since = std::mem::replace(&mut self.counted_at, Instant::now()).elapsed();
        let told = {
            let mut rates = self.shared.rates();
            rates.look(since);
            report::tell(debts, |tenant_id| rates.of(tenant_id))
        };
        self.metrics.outbox.set(told.standings);
        self.shared.set_state(told.state);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // The metrics outlive this generation.
        self.metrics.unconfirmed_lines.dec_by(self.free_lines);
        self.metrics.outbox.set(Vec::new());
    }
}

/// What is on record, by tenant; all of it is counted.
async fn debts(client: &Client) -> Result<Vec<Entries>, Error> {
    const SQL: &str = "
        SELECT tenant_id, count(*), sum(lines)::bigint, (coalesce(sum(lines) FILTER (WHERE owner IS NULL), 0))::bigint,
            greatest(0, extract(epoch FROM now() - min(created_at)))::bigint
        FROM influx_outbox GROUP BY tenant_id";
    let rows = client.query(SQL, &[]).await?;
    let debt = |row: &tokio_postgres::Row| Entries {
        tenant_id: row.get(0),
        flushes: row.get(1),
        lines: row.get(2),
        free_lines: row.get(3),
        oldest_secs: row.get(4),
    };
    Ok(rows.iter().map(debt).collect())
}
