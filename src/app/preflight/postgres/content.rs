//! What the tables say: run-time settings, rejections, tokens, and what InfluxDB is owed.

use ingest_core::validate::settings::{Mode, Settings};
use tokio_postgres::{Client, Error};

use crate::app::preflight::result::CheckResult;
use crate::config::Config;

const SETTINGS: &str = "app_settings";
const REJECTIONS: &str = "quarantine";
const TOKENS: &str = "device tokens";
const OUTBOX: &str = "outbox";

/// Rows beyond this are not counted.
const COUNTED: i64 = 200_000;
/// So few rejections say nothing.
const FEW: i64 = 100;
/// One in so many is more than a stray device.
const SHARE: i64 = 20;
/// What InfluxDB has not confirmed for so long is no outage that ends by itself.
const OWED_SECS: i64 = 3_600;

/// The results about the tables' contents.
pub(super) async fn check(config: &Config, client: &Client) -> Result<Vec<CheckResult>, Error> {
    let mut results = settings(client).await?;
    results.push(rejections(client).await?);
    if config.validate.require_token {
        results.push(tokens(client, config.validate.cert_auth_enabled).await?);
    }
    if config.influx.write_enabled {
        results.push(outbox(client).await?);
    }
    Ok(results)
}

async fn settings(client: &Client) -> Result<Vec<CheckResult>, Error> {
    let rows = client
        .query(
            "SELECT key::text, value::text FROM app_settings WHERE key IS NOT NULL AND value IS NOT NULL ORDER BY key",
            &[],
        )
        .await?;
    let pairs: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(assess_settings(&pairs))
}

