//! A look at the devices: marks those that are silent, and publishes what is to be published.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context as JetStream;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::message::PublishMessage;
use deadpool_postgres::{Object, Pool};
use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::{Value, json};
use slog::{Logger, info, warn};
use tokio_postgres::{Client, Error};

use super::sight::{self, Sight};
use super::{alerts, look, stream};
use crate::metrics::Metrics;
use crate::nats::provision::Provisioner;
use crate::postgres::classify::Failure;
use crate::postgres::lease;
use crate::runtime::error_chain::error_chain;
use crate::runtime::log_once::LogOnce;
use crate::runtime::readiness::Readiness;
use crate::sink::state::{Config, writers};
use ingest_core::flow::backoff::Backoff;
use ingest_core::state::alert::{Alert, Pending, Quota, select};

/// Pages of devices per look, and looks between two counts.
const MAX_PAGES: usize = 10;
const LOOKS_PER_COUNT: u64 = 12;
/// Alerts under way at once.
const UNDER_WAY: usize = 64;
/// The lease outlives so many looks, and the time that one may take.
const LEASE_LOOKS: u64 = 3;
/// Alerts that are not taken are published again after a while: a server logs each one that it denies.
const RETRY_FIRST_MS: u64 = 2_000;
const RETRY_MAX_MS: u64 = 60_000;
/// The remark about alerts that are not taken.
const REMARK: &str = "alerts";

/// What a look needs.
pub(super) struct Worker {
    pub(super) pool: Pool,
    pub(super) config: Config,
    /// This node among the writers of derived state.
    pub(super) node_id: Arc<str>,
    pub(super) jetstream: JetStream,
    pub(super) streams: Provisioner,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) log: Logger,
    /// What `/stats` shows.
    pub(super) shown: Arc<Mutex<Value>>,
    pub(super) sight: Sight,
    pub(super) quota: Quota,
    /// What is logged until it is over.
    pub(super) logged: LogOnce,
    pub(super) looks: u64,
    pub(super) has_stream: bool,
    /// Alerts are not published before this moment.
    pub(super) retry_at: Option<Instant>,
    pub(super) backoff: Backoff,
    /// The node drains: there are no looks any more.
    pub(super) has_ended: bool,
}

impl Worker {
    /// How long alerts wait that are not taken.
    pub(super) fn backoff() -> Backoff {
        Backoff::new(RETRY_FIRST_MS, RETRY_MAX_MS)
    }

    /// Looks at the devices, where this replica can assess them and no other one does.
    pub(super) async fn look(&mut self) {
        if self.has_ended {
            return;
        }
        match self.attempt().await {
            Ok(()) => {}
            Err(failure) => {
                let words = failure.fault().to_string();
                self.rest(&words);
                if self.logged.is_new(&words) {
                    warn!(self.log, "silent devices can't be looked for; trying on"; "error" => words);
                }
            }
        }
    }

    /// No looks any more: another replica may have them.
    pub(super) async fn end(&mut self) {
        self.has_ended = true;
        self.looks_no_more();
        let holder = self.node_id.clone();
        // Where it fails, the lease expires.
        let _ = self.run(async |client| look::release(client, &holder).await).await;
    }

    async fn attempt(&mut self) -> Result<(), Failure> {
        let (config, node_id) = (self.config.clone(), self.node_id.clone());
        let written = self.run(async |client| writers::written(client, &node_id, &config).await).await?;
        let to_us = match (sight::lag_us(&self.metrics, &self.readiness, Instant::now()), written.to_us) {
            (Ok(lag_us), Some(to_us)) => Ok(to_us.min(written.now_us - lag_us)),
            (Err(why), _) => Err(why),
            (Ok(_), None) => Err("derived state is not written"),
        };
        let Some(seen) = self.sight.look(written.now_us, to_us.ok()) else {
            self.rest(to_us.err().unwrap_or_default());
            return Ok(());
        };
        let lease_secs = (self.config.silence.look_secs * LEASE_LOOKS + self.config.write_timeout_secs) as f64;
        if !self.run(async |client| look::lease(client, &node_id, lease_secs).await).await? {
            self.looks_no_more();
            *self.shown.lock() = json!({"looks": false, "why_not": "another replica does"});
            return Ok(());
        }
        *self.shown.lock() = json!({
            "looks": true,
            "known_until_seconds_ago": (written.now_us - seen.1) / 1_000_000,
            "known_for_seconds": (seen.1 - seen.0).max(0) / 1_000_000,
        });
        self.mark(seen).await?;
        self.publish(written.now_us).await?;
        if self.looks.is_multiple_of(LOOKS_PER_COUNT) {
            self.run(async |client| alerts::forget_inactive(client).await).await?;
            let silent = self.run(async |client| look::silent(client).await).await?;
            self.metrics.state.readings.set_silent(Some(silent));
        }
        self.looks += 1;
        if self.retry_at.is_none() {
            self.logged.reset();
        }
        Ok(())
    }

