//! Round after round: each step in a session of its own, and what of it does not work is said once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slog::{Logger, debug, info, warn};
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::report::Report;
use super::rows::{self, Rows};
use super::session::{Session, Step};
use super::{quarantine, reader_index};
use crate::metrics::Metrics;
use crate::postgres::bounded_session::SessionError;
use crate::postgres::connector::Connector;
use crate::runtime::log_once::LogOnce;
use crate::runtime::readiness::Readiness;

/// Bounds on a statement. An index takes some seconds for a million rows, and waits for old transactions.
const BOUND: Duration = Duration::from_secs(30);
const INDEX_BOUND: Duration = Duration::from_secs(3_600);

/// A round that is not complete is repeated after this time, if the next one is not due before.
const AGAIN: Duration = Duration::from_secs(300);

/// What may pass (a long reader, an outage) is a message of `/ready` only after this time without a complete round.
const PATIENCE: Duration = Duration::from_secs(86_400);

/// The message's subject in `/ready`.
const SUBJECT: &str = "retention";

/// Most things that are logged once.
const MAX_LOGGED: usize = 100;

/// What the rounds are made of.
pub(super) struct Rounds {
    pub(super) config: Config,
    pub(super) connector: Connector,
    pub(super) stop: CancellationToken,
    pub(super) report: Arc<Report>,
    pub(super) log: Logger,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    /// Problems that are logged, until a round is complete.
    pub(super) logged: LogOnce,
    /// Partitions of others that are logged.
    pub(super) others: LogOnce,
}

/// What of a round did not work.
#[derive(Debug, Default)]
struct Round {
    /// Sentences.
    problems: Vec<String>,
    /// One of them will not pass by itself.
    is_for_good: bool,
    /// A step is another replica's at the moment.
    is_elsewhere: bool,
    /// The node drains.
    is_cancelled: bool,
}

impl Rounds {
    /// Works until it is stopped.
    pub(super) async fn run(mut self) {
        let mut pause = Duration::from_secs(self.config.first_round_secs);
        let mut complete_at = Instant::now();
        while self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let round = self.round().await;
            if round.is_cancelled {
                return;
            }
            if round.problems.is_empty() {
                complete_at = Instant::now();
            }
            self.end(&round, complete_at.elapsed());
            let is_complete = round.problems.is_empty() && !round.is_elsewhere;
            let interval = Duration::from_secs(self.config.interval_secs);
            pause = if is_complete { interval } else { AGAIN.min(interval) };
        }
    }

    async fn round(&mut self) -> Round {
        let mut round = Round::default();
        if let Some(days) = self.config.raw_events_days {
            let mut session = self.session(Step::Rows, BOUND);
            let dropped = &self.metrics.retention.partitions_dropped;
            let done = rows::drop_old(&mut session, days, dropped, &self.log).await;
            if let Some(rows) = self.note("raw_events", done, &mut round) {
                self.rows(&rows, &mut round);
            }
        }
        if let Some(days) = self.config.quarantine_days {
            let mut session = self.session(Step::Quarantine, BOUND);
            let done = quarantine::delete_old(&mut session, days, &self.metrics.retention.rows_deleted).await;
            if let Some(deleted) = self.note("the quarantine", done, &mut round).filter(|it| *it != Default::default())
            {
                info!(self.log, "old rejections deleted"; "events" => deleted.events, "counters" => deleted.counters);
            }
        }
        if self.config.reader_index {
            let mut session = self.session(Step::ReaderIndex, INDEX_BOUND);
            let (days, made) = (self.config.raw_events_days, &self.metrics.retention.reader_indexes);
            let done = reader_index::make_missing(&mut session, days, made, &self.log).await;
            self.note("the index for readers", done, &mut round);
        }
        round
    }

    fn session(&self, step: Step, bound: Duration) -> Session {
        Session::new(self.connector.clone(), step, bound, self.stop.clone())
    }

    /// What the step has found, or what of it did not work.
    fn note<T>(&self, of: &str, done: Result<T, SessionError>, round: &mut Round) -> Option<T> {
        match done {
            Ok(found) => return Some(found),
            Err(SessionError::Cancelled) => round.is_cancelled = true,
            Err(SessionError::Locked(_)) => {
                debug!(self.log, "another replica is at it"; "of" => of);
                round.is_elsewhere = true;
            }
            Err(error) => {
                let is_forbidden = matches!(&error, SessionError::Postgres(error)
                    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE));
                round.is_for_good |= is_forbidden;
                let advice = if is_forbidden { " (docs/rights.md has the grants)" } else { "" };
                round.problems.push(format!("{of}: {error}{advice}"));
                self.metrics.retention.errors.inc();
            }
        }
        None
    }

    /// What was found of the partitions.
    fn rows(&mut self, rows: &Rows, round: &mut Round) {
        self.report.set_rows(rows);
        if !rows.is_divided {
            round.is_for_good = true;
            round.problems.push("raw_events is not partitioned by received_at: no row is dropped".to_owned());
        }
        for partition in &rows.others {
            if !self.others.is_new(&partition.name) {
                continue;
            }
            let why = match partition.is_half_detached {
                true => {
                    "somebody has begun to detach it: ALTER TABLE raw_events DETACH PARTITION .. FINALIZE ends that"
                }
                false => "it is not of one day, or no ordinary table in the schema of raw_events",
            };
            warn!(self.log, "an old partition of others is left alone"; "table" => &partition.name, "why" => why);
        }
        for partition in &rows.held_back {
            debug!(self.log, "an old partition is kept: points of its day are owed"; "table" => &partition.name);
        }
        if let Some(first) = rows.in_use.first() {
            round.problems.push(format!(
                "{first} can't be dropped: a long transaction or a vacuum uses it, or raw_events (pg_stat_activity, pg_locks)"
            ));
        }
        round.is_for_good |= !rows.refused.is_empty();
        round.problems.extend(rows.refused.iter().map(|(name, why)| format!("{name} can't be dropped: {why}")));
    }

    /// Logs what is new, and says in `/ready` what does not pass.
    fn end(&mut self, round: &Round, since_complete: Duration) {
        for problem in round.problems.iter().filter(|problem| self.logged.is_new(problem)) {
            warn!(self.log, "retention is behind; trying on"; "problem" => problem);
        }
        if round.problems.is_empty() {
            // What this replica has found before may still be so.
            if round.is_elsewhere {
                return self.report.is_elsewhere();
            }
            self.logged.reset();
            self.report.end_round(None);
            return self.readiness.clear_message(SUBJECT);
        }
        let problem = round.problems.join("; ");
        if round.is_for_good || since_complete >= PATIENCE {
            self.readiness.set_message(SUBJECT, problem.clone());
        }
        self.report.end_round(Some(problem));
    }
}

/// Nothing is logged yet.
pub(super) fn log_once() -> LogOnce {
    LogOnce::new(MAX_LOGGED)
}
