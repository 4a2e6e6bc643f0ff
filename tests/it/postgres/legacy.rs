//! Tables of an earlier system: altered additively, and worked with as they are.

use ingest_core::flow::disposition::Verdict;
use ingest_core::message::rejection::Reason;
use ingest_core::validate::event::ShadowReport;
use ingest_kit::{Database, Postgres};
use ingest_node::testing::delivery::Lane;
use ingest_node::testing::message::Write;

use super::bench::{Bench, device, event, migrate, refusal};

/// As the earlier system made them.
const LEGACY: &str = "
    CREATE TABLE raw_events (
        id bigserial PRIMARY KEY, ingested_at timestamptz NOT NULL DEFAULT now(), event_ts timestamptz, topic text NOT NULL,
        tenant_id text, site_id text, device_id text, msg_type text, accepted boolean NOT NULL DEFAULT true,
        payload jsonb NOT NULL);
    CREATE TABLE quarantine_events (
        id bigserial PRIMARY KEY, ingested_at timestamptz NOT NULL DEFAULT now(), event_ts timestamptz, topic text NOT NULL,
        tenant_id text, site_id text, device_id text, msg_type text, reason text NOT NULL, payload jsonb NOT NULL);
    CREATE TABLE quarantine_counters_minute (
        bucket_minute timestamptz NOT NULL, tenant_id text NOT NULL, reason text NOT NULL, cnt bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (bucket_minute, tenant_id, reason));
    CREATE TABLE device_registry (
        tenant_id text NOT NULL, device_id text NOT NULL, site_id text NOT NULL, status text NOT NULL DEFAULT 'ACTIVE',
        provision_token text, provision_token_hash text, created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(), metadata jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (tenant_id, device_id));
    CREATE TABLE device_state (
        tenant_id text NOT NULL, site_id text NOT NULL, device_id text NOT NULL, status text NOT NULL DEFAULT 'OFFLINE',
        last_seen_at timestamptz, last_state_change_at timestamptz NOT NULL DEFAULT now(),
        state jsonb NOT NULL DEFAULT '{}', reported_state jsonb NOT NULL DEFAULT '{}',
        reported_version integer NOT NULL DEFAULT 0, PRIMARY KEY (tenant_id, device_id));
    CREATE TABLE device_modules (
        id serial PRIMARY KEY, tenant_id text NOT NULL, device_id text NOT NULL, slot_key text NOT NULL, bus_address text,
        label text NOT NULL, metric_key_map jsonb NOT NULL DEFAULT '{}', status text NOT NULL DEFAULT 'active');
    INSERT INTO raw_events (event_ts, topic, tenant_id, payload) SELECT now(), 'old', 'acme', '{}' FROM generate_series(1, 3);
    INSERT INTO quarantine_events (topic, reason, payload) VALUES ('old', 'TOKEN_INVALID', '{}');
    INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('acme', 'd1', 'site-1');
";

async fn legacy() -> Database {
    let database = Postgres::shared().create_database().await;
    database.execute(LEGACY).await;
    migrate(&database).await;
    database
}

#[actix::test]
async fn a_legacy_database_keeps_its_rows_and_takes_ours() {
    let database = legacy().await;
    assert_eq!(database.count("raw_events WHERE topic = 'old' AND id <= 3").await, 3);
    assert_eq!(database.count("quarantine_events WHERE topic = 'old'").await, 1);
    assert_eq!(database.count("device_registry WHERE location_source = 'auto'").await, 1);

    let bench = Bench::new(&database);
    for attempt in 1..=2 {
        let slot = bench.write_event(1, attempt, event(r#"{"a":1}"#));
        assert_eq!(bench.verdict(slot).await, Verdict::Done);
        let slot = bench.write_refusal(2, attempt, refusal("acme", Reason::TokenInvalid));
        assert_eq!(bench.verdict(slot).await, Verdict::Rejected);
        let slot = bench.write_event(3, attempt, event(r#"{"a":1e999999}"#));
        assert_eq!(bench.verdict(slot).await, Verdict::Poison);
    }
    assert_eq!(database.count("raw_events WHERE id = 4 AND stream_seq = 1 AND accepted").await, 1);
    assert_eq!(database.count("raw_events").await, 4);
    assert_eq!(database.count("quarantine_events WHERE stream_seq IS NOT NULL").await, 2);
    assert_eq!(database.count("quarantine_counters_minute WHERE cnt = 1").await, 2);
    assert_eq!(database.count("pg_inherits WHERE inhparent = 'raw_events'::regclass").await, 0);
}

#[actix::test]
async fn a_version_that_a_legacy_column_can_not_hold_is_refused_alone() {
    let database = legacy().await;
    let bench = Bench::new(&database);
    let mut slots = Vec::new();
    let mut chunk = Write::default();
    for (seq, version) in [(1, 5), (2, 5_000_000_000)] {
        let (delivery, slot) = bench.delivery(Lane::SHADOW, seq, 1);
        let device = device(&format!("d{seq}"));
        chunk.shadows.push((delivery, ShadowReport { device, reported: "{}".to_owned(), version }));
        slots.push(slot);
    }
    bench.writer.do_send(chunk);
    assert_eq!(bench.verdict(slots[0]).await, Verdict::Done);
    assert_eq!(bench.verdict(slots[1]).await, Verdict::Poison);
    assert_eq!(database.count("device_state WHERE reported_version = 5 AND site_id = 'site-1'").await, 1);
}
