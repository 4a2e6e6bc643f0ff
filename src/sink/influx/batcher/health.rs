//! What is wrong with a tenant's database, since when, and who is told; and what follows for deliveries that wait for it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use slog::{debug, error, info, warn};

use super::Batcher;
use crate::metrics::ServerLimit;
use crate::sink::influx::batch::Batch;
use crate::sink::influx::breaker::{Round, Severity};
use crate::sink::influx::classify::FailureKind as Kind;
use crate::sink::influx::server_health::{SAID_AFTER, TenantAlert};
use ingest_core::influx::line_fields;

/// What is known of the health of a tenant's database.
#[derive(Debug)]
pub(super) struct TargetHealth {
    /// When the first request was sent that has failed since the last success, and why the last one did.
    failing: Option<(Instant, String)>,
    /// Since when no question was answered.
    unanswered: Option<Instant>,
    /// The table that the server has no room for.
    without_table: Option<String>,
    alert: TenantAlert,
}

impl TargetHealth {
    /// Nothing is wrong yet.
    pub(super) fn new(alert: TenantAlert) -> Self {
        Self { failing: None, unanswered: None, without_table: None, alert }
    }

    /// A question was asked then, and not answered.
    pub(super) fn unanswered(&mut self, asked: Instant) {
        self.unanswered.get_or_insert(asked);
    }

    /// These lines are written: if there are some of the table that was missing, it is there.
    pub(super) fn written<'a>(&mut self, mut lines: impl Iterator<Item = &'a str>) {
        if self.without_table.as_ref().is_some_and(|table| lines.any(|line| line_fields::table(line) == table)) {
            self.without_table = None;
        }
    }
}

impl Batcher {
    /// The database did not take a request that was sent then.
    pub(super) fn failed(&mut self, round: Round, sent: Instant, kind: Kind, message: String) {
        self.parts.buffer.request_ended(Some(&message));
        let (severity, retry_after) = match kind {
            Kind::Passing(retry_after) => (Severity::Passing, retry_after),
            Kind::Token | Kind::CapacityExceeded | Kind::Database | Kind::Request => (Severity::Lasting, None),
        };
        match kind {
            Kind::CapacityExceeded => drop(self.parts.metrics.limits.of(ServerLimit::Databases).inc()),
            Kind::Database => self.fitting.columns.clear(),
            _ => {}
        }
        let now = Instant::now();
        let opened = self.breaker.failed(round, severity, retry_after, now, fastrand::f64());
        if let Some(until) = self.breaker.resumes_at(now) {
            self.parts.buffer.waits_until(until);
        }
        let since = self.health.failing.as_ref().map_or(sent, |(since, _)| *since);
        self.health.failing = Some((since, message.clone()));
        match severity {
            Severity::Lasting => self.report_lasting(kind, &message),
            Severity::Passing if opened => self.report_passing(&message, "influxdb does not take writes; trying on"),
            Severity::Passing => debug!(self.parts.log, "influxdb did not take a batch"; "error" => message),
        }
    }

    /// What waits for an operator is an error, once.
    fn report_lasting(&mut self, kind: Kind, message: &str) {
        let log = &self.parts.log;
        let is_new = self.health.alert.raise(message);
        match kind {
            Kind::Token => {
                if self.parts.target.alert().raise(message) {
                    error!(log, "influxdb refuses all writes of all tenants; they are kept"; "error" => message);
                }
            }
            // Which database has no room, or is not there, is each tenant's own matter.
            Kind::CapacityExceeded | Kind::Database if self.logged.lasting != message => {
                error!(log, "influxdb refuses all writes of a tenant; they are kept"; "error" => message);
                message.clone_into(&mut self.logged.lasting);
            }
            Kind::Request if is_new => {
                error!(log, "influxdb refuses writes; they are kept"; "error" => message);
            }
            _ => debug!(log, "influxdb did not take a batch"; "error" => message),
        }
    }

    /// The server has no room for a table: an error once, and in `/ready` until lines of the table are written.
    pub(super) fn report_no_table(&mut self, table: &str, message: &str) {
        self.parts.metrics.limits.of(ServerLimit::Tables).inc();
        self.parts.buffer.remember(message);
        if self.health.without_table.is_none() {
            error!(self.parts.log, "influxdb has no room for another table; the lines of this one stay owed");
            self.health.without_table = Some(table.to_owned());
        }
        self.health.alert.raise("it has no room for another table");
    }

