//! Combinations of settings that work and are doubtful: a warning each.

use super::diagnostics::Diagnostics;
use super::tables::Config;
use crate::sink::influx::Api;
use ingest_core::provision::admin_key;

/// Kubernetes' grace period, where a manifest sets none.
const GRACE_PERIOD_SECS: u64 = 30;
/// In-progress signals go out at a third of `ack_wait`: with less than this, a short pause makes a redelivery.
const SHORT_ACK_WAIT_SECS: u64 = 5;
const DAY_SECS: u64 = 86_400;

/// What may be doubtful.
struct Advice {
    /// The settings that it is about; where one could not be read, nothing is said.
    keys: &'static [&'static str],
    /// The warning, where it is.
    of: fn(&Config) -> Option<String>,
}

const ADVICE: &[Advice] = &[
    Advice {
        keys: &["influx.target.url", "influx.target.api", "influx.write_enabled", "influx.files.data_dir"],
        of: points_to_files,
    },
    Advice { keys: &["influx.target.url", "influx.target.api", "influx.write_enabled"], of: server_without_use },
    Advice {
        keys: &["influx.target.token", "influx.target.url", "influx.target.api", "influx.write_enabled"],
        of: no_token,
    },
    Advice {
        keys: &["influx.target.api", "influx.target.org", "influx.target.url", "influx.write_enabled"],
        of: no_organisation,
    },
    Advice { keys: &["influx.target.api", "influx.target.org", "influx.target.bucket"], of: only_for_v2 },
    Advice { keys: &["influx.target.ca_file", "influx.target.url", "influx.target.api"], of: authority_without_https },
    Advice { keys: &["influx.outbox.enabled", "influx.write_enabled"], of: no_outbox },
    Advice { keys: &["validate.require_token", "validate.cert_auth_enabled"], of: no_authentication },
    Advice { keys: &["nats.window", "nats.max_ack_pending", "nats.ack_wait_secs"], of: consumer_limits },
    Advice { keys: &["supervisor.drain_timeout_secs"], of: long_drain },
    Advice { keys: &["retention.raw_events_days", "nats.stream_max_age_secs"], of: rows_younger_than_messages },
    Advice { keys: &["retention.raw_events_days", "retention.quarantine_days"], of: rows_younger_than_rejections },
    Advice { keys: &["admin.bind", "admin.key"], of: open_admin_listener },
    Advice { keys: &["admin.key"], of: made_up_admin_key },
    Advice { keys: &["log.level"], of: trace },
];

/// Adds every warning that applies.
pub(super) fn add(config: &Config, diagnostics: &mut Diagnostics) {
    for Advice { keys, of } in ADVICE {
        if keys.iter().all(|key| diagnostics.is_read(key)) {
            diagnostics.notices.extend(of(config));
        }
    }
}

/// The sentence, where the condition holds.
fn when(holds: bool, sentence: impl Into<String>) -> Option<String> {
    holds.then(|| sentence.into())
}

fn points_to_files(Config { influx, .. }: &Config) -> Option<String> {
    let folder = std::path::absolute(&influx.files.data_dir).unwrap_or_else(|_| influx.files.data_dir.clone());
    when(
        influx.write_enabled && influx.target.api == Api::V3 && influx.target.url.is_none(),
        format!(
            "INFLUXDB_URL is not set: points go to files of line protocol below {}; set INFLUXDB_API=files if that is \
             meant, or INFLUXDB_WRITE_ENABLED=0 to write none",
            folder.display()
        ),
    )
}

fn server_without_use(Config { influx, .. }: &Config) -> Option<String> {
    let why = if influx.write_enabled { "INFLUXDB_API is files" } else { "INFLUXDB_WRITE_ENABLED is off" };
    when(
        influx.target.url.is_some() && (!influx.write_enabled || influx.target.api == Api::Files),
        format!("INFLUXDB_URL has no effect: {why}"),
    )
}

fn no_token(Config { influx, .. }: &Config) -> Option<String> {
    when(
        influx.write_enabled
            && influx.target.api == Api::V3
            && influx.target.url.is_some()
            && influx.target.token.expose().trim().is_empty(),
        "INFLUXDB_TOKEN is not set: InfluxDB 3 refuses every point unless it runs without authentication",
    )
}

fn no_organisation(Config { influx, .. }: &Config) -> Option<String> {
    when(
        influx.write_enabled
            && influx.target.api == Api::V2
            && influx.target.url.is_some()
            && influx.target.org.is_none(),
        "INFLUXDB_ORG is not set: InfluxDB 2 refuses every point without it; VictoriaMetrics needs none",
    )
}

