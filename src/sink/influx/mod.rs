//! InfluxDB: one batcher per tenant behind one router; without a server, one line-protocol file per tenant.

mod backend;
mod batch;
mod batcher;
mod breaker;
mod buffer_stats;
mod catalog;
mod check;
mod classify;
mod client;
mod files;
mod provision;
mod request;
mod router;
mod server_health;
mod tenants;

#[cfg(test)]
mod tests;

pub(crate) use self::classify::Provisioned;
pub(crate) use self::router::{Parts, Router};
pub(crate) use super::influx::backend::Backend;
pub(crate) use super::influx::check::Survey;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::outbox::{self, policy::WritePolicy};
use crate::runtime::secret::Secret;
use ingest_core::influx::names::TENANT_PLACE;
use ingest_core::influx::point::Layout;

/// Lines of a full batch, unless it is told otherwise: some 700 KiB.
const USUAL_BATCH: usize = 5_000;

/// The `[influx]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// `INFLUXDB_WRITE_ENABLED`: no points at all when off.
    pub write_enabled: bool,
    /// `INFLUXDB_API`.
    pub api: Api,
    /// `INFLUXDB_URL`; without one, points go to files below `data_dir`.
    pub url: Option<String>,
    /// `INFLUXDB_TOKEN`.
    pub token: Secret,
    /// `INFLUXDB_CA_FILE`: PEM certificates; with it, only servers that they vouch for are trusted.
    pub ca_file: Option<PathBuf>,
    /// `INFLUXDB_ORG`, for the v2 API.
    pub org: Option<String>,
    /// `INFLUXDB_BUCKET`, for the v2 API: `telemetry_{tenant_id}`, or the shared database's name, where none is given.
    pub bucket: Option<String>,
    /// `INFLUXDB_DATABASE`: the one that tenants share, where they do.
    pub database: String,
    /// `INFLUXDB_DATABASE_LAYOUT`, as it was asked for; in force is [`Config::layout`].
    pub database_layout: Layout,
    /// `INFLUXDB_WRITE_POLICY`.
    pub write_policy: WritePolicy,
    /// Keep the record of what InfluxDB has not confirmed (policy `best_effort`). Off only to measure what it costs:
    /// without it an outage of InfluxDB loses points.
    pub outbox: bool,
    /// `INFLUX_BATCH_SIZE`: lines that make a batch full.
    pub batch_size: usize,
    /// `INFLUX_FLUSH_INTERVAL_MS`: a batch never waits longer for its lines.
    pub flush_interval_ms: u64,
    /// Most lines that one tenant's batcher holds; beyond it best-effort lines are left to the replay, required ones handed
    /// back. A stream is drained several times faster than a database takes lines that it answers for once per second:
    /// what that brings in at once should not have to go by way of PostgreSQL.
    pub buffer_lines: usize,
    /// Most memory that all batchers hold together, lines and what is kept beside each, as for `buffer_lines`. One tenant
    /// may hold as much as all of them leave free, so half of it at most. It costs 1.4 times as much of the process (allocator,
    /// bodies that grow), which so stays under 400 MiB.
    pub buffer_total_bytes: usize,
    /// Requests of one tenant under way at once. A durable write returns with the server's next WAL flush, so one at a
    /// time would make one batch per second. Full batches that are smaller than usual may be more, up to sixteen times as
    /// many ([`Config::in_flight_when_full`]).
    pub max_in_flight: usize,
    /// Threads that the batchers are spread over.
    pub threads: usize,
    /// With policy `required`, most deliveries held for a tenant whose database is in trouble; the others are handed
    /// back, so that one tenant can't fill the consumers' window.
    pub hold_lines: usize,
    /// With policy `required`, how long a delivery is held for such a tenant before it is handed back.
    pub hold_secs: u64,
    /// First and longest pause after a failed request; it doubles with every further one.
    pub retry_delay_ms: u64,
    /// See `retry_delay_ms`.
    pub retry_delay_max_ms: u64,
    /// Failures in a row that open a tenant's breaker: then a single request at a time probes its database.
    pub breaker_failures: u64,
    /// A batcher without work for so long ends.
    pub idle_secs: u64,
    /// How long a drain waits for databases that do not answer; under the supervisor's bound on the whole drain.
    pub drain_secs: u64,
    /// `INFLUX_MAX_FIELDS_PER_TENANT`: metric names of which one tenant may make columns; 0 = no bound. A table of InfluxDB 3
    /// holds 500 columns: one tenant's devices should not fill it by inventing names.
    pub max_fields_per_tenant: usize,
    /// A value that is left out for want of a column, or for the column's type, is tried again so often with one line: the
    /// table may have been made anew, a limit raised.
    pub column_retry_secs: u64,
    /// `INFLUX_GZIP_MIN_BYTES`: a request's body is compressed from this size on; 0 = never. Lines shrink to a sixth, at
    /// about 0.4 us of CPU time each, a tenth of what a message costs otherwise: within a cluster the network is cheaper.
    pub gzip_min_bytes: usize,
    /// Bound on one request. A durable write takes up to the server's WAL interval, one second by default.
    pub request_timeout_secs: u64,
    /// Most lines per second that the replay reads back from PostgreSQL: an outage's debt is paid beside live traffic,
    /// not instead of it. 20,000 pay a night of 5,000 lines per second within the next two or three hours, cost
    /// PostgreSQL ten short reads per second, and are about what one tenant's share of its batcher can keep under way
    /// (`replay_open_lines`) where every write takes a second.
    pub replay_lines_per_sec: usize,
    /// How often the replay looks for something to claim, where nothing wakes it.
    pub replay_interval_ms: u64,
    /// `INFLUX_TAKEOVER_SECONDS`: a node that was not seen for so long is taken for dead, and what it owed is written by
    /// the others. Nodes show themselves four times as often. Writing twice changes nothing, so this need not be sure.
    pub takeover_secs: u64,
    /// Where line-protocol files go, one directory per database.
    pub data_dir: PathBuf,
    /// A file is closed, fsynced and renamed at this size.
    pub file_rotate_bytes: u64,
}