fn assess_settings(rows: &[(String, String)]) -> Vec<CheckResult> {
    let (settings, invalid) = Settings::default().apply(rows.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let mut results: Vec<CheckResult> = invalid
        .iter()
        .map(|invalid| {
            let found = format!("{} is {:?}, which has no effect", invalid.key, invalid.value);
            CheckResult::warn(SETTINGS, found, format!("set it to {}", invalid.accepted))
        })
        .collect();
    if settings.mode == Mode::Dev {
        results.push(CheckResult::warn(SETTINGS, "MODE is DEV", "set it to PROD where real devices send"));
    }
    if settings.mirrors_rejects() {
        let found = "MIRROR_REJECTS_TO_RAW is 1: rejected messages are in raw_events, too";
        results.push(CheckResult::warn(SETTINGS, found, "set it to 0 where others read raw_events"));
    }
    if settings.limit.rps <= 0.0 {
        let found = "RATE_LIMIT_RPS is 0: no device is limited";
        results.push(CheckResult::warn(
            SETTINGS,
            found,
            "set it to the messages per second that a device may send (5 is the default)",
        ));
    }
    if !settings.store_rejects {
        let found = "STORE_REJECTS is 0: rejected messages are counted, and most are not kept";
        results.push(CheckResult::warn(SETTINGS, found, "set it to 1 to look at them, and to replay them"));
    }
    if results.is_empty() {
        results.push(CheckResult::ok(SETTINGS, "as in production"));
    }
    results
}

/// Rejections beside accepted messages, of the longest of a few periods whose rows can be counted.
async fn rejections(client: &Client) -> Result<CheckResult, Error> {
    const ACCEPTED: &str = "
        SELECT count(*) FROM (SELECT FROM raw_events WHERE received_at > now() - make_interval(mins => $1) LIMIT $2) AS r";
    const REJECTED: &str = "
        SELECT coalesce(sum(cnt), 0)::bigint, (SELECT reason FROM quarantine_counters_minute
            WHERE bucket_minute > now() - make_interval(mins => $1) GROUP BY reason ORDER BY sum(cnt) DESC LIMIT 1)
        FROM quarantine_counters_minute WHERE bucket_minute > now() - make_interval(mins => $1)";
    let (mut minutes, mut accepted) = (24 * 60, COUNTED);
    for period in [24 * 60, 60, 5] {
        minutes = period;
        accepted = client.query_one(ACCEPTED, &[&period, &COUNTED]).await?.get(0);
        if accepted < COUNTED {
            break;
        }
    }
    let row = client.query_one(REJECTED, &[&minutes]).await?;
    let most: Option<String> = row.get(1);
    Ok(assess_rejections(minutes, accepted, row.get(0), most.as_deref()))
}

fn assess_rejections(minutes: i32, accepted: i64, rejected: i64, most: Option<&str>) -> CheckResult {
    let found = format!("{rejected} messages rejected in {minutes} minutes, {accepted} accepted");
    if rejected >= FEW && rejected > accepted.saturating_add(rejected) / SHARE {
        let found = format!("{found}; most often {}", most.unwrap_or("for several reasons"));
        return CheckResult::warn(REJECTIONS, found, "ingest-node quarantine stats; quarantine list --reason ..");
    }
    CheckResult::ok(REJECTIONS, found)
}

async fn tokens(client: &Client, has_certificates: bool) -> Result<CheckResult, Error> {
    const SQL: &str = "
        SELECT count(*), count(*) FILTER (WHERE coalesce(provision_token_hash, '') = '') FROM (
            SELECT provision_token_hash FROM device_registry WHERE status = 'ACTIVE' LIMIT $1) AS d";
    let row = client.query_one(SQL, &[&COUNTED]).await?;
    Ok(assess_tokens(row.get(0), row.get(1), has_certificates))
}

fn assess_tokens(devices: i64, without: i64, has_certificates: bool) -> CheckResult {
    let found = format!("{without} of {devices} active devices have no token in the registry");
    if without == 0 || has_certificates {
        return CheckResult::ok(TOKENS, found);
    }
    let found =
        format!("{found}, and REQUIRE_TOKEN is on: all their messages are rejected (TOKEN_NOT_SET_IN_REGISTRY)");
    CheckResult::warn(TOKENS, found, "give them tokens, or revoke devices that are gone")
}

async fn outbox(client: &Client) -> Result<CheckResult, Error> {
    const SQL: &str = "
        SELECT coalesce(sum(lines), 0)::bigint, coalesce(extract(epoch FROM now() - min(created_at)), 0)::bigint
        FROM influx_outbox";
    let row = client.query_one(SQL, &[]).await?;
    Ok(assess_outbox(row.get(0), row.get(1)))
}

fn assess_outbox(lines: i64, oldest_secs: i64) -> CheckResult {
    if oldest_secs < OWED_SECS {
        return CheckResult::ok(OUTBOX, format!("{lines} points wait for InfluxDB"));
    }
    let found = format!("{lines} points wait for InfluxDB, the oldest for {} minutes", oldest_secs / 60);
    CheckResult::warn(
        OUTBOX,
        found,
        "see what InfluxDB says (the log, `influx` in /stats); they are written by themselves once it takes them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::result::Level;

    fn settings(rows: &[(&str, &str)]) -> Vec<String> {
        let rows: Vec<_> = rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let results = assess_settings(&rows).into_iter();
        results.filter(|result| result.level != Level::Ok).map(|result| result.found).collect()
    }

    #[test]
    fn settings_that_are_not_for_production_are_named() {
        assert_eq!(settings(&Settings::seed()), Vec::<String>::new());
        let found = settings(&[
            ("MODE", "DEV"),
            ("MIRROR_REJECTS_TO_RAW", "1"),
            ("RATE_LIMIT_RPS", "0"),
            ("STORE_REJECTS", "0"),
        ]);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(settings(&[("MAX_PAYLOAD_BYTES", "8k")])[0].contains("MAX_PAYLOAD_BYTES is \"8k\""));
    }

    #[test]
    fn a_stray_device_is_no_growth() {
        let level = |accepted, rejected| assess_rejections(60, accepted, rejected, None).level;
        assert_eq!([level(0, 99), level(49_500, 500), level(0, 0)], [Level::Ok; 3]);
        assert_eq!([level(0, 100), level(1_000, 200)], [Level::Warn; 2]);
    }

    #[test]
    fn devices_without_a_token_are_said_where_no_certificate_may_take_its_place() {
        let level = |without, has_certificates| assess_tokens(10, without, has_certificates).level;
        assert_eq!([level(0, false), level(3, true), level(3, false)], [Level::Ok, Level::Ok, Level::Warn]);
    }

    #[test]
    fn an_hour_is_no_short_outage() {
        assert_eq!([assess_outbox(9, 60).level, assess_outbox(9, 3_600).level], [Level::Ok, Level::Warn]);
    }
}
