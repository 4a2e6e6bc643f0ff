//! The `[nats]` table.

use std::path::PathBuf;
use std::time::Duration;

use crate::delivery::{Lanes, RunWhen};
use crate::runtime::secret::Secret;
use crate::runtime::setting::settings;

settings! {
    /// The `[nats]` table.
    pub struct Config in "nats" {
        /// One or several servers, separated by commas; may hold user and password, or a token. `tls://` demands TLS.
        url: Secret = Secret::new("nats://127.0.0.1:4222"), NatsUrl, "NATS_URL";
        /// The user, with `NATS_PASSWORD`.
        user: Option<String> = None, Text, "NATS_USER";
        /// The user's password.
        password: Secret = Secret::default(), Secret, "NATS_PASSWORD";
        /// A token, in place of a user.
        token: Secret = Secret::default(), Secret, "NATS_TOKEN";
        /// The seed of a user's NKEY (`SU...`).
        nkey_seed: Secret = Secret::default(), Secret, "NATS_NKEY_SEED";
        /// A credentials file as `nsc` writes it: a user's JWT and the seed of its NKEY.
        creds_file: Option<PathBuf> = None, Path, "NATS_CREDS_FILE";
        /// Certificates (PEM) of the authority that vouches for the servers; then no other authority is trusted, and TLS is
        /// demanded.
        ca_file: Option<PathBuf> = None, Path, "NATS_CA_FILE";
        /// The client's certificate (PEM), where the servers ask for one; TLS is demanded.
        cert_file: Option<PathBuf> = None, Path, "NATS_CERT_FILE";
        /// The key of that certificate (PEM).
        key_file: Option<PathBuf> = None, Path, "NATS_KEY_FILE";
        /// Most unsettled deliveries of one lane: the credit at the door, and the bound of memory.
        ///
        /// Enough for several full batches in every component of the pipeline at once.
        window: usize = 20_000, whole(1, 1_000_000);
        /// The same in bytes, where messages are large.
        window_bytes: usize = 32 * 1024 * 1024, whole(1_048_576, i64::MAX);
        /// Make streams and consumers that are missing; off: wait for them, and say what is missing.
        create: bool = true, Flag, "NATS_CREATE";
        /// Read what MQTT clients of nats-server itself publish with QoS 1: its stream `$MQTT_msgs`, by the consumer `ingest-mqtt`.
        mqtt: bool = false, Flag, "NATS_MQTT";
        /// Copies of streams that the node creates; 0 = three where the cluster has three servers, else one.
        stream_replicas: usize = 0, whole(0, 5), "NATS_STREAM_REPLICAS";
        /// Most bytes of each stream of a lane that the node creates; 0 = no limit.
        stream_max_bytes: i64 = 0, whole(0, i64::MAX);
        /// Age at which such a stream drops its messages; 0 = never.
        stream_max_age_secs: u64 = 0, whole(0, 315_360_000);
        /// `ack_wait` of consumers that the node creates; existing ones are taken as they are.
        ///
        /// In-progress signals go out at a third of what the consumer has.
        ack_wait_secs: u64 = 30, whole(1, 3_600);
        /// `max_ack_pending` of consumers that the node creates; shared by all replicas.
        max_ack_pending: i64 = 60_000, whole(1, 10_000_000);
        /// How long a delivery is held during an outage before it is handed back for another replica to try.
        hold_secs: u64 = 300, whole(1, 86_400);
        /// First delay of a message that is handed back; it doubles with each attempt.
        nak_delay_ms: u64 = 1_000, whole(1, 3_600_000);
        /// Longest such delay.
        nak_delay_max_ms: u64 = 60_000, whole(1, 3_600_000);
        /// How long `run` waits for NATS before it exits with 69.
        start_wait_secs: u64 = 60, whole(1, 3_600);
    }
}

impl Config {
    /// The lanes that a node with these settings runs.
    pub fn lanes(&self) -> Lanes {
        Lanes::with(|activation| match activation {
            RunWhen::Always => true,
            RunWhen::NatsMqtt => self.mqtt,
        })
    }

    /// The bound on waiting for NATS at start-up.
    pub fn start_wait(&self) -> Duration {
        Duration::from_secs(self.start_wait_secs)
    }
}
