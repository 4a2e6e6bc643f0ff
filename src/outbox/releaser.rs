//! The maintainer's loop: deletes entries that are confirmed and releases the others, sends the owner's heartbeat, and reaps
//! the entries of expired owners.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slog::{Logger, info, warn};
use tokio::sync::mpsc::UnboundedReceiver;

use super::entries;
use super::entries::Release;
use super::redelivery_state::RedeliveryState;
use super::settings::SESSION_BOUND;
use crate::delivery::pending_ack::{Outbox, Released};
use crate::metrics::InfluxMetrics;
use crate::postgres::bounded_session::{BoundedSession, SessionError};
use crate::postgres::connector::Connector;
use crate::runtime::failpoint;
use crate::runtime::log_once::LogOnce;

/// How often released entries are worked off: one statement for all of them.
const INTERVAL: Duration = Duration::from_millis(500);

/// How often owners that were last seen long ago are deleted.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// Works off the released entries of one generation.
pub(super) struct Releaser {
    outbox: Outbox,
    released: UnboundedReceiver<Released>,
    state: Arc<RedeliveryState>,
    metrics: InfluxMetrics,
    log: Logger,
    session: BoundedSession,
    takeover: Duration,
    heartbeat_at: Option<Instant>,
    is_deregistered: bool,
    reaped_at: Option<Instant>,
    tidied_at: Instant,
    /// Entries to be deleted, to be released, and to be released after a failed redelivery.
    clear: Vec<i64>,
    release: Vec<i64>,
    failed: Vec<i64>,
    /// The first error, until everything is written.
    logged: LogOnce,
}

/// Interval between heartbeats: a quarter of the time after which an owner without one is expired.
fn heartbeat_every(takeover: Duration) -> Duration {
    takeover / 4
}

/// Interval between looks for expired owners.
fn reap_every(takeover: Duration) -> Duration {
    takeover / 10
}

impl Releaser {
    /// A releaser with a connection of its own.
    pub(super) fn new(
        takeover: Duration,
        connector: Connector,
        (outbox, released): (Outbox, UnboundedReceiver<Released>),
        state: Arc<RedeliveryState>,
        metrics: InfluxMetrics,
        log: Logger,
    ) -> Self {
        Self {
            outbox,
            released,
            state,
            metrics,
            log,
            session: BoundedSession::new(connector, SESSION_BOUND),
            takeover,
            heartbeat_at: None,
            is_deregistered: false,
            reaped_at: None,
            tidied_at: Instant::now(),
            clear: Vec::new(),
            release: Vec::new(),
            failed: Vec::new(),
            logged: LogOnce::new(1),
        }
    }

    /// Collects released entries for a while, then writes what is due. What PostgreSQL does not take now is kept for the next
    /// time.
    pub(super) async fn work(&mut self) {
        let until = tokio::time::Instant::now() + INTERVAL;
        // The channel never closes: the outbox holds an end of it.
        while let Ok(Some(released)) = tokio::time::timeout_at(until, self.released.recv()).await {
            self.enqueue(released);
        }
        self.write_or_log().await;
    }

    /// Writes what is left, then releases everything that this owner holds and deregisters it, so that others need not wait
    /// for it to expire.
    pub(super) async fn drain(&mut self) {
        while let Ok(released) = self.released.try_recv() {
            self.enqueue(released);
        }
        self.write_or_log().await;
        let owner = self.outbox.owner();
        match self.session.run(async |client| entries::deregister(client, owner).await).await {
            Ok(released) => info!(self.log, "outbox is in order"; "left_to_others" => released),
            Err(error) => {
                warn!(self.log, "outbox owner is not deregistered; other nodes take over when it expires"; "error" => %error)
            }
        }
        self.is_deregistered = true;
    }

    /// Redelivery learns of released entries at once, PostgreSQL in batches.
    fn enqueue(&mut self, released: Released) {
        let ids = match (released.is_clear, &released.redelivered_for) {
            (true, _) => &mut self.clear,
            (false, None) => &mut self.release,
            (false, Some(_)) => &mut self.failed,
        };
        ids.extend(&released.ids);
        if let Some(tenant_id) = released.redelivered_for {
            self.metrics.replayed_lines.inc_by(released.confirmed);
            self.state.rates().add(&tenant_id, released.confirmed);
            let now = Instant::now();
            self.state.tenants().end(&tenant_id, &released.ids, released.is_clear, now, fastrand::f64());
            self.state.notify_claimable();
        }
    }

    async fn write_or_log(&mut self) {
        match self.write().await {
            Ok(()) => self.logged.reset(),
            Err(error) if self.logged.is_new(&error.to_string()) => {
                warn!(self.log, "outbox entries can't be deleted and released; trying on"; "error" => %error);
            }
            Err(_) => {}
        }
    }

    async fn write(&mut self) -> Result<(), SessionError> {
        let owner = self.outbox.owner();
        // First of all: what follows may take its time.
        let is_due = self.heartbeat_at.is_none_or(|at| at.elapsed() >= heartbeat_every(self.takeover));
        if is_due && !self.is_deregistered {
            self.session.run(async |client| entries::heartbeat(client, owner).await).await?;
            self.heartbeat_at = Some(Instant::now());
        }
        if !self.clear.is_empty() {
            failpoint::pass("outbox-confirmed");
            self.session.run(async |client| entries::delete(client, &self.clear).await).await?;
            self.clear.clear();
        }
        for (ids, why) in [(&mut self.release, Release::Live), (&mut self.failed, Release::Redelivery)] {
            if !ids.is_empty() {
                self.session.run(async |client| entries::release(client, owner, ids, why).await).await?;
                ids.clear();
            }
        }
        if self.reaped_at.is_none_or(|at| at.elapsed() >= reap_every(self.takeover)) {
            self.reap().await?;
        }
        if self.tidied_at.elapsed() >= TIDY_EVERY {
            self.session.run(async |client| entries::delete_expired_owners(client).await).await?;
            self.tidied_at = Instant::now();
        }
        Ok(())
    }

    /// Releases the entries of expired owners. Where there are many, the others follow the next time.
    async fn reap(&mut self) -> Result<(), SessionError> {
        let expired_secs = self.takeover.as_secs_f64();
        let rows = self.session.run(async |client| entries::reap_expired_owners(client, expired_secs).await).await?;
        self.reaped_at = (rows < entries::REAPED_ROWS).then(Instant::now);
        if rows > 0 {
            info!(self.log, "released the outbox entries of expired owners"; "entries" => rows);
            self.state.notify_claimable();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default of `influx.outbox.takeover_secs`.
    const TAKEOVER: Duration = Duration::from_secs(20);

    #[test]
    fn the_entries_of_a_node_that_dies_are_taken_over_within_half_a_minute() {
        // It dies right after its heartbeat, another node looks right before it is expired, and redelivery, which is
        // notified, is busy with a claim of a second's reading.
        let worst = TAKEOVER + reap_every(TAKEOVER) + INTERVAL + Duration::from_secs(1);
        assert!(worst < Duration::from_secs(30), "{worst:?}");
        assert!(heartbeat_every(TAKEOVER) + 2 * INTERVAL < TAKEOVER / 3, "a living node does not expire");
    }
}
