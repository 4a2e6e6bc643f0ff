//! What a snapshot shows of InfluxDB's side and of PostgreSQL's: batchers, outbox, pool.

use std::time::Instant;

use super::rates::rounded;
use super::snapshot::{BatcherState, InfluxState, OutboxState, OwedState, PoolState};
use crate::metrics::{BatcherFigures, BatcherReading, Metrics, OutboxBacklog};

/// Longest text of an error that is shown, in characters.
const LONGEST_ERROR: usize = 300;

/// What the batchers hold.
pub(super) fn influx(figures: &BatcherFigures) -> InfluxState {
    InfluxState {
        tenants: figures.tenants,
        held_lines: figures.held_lines,
        held_bytes: figures.held_bytes,
        batchers: figures.shown.iter().map(batcher).collect(),
        left_out: figures.tenants.saturating_sub(figures.shown.len() as u64),
    }
}

fn batcher(of: &BatcherReading) -> BatcherState {
    BatcherState {
        tenant: of.tenant_id.to_string(),
        breaker: of.breaker.to_owned(),
        held_lines: of.held_lines,
        held_bytes: of.held_bytes,
        requests_in_flight: of.requests_in_flight,
        requests: of.requests,
        requests_failed: of.requests_failed,
        lines_ok: of.lines_ok,
        last_error: (!of.last_error.is_empty()).then(|| of.last_error.chars().take(LONGEST_ERROR).collect()),
    }
}

/// What the outbox owes, while that is known.
pub(super) fn outbox(metrics: &Metrics, now: Instant) -> Option<OutboxState> {
    let (backlogs, age) = metrics.influx.outbox.current(now)?;
    Some(OutboxState {
        lines: backlogs.iter().map(|of| of.lines).sum(),
        oldest_seconds: backlogs.iter().map(|of| of.oldest_secs).max(),
        tenants: backlogs.into_iter().map(owed).collect(),
        counted_seconds_ago: rounded(age.as_secs_f64()),
    })
}

fn owed(of: OutboxBacklog) -> OwedState {
    OwedState {
        tenant: of.tenant,
        lines: of.lines,
        oldest_seconds: of.oldest_secs,
        lines_per_second: of.replay.map(|(rate, _)| rounded(rate)),
        eta_seconds: of.replay.map(|(_, eta)| rounded(eta)),
    }
}

/// The pool, once there is one.
pub(super) fn pool(metrics: &Metrics) -> Option<PoolState> {
    let pool = metrics.postgres.pool.read()?;
    Some(PoolState {
        in_use: pool.in_use as u64,
        idle: pool.idle as u64,
        waiting: pool.waiting as u64,
        max: pool.max as u64,
    })
}
