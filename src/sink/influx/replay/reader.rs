//! Claims what is on record, rebuilds its points from their rows, and sends them the way of all points.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Recipient;
use slog::{Logger, debug, info, warn};
use tokio_postgres::Config as Connection;

use super::record::{self, Claim, Page, Portion};
use super::replayer::Shared;
use super::session::Session;
use super::windows::{Stretch, Window, stretches};
use crate::debt::{Outbox, Share};
use crate::health::Health;
use crate::message::{Point, Points};
use crate::sink::influx::Config;

/// Rows read at once.
const PAGE_ROWS: i64 = 2_000;

/// Rows of the outbox claimed at once, over all tenants: a claim should be read within some seconds.
const CLAIM_ROWS: i64 = 500;

/// Reads as long as the node lives.
pub struct Reader {
    config: Config,
    outbox: Outbox,
    shared: Arc<Shared>,
    health: Arc<Health>,
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
    pub fn new(
        config: Config,
        connection: Connection,
        outbox: Outbox,
        shared: Arc<Shared>,
        health: Arc<Health>,
        log: Logger,
    ) -> Self {
        let session = Session::new(connection);
        Self { config, outbox, shared, health, log, session, next_page: Instant::now(), lost_claim: false, told: None }
    }

    /// Claims and reads, until the drain.
    pub async fn run(mut self) {
        let interval = Duration::from_millis(self.config.replay_interval_ms);
        while !self.health.is_draining() {
            match self.round().await {
                Ok(0) => tokio::time::sleep(interval).await,
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
        let Some(router) = self.shared.router() else { return Ok(0) };
        let claims = self.claim().await?;
        let count = claims.len();
        // From here on an error, or a drain, drops the shares of what was not sent: the claims are released.
        let stretches: Vec<_> =
            stretches(claims).into_iter().map(|stretch| (self.take_over(&stretch), stretch)).collect();
        for (shares, stretch) in stretches {
            self.send_stretch(&stretch, shares, &router).await?;
        }
        Ok(count)
    }

    async fn claim(&mut self) -> Result<Vec<Claim>, String> {
        let unavailable = self.shared.tenants().unavailable(Instant::now());
        let (owner, unseen_secs) = (self.outbox.owner(), self.config.takeover_secs as f64);
        // A tenant gets as much at once as its batcher sends in a few requests.
        let lines_per_tenant = self.config.batch_size.min(self.config.buffer_lines / 2).max(1) as i64;
        let portion = Portion { lines_per_tenant, rows: CLAIM_ROWS };
        let known = std::mem::take(&mut self.lost_claim).then(|| self.shared.tenants().claims());
        // Whatever fails from here on may leave claims behind that we do not hear of.
        self.lost_claim = true;
        let (disowned, claims) = self
            .session
            .run(async |client| {
                if let Some(known) = known {
                    record::release_strays(client, owner, &known).await?;
                }
                record::beat(client, owner).await?;
                let disowned = record::disown(client, unseen_secs).await?;
                let except: Vec<&str> = unavailable.iter().map(|tenant_id| &**tenant_id).collect();
                Ok((disowned, record::claim(client, owner, &except, portion).await?))
            })
            .await?;
        self.lost_claim = false;
        if disowned > 0 {
            info!(self.log, "took over what a node that is gone still owed"; "flushes" => disowned);
        }
        Ok(claims)
    }

    /// Answers for the claims of a stretch: one share per window.
    fn take_over(&self, stretch: &Stretch) -> Vec<Share> {
        let mut tenants = self.shared.tenants();
        let take = |window: &Window| {
            tenants.begin(&window.tenant_id, &window.ids);
            self.outbox.take_over(window.ids.clone(), window.tenant_id.clone())
        };
        stretch.windows.iter().map(take).collect()
    }

    async fn send_stretch(
        &mut self,
        stretch: &Stretch,
        shares: Vec<Share>,
        router: &Recipient<Points>,
    ) -> Result<(), String> {
        let tenants = stretch.tenants();
        let mut after = (stretch.received_us.0, i64::MIN);
        loop {
            self.keep_to_rate().await;
            if self.health.is_draining() {
                return Ok(());
            }
            let page = Page {
                stream: &stretch.stream,
                tenants: &tenants,
                after,
                to_us: stretch.received_us.1,
                rows: PAGE_ROWS,
            };
            let rows = self.session.run(async |client| record::read(client, page).await).await?;
            let (is_last, sent) = ((rows.len() as i64) < PAGE_ROWS, self.send(stretch, &shares, &rows, router));
            self.next_page = Instant::now().max(self.next_page) + self.time_for(sent);
            match rows.last() {
                Some(last) if !is_last => after = (last.received_us, last.stream_seq),
                _ => break,
            }
        }
        shares.into_iter().for_each(Share::resolve);
        Ok(())
    }

    /// Sends a page's points, one message per tenant; how many points.
    fn send(&self, stretch: &Stretch, shares: &[Share], rows: &[record::Stored], router: &Recipient<Points>) -> usize {
        let mut tenants: BTreeMap<&Arc<str>, Vec<Point>> = BTreeMap::new();
        for row in rows {
            let Some(at) = stretch.window_of(&row.tenant_id, row.received_us) else { continue };
            let Some(point) = row.point(stretch.stream.clone(), self.config.database_layout, &shares[at]) else {
                continue;
            };
            tenants.entry(&stretch.windows[at].tenant_id).or_default().push(point);
        }
        let mut sent = 0;
        for (tenant_id, points) in tenants {
            sent += points.len();
            router.do_send(Points { tenant_id: tenant_id.clone(), points });
        }
        sent
    }

    async fn keep_to_rate(&self) {
        tokio::time::sleep_until(self.next_page.into()).await;
    }

    fn time_for(&self, lines: usize) -> Duration {
        Duration::from_secs_f64(lines as f64 / self.config.replay_lines_per_sec.max(1) as f64)
    }
}
