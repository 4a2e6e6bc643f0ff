//! The `[nats]` table.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::runtime::secret::Secret;

/// The `[nats]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `NATS_URL`: one or several servers, separated by commas. May hold credentials.
    pub url: Secret,
    /// Most unsettled deliveries of one lane. Enough for several full batches in every room of the pipeline at once.
    pub window: usize,
    /// Most bytes of unsettled deliveries of one lane: bounds memory where messages are large.
    pub window_bytes: usize,
    /// `NATS_CREATE`: whether the node makes streams and consumers that are missing.
    pub create: bool,
    /// `NATS_STREAM_REPLICAS`: copies of streams that the node creates; 0 = three in a cluster that has them, else one.
    pub stream_replicas: usize,
    /// Most bytes of the telemetry, shadow and command streams that the node creates, each; 0 = no limit.
    pub stream_max_bytes: i64,
    /// Age at which such a stream drops its messages; 0 = never.
    pub stream_max_age_secs: u64,
    /// `ack_wait` of consumers that the node creates. In-progress signals go out at a third of what the consumer has.
    pub ack_wait_secs: u64,
    /// `max_ack_pending` of consumers that the node creates; shared by all replicas, so it rules the fleet's throughput.
    pub max_ack_pending: i64,
    /// How long a delivery is held during an outage before it is handed back for another replica to try.
    pub hold_secs: u64,
    /// First and longest delay of a NAK; it doubles with each attempt.
    pub nak_delay_ms: u64,
    /// See `nak_delay_ms`.
    pub nak_delay_max_ms: u64,
    /// How long `run` waits for NATS before it exits with 69.
    pub start_wait_secs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: Secret::new("nats://127.0.0.1:4222"),
            window: 20_000,
            window_bytes: 32 * 1024 * 1024,
            create: true,
            stream_replicas: 0,
            stream_max_bytes: 0,
            stream_max_age_secs: 0,
            ack_wait_secs: 30,
            max_ack_pending: 60_000,
            hold_secs: 300,
            nak_delay_ms: 1_000,
            nak_delay_max_ms: 60_000,
            start_wait_secs: 60,
        }
    }
}

impl Config {
    /// The bound on waiting for NATS at start-up.
    pub fn start_wait(&self) -> Duration {
        Duration::from_secs(self.start_wait_secs)
    }
}
