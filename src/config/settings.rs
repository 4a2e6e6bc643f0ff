//! The settings, one entry each.

use super::setting::{Form, Setting};

/// All settings, in the order in which they are shown.
///
/// A new one is a field in its room's `Config`, with its default, and an entry here; `REGENERATE=1 cargo test reference`
/// then brings the file and the table of the documentation up to date.
pub(crate) const SETTINGS: &[Setting] = &[
    known("nats.url", "NATS_URL", Form::NatsUrl, "One or several servers, separated by commas; may hold credentials."),
    inner(
        "nats.window",
        whole(1, 1_000_000),
        "Most unsettled deliveries of one lane: the credit at the door, and the bound of memory.",
    ),
    inner("nats.window_bytes", whole(1_048_576, i64::MAX), "The same in bytes, where messages are large."),
    known(
        "nats.create",
        "NATS_CREATE",
        Form::Flag,
        "Make streams and consumers that are missing; off: wait for them, and say what is missing.",
    ),
    known(
        "nats.stream_replicas",
        "NATS_STREAM_REPLICAS",
        whole(0, 5),
        "Copies of streams that the node creates; 0 = three where the cluster has three servers, else one.",
    ),
    inner(
        "nats.stream_max_bytes",
        whole(0, i64::MAX),
        "Most bytes of each stream of a lane that the node creates; 0 = no limit.",
    ),
    inner(
        "nats.stream_max_age_secs",
        whole(0, 315_360_000),
        "Age at which such a stream drops its messages; 0 = never.",
    ),
    inner(
        "nats.ack_wait_secs",
        whole(1, 3_600),
        "`ack_wait` of consumers that the node creates; existing ones are taken as they are.",
    ),
    inner(
        "nats.max_ack_pending",
        whole(1, 10_000_000),
        "`max_ack_pending` of consumers that the node creates; shared by all replicas.",
    ),
    inner(
        "nats.hold_secs",
        whole(1, 86_400),
        "How long a delivery is held during an outage before it is handed back for another replica to try.",
    ),
    inner(
        "nats.nak_delay_ms",
        whole(1, 3_600_000),
        "First delay of a message that is handed back; it doubles with each attempt.",
    ),
    inner("nats.nak_delay_max_ms", whole(1, 3_600_000), "Longest such delay."),
    inner("nats.start_wait_secs", whole(1, 3_600), "How long `run` waits for NATS before it exits with 69."),
    known(
        "validate.workers",
        "INGEST_WORKER_COUNT",
        whole(1, 256),
        "Validators, each with a thread; a device always meets the same one.",
    ),
    known(
        "validate.cache_ttl_secs",
        "AUTH_CACHE_TTL_SECONDS",
        whole(1, 86_400),
        "How long a registry answer is trusted without asking again; changes are notified at once.",
    ),
    known(
        "validate.cache_max_size",
        "AUTH_CACHE_MAX_SIZE",
        whole(1, 100_000_000),
        "Devices held in memory, over all validators.",
    ),
    known(
        "validate.metric_map_ttl_secs",
        "METRIC_MAP_CACHE_TTL",
        whole(1, 86_400),
        "The same as `cache_ttl_secs` for the modules' key maps: they are held together, and the shorter one counts.",
    ),
    inner(
        "validate.negative_ttl_secs",
        whole(1, 86_400),
        "How long an unknown device stays unknown without asking again.",
    ),
    inner(
        "validate.max_staleness_secs",
        whole(1, 86_400),
        "While PostgreSQL is away, answers serve up to this age; then deliveries are held.",
    ),
    known(
        "validate.bucket_ttl_secs",
        "BUCKET_TTL_SECONDS",
        whole(1, 604_800),
        "An idle device's token bucket is forgotten after this time.",
    ),
    known("validate.require_token", "REQUIRE_TOKEN", Form::Flag, "Devices must show their provision token."),
    known(
        "validate.cert_auth_enabled",
        "CERT_AUTH_ENABLED",
        Form::Flag,
        "A certificate's common name, as the broker authenticated it, may take the token's place.",
    ),
    known(
        "validate.subject_check",
        "NATS_SUBJECT_CHECK",
        Form::Choice(&["enforce", "off"]),
        "Whether the subject must name the tenant, and the device if any, of the topic; `off` for producers that cannot.",
    ),
    known(
        "registry.auto_provision",
        "AUTO_PROVISION",
        Form::Flag,
        "Register unknown devices where an ACTIVE MAIN subscription has room.",
    ),
    known(
        "registry.settings_poll_secs",
        "SETTINGS_POLL_SECONDS",
        whole(1, 86_400),
        "`app_settings` are read this often, and at once when notified.",
    ),
    inner("registry.lookup_batch", whole(1, 100_000), "Most devices in one look-up."),
    inner(
        "registry.max_routes_per_tenant",
        whole(1, 100_000),
        "Most enabled routes of a tenant that are in force, the oldest first; the rest is left out and said.",
    ),
    known(
        "postgres.url",
        "DATABASE_URL",
        Form::PostgresUrl,
        "Server, database and credentials. `PG_HOST` `PG_PORT` `PG_DB` `PG_USER` `PG_PASS` replace their parts of it.",
    ),
    known("postgres.pool_min", "PG_POOL_MIN", whole(0, 1_000), "Connections opened at start."),
    known("postgres.pool_max", "PG_POOL_MAX", whole(1, 1_000), "Most connections."),
    known("postgres.batch_size", "BATCH_SIZE", whole(1, 100_000), "Rows that make a batch full."),
    known(
        "postgres.flush_interval_ms",
        "FLUSH_INTERVAL_MS",
        whole(1, 60_000),
        "A batch never waits longer for its rows.",
    ),
    inner("postgres.writers", whole(1, 64), "Transactions in flight."),
    inner(
        "postgres.transaction_timeout_secs",
        whole(1, 600),
        "Bound on one transaction, kept on our side: a frozen server becomes a fault that passes.",
    ),
    known("postgres.auto_migrate", "AUTO_MIGRATE", Form::Flag, "`run` migrates the schema first."),
    known("postgres.counters_enabled", "COUNTERS_ENABLED", Form::Flag, "Keep `quarantine_counters_minute`."),
    inner(
        "postgres.quarantine_cap_per_minute",
        whole(0, 1_000_000_000),
        "Most rejected messages stored per minute, tenant and reason, or device where no tenant is to blame; the rest is counted only.",
    ),
    inner("postgres.start_wait_secs", whole(1, 3_600), "How long `run` waits for PostgreSQL before it exits with 69."),
    known("influx.write_enabled", "INFLUXDB_WRITE_ENABLED", Form::Flag, "Write points at all."),
    known(
        "influx.api",
        "INFLUXDB_API",
        Form::Choice(&["v3", "v2", "files"]),
        "`v3`: InfluxDB 3; `v2`: InfluxDB 2 and VictoriaMetrics; `files`: line-protocol files below `data_dir`.",
    ),
    known(
        "influx.url",
        "INFLUXDB_URL",
        Form::HttpUrl,
        "The server; without one, points go to line-protocol files below `data_dir`.",
    ),
    known("influx.token", "INFLUXDB_TOKEN", Form::Secret, "The token."),
    known(
        "influx.ca_file",
        "INFLUXDB_CA_FILE",
        Form::Path,
        "Certificates (PEM) of the authority that vouches for an https server; then no other authority is trusted.",
    ),
    known("influx.org", "INFLUXDB_ORG", Form::Text, "With `v2`: the organisation, by name or id."),
    known(
        "influx.bucket",
        "INFLUXDB_BUCKET",
        Form::Text,
        "With `v2`: the bucket. With `{tenant_id}` in it, one for each tenant; without, one for all (`shared`). Not set: \
         `telemetry_{tenant_id}`, or `database` where tenants share it.",
    ),
    known(
        "influx.database",
        "INFLUXDB_DATABASE",
        Form::Database,
        "The database that tenants share, with the layout `shared`.",
    ),
    known(
        "influx.database_layout",
        "INFLUXDB_DATABASE_LAYOUT",
        Form::Choice(&["per_tenant", "shared"]),
        "`per_tenant`: a database for each tenant; `shared`: one for all, with a tag `tenant_id`.",
    ),
    known(
        "influx.write_policy",
        "INFLUXDB_WRITE_POLICY",
        Form::Choice(&["best_effort", "required"]),
        "`best_effort`: acknowledge when the row is durable; `required`: only when the point is too.",
    ),
    inner(
        "influx.outbox",
        Form::Flag,
        "Keep the record of unconfirmed points. Off only to measure its cost: an outage of InfluxDB then loses points.",
    ),
    known("influx.batch_size", "INFLUX_BATCH_SIZE", whole(1, 100_000), "Lines that make a tenant's batch full."),
    known(
        "influx.flush_interval_ms",
        "INFLUX_FLUSH_INTERVAL_MS",
        whole(1, 60_000),
        "A tenant's batch never waits longer for its lines.",
    ),
    inner(
        "influx.buffer_lines",
        whole(1, 100_000_000),
        "Most lines that one tenant's batcher holds; beyond it they are left to the replay, or handed back (`required`).",
    ),
    inner(
        "influx.buffer_total_bytes",
        whole(1, i64::MAX),
        "Most memory that all batchers hold together, as for `buffer_lines`; one of them half of it at most.",
    ),
    inner(
        "influx.max_in_flight",
        whole(1, 1_000),
        "Requests of one tenant under way at once (more where `batch_size` is small and batches are full); a durable write \
         returns with the server's next WAL flush.",
    ),
    inner("influx.threads", whole(1, 64), "Threads that the batchers are spread over."),
    inner(
        "influx.hold_lines",
        whole(1, 100_000_000),
        "With `required`, most deliveries held for a tenant whose database is in trouble; the others are handed back.",
    ),
    inner(
        "influx.hold_secs",
        whole(1, 86_400),
        "With `required`, how long a delivery is held for such a tenant before it is handed back.",
    ),
    inner(
        "influx.retry_delay_ms",
        whole(1, 60_000),
        "First pause after a failed request; it doubles with every further one.",
    ),
    inner("influx.retry_delay_max_ms", whole(1, 60_000), "Longest such pause."),
    inner(
        "influx.breaker_failures",
        whole(1, 1_000),
        "Failures in a row that open a tenant's breaker: then one request at a time probes its database.",
    ),
    inner("influx.idle_secs", whole(1, 86_400), "A batcher without work for so long ends."),
    inner("influx.drain_secs", whole(1, 600), "How long a drain waits for databases that do not answer."),
    known(
        "influx.max_fields_per_tenant",
        "INFLUX_MAX_FIELDS_PER_TENANT",
        whole(0, 100_000),
        "Metric names of which one tenant may make columns, 0 = no bound; values of further names stay in their rows.",
    ),
    inner(
        "influx.column_retry_secs",
        whole(1, 86_400),
        "A value left out of points, for want of a column or for its type, is tried again this often with one line.",
    ),
    known(
        "influx.gzip_min_bytes",
        "INFLUX_GZIP_MIN_BYTES",
        whole(0, i64::MAX),
        "A request is compressed (gzip) from this size on; 0 = never.",
    ),
    inner("influx.request_timeout_secs", whole(1, 600), "Bound on one request."),
    known(
        "influx.replay_lines_per_sec",
        "INFLUX_REPLAY_LINES_PER_SEC",
        whole(1, 10_000_000),
        "Most lines per second that a node replays after an outage, beside live traffic.",
    ),
    inner("influx.replay_interval_ms", whole(10, 60_000), "How often the replay looks for something to claim."),
    known(
        "influx.takeover_secs",
        "INFLUX_TAKEOVER_SECONDS",
        whole(1, 3_600),
        "A node not seen for so long is taken for dead: what InfluxDB did not confirm to it is written by the others.",
    ),
    inner("influx.data_dir", Form::Path, "Where line-protocol files go, one directory per database."),
    inner("influx.file_rotate_bytes", whole(1, i64::MAX), "A file is closed, synced and renamed at this size."),
    inner("routes.publish_timeout_secs", whole(1, 60), "How long the stream's word on one route job is waited for."),
    inner("routes.max_in_flight", whole(1, 100_000), "Route jobs under way at once."),
    inner("routes.retry_secs", whole(1, 600), "How long a job is tried before its delivery is handed back."),
    inner(
        "routes.hold_deliveries",
        whole(0, 1_000_000),
        "Most deliveries held while the stream does not take their jobs; beyond it they are handed back at once.",
    ),
    inner(
        "routes.duplicate_window_secs",
        whole(1, 86_400),
        "For the stream ROUTES, where the node creates it: a message redelivered within this time makes no second job.",
    ),
    inner(
        "state.flush_interval_secs",
        whole(1, 3_600),
        "Sensors, signs of life and positions are written this often, or less often with many devices.",
    ),
    inner(
        "state.flush_interval_max_secs",
        whole(1, 3_600),
        "How far the interval may grow, so that writing them keeps to its share.",
    ),
    inner("state.share_percent", whole(1, 100), "Most of one connection's time that writing them takes, in percent."),
    inner("state.write_timeout_secs", whole(1, 600), "Bound on writing one chunk of devices."),
    inner("state.max_devices", whole(1, 100_000_000), "Most devices held while PostgreSQL does not answer."),
    inner(
        "state.settled_max_size",
        whole(1, 100_000_000),
        "Sets of metrics (one per device as a rule) whose sensors are known to exist.",
    ),
    inner(
        "state.settled_ttl_secs",
        whole(1, 86_400),
        "How long they are believed to; then removed sensors come back, and those without room are tried again.",
    ),
    known(
        "http.bind",
        "HTTP_BIND",
        Form::Address,
        "Where `/health`, `/ready`, `/metrics` and `/stats` are served; port 0 takes a free one.",
    ),
    known("log.level", "LOG_LEVEL", Form::Level, "Lines below it are not written."),
    known(
        "log.format",
        "LOG_FORMAT",
        Form::Choice(&["json", "text"]),
        "JSON lines for machines, text for people; both on standard error.",
    ),
    known(
        "supervisor.drain_timeout_secs",
        "DRAIN_TIMEOUT_SECONDS",
        whole(1, 3_600),
        "Time after SIGTERM for what is in flight; under Kubernetes' grace period of 30.",
    ),
    known(
        "supervisor.log_stats_every_secs",
        "LOG_STATS_EVERY_SECONDS",
        whole(1, 86_400),
        "A line with totals this often.",
    ),
    inner(
        "supervisor.restart_budget",
        whole(0, 1_000_000),
        "Restarts within the window before the process gives up with 70.",
    ),
    inner("supervisor.restart_window_secs", whole(1, 86_400), "See `restart_budget`."),
    inner(
        "supervisor.stuck_after_secs",
        whole(1, 86_400),
        "A part that has work and makes no progress for so long is dead.",
    ),
];

/// Variables that operators of the system know and that have nothing left to set: checked, then said to be without effect.
pub(super) const RETIRED: &[(&str, Form, &str)] = &[(
    "METRIC_MAP_CACHE_SIZE",
    whole(0, i64::MAX),
    "has no effect: key maps are held with their devices, as many as AUTH_CACHE_MAX_SIZE says",
)];

const fn known(key: &'static str, env: &'static str, form: Form, about: &'static str) -> Setting {
    Setting { key, env: Some(env), form, about }
}

const fn inner(key: &'static str, form: Form, about: &'static str) -> Setting {
    Setting { key, env: None, form, about }
}

const fn whole(min: i64, max: i64) -> Form {
    Form::Whole { min, max }
}

/// The setting with this key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_used_twice() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            for other in &SETTINGS[index + 1..] {
                assert_ne!(setting.key, other.key);
                assert!(setting.env.is_none() || setting.env != other.env, "{:?}", setting.env);
            }
        }
    }
}