impl Config {
    /// The layout in force: a bucket without a place for the tenant is one for all, whose points their tag tells apart.
    pub(crate) fn layout(&self) -> Layout {
        match &self.bucket {
            Some(bucket) if self.api == Api::V2 && !bucket.contains(TENANT_PLACE) => Layout::Shared,
            _ => self.database_layout,
        }
    }
}

/// How points are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Api {
    /// InfluxDB 3: `/api/v3/write_lp`.
    #[default]
    V3,
    /// InfluxDB 2, and what speaks its language: `/api/v2/write`.
    V2,
    /// To files of line protocol.
    Files,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            write_enabled: true,
            api: Api::V3,
            url: None,
            token: Secret::default(),
            ca_file: None,
            org: None,
            bucket: None,
            database: "telemetry".to_owned(),
            database_layout: Layout::PerTenant,
            write_policy: WritePolicy::BestEffort,
            outbox: true,
            batch_size: USUAL_BATCH,
            flush_interval_ms: 1_000,
            buffer_lines: 400_000,
            buffer_total_bytes: 160 * 1024 * 1024,
            max_in_flight: 8,
            threads: 2,
            hold_lines: 2_000,
            hold_secs: 60,
            retry_delay_ms: 100,
            retry_delay_max_ms: 10_000,
            breaker_failures: 5,
            idle_secs: 600,
            drain_secs: 5,
            max_fields_per_tenant: 400,
            column_retry_secs: 60,
            gzip_min_bytes: 1024 * 1024,
            request_timeout_secs: 30,
            replay_lines_per_sec: 20_000,
            replay_interval_ms: 2_000,
            takeover_secs: 20,
            data_dir: PathBuf::from("data/line-protocol"),
            file_rotate_bytes: 64 * 1024 * 1024,
        }
    }
}

impl Config {
    /// Requests of one tenant under way at once while its batches are full: as many lines as with batches of usual size,
    /// 40,000, so that how fast a tenant may be does not hang on `batch_size`.
    fn in_flight_when_full(&self) -> usize {
        let usual = self.max_in_flight * USUAL_BATCH / self.batch_size.max(1);
        usual.clamp(self.max_in_flight, self.max_in_flight * 16)
    }

    /// Most lines of a tenant that the replay has under way. Less than [`Config::replay_room`]: what live lines usually
    /// hold must not turn replayed ones away.
    fn replay_open_lines(&self) -> usize {
        (self.buffer_lines / 5 * 3).max(1)
    }

    /// Most lines that the replay reads at once: together with [`Config::replay_open_lines`] no more than its room.
    fn replay_page_lines(&self) -> usize {
        (self.buffer_lines / 5).max(1)
    }

    /// What redelivery needs to know. It claims as many lines of a tenant as its batcher sends in one request.
    pub(crate) fn redelivery(&self) -> outbox::settings::Settings {
        outbox::settings::Settings {
            layout: self.layout(),
            lines_per_sec: self.replay_lines_per_sec,
            interval: Duration::from_millis(self.replay_interval_ms),
            takeover: Duration::from_secs(self.takeover_secs),
            claim_lines: self.batch_size.clamp(1, self.replay_open_lines()),
            open_lines: self.replay_open_lines(),
            page_lines: self.replay_page_lines(),
        }
    }

    /// What replayed lines may take of a buffer's room: the last fifth is for live lines alone.
    fn replay_room(most: usize) -> usize {
        most - most / 5
    }
}
