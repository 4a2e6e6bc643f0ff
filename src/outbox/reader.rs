//! Claims what is on record, rebuilds its points from their rows, and sends them the way of all points.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Recipient;
use slog::{Logger, debug, warn};
use tokio_postgres::Config as Connection;

use super::entries;
use super::entries::{Claim, ClaimBatch, Page};
use super::session::Session;
use super::settings::Settings;
use super::shared::Shared;
use super::tenants::Bounds;
use super::time_ranges::{TimeRange, Window, time_ranges};
use crate::delivery::pending_ack::{Outbox, PendingAck};
use crate::message::{Point, Points};
use crate::metrics::InfluxMetrics;
use crate::runtime::failpoint;

/// Most rows read at once; their bytes are bounded too.
const PAGE_ROWS: i64 = 2_000;

/// The same at the beginning of a stretch: where nobody takes its points, little was read in vain.
const FIRST_PAGE_ROWS: i64 = 100;

/// Rows of the outbox claimed at once, over all tenants.
const CLAIM_ROWS: i64 = 500;

/// What reading has not used of the rate is made up for within this time: claims and slow reads cost no pace.
const CREDIT: Duration = Duration::from_secs(1);

/// A window whose lines do not get on for so long is left for later: others wait behind it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether they do.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Reads as long as the node lives.
pub(super) struct Reader {
    settings: Settings,
    outbox: Outbox,
    shared: Arc<Shared>,
    points: Recipient<Points>,
    metrics: InfluxMetrics,
    log: Logger,
    session: Session,
    /// When the rate allows the next page.
    next_page: Instant,
    /// Whether the answer to the last claim was lost.
    lost_claim: bool,
    /// What the log was told last.
    told: Option<String>,
}

impl Reader {
    /// A reader with a connection of its own.
    pub(super) fn new(
        settings: Settings,
        connection: Connection,
        outbox: Outbox,
        shared: Arc<Shared>,
        points: Recipient<Points>,
        metrics: InfluxMetrics,
        log: Logger,
    ) -> Self {
        let session = Session::new(connection);
        let next_page = Instant::now();
        Self { settings, outbox, shared, points, metrics, log, session, next_page, lost_claim: false, told: None }
    }

    /// Claims and reads for as long as it is asked to.
    pub(super) async fn run(mut self) {
        let interval = self.settings.interval;
        loop {
            match self.round().await {
                // What may be claimed changes with the end of a portion, or with time.
                Ok(0) => drop(tokio::time::timeout(interval, self.shared.news()).await),
                Ok(claims) => {
                    self.told = None;
                    debug!(self.log, "read claimed points"; "claims" => claims);
                }
                Err(error) => {
                    if self.told.as_ref() != Some(&error) {
                        warn!(self.log, "the replay can't read; trying on"; "error" => &error);
                        self.told = Some(error);
                    }
                    tokio::time::sleep(interval).await;
                }
            }
        }
    }

    /// Claims a portion and sends its points; how many rows of the outbox that were.
    async fn round(&mut self) -> Result<usize, String> {
        let claims = self.claim().await?;
        let count = claims.len();
        if count > 0 {
            failpoint::pass("redelivery-claimed");
        }
        // From here on an error, or a drain, drops the shares of what was not sent: the claims are released.
        let time_ranges: Vec<_> =
            time_ranges(claims).into_iter().map(|stretch| (self.pending_acks(&stretch), stretch)).collect();
        for (shares, stretch) in time_ranges {
            let vanished = self.send_stretch(&stretch, shares).await?;
            if vanished > 0 {
                self.metrics.vanished_lines.inc_by(vanished);
                warn!(self.log, "lines that influxdb never got have no rows any more; they can't be replayed";
                    "lines" => vanished);
            }
        }
        Ok(count)
    }

