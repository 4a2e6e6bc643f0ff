//! Keeps the record: says that this node lives, deletes what is confirmed, releases what is not, and what the dead owned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slog::{Logger, info, warn};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_postgres::Config as Connection;

use super::entries;
use super::entries::Release;
use super::session::Session;
use super::shared::Shared;
use crate::delivery::pending_ack::{Ended, Outbox};
use crate::metrics::InfluxMetrics;
use crate::runtime::failpoint;

/// How often ends are worked off: one statement for all of them.
const INTERVAL: Duration = Duration::from_millis(500);

/// Nodes are forgotten so rarely.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// Keeps the record of one generation.
pub(super) struct Releaser {
    outbox: Outbox,
    ends: UnboundedReceiver<Ended>,
    shared: Arc<Shared>,
    metrics: InfluxMetrics,
    log: Logger,
    session: Session,
    takeover: Duration,
    beat_at: Option<Instant>,
    said_farewell: bool,
    looked_at: Option<Instant>,
    tidied_at: Instant,
    /// Rows to be deleted, to be released, and to be released after a failed replay.
    clear: Vec<i64>,
    release: Vec<i64>,
    failed: Vec<i64>,
    told: bool,
}

/// A node says so often that it lives: four times as often as it needs to be seen.
fn beat_every(takeover: Duration) -> Duration {
    takeover / 4
}

/// It looks so often for nodes that are gone.
fn look_every(takeover: Duration) -> Duration {
    takeover / 10
}

impl Releaser {
    /// A releaser with a connection of its own.
    pub(super) fn new(
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
            metrics,
            log,
            session: Session::new(connection),
            takeover,
            beat_at: None,
            said_farewell: false,
            looked_at: None,
            tidied_at: Instant::now(),
            clear: Vec::new(),
            release: Vec::new(),
            failed: Vec::new(),
            told: false,
        }
    }

    /// Takes ends in for a while, then does what is due. What PostgreSQL does not take now is kept for the next time.
    pub(super) async fn work(&mut self) {
        let until = tokio::time::Instant::now() + INTERVAL;
        // The channel never closes: the outbox holds an end of it.
        while let Ok(Some(ended)) = tokio::time::timeout_at(until, self.ends.recv()).await {
            self.take_in(ended);
        }
        self.keep().await;
    }

    /// Does what is left, then gives everything up that this node owns, so that others need not wait for its silence.
    pub(super) async fn farewell(&mut self) {
        while let Ok(ended) = self.ends.try_recv() {
            self.take_in(ended);
        }
        self.keep().await;
        let owner = self.outbox.owner();
        match self.session.run(async |client| entries::farewell(client, owner).await).await {
            Ok(released) => info!(self.log, "the record is in order"; "left_to_others" => released),
            Err(error) => warn!(self.log, "others will take over only when they miss this node"; "error" => error),
        }
        self.said_farewell = true;
    }

    /// The reader hears of an end at once, PostgreSQL with the others.
    fn take_in(&mut self, ended: Ended) {
        let ids = match (ended.is_clear, &ended.redelivered_for) {
            (true, _) => &mut self.clear,
            (false, None) => &mut self.release,
            (false, Some(_)) => &mut self.failed,
        };
        ids.extend(&ended.ids);
        if let Some(tenant_id) = ended.redelivered_for {
            self.metrics.replayed_lines.inc_by(ended.confirmed);
            self.shared.rates().add(&tenant_id, ended.confirmed);
            self.shared.tenants().end(&tenant_id, &ended.ids, ended.is_clear, Instant::now(), fastrand::f64());
            self.shared.tell_news();
        }
    }

    async fn keep(&mut self) {
        match self.write().await {
            Ok(()) => self.told = false,
            Err(error) if !self.told => {
                warn!(self.log, "the record of what influxdb owes can't be kept; trying on"; "error" => error);
                self.told = true;
            }
            Err(_) => {}
        }
    }

    async fn write(&mut self) -> Result<(), String> {
        let owner = self.outbox.owner();
        // First of all: what follows may take its time.
        if !self.said_farewell && self.beat_at.is_none_or(|at| at.elapsed() >= beat_every(self.takeover)) {
            self.session.run(async |client| entries::beat(client, owner).await).await?;
            self.beat_at = Some(Instant::now());
        }
        if !self.clear.is_empty() {
            failpoint::pass("outbox-confirmed");
            self.session.run(async |client| entries::clear(client, &self.clear).await).await?;
            self.clear.clear();
        }
        for (ids, why) in [(&mut self.release, Release::Live), (&mut self.failed, Release::Replay)] {
            if !ids.is_empty() {
                self.session.run(async |client| entries::release(client, owner, ids, why).await).await?;
                ids.clear();
            }
        }
        if self.looked_at.is_none_or(|at| at.elapsed() >= look_every(self.takeover)) {
            self.claim().await?;
        }
        if self.tidied_at.elapsed() >= TIDY_EVERY {
            self.session.run(async |client| entries::forget_nodes(client).await).await?;
            self.tidied_at = Instant::now();
        }
        Ok(())
    }

    /// Releases what nodes own that are gone. Where that is a lot, the rest follows the next time.
    async fn claim(&mut self) -> Result<(), String> {
        let unseen_secs = self.takeover.as_secs_f64();
        let rows = self.session.run(async |client| entries::disown(client, unseen_secs).await).await?;
        self.looked_at = (rows < entries::DISOWN_ROWS).then(Instant::now);
        if rows > 0 {
            info!(self.log, "took over what a node that is gone still owed"; "flushes" => rows);
            self.shared.tell_news();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_node_that_dies_is_taken_over_within_half_a_minute() {
        let takeover = crate::sink::influx::Config::default().redelivery().takeover;
        // It dies right after it was seen, another one looks right before that is long enough ago, and the reader, who
        // is told, is busy with a claim of a second's reading.
        let worst = takeover + look_every(takeover) + INTERVAL + Duration::from_secs(1);
        assert!(worst < Duration::from_secs(30), "{worst:?}");
        assert!(beat_every(takeover) + 2 * INTERVAL < takeover / 3, "a living node is not missed");
    }
}
