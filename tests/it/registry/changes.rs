//! Changes of devices, routes and settings, as they are told.

use ingest_core::message::device::DeviceKey;
use ingest_core::validate::settings::{Mode, Settings};
use ingest_kit::{Postgres, seed};
use ingest_node::testing::message::Invalidate;
use ingest_node::testing::registry::Config;

use super::{Bench, migrated};

/// The defaults, with the key that the migration has made.
fn are_defaults(settings: &Settings) -> bool {
    settings.replay_key.is_some() && Settings { replay_key: None, ..settings.clone() } == Settings::default()
}

#[actix::test]
async fn a_change_is_told_within_moments() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    bench.listening().await;
    let client = database.connect().await;
    client
        .batch_execute("INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('a', 'd', 's')")
        .await
        .unwrap();
    // Nothing else would tell of it, however long one waits: devices are not polled for.
    assert!(matches!(bench.next_invalid().await, Invalidate::Devices(keys) if *keys == [DeviceKey::new("a", "d")]));
    client.batch_execute("INSERT INTO message_routes (tenant_id) VALUES ('a')").await.unwrap();
    assert!(matches!(bench.next_invalid().await, Invalidate::Tenant(tenant) if *tenant == *"a"));
    client.batch_execute("INSERT INTO device_tiers (default_sensor_limit) VALUES (1)").await.unwrap();
    assert!(matches!(bench.next_invalid().await, Invalidate::All));
    client.batch_execute("NOTIFY ingest_invalidate, 'what?'").await.unwrap();
    assert!(matches!(bench.next_invalid().await, Invalidate::All), "what can't be read may be about anything");
}

#[actix::test]
async fn settings_are_told_at_once_and_a_bad_value_keeps_the_previous_one() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::with(&database, Config { settings_poll_secs: 3_600, ..Config::default() });
    bench.settings("the defaults", are_defaults).await;
    bench.listening().await;
    seed::app_settings(&database, &[("MODE", "DEV"), ("MAX_PAYLOAD_BYTES", "300")]).await;
    bench.settings("DEV", |settings| settings.mode == Mode::Dev && settings.max_payload_bytes == 300).await;
    seed::app_settings(&database, &[("MODE", "TEST"), ("MAX_PAYLOAD_BYTES", "400")]).await;
    bench.settings("400", |settings| settings.max_payload_bytes == 400).await;
    assert_eq!(bench.heard.0.lock().unwrap().settings.last().unwrap().mode, Mode::Dev);
}

#[actix::test]
async fn settings_are_polled_where_nobody_notifies() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    bench.settings("the defaults", are_defaults).await;
    let quietly = "SET ingest_node.quiet = 'on'; UPDATE app_settings SET value = '0' WHERE key = 'STORE_REJECTS'";
    database.execute(quietly).await;
    bench.settings("the change", |settings| !settings.store_rejects).await;
}
