//! Keeps the record: says that this node lives, deletes what is confirmed, releases what is not, and tells how much waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use slog::{Logger, info, warn};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_postgres::Config as Connection;

use super::record::{self, Waiting};
use super::replayer::Shared;
use super::session::Session;
use crate::debt::{Ended, Outbox};
use crate::metrics::InfluxMetrics;

/// How often ends are worked off: one statement for all of them.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// Nodes are forgotten so rarely.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// Keeps the record of one generation.
pub struct Clerk {
    outbox: Outbox,
    ends: UnboundedReceiver<Ended>,
    shared: Arc<Shared>,
    metrics: InfluxMetrics,
    log: Logger,
    session: Session,
    beat_every: Duration,
    beat_at: Option<Instant>,
    tidied_at: Instant,
    /// Rows to be deleted, to be released, and to be released after a failed replay.
    clear: Vec<i64>,
    release: Vec<i64>,
    failed: Vec<i64>,
    /// Lines that wait for a replay, as the gauge holds them now.
    waiting_lines: i64,
    /// Replayed lines when they were last counted, and when that was.
    counted: (u64, Instant),
    told: bool,
}

impl Clerk {
    /// A clerk with a connection of its own. It says that the node lives four times as often as it needs to be seen.
    pub fn new(
        takeover: Duration,
        connection: Connection,
        (outbox, ends): (Outbox, UnboundedReceiver<Ended>),
        shared: Arc<Shared>,
        metrics: InfluxMetrics,
        log: Logger,
    ) -> Self {
        Self {
            outbox,
            ends,
            shared,
            log,
            session: Session::new(connection),
            beat_every: takeover / 4,
            beat_at: None,
            tidied_at: Instant::now(),
            clear: Vec::new(),
            release: Vec::new(),
            failed: Vec::new(),
            waiting_lines: 0,
            counted: (metrics.replayed_lines.get(), Instant::now()),
            metrics,
            told: false,
        }
    }

    /// Does what is due. What PostgreSQL does not take now is kept for the next time.
    pub async fn work(&mut self) {
        self.collect();
        let result = self.write().await;
        match result {
            Ok(()) => self.told = false,
            Err(error) if !self.told => {
                warn!(self.log, "the record of what influxdb owes can't be kept; trying on"; "error" => error);
                self.told = true;
            }
            Err(_) => {}
        }
    }

    /// Does what is left, then gives everything up that this node owns, so that others need not wait for its silence.
    pub async fn farewell(&mut self) {
        self.work().await;
        let owner = self.outbox.owner();
        match self.session.run(async |client| record::farewell(client, owner).await).await {
            Ok(released) => info!(self.log, "the record is in order"; "left_to_others" => released),
            Err(error) => warn!(self.log, "others will take over only when they miss this node"; "error" => error),
        }
        self.beat_at = None;
    }

    fn collect(&mut self) {
        while let Ok(ended) = self.ends.try_recv() {
            let ids = match (ended.is_clear, &ended.replayed_for) {
                (true, _) => &mut self.clear,
                (false, None) => &mut self.release,
                (false, Some(_)) => &mut self.failed,
            };
            ids.extend(&ended.ids);
            if let Some(tenant_id) = ended.replayed_for {
                self.metrics.replayed_lines.inc_by(ended.confirmed);
                self.shared.tenants().end(&tenant_id, &ended.ids, ended.is_clear, Instant::now(), fastrand::f64());
            }
        }
    }

    async fn write(&mut self) -> Result<(), String> {
        let owner = self.outbox.owner();
        if !self.clear.is_empty() {
            self.session.run(async |client| record::clear(client, &self.clear).await).await?;
            self.clear.clear();
        }
        for (ids, failed) in [(&mut self.release, false), (&mut self.failed, true)] {
            if !ids.is_empty() {
                self.session.run(async |client| record::release(client, owner, ids, failed).await).await?;
                ids.clear();
            }
        }
        if self.beat_at.is_none_or(|at| at.elapsed() >= self.beat_every) {
            let waiting = self
                .session
                .run(async |client| {
                    record::beat(client, owner).await?;
                    record::waiting(client).await
                })
                .await?;
            self.beat_at = Some(Instant::now());
            self.tell(&waiting);
        }
        if self.tidied_at.elapsed() >= TIDY_EVERY {
            self.session.run(async |client| record::forget_nodes(client).await).await?;
            self.tidied_at = Instant::now();
        }
        Ok(())
    }

    /// Brings the gauge and `/stats` up to date.
    fn tell(&mut self, waiting: &[Waiting]) {
        let lines: i64 = waiting.iter().map(|one| one.lines).sum();
        self.metrics.unconfirmed_lines.inc_by(lines - self.waiting_lines);
        self.waiting_lines = lines;

        let (replayed, now) = (self.metrics.replayed_lines.get(), Instant::now());
        let secs = now.duration_since(self.counted.1).as_secs_f64();
        let rate = (replayed - self.counted.0) as f64 / secs.max(0.001);
        self.counted = (replayed, now);
        self.shared.set_state(state(waiting, rate));
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        // The metrics outlive this generation.
        self.metrics.unconfirmed_lines.dec_by(self.waiting_lines);
    }
}

/// What waits, for `/stats`. A tenant's time left is told at the rate of all together: an upper bound.
fn state(waiting: &[Waiting], lines_per_sec: f64) -> Value {
    let rate = lines_per_sec.round();
    let eta = |lines: i64| if rate >= 1.0 { json!((lines as f64 / rate).ceil()) } else { Value::Null };
    let tenants: Vec<Value> = waiting
        .iter()
        .map(|one| {
            json!({
                "tenant_id": if one.tenant_id.is_empty() { Value::Null } else { json!(one.tenant_id) },
                "flushes": one.rows,
                "lines": one.lines,
                "oldest_secs": one.oldest_secs,
                "eta_secs": eta(one.lines),
            })
        })
        .collect();
    let lines: i64 = waiting.iter().map(|one| one.lines).sum();
    json!({
        "flushes": waiting.iter().map(|one| one.rows).sum::<i64>(),
        "lines": lines,
        "oldest_secs": waiting.iter().map(|one| one.oldest_secs).max().unwrap_or(0),
        "lines_per_sec": rate,
        "eta_secs": if lines == 0 { json!(0) } else { eta(lines) },
        "tenants": tenants,
    })
}
