//! The `[influx]` table and those below it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::outbox::{self, policy::WritePolicy};
use crate::runtime::secret::Secret;
use crate::runtime::setting::settings;
use ingest_core::influx::names::TENANT_PLACE;
use ingest_core::influx::point::Layout;

/// Lines of a full batch, unless it is told otherwise: some 700 KiB.
const USUAL_BATCH: usize = 5_000;

settings! {
    /// The `[influx]` table: whether and how points are written. The tables below it have the details.
    pub(crate) struct Config in "influx" {
        /// Write points at all.
        write_enabled: bool = true, Flag, "INFLUXDB_WRITE_ENABLED";
        /// `best_effort`: acknowledge when the row is durable; `required`: only when the point is too.
        write_policy: WritePolicy = WritePolicy::BestEffort, Choice(&["best_effort", "required"]), "INFLUXDB_WRITE_POLICY";
        /// How long a drain waits for databases that do not answer.
        drain_secs: u64 = 5, whole(1, 600);
    } and {
        /// Where points go, and by which requests.
        target: TargetConfig,
        /// Files of line protocol, where points go to no server.
        files: FilesConfig,
        /// Batches: how many lines go into a request, and how many requests are under way.
        batch: BatchConfig,
        /// What waits for a tenant's database, and for how long.
        buffer: BufferConfig,
        /// Pauses after failed requests, and the circuit breaker.
        retry: RetryConfig,
        /// Columns that a tenant's points may make.
        columns: ColumnsConfig,
        /// The record of unconfirmed points, and their redelivery.
        outbox: OutboxConfig,
    }
}

settings! {
    /// Where points go, and by which requests.
    pub(crate) struct TargetConfig in "influx.target" {
        /// `v3`: InfluxDB 3; `v2`: InfluxDB 2 and VictoriaMetrics; `files`: line-protocol files below
        /// `files.data_dir`.
        api: Api = Api::V3, Choice(&["v3", "v2", "files"]), "INFLUXDB_API";
        /// The server; without one, points go to line-protocol files below `files.data_dir`.
        url: Option<String> = None, HttpUrl, "INFLUXDB_URL";
        /// The token.
        token: Secret = Secret::default(), Secret, "INFLUXDB_TOKEN";
        /// Certificates (PEM) of the authority that vouches for an https server; then no other authority is
        /// trusted.
        ca_file: Option<PathBuf> = None, Path, "INFLUXDB_CA_FILE";
        /// With `v2`: the organisation, by name or id.
        org: Option<String> = None, Text, "INFLUXDB_ORG";
        /// With `v2`: the bucket. With `{tenant_id}` in it, one for each tenant; without, one for all
        /// (`shared`). Not set: `telemetry_{tenant_id}`, or `database` where tenants share it.
        bucket: Option<String> = None, Text, "INFLUXDB_BUCKET";
        /// The database that tenants share, with the layout `shared`.
        database: String = "telemetry".to_owned(), Database, "INFLUXDB_DATABASE";
        /// `per_tenant`: a database for each tenant; `shared`: one for all, with a tag `tenant_id`.
        ///
        /// As asked for; in force is [`Config::layout`].
        database_layout: Layout = Layout::PerTenant, Choice(&["per_tenant", "shared"]), "INFLUXDB_DATABASE_LAYOUT";
        /// Bound on one request.
        ///
        /// A durable write takes up to the server's WAL interval, one second by default.
        request_timeout_secs: u64 = 30, whole(1, 600);
        /// A request is compressed (gzip) from this size on; 0 = never.
        ///
        /// Lines shrink to a sixth, at about 0.4 us of CPU time each, a tenth of what a message costs
        /// otherwise: within a cluster the network is cheaper.
        gzip_min_bytes: usize = 1024 * 1024, whole(0, i64::MAX), "INFLUX_GZIP_MIN_BYTES";
    }
}

settings! {
    /// Files of line protocol, where points go to no server.
    pub(crate) struct FilesConfig in "influx.files" {
        /// Where line-protocol files go, one directory per database.
        data_dir: PathBuf = PathBuf::from("data/line-protocol"), Path;
        /// A file is closed, synced and renamed at this size.
        file_rotate_bytes: u64 = 64 * 1024 * 1024, whole(1, i64::MAX);
    }
}

settings! {
    /// Batches: how many lines go into a request, and how many requests are under way.
    pub(crate) struct BatchConfig in "influx.batch" {
        /// Lines that make a tenant's batch full.
        batch_size: usize = USUAL_BATCH, whole(1, 100_000), "INFLUX_BATCH_SIZE";
        /// A tenant's batch never waits longer for its lines.
        flush_interval_ms: u64 = 1_000, whole(1, 60_000), "INFLUX_FLUSH_INTERVAL_MS";
        /// Requests of one tenant under way at once (more where `batch_size` is small and batches are full); a
        /// durable write returns with the server's next WAL flush.
        ///
        /// Full batches that are smaller than usual may be more, up to sixteen times as many
        /// ([`Config::in_flight_when_full`]).
        max_in_flight: usize = 8, whole(1, 1_000);
        /// Threads that the batchers are spread over.
        threads: usize = 2, whole(1, 64);
        /// A batcher without work for so long ends.
        idle_secs: u64 = 600, whole(1, 86_400);
    }
}

