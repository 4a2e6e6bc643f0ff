//! The redelivery loop: claims outbox entries, rebuilds their points from their rows, and sends them to the influx Router
//! like all other points.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Recipient;
use slog::{Logger, debug, warn};

use super::entries;
use super::entries::{Claim, ClaimBatch, Page};
use super::redelivery_state::RedeliveryState;
use super::settings::{SESSION_BOUND, Settings};
use super::tenants::Bounds;
use super::time_ranges::{TimeRange, Window, time_ranges};
use crate::delivery::pending_ack::{Outbox, PendingAck};
use crate::message::{Point, Points};
use crate::metrics::InfluxMetrics;
use crate::postgres::bounded_session::{BoundedSession, SessionError};
use crate::postgres::connector::Connector;
use crate::postgres::raw_events::StoredRow;
use crate::runtime::failpoint;
use crate::runtime::log_once::LogOnce;

/// Most rows read at once; their bytes are bounded too.
const PAGE_ROWS: i64 = 2_000;

/// The same at the beginning of a time range: where nobody takes its points, little was read in vain.
const FIRST_PAGE_ROWS: i64 = 100;

/// Entries claimed at once, over all tenants.
const CLAIM_ROWS: i64 = 500;

/// Unused rate is made up for within this time: claims and slow reads cost no pace.
const CREDIT: Duration = Duration::from_secs(1);

/// A window whose lines make no progress for this long is left for later: others wait behind it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often their progress is checked.
const CHECK_EVERY: Duration = Duration::from_millis(20);

/// Most errors of one outage that are logged.
const MAX_LOGGED: usize = 16;

/// Claims and reads for as long as it is polled.
pub(super) struct Reader {
    settings: Settings,
    outbox: Outbox,
    state: Arc<RedeliveryState>,
    points: Recipient<Points>,
    metrics: InfluxMetrics,
    log: Logger,
    session: BoundedSession,
    /// When the rate allows the next page.
    next_page: Instant,
    /// Whether the answer to the last claim was lost.
    has_lost_claim: bool,
    /// Errors that are logged, until something is read again.
    logged: LogOnce,
}

impl Reader {
    /// A reader with a connection of its own.
    pub(super) fn new(
        settings: Settings,
        connector: Connector,
        outbox: Outbox,
        state: Arc<RedeliveryState>,
        points: Recipient<Points>,
        metrics: InfluxMetrics,
        log: Logger,
    ) -> Self {
        let session = BoundedSession::new(connector, SESSION_BOUND);
        let (next_page, logged) = (Instant::now(), LogOnce::new(MAX_LOGGED));
        Self { settings, outbox, state, points, metrics, log, session, next_page, has_lost_claim: false, logged }
    }

    /// Claims and reads; never ends by itself.
    pub(super) async fn run(mut self) {
        let interval = self.settings.interval;
        loop {
            match self.round().await {
                // What may be claimed changes when claims end, or with time.
                Ok(0) => drop(tokio::time::timeout(interval, self.state.claimable()).await),
                Ok(claims) => {
                    self.logged.reset();
                    debug!(self.log, "read claimed points"; "claims" => claims);
                }
                Err(error) => {
                    if self.logged.is_new(&error.to_string()) {
                        warn!(self.log, "the replay can't read; trying on"; "error" => %error);
                    }
                    tokio::time::sleep(interval).await;
                }
            }
        }
    }

    /// Claims a batch of entries and sends their points; how many entries.
    async fn round(&mut self) -> Result<usize, SessionError> {
        let claims = self.claim().await?;
        let count = claims.len();
        if count > 0 {
            failpoint::pass("redelivery-claimed");
        }
        // From here on an error, or a drain, drops the pending acks of what was not sent: the claims are released.
        let time_ranges: Vec<_> =
            time_ranges(claims).into_iter().map(|time_range| (self.pending_acks(&time_range), time_range)).collect();
        for (pending_acks, time_range) in time_ranges {
            let unrecoverable = self.send_time_range(&time_range, pending_acks).await?;
            if unrecoverable > 0 {
                self.metrics.unrecoverable_lines.inc_by(unrecoverable);
                warn!(self.log, "lines that influxdb never got have no rows any more; they can't be replayed";
                    "lines" => unrecoverable);
            }
        }
        Ok(count)
    }

    async fn claim(&mut self) -> Result<Vec<Claim>, SessionError> {
        let owner = self.outbox.owner();
        let lines_per_tenant = self.settings.claim_lines as i64;
        let bounds = Bounds { claim_lines: lines_per_tenant, open_lines: self.settings.open_lines as i64 };
        let quotas = self.state.tenants().quotas(bounds, Instant::now());
        // As much as may be read in a second: the next claim then shows which other tenants have become free.
        let lines = self.settings.lines_per_sec as i64;
        let batch = ClaimBatch { lines_per_tenant, lines, rows: CLAIM_ROWS };
        // Whatever fails from here on may leave claims behind whose answer never arrives.
        let known = std::mem::replace(&mut self.has_lost_claim, true).then(|| self.state.tenants().claims());
        let mut claims = self
            .session
            .run(async |client| {
                if let Some(known) = known {
                    entries::release_unknown_claims(client, owner, &known).await?;
                }
                entries::heartbeat(client, owner).await?;
                entries::claim(client, owner, &quotas, batch).await
            })
            .await?;
        self.has_lost_claim = false;
        let tenants = self.state.tenants();
        claims.retain(|claim| !tenants.is_open(&claim.tenant_id, claim.id));
        Ok(claims)
    }