    /// Nothing is assessed now.
    fn rest(&mut self, why_not: &str) {
        self.sight.lost();
        self.looks_no_more();
        *self.shown.lock() = json!({"looks": false, "why_not": why_not});
    }

    /// What only the replica that looks can say is not said any more.
    fn looks_no_more(&self) {
        self.metrics.state.readings.set_silent(None);
        self.metrics.state.readings.set_unpublished(None);
    }

    async fn mark(&mut self, seen: (i64, i64)) -> Result<(), Failure> {
        let limits = self.config.rules().limits;
        let mut silent = 0;
        for _ in 0..MAX_PAGES {
            let looked = self.run(async |client| look::page(client, &limits, seen).await).await?;
            silent += looked.silent;
            if !looked.is_full {
                break;
            }
        }
        if silent > 0 {
            // They are counted with this look.
            self.looks = 0;
            info!(self.log, "devices have fallen silent"; "devices" => silent);
        }
        Ok(())
    }

    /// Publishes alerts, and puts on record which. What is not taken is tried again with the next look.
    async fn publish(&mut self, now_us: i64) -> Result<(), Failure> {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        let pending = self.run(async |client| alerts::pending(client).await).await?;
        let mut unpublished = pending.len();
        self.metrics.state.readings.set_unpublished(Some(unpublished));
        if pending.is_empty() {
            return Ok(());
        }
        if !self.has_stream
            && let Err(error) = stream::ensure(&self.streams).await
        {
            self.remark(Some(format!("not published: {error}")));
            return Ok(());
        }
        self.has_stream = true;
        self.quota.begin(now_us.div_euclid(60_000_000));
        let alerts = select(&pending, &mut self.quota);
        for chunk in alerts.chunks(UNDER_WAY) {
            let results = join_all(chunk.iter().map(|(alert, _)| publish(&self.jetstream, alert))).await;
            let taken = chunk.iter().zip(&results).filter(|(_, result)| result.is_ok());
            let mut done: Vec<&Pending> = Vec::new();
            for ((_, places), _) in taken {
                self.metrics.state.readings.published(&pending[places[0]].tenant_id, 1);
                done.extend(places.iter().map(|place| &pending[*place]));
            }
            self.run(async |client| alerts::published(client, &done).await).await?;
            unpublished -= done.len();
            self.metrics.state.readings.set_unpublished(Some(unpublished));
            // Its devices are fewer now, or more.
            self.looks = 0;
            if let Some(error) = results.into_iter().find_map(Result::err) {
                self.has_stream = false;
                self.remark(Some(format!("not taken, to be published again: {}", error_chain(&error))));
                return Ok(());
            }
        }
        self.remark(None);
        Ok(())
    }

    /// Keeps what is wrong with the alerts in `/ready`, and logs it where it is new.
    fn remark(&mut self, remark: Option<String>) {
        let Some(words) = remark else {
            self.readiness.clear_message(REMARK);
            self.backoff.reset();
            self.retry_at = None;
            return;
        };
        if self.logged.is_new(&words) {
            warn!(self.log, "alerts of silent devices are not published; trying on"; "error" => &words);
        }
        self.readiness.set_message(REMARK, words);
        self.retry_at = Some(Instant::now() + self.backoff.next(fastrand::f64()));
    }

    async fn run<T>(&self, work: impl AsyncFnOnce(&Client) -> Result<T, Error>) -> Result<T, Failure> {
        let bound = Duration::from_secs(self.config.write_timeout_secs);
        lease::bounded(&self.pool, bound, async |client: &mut Object| Ok(work(client).await?)).await
    }
}

/// Sends an alert and waits for the stream to have it.
async fn publish(jetstream: &JetStream, alert: &Alert) -> Result<(), PublishError> {
    let message = PublishMessage::build().payload(alert.body.clone().into()).message_id(&*alert.message_id);
    let published = async { jetstream.send_publish(alert.subject.clone(), message).await?.await };
    published.await.map(drop)
}