settings! {
    /// What waits for a tenant's database, and for how long.
    pub(crate) struct BufferConfig in "influx.buffer" {
        /// Most lines that one tenant's batcher holds; beyond it they are left to the replay, or handed back
        /// (`required`).
        ///
        /// A stream is drained several times faster than a database takes lines that it answers for once per
        /// second: what that brings in at once should not have to go by way of PostgreSQL.
        buffer_lines: usize = 400_000, whole(1, 100_000_000);
        /// Most memory that all batchers hold together, as for `buffer_lines`; one of them half of it at most.
        ///
        /// It costs 1.4 times as much of the process (allocator, bodies that grow), which so stays under 400
        /// MiB.
        buffer_total_bytes: usize = 160 * 1024 * 1024, whole(1, i64::MAX);
        /// With `required`, most deliveries held for a tenant whose database is in trouble; the others are
        /// handed back.
        hold_lines: usize = 2_000, whole(1, 100_000_000);
        /// With `required`, how long a delivery is held for such a tenant before it is handed back.
        hold_secs: u64 = 60, whole(1, 86_400);
    }
}

settings! {
    /// Pauses after failed requests, and the circuit breaker.
    pub(crate) struct RetryConfig in "influx.retry" {
        /// First pause after a failed request; it doubles with every further one.
        retry_delay_ms: u64 = 100, whole(1, 60_000);
        /// Longest such pause.
        retry_delay_max_ms: u64 = 10_000, whole(1, 60_000);
        /// Failures in a row that open a tenant's breaker: then one request at a time probes its database.
        breaker_failures: u64 = 5, whole(1, 1_000);
    }
}

settings! {
    /// Columns that a tenant's points may make.
    pub(crate) struct ColumnsConfig in "influx.columns" {
        /// Metric names of which one tenant may make columns, 0 = no bound; values of further names stay in
        /// their rows.
        ///
        /// A table of InfluxDB 3 holds 500 columns: one tenant's devices should not fill it by inventing names.
        max_fields_per_tenant: usize = 400, whole(0, 100_000), "INFLUX_MAX_FIELDS_PER_TENANT";
        /// A value left out of points, for want of a column or for its type, is tried again this often with one
        /// line.
        column_retry_secs: u64 = 60, whole(1, 86_400);
    }
}

settings! {
    /// The record of unconfirmed points, and their redelivery.
    pub(crate) struct OutboxConfig in "influx.outbox" {
        /// Keep the record of unconfirmed points. Off only to measure its cost: an outage of InfluxDB then
        /// loses points.
        enabled: bool = true, Flag;
        /// Most lines per second that a node replays after an outage, beside live traffic.
        ///
        /// 20,000 work off a night of 5,000 lines per second within the next two or three hours, cost
        /// PostgreSQL ten short reads per second, and are about what one tenant's batcher can keep in flight
        /// (`replay_open_lines`) where every write takes a second.
        replay_lines_per_sec: usize = 20_000, whole(1, 10_000_000), "INFLUX_REPLAY_LINES_PER_SEC";
        /// How often the replay looks for something to claim.
        replay_interval_ms: u64 = 2_000, whole(10, 60_000);
        /// A node not seen for so long is taken for dead: what InfluxDB did not confirm to it is written by the
        /// others.
        ///
        /// Nodes show themselves four times as often. Writing twice changes nothing, so this need not be sure.
        takeover_secs: u64 = 20, whole(1, 3_600), "INFLUX_TAKEOVER_SECONDS";
    }
}

impl Config {
    /// The layout in force: a bucket without a place for the tenant is one for all, whose points their tag tells apart.
    pub(crate) fn layout(&self) -> Layout {
        match &self.target.bucket {
            Some(bucket) if self.target.api == Api::V2 && !bucket.contains(TENANT_PLACE) => Layout::Shared,
            _ => self.target.database_layout,
        }
    }
}

impl Config {
    /// The directory that points are written to, where they go to files.
    pub(crate) fn files(&self) -> Option<&std::path::Path> {
        let has_server = self.target.url.as_deref().is_some_and(|url| !url.trim().is_empty());
        let to_files = self.target.api == Api::Files || (self.target.api == Api::V3 && !has_server);
        (self.write_enabled && to_files).then_some(&*self.files.data_dir)
    }

    /// Requests of one tenant under way at once while its batches are full: as many lines as with batches of usual size,
    /// 40,000, so that how fast a tenant may be does not hang on `batch_size`.
    pub(super) fn in_flight_when_full(&self) -> usize {
        let usual = self.batch.max_in_flight * USUAL_BATCH / self.batch.batch_size.max(1);
        usual.clamp(self.batch.max_in_flight, self.batch.max_in_flight * 16)
    }

    /// Most lines of a tenant that the replay has under way. Less than [`Config::redelivery_capacity`]: what live lines usually
    /// hold must not turn replayed ones away.
    fn redelivery_open_lines(&self) -> usize {
        (self.buffer.buffer_lines / 5 * 3).max(1)
    }

    /// Most lines that the replay reads at once: together with [`Config::redelivery_open_lines`] no more than its share of the buffer.
    fn redelivery_page_lines(&self) -> usize {
        (self.buffer.buffer_lines / 5).max(1)
    }

    /// What redelivery needs to know. It claims as many lines of a tenant as its batcher sends in one request.
    pub(crate) fn redelivery(&self) -> outbox::settings::Settings {
        outbox::settings::Settings {
            layout: self.layout(),
            lines_per_sec: self.outbox.replay_lines_per_sec,
            interval: Duration::from_millis(self.outbox.replay_interval_ms),
            takeover: Duration::from_secs(self.outbox.takeover_secs),
            claim_lines: self.batch.batch_size.clamp(1, self.redelivery_open_lines()),
            open_lines: self.redelivery_open_lines(),
            page_lines: self.redelivery_page_lines(),
        }
    }

    /// What redelivered lines may take of a buffer: the last fifth is for live lines alone.
    pub(super) fn redelivery_capacity(most: usize) -> usize {
        most - most / 5
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

/// The configuration with a change.
#[cfg(test)]
pub(super) fn with(mut config: Config, change: impl FnOnce(&mut Config)) -> Config {
    change(&mut config);
    config
}