    /// Begins to track the claims of a time range: one pending ack per window.
    fn pending_acks(&self, time_range: &TimeRange) -> Vec<PendingAck> {
        let mut tenants = self.state.tenants();
        let track = |window: &Window| {
            tenants.begin(&window.tenant_id, &window.ids, window.lines);
            self.outbox.claim(window.ids.clone(), window.tenant_id.clone())
        };
        time_range.windows.iter().map(track).collect()
    }

    /// Sends a time range's points; how many lines of its entries have no row any more.
    async fn send_time_range(
        &mut self,
        time_range: &TimeRange,
        pending_acks: Vec<PendingAck>,
    ) -> Result<u64, SessionError> {
        let mut found = vec![0; time_range.windows.len()];
        let mut after = (time_range.received_us.0, i64::MIN);
        let mut page_rows = FIRST_PAGE_ROWS.min(self.settings.page_lines as i64);
        loop {
            self.keep_to_rate().await;
            // What was deferred again stays in the outbox as a whole: the rest of it is not read.
            let tenants = time_range.tenants_where(|at| !pending_acks[at].is_abandoned());
            if tenants.is_empty() {
                return Ok(0);
            }
            let to_us = time_range.received_us.1;
            let page = Page { stream: &time_range.stream, tenants: &tenants, after, to_us, rows: page_rows };
            let page = self.session.run(async |client| entries::read(client, page).await).await?;
            let entries::Rows { rows, is_last } = page;
            page_rows = PAGE_ROWS.min(self.settings.page_lines as i64);
            let sent = self.send(time_range, &pending_acks, &rows, &mut found);
            self.next_page = self.next_page.max(earliest()) + self.time_for(sent);
            match rows.last() {
                Some(last) if !is_last => after = (last.received_us(), last.stream_seq()),
                _ => break,
            }
            if !self.wait_for_capacity(&pending_acks).await {
                return Ok(0);
            }
        }
        pending_acks.into_iter().for_each(PendingAck::discard);
        // A redelivered message counts in two entries, so only where nothing is left something is missing.
        let windows = time_range.windows.iter().zip(found);
        Ok(windows.filter(|(_, found)| *found == 0).map(|(window, _)| window.lines.unsigned_abs()).sum())
    }

    /// A range may hold far more of a tenant's lines than its entry stands for: a late redelivery among new messages. Waits
    /// until few enough of them are under way that the next page is not deferred; whether they make progress.
    async fn wait_for_capacity(&self, pending_acks: &[PendingAck]) -> bool {
        let most = self.settings.open_lines;
        let (mut least, mut since) = (usize::MAX, Instant::now());
        loop {
            let is_abandoned = pending_acks.iter().all(PendingAck::is_abandoned);
            let under_way = pending_acks.iter().map(PendingAck::outstanding).max().unwrap_or_default();
            if is_abandoned || under_way < most {
                return true;
            }
            if under_way < least {
                (least, since) = (under_way, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                return false;
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    /// Sends a page's points, one message per tenant; how many points. Adds them to what each window has `found`.
    fn send(
        &self,
        time_range: &TimeRange,
        pending_acks: &[PendingAck],
        rows: &[StoredRow],
        found: &mut [usize],
    ) -> usize {
        let mut tenants: BTreeMap<&Arc<str>, Vec<Point>> = BTreeMap::new();
        for row in rows {
            let Some(at) = time_range.window_of(row.tenant_id(), row.received_us()) else { continue };
            let Some(point) = row.point(&time_range.stream, self.settings.layout, &pending_acks[at]) else { continue };
            found[at] += 1;
            tenants.entry(&time_range.windows[at].tenant_id).or_default().push(point);
        }
        let mut sent = 0;
        for (tenant_id, points) in tenants {
            sent += points.len();
            self.points.do_send(Points { tenant_id: tenant_id.clone(), points });
        }
        sent
    }

    /// Waits until the rate allows the next page.
    async fn keep_to_rate(&self) {
        tokio::time::sleep_until(self.next_page.into()).await;
    }

    fn time_for(&self, lines: usize) -> Duration {
        Duration::from_secs_f64(lines as f64 / self.settings.lines_per_sec.max(1) as f64)
    }
}

/// From when on unused rate still counts.
fn earliest() -> Instant {
    let now = Instant::now();
    now.checked_sub(CREDIT).unwrap_or(now)
}