    /// What may pass by itself is a warning, once for all tenants that suffer it.
    fn report_passing(&mut self, message: &str, words: &str) {
        let (was_raised, is_new) = (self.health.alert.is_raised(), self.health.alert.raise(message));
        if is_new && !was_raised {
            warn!(self.parts.log, "{words}"; "error" => message);
        }
    }

    /// A request was answered, so the database works, whatever the answer was.
    pub(super) fn answered(&mut self, round: Round) {
        self.parts.buffer.request_ended(None);
        if self.parts.target.alert().settle() {
            info!(self.parts.log, "influxdb accepts the token again");
        }
        self.breaker.succeeded(round);
        self.health.unanswered = None;
        if !self.breaker.is_failing() {
            self.health.failing = None;
        }
    }

    /// Reports what lasts for too long, and that it is over.
    pub(super) fn report_health(&mut self, now: Instant) {
        self.parts.buffer.set_state(self.is_failing(now), self.breaker.is_open());
        let lasts = |since: Instant, bound: Duration| since + bound <= now;
        if let Some((since, message)) = &self.health.failing {
            if lasts(*since, SAID_AFTER) {
                let message = message.clone();
                self.report_passing(&message, "influxdb does not take writes; trying on");
            }
        } else if self.waits_since().is_some_and(|since| lasts(since, self.parts.condition.patience())) {
            const WORDS: &str = "influxdb has not answered for 5 s";
            self.parts.buffer.remember(WORDS);
            self.report_passing("it does not answer", WORDS);
        } else if self.health.without_table.is_none() && self.health.alert.settle() {
            self.logged.lasting.clear();
            info!(self.parts.log, "influxdb takes writes again"; "held_lines" => self.parts.buffer.held_lines());
        }
    }

    /// Since when the oldest request waits for its answer.
    fn waits_since(&self) -> Option<Instant> {
        let request = self.requests.front().map(|(_, sent)| *sent);
        [request, self.asked, self.health.unanswered].into_iter().flatten().min()
    }

    /// When time alone may change what is reported.
    pub(super) fn health_changes_at(&self, now: Instant) -> Option<Instant> {
        let failing = self.health.failing.as_ref().map(|(since, _)| *since + SAID_AFTER);
        let waiting = self.waits_since().map(|since| since + self.parts.condition.patience());
        let said_at = failing.or(waiting).filter(|_| !self.health.alert.is_raised());
        // Which request hangs is seen by others' requests: nothing here changes by that.
        let has_deliveries = self.filling.is_required() || self.ready.front().is_some_and(Batch::is_required);
        let overtaken = self.requests.front().filter(|_| has_deliveries);
        let seen_at = overtaken.map(|(_, sent)| (*sent + SAID_AFTER).max(now + Duration::from_secs(1)));
        said_at.into_iter().chain(seen_at).min()
    }

    /// Whether deliveries are better handed back than held: the database fails, or hangs while others do not. One that is
    /// slow for everybody is just slow.
    fn is_failing(&self, now: Instant) -> bool {
        let hangs = |sent: Instant| sent + SAID_AFTER <= now && self.parts.condition.is_overtaken(sent);
        self.breaker.is_failing() || self.requests.front().is_some_and(|(_, sent)| hangs(*sent))
    }

    /// While the database fails, only so many deliveries are held, and only so long: they are credit that the
    /// other tenants need.
    pub(super) fn nack_excess(&mut self, now: Instant) {
        if !self.is_failing(now) {
            return;
        }
        let config = self.parts.config.clone();
        let hold = Duration::from_secs(config.buffer.hold_secs);
        if self.filling.is_required() && self.ready.iter().map(Batch::len).sum::<usize>() >= config.buffer.hold_lines {
            self.ready.extend(self.filling.seal());
        }
        let (mut kept, mut lines) = (VecDeque::with_capacity(self.ready.len()), 0);
        for batch in std::mem::take(&mut self.ready) {
            let is_over = lines + batch.len() > config.buffer.hold_lines || batch.since() + hold <= now;
            if batch.is_required() && is_over {
                self.abandon(batch);
            } else {
                lines += batch.len();
                kept.push_back(batch);
            }
        }
        self.ready = kept;
    }
}
