//! What retention has found and done, for `/stats` and the metrics.

use std::time::Instant;

use parking_lot::Mutex;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::config::Config;
use super::rows::Rows;
use crate::metrics::RetentionFigures;

/// Most names in `/stats`.
const MOST_NAMES: usize = 32;

/// What the last round has found; read at any time by others.
#[derive(Debug)]
pub(super) struct Report {
    found: Mutex<Found>,
    started: Instant,
}

impl Default for Report {
    fn default() -> Self {
        Self { found: Mutex::default(), started: Instant::now() }
    }
}

#[derive(Debug, Default)]
struct Found {
    oldest_us: Option<i64>,
    held_back: Option<Vec<String>>,
    others: Vec<String>,
    problem: Option<String>,
    succeeded_at: Option<Instant>,
}

impl Report {
    /// How the partitions were found.
    pub(super) fn set_rows(&self, rows: &Rows) {
        let names = |partitions: &[ingest_core::retention::partition::Partition]| {
            partitions.iter().map(|partition| partition.name.clone()).collect::<Vec<_>>()
        };
        let mut found = self.found.lock();
        found.oldest_us = rows.oldest_us;
        found.held_back = Some(names(&rows.held_back));
        found.others = names(&rows.others);
    }

    /// How the round ended: what did not work, if anything.
    pub(super) fn end_round(&self, problem: Option<String>) {
        let mut found = self.found.lock();
        if problem.is_none() {
            found.succeeded_at = Some(Instant::now());
        }
        found.problem = problem;
    }

    /// Another replica is at it: that is as good.
    pub(super) fn is_elsewhere(&self) {
        self.found.lock().succeeded_at = Some(Instant::now());
    }

    /// The figures of a scrape.
    pub(super) fn figures(&self) -> RetentionFigures {
        let found = self.found.lock();
        RetentionFigures {
            oldest_day_secs: found.oldest_us.map(|day_us| day_us.div_euclid(1_000_000)),
            held_back: found.held_back.as_ref().map(|names| names.len() as i64),
            // A first round that never succeeds has to be seen as well.
            success_age_secs: Some(found.succeeded_at.unwrap_or(self.started).elapsed().as_secs_f64()),
        }
    }

    /// The object of `/stats`.
    pub(super) fn state(&self, config: &Config) -> Value {
        let found = self.found.lock();
        let some = |names: &[String]| names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>();
        json!({
            "raw_events_days": config.raw_events_days,
            "quarantine_days": config.quarantine_days,
            "reader_index": config.reader_index,
            "oldest_day": found.oldest_us.and_then(day),
            "held_back_by_outbox": found.held_back.as_deref().map(some),
            "left_alone": some(&found.others),
            "last_success_secs": found.succeeded_at.map(|at| at.elapsed().as_secs()),
            "problem": found.problem,
        })
    }
}

/// A day as its date.
fn day(day_us: i64) -> Option<String> {
    let midnight = OffsetDateTime::from_unix_timestamp(day_us.div_euclid(1_000_000)).ok()?;
    Some(midnight.date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_that_no_round_has_found() {
        let report = Report::default();
        let RetentionFigures { oldest_day_secs, held_back, success_age_secs } = report.figures();
        assert_eq!((oldest_day_secs, held_back), (None, None));
        assert!(success_age_secs.is_some_and(|secs| secs < 60.0), "since the start: {success_age_secs:?}");
        let state = report.state(&Config::default());
        assert!(["oldest_day", "held_back_by_outbox", "last_success_secs"].iter().all(|key| state[key].is_null()));
    }

    #[test]
    fn a_round_that_failed_is_no_success_and_says_why() {
        let report = Report::default();
        report.set_rows(&Rows { oldest_us: Some(20_000 * 86_400_000_000), ..Rows::default() });
        report.end_round(Some("no right".to_owned()));
        let state = report.state(&Config { raw_events_days: Some(3), ..Config::default() });
        assert_eq!((&state["oldest_day"], &state["problem"]), (&json!("2024-10-04"), &json!("no right")));
        assert_eq!((&state["raw_events_days"], &state["last_success_secs"]), (&json!(3), &Value::Null));
        assert_eq!(report.figures().held_back, Some(0));
        report.end_round(None);
        let state = report.state(&Config::default());
        assert!(state["last_success_secs"].is_u64() && state["problem"].is_null(), "{state}");
    }
}
