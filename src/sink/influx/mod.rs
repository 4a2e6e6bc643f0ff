//! InfluxDB: one batcher per tenant behind one router; without a server, one line-protocol file per tenant.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// The `[influx]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `INFLUXDB_WRITE_ENABLED`: no points at all when off.
    pub write_enabled: bool,
    /// `INFLUXDB_URL`; without one, points go to files below `data_dir`.
    pub url: Option<String>,
    /// `INFLUXDB_TOKEN`.
    pub token: Secret,
    /// `INFLUXDB_WRITE_POLICY`.
    pub write_policy: WritePolicy,
    /// `INFLUX_BATCH_SIZE`: lines that make a batch full.
    pub batch_size: usize,
    /// `INFLUX_FLUSH_INTERVAL_MS`: a batch never waits longer for its lines.
    pub flush_interval_ms: u64,
    /// Most lines that one tenant's batcher holds; beyond it best-effort lines are left to the replay, required ones handed back.
    pub buffer_lines: usize,
    /// Bound on one request. A durable write takes up to the server's WAL interval, one second by default.
    pub request_timeout_secs: u64,
    /// Where line-protocol files go, one directory per database.
    pub data_dir: PathBuf,
    /// A file is closed, fsynced and renamed at this size.
    pub file_rotate_bytes: u64,
}

/// When a delivery may be acknowledged, as far as InfluxDB is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WritePolicy {
    /// Never wait for InfluxDB.
    #[default]
    BestEffort,
    /// Only when the point is durable there.
    Required,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            write_enabled: true,
            url: None,
            token: Secret::default(),
            write_policy: WritePolicy::BestEffort,
            batch_size: 5_000,
            flush_interval_ms: 1_000,
            buffer_lines: 50_000,
            request_timeout_secs: 30,
            data_dir: PathBuf::from("data/line-protocol"),
            file_rotate_bytes: 64 * 1024 * 1024,
        }
    }
}
