//! What a look-up brings.

use std::sync::Arc;

use ingest_core::message::device::{Lookup, Subscription, TokenHash, ValidityPeriod};
use ingest_kit::{Postgres, wait_for};

use super::{Bench, SOON, migrated};

#[actix::test]
async fn a_look_up_brings_everything_that_validation_needs() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "INSERT INTO subscriptions (subscription_id, tenant_id, status) VALUES ('s', 'acme', 'SUSPENDED');
             INSERT INTO device_tiers (tier_id, default_sensor_limit) VALUES (7, 33);
             INSERT INTO device_registry (tenant_id, device_id, site_id, status, provision_token_hash, subscription_id,
                 sensor_limit, tier_id, location_source) VALUES
                 ('acme', 'full', 'lab', 'ACTIVE', repeat('Ab', 32), 's', NULL, 7, 'manual'),
                 ('acme', 'bare', 'lab', 'PENDING', NULL, NULL, NULL, NULL, NULL),
                 ('acme', 'own-limit', 'lab', 'ACTIVE', 'no hash', 'gone', 5, 7, 'auto');
             INSERT INTO device_certificates (tenant_id, device_id, common_name, status, not_after) VALUES
                 ('acme', 'full', 'acme/full', 'ACTIVE', '2030-01-01 00:00+00'),
                 ('acme', 'full', 'acme/full', 'ACTIVE', '2029-01-01 00:00+00'),
                 ('acme', 'full', 'acme/full', 'REVOKED', '2040-01-01 00:00+00'),
                 ('acme', 'full', 'acme/other', 'ACTIVE', '2040-01-01 00:00+00'),
                 ('acme', 'own-limit', 'acme/own-limit', 'ACTIVE', 'infinity');
             INSERT INTO device_modules (tenant_id, device_id, slot_key, metric_key_map, status) VALUES
                 ('acme', 'full', 'a', '{\"p1\": \"pressure\", \"x\": \"y\"}', 'active'),
                 ('acme', 'full', 'b', '{\"x\": \"z\"}', 'active'),
                 ('acme', 'full', 'c', '{\"p1\": \"power\"}', 'removed');
             INSERT INTO message_routes (tenant_id, topic_filter, is_enabled) VALUES ('acme', '#', true), ('acme', '#', false);",
        )
        .await;
    let bench = Bench::new(&database);
    let full = bench.found("acme", "full").await;
    assert_eq!((full.site_id.as_str(), full.active, full.subscription), ("lab", true, Subscription::Suspended));
    assert_eq!(full.token_hash, Some(TokenHash([0xab; 32])));
    let until = |until_us| ValidityPeriod { from_us: 0, until_us };
    assert_eq!(full.certificates, [until(1_893_456_000_000_000), until(1_861_920_000_000_000)]);
    assert_eq!((full.sensor_limit, full.location_is_auto), (33, false));
    assert_eq!((full.metric_keys.get("p1"), full.metric_keys.get("x")), (Some("pressure"), Some("z")));
    assert_eq!(bench.answer("acme", "full").await.routes.len(), 1);

    let bare = bench.found("acme", "bare").await;
    assert_eq!((bare.active, bare.subscription), (false, Subscription::Passes));
    assert_eq!((bare.token_hash, bare.certificates.len(), bare.sensor_limit), (None, 0, 20));
    assert!(bare.location_is_auto && bare.metric_keys.is_empty());

    let own_limit = bench.found("acme", "own-limit").await;
    assert_eq!((own_limit.sensor_limit, own_limit.token_hash), (5, None));
    assert!(own_limit.has_certificate_at(1_893_456_000_000_000));

    assert!(matches!(bench.lookup("acme", "ghost").await, Lookup::Unknown));
    assert!(matches!(bench.lookup("nobody", "full").await, Lookup::Unknown));
    assert!(bench.answer("acme", "ghost").await.tenant_is_registered);
    let nobody = bench.answer("nobody", "full").await;
    assert!(!nobody.tenant_is_registered && nobody.routes.is_empty());
}

#[actix::test]
async fn thousands_of_devices_are_looked_up_in_few_questions_and_each_is_answered() {
    let database = migrated(Postgres::shared()).await;
    let insert = "INSERT INTO device_registry (tenant_id, device_id, site_id)
                  SELECT 't' || i % 7, 'd' || i, 's' FROM generate_series(0, 9999) i WHERE i % 10 <> 0";
    database.execute(insert).await;
    let bench = Bench::new(&database);
    let devices: Vec<(String, String)> = (0..10_000).map(|i| (format!("t{}", i % 7), format!("d{i}"))).collect();
    for chunk in devices.chunks(100) {
        bench.ask(&chunk.iter().map(|(tenant, device)| (tenant.as_str(), device.as_str(), "s")).collect::<Vec<_>>());
    }
    wait_for("all answers", SOON, async || bench.heard.0.lock().unwrap().devices.len() == 10_000).await;
    let told = bench.heard.0.lock().unwrap();
    let found = told.devices.values().filter(|lookup| matches!(lookup, Lookup::Found(_))).count();
    assert_eq!((found, told.answers), (9_000, 10_000));
}

#[actix::test]
async fn a_certificate_stands_from_its_beginning_until_its_end_unless_it_is_revoked() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('a', 'd', 's'), ('a', 'revoked', 's');
             INSERT INTO device_certificates (tenant_id, device_id, common_name, not_before, not_after, revoked_at) VALUES
                 ('a', 'd', 'a/d', '2030-01-01 00:00+00', '2031-01-01 00:00+00', NULL),
                 ('a', 'd', 'a/d', '2032-01-01 00:00+00', '2033-01-01 00:00+00', NULL),
                 ('a', 'd', 'a/d', '2020-01-01 00:00+00', '2040-01-01 00:00+00', '2026-01-01 00:00+00'),
                 ('a', 'revoked', 'a/revoked', NULL, 'infinity', now());",
        )
        .await;
    let bench = Bench::new(&database);
    let device = bench.found("a", "d").await;
    let year = |year: i64| (year - 1970) * 31_557_600_000_000 + 15_000_000_000_000;
    let stands: Vec<i64> = (2029..2035).filter(|number| device.has_certificate_at(year(*number))).collect();
    assert_eq!(stands, [2030, 2032]);
    assert!(bench.found("a", "revoked").await.certificates.is_empty());
}

#[actix::test]
async fn a_tenants_routes_are_held_once_and_only_as_many_as_are_allowed() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "INSERT INTO device_registry (tenant_id, device_id, site_id)
                 SELECT 'many', 'd' || i, 's' FROM generate_series(1, 3) i;
             INSERT INTO message_routes (tenant_id, topic_filter) SELECT 'many', 'a/' || i FROM generate_series(1, 1500) i;
             INSERT INTO message_routes (tenant_id, topic_filter, destination_config)
                 VALUES ('many', '', '{}'), ('few', '#', '{}');
             UPDATE message_routes SET topic_filter = '' WHERE id = 7;",
        )
        .await;
    let bench = Bench::new(&database);
    let first = bench.answer("many", "d1").await.routes;
    assert_eq!(first.len(), 999, "a thousand are read, one of them is broken");
    assert!(Arc::ptr_eq(&first, &bench.answer("many", "d2").await.routes), "one copy for all devices");
    assert_eq!(bench.readiness.messages().iter().filter(|note| note.contains("routes of many")).count(), 1);
    database.execute("DELETE FROM message_routes WHERE id > 10").await;
    assert_eq!(bench.answer("many", "d3").await.routes.len(), 9);
    assert!(bench.readiness.messages().iter().all(|note| !note.contains("routes of many")));
}
