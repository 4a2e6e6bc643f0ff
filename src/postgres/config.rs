//! The `[postgres]` table.

use std::path::PathBuf;

use crate::runtime::postgres_url::{ChannelBinding, SslMode};
use crate::runtime::secret::Secret;
use crate::runtime::setting::settings;

settings! {
    /// The `[postgres]` table.
    pub struct Config in "postgres" {
        /// Server, database and credentials. `PG_HOST` `PG_PORT` `PG_DB` `PG_USER` `PG_PASS` replace their
        /// parts of it.
        url: Secret = Secret::new("postgres://iot@127.0.0.1:5432/iotcloud"), PostgresUrl, "DATABASE_URL";
        /// `disable`: plain text. `require`, `verify-ca` and `verify-full` all encrypt, and verify the server's certificate and
        /// its name. Not set: as the URL says, else `disable`.
        sslmode: Option<SslMode> = None, Choice(SslMode::NAMES), "PG_SSLMODE";
        /// Certificates (PEM) of the authority that vouches for the server; then no other authority is trusted.
        ssl_root_cert: Option<PathBuf> = None, Path, "PG_SSLROOTCERT";
        /// The client's certificate (PEM), where the server asks for one.
        ssl_cert: Option<PathBuf> = None, Path, "PG_SSLCERT";
        /// The key of that certificate (PEM).
        ssl_key: Option<PathBuf> = None, Path, "PG_SSLKEY";
        /// `require`: no log-in that is not bound to the TLS session, which keeps out whoever holds another certificate of the
        /// same authority. Not set: `prefer`.
        channel_binding: Option<ChannelBinding> = None, Choice(ChannelBinding::NAMES), "PG_CHANNEL_BINDING";
        /// Connections opened at start.
        pool_min: usize = 2, whole(0, 1_000), "PG_POOL_MIN";
        /// Most connections.
        ///
        /// Writers' transactions, look-ups, derived state.
        pool_max: usize = 10, whole(1, 1_000), "PG_POOL_MAX";
        /// Rows that make a batch full.
        ///
        /// Some thousand make COPY's fixed cost vanish.
        batch_size: usize = 2_000, whole(1, 100_000), "BATCH_SIZE";
        /// A batch never waits longer for its rows.
        flush_interval_ms: u64 = 100, whole(1, 60_000), "FLUSH_INTERVAL_MS";
        /// Transactions in flight.
        ///
        /// One computes in PostgreSQL while another waits for its commit.
        writers: usize = 3, whole(1, 64);
        /// Bound on one transaction, kept on our side: a frozen server becomes a fault that passes.
        transaction_timeout_secs: u64 = 30, whole(1, 600);
        /// `run` migrates the schema first.
        auto_migrate: bool = false, Flag, "AUTO_MIGRATE";
        /// Keep `quarantine_counters_minute`.
        counters_enabled: bool = true, Flag, "COUNTERS_ENABLED";
        /// Most rejected messages stored per minute, tenant and reason, or device where no tenant is to blame;
        /// the rest is counted only.
        quarantine_cap_per_minute: u32 = 1_000, whole(0, 1_000_000_000);
        /// How long `run` waits for PostgreSQL before it exits with 69.
        start_wait_secs: u64 = 60, whole(1, 3_600);
    }
}

impl Config {
    /// Transactions in flight as the pool allows them: one connection is left to the look-ups.
    pub fn slots(&self) -> usize {
        self.writers.min(self.pool_max.saturating_sub(1)).max(1)
    }
}