    async fn claim(&mut self) -> Result<Vec<Claim>, String> {
        let owner = self.outbox.owner();
        let lines_per_tenant = self.settings.claim_lines as i64;
        let bounds = Bounds { portion: lines_per_tenant, open: self.settings.open_lines as i64 };
        let allowances = self.shared.tenants().allowances(bounds, Instant::now());
        // As much as may be read in a second: then the next look shows who else has become free.
        let lines = self.settings.lines_per_sec as i64;
        let portion = ClaimBatch { lines_per_tenant, lines, rows: CLAIM_ROWS };
        // Whatever fails from here on may leave claims behind that we do not hear of.
        let known = std::mem::replace(&mut self.lost_claim, true).then(|| self.shared.tenants().claims());
        let mut claims = self
            .session
            .run(async |client| {
                if let Some(known) = known {
                    entries::release_strays(client, owner, &known).await?;
                }
                entries::beat(client, owner).await?;
                entries::claim(client, owner, &allowances, portion).await
            })
            .await?;
        self.lost_claim = false;
        let tenants = self.shared.tenants();
        claims.retain(|claim| !tenants.is_open(&claim.tenant_id, claim.id));
        Ok(claims)
    }

    /// Answers for the claims of a stretch: one share per window.
    fn pending_acks(&self, stretch: &TimeRange) -> Vec<PendingAck> {
        let mut tenants = self.shared.tenants();
        let take = |window: &Window| {
            tenants.begin(&window.tenant_id, &window.ids, window.lines);
            self.outbox.claim(window.ids.clone(), window.tenant_id.clone())
        };
        stretch.windows.iter().map(take).collect()
    }

    /// Sends a time range's points; how many lines are owed that it has no row of.
    async fn send_stretch(&mut self, stretch: &TimeRange, shares: Vec<PendingAck>) -> Result<u64, String> {
        let mut found = vec![0; stretch.windows.len()];
        let mut after = (stretch.received_us.0, i64::MIN);
        let mut page_rows = FIRST_PAGE_ROWS.min(self.settings.page_lines as i64);
        loop {
            self.keep_to_rate().await;
            // What was turned away stays on record as a whole: the rest of it is not read.
            let tenants = stretch.tenants_where(|at| !shares[at].is_abandoned());
            if tenants.is_empty() {
                return Ok(0);
            }
            let to_us = stretch.received_us.1;
            let page = Page { stream: &stretch.stream, tenants: &tenants, after, to_us, rows: page_rows };
            let page = self.session.run(async |client| entries::read(client, page).await).await?;
            let entries::Rows { rows, is_last } = page;
            page_rows = PAGE_ROWS.min(self.settings.page_lines as i64);
            let sent = self.send(stretch, &shares, &rows, &mut found);
            self.next_page = self.next_page.max(earliest()) + self.time_for(sent);
            match rows.last() {
                Some(last) if !is_last => after = (last.received_us, last.stream_seq),
                _ => break,
            }
            if !self.wait_for_room(&shares).await {
                return Ok(0);
            }
        }
        shares.into_iter().for_each(PendingAck::resolve);
        // A redelivered message counts in two rows of the outbox, so only where nothing is left something is missing.
        let windows = stretch.windows.iter().zip(found);
        Ok(windows.filter(|(_, found)| *found == 0).map(|(window, _)| window.lines.unsigned_abs()).sum())
    }

    /// A range may hold far more of a tenant's lines than its row of the outbox stands for: a late redelivery among new
    /// messages. Waits until so few of them are under way that the next page is not turned away; whether they get on.
    async fn wait_for_room(&self, shares: &[PendingAck]) -> bool {
        let most = self.settings.open_lines;
        let (mut least, mut since) = (usize::MAX, Instant::now());
        loop {
            let is_abandoned = shares.iter().all(PendingAck::is_abandoned);
            let under_way = shares.iter().map(PendingAck::others).max().unwrap_or_default();
            if is_abandoned || under_way < most {
                return true;
            }
            if under_way < least {
                (least, since) = (under_way, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Sends a page's points, one message per tenant; how many points. Adds them to what each window has `found`.
    fn send(&self, stretch: &TimeRange, shares: &[PendingAck], rows: &[entries::Stored], found: &mut [usize]) -> usize {
        let mut tenants: BTreeMap<&Arc<str>, Vec<Point>> = BTreeMap::new();
        for row in rows {
            let Some(at) = stretch.window_of(&row.tenant_id, row.received_us) else { continue };
            let Some(point) = row.point(stretch.stream.clone(), self.settings.layout, &shares[at]) else {
                continue;
            };
            found[at] += 1;
            tenants.entry(&stretch.windows[at].tenant_id).or_default().push(point);
        }
        let mut sent = 0;
        for (tenant_id, points) in tenants {
            sent += points.len();
            self.points.do_send(Points { tenant_id: tenant_id.clone(), points });
        }
        sent
    }

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