fn only_for_v2(Config { influx, .. }: &Config) -> Option<String> {
    let names = [("INFLUXDB_ORG", influx.target.org.is_some()), ("INFLUXDB_BUCKET", influx.target.bucket.is_some())];
    let set: Vec<_> = names.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
    when(
        influx.target.api != Api::V2 && !set.is_empty(),
        format!("without effect unless INFLUXDB_API is v2: {}", set.join(", ")),
    )
}

fn authority_without_https(Config { influx, .. }: &Config) -> Option<String> {
    let url = influx.target.url.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
    when(
        influx.target.ca_file.is_some() && (!url.starts_with("https://") || influx.target.api == Api::Files),
        "INFLUXDB_CA_FILE has no effect: INFLUXDB_URL does not begin with https://, so nothing is encrypted",
    )
}

fn no_outbox(Config { influx, .. }: &Config) -> Option<String> {
    when(
        !influx.outbox.enabled && influx.write_enabled,
        "influx.outbox.enabled is off: an outage of InfluxDB, or of this node, loses points for good",
    )
}

fn no_authentication(Config { validate, .. }: &Config) -> Option<String> {
    let checked = if validate.cert_auth_enabled { "only certificates that are presented are" } else { "nothing is" };
    when(
        !validate.require_token,
        format!(
            "REQUIRE_TOKEN is off: devices need not show their token, {checked} checked, and whoever may publish may \
             speak for any device of the subject's tenant"
        ),
    )
}

fn consumer_limits(Config { nats, .. }: &Config) -> Option<String> {
    let (window, most) = (nats.window, nats.max_ack_pending);
    if i64::try_from(window).unwrap_or(i64::MAX) > most {
        return Some(format!(
            "nats.window ({window}) exceeds nats.max_ack_pending ({most}): a consumer that the node makes never lets \
             more out, to all replicas together"
        ));
    }
    when(
        nats.ack_wait_secs < SHORT_ACK_WAIT_SECS,
        format!(
            "nats.ack_wait_secs is {}: a pause that long makes the broker deliver again; 30 is usual",
            nats.ack_wait_secs
        ),
    )
}

fn long_drain(Config { supervisor, .. }: &Config) -> Option<String> {
    let secs = supervisor.drain_timeout_secs;
    when(
        secs >= GRACE_PERIOD_SECS,
        format!(
            "DRAIN_TIMEOUT_SECONDS is {secs}: Kubernetes kills after {GRACE_PERIOD_SECS} s unless \
             terminationGracePeriodSeconds is longer"
        ),
    )
}

fn rows_younger_than_messages(Config { retention, nats, .. }: &Config) -> Option<String> {
    let kept_secs = u64::from(retention.raw_events_days?) * DAY_SECS;
    when(
        nats.stream_max_age_secs > kept_secs,
        format!(
            "RAW_EVENTS_RETENTION_DAYS ({} s) is shorter than nats.stream_max_age_secs ({}): after a long outage messages \
             are stored into days that are dropped within the hour",
            kept_secs, nats.stream_max_age_secs
        ),
    )
}

fn rows_younger_than_rejections(Config { retention, .. }: &Config) -> Option<String> {
    let days = retention.raw_events_days?;
    let longer = match retention.quarantine_days {
        Some(quarantine_days) if quarantine_days <= days => return None,
        Some(quarantine_days) => format!("QUARANTINE_RETENTION_DAYS is {quarantine_days}"),
        None => "QUARANTINE_RETENTION_DAYS is not set".to_owned(),
    };
    Some(format!(
        "RAW_EVENTS_RETENTION_DAYS is {days} and {longer}: a rejected message that is replayed after more than {days} days \
         is stored on the day on which it first came, which is dropped within the hour; set both to the same"
    ))
}

fn open_admin_listener(Config { admin, .. }: &Config) -> Option<String> {
    when(
        !admin.key.is_empty() && !admin.bind.ip().is_loopback(),
        format!(
            "ADMIN_BIND is {}: other machines reach it, and keys and tokens travel in plain text; bind it to 127.0.0.1, \
             or let only a proxy with TLS reach it",
            admin.bind
        ),
    )
}

fn made_up_admin_key(Config { admin, .. }: &Config) -> Option<String> {
    when(
        admin_key::looks_made_up(&admin.key.expose()) && !admin.key.is_empty(),
        "ADMIN_KEY looks made up, not random; make one with `openssl rand -hex 32`",
    )
}

fn trace(Config { log, .. }: &Config) -> Option<String> {
    when(
        log.level.eq_ignore_ascii_case("trace"),
        "LOG_LEVEL=trace shows what debug shows: releases hold no lines below DEBUG",
    )
}
