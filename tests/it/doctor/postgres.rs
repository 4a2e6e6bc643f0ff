//! Role, server, schema and contents of PostgreSQL.

use ingest_kit::seed::{self, Device};
use ingest_kit::{NodeBuilder, PgBouncer, Postgres};

use super::doctor;
use crate::postgres::roles::Role;
use crate::retention::old_day;
use crate::world::{World, migrate, node};

/// A node of which only what is said about PostgreSQL is looked at.
fn on(url: &str) -> NodeBuilder {
    node().env("DATABASE_URL", url).env("NATS_URL", "nats://127.0.0.1:9").env("INFLUXDB_WRITE_ENABLED", 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_careless_database_and_a_role_without_rights_are_named() {
    let world = World::new().await;
    let database = &world.database;
    let role = Role::stranger(database, "careless").await;
    seed::devices(database, &[Device::active("acme", "dev-1", "token")]).await;
    seed::app_settings(
        database,
        &[("MIRROR_REJECTS_TO_RAW", "1"), ("STORE_REJECTS", "0"), ("MAX_PAYLOAD_BYTES", "8k")],
    )
    .await;
    let name = &role.name;
    database
        .execute(&format!(
            "INSERT INTO quarantine_counters_minute (bucket_minute, tenant_id, reason, cnt)
                 VALUES (date_trunc('minute', now()), 'acme', 'TOKEN_INVALID', 5000);
             INSERT INTO influx_outbox (tenant_id, stream, received_from, received_to, lines, created_at)
                 VALUES ('acme', 'TELEMETRY', now(), now(), 7, now() - interval '3 hours');
             INSERT INTO ingest_nodes SELECT gen_random_uuid(), now() FROM generate_series(1, 20);
             UPDATE device_registry SET provision_token_hash = NULL;
             ALTER TABLE device_registry DISABLE TRIGGER USER;
             ALTER TABLE device_state ADD COLUMN owner text NOT NULL;
             ALTER TABLE subscriptions ENABLE ROW LEVEL SECURITY;
             DROP INDEX raw_events_delivery_key;
             REVOKE TEMPORARY ON DATABASE {database_name} FROM PUBLIC;
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name};
             REVOKE USAGE ON SCHEMA ingest_node FROM PUBLIC;
             ALTER ROLE {name} SET default_transaction_read_only = on;
             ALTER ROLE {name} SET synchronous_commit = off;
             ALTER ROLE {name} CONNECTION LIMIT 5",
            database_name = database.name(),
        ))
        .await;
    let port = Postgres::shared().port();
    let url = role.url.replacen(&format!(":{port}"), &format!(":{port},127.0.0.1:{port}"), 1);
    let report = doctor(on(&url).env("INFLUXDB_WRITE_ENABLED", 1).env("INFLUXDB_API", "files")).await;
    report.assert_names(&[
        ("ERR", "postgresql read-only", "default_transaction_read_only"),
        ("ERR", "postgresql durability", "fsync is off"),
        ("WARN", "postgresql durability", "full_page_writes is off"),
        ("WARN", "postgresql durability", "synchronous_commit is off"),
        ("ERR", "postgresql durability", "2 hosts, and no standby is synchronous"),
        ("ERR", "postgresql connections", "the role may have 5"),
        ("WARN", "postgresql connections", "20 nodes need up to 280"),
        ("ERR", "postgresql schema", "raw_events_delivery_key is missing"),
        ("WARN", "postgresql schema", "device_state.owner is NOT NULL without a default"),
        ("WARN", "postgresql schema", "triggers of device_registry are disabled"),
        ("ERR", "postgresql schema", "row security of subscriptions hides rows"),
        ("ERR", "postgresql rights", "may not INSERT on raw_events"),
        ("ERR", "postgresql rights", "may not INSERT on quarantine_events"),
        ("ERR", "postgresql rights", "may not UPDATE on device_registry"),
        ("ERR", "postgresql rights", "may not INSERT, UPDATE, DELETE on influx_outbox"),
        ("WARN", "postgresql rights", "may not SELECT on ingest_node.secrets"),
        ("ERR", "postgresql rights", "sequence influx_outbox_id_seq"),
        ("ERR", "postgresql rights", "no temporary tables"),
        ("ERR", "postgresql partitions", "none for today and tomorrow"),
        ("WARN", "app_settings", "MODE is DEV"),
        ("WARN", "app_settings", "MIRROR_REJECTS_TO_RAW is 1"),
        ("WARN", "app_settings", "RATE_LIMIT_RPS is 0"),
        ("WARN", "app_settings", "STORE_REJECTS is 0"),
        ("WARN", "app_settings", "MAX_PAYLOAD_BYTES is \"8k\""),
        ("WARN", "quarantine", "5000 messages rejected"),
        ("WARN", "device tokens", "1 of 1 active devices"),
        ("WARN", "outbox", "7 points wait for InfluxDB, the oldest for 180 minutes"),
    ]);
    let no_right =
        report.found.iter().filter(|one| one.about == "postgresql rights" && one.found.contains("raw_events"));
    assert!(no_right.clone().all(|one| one.advice == Some(format!("GRANT INSERT ON raw_events TO {name}"))), "the SQL");
    assert_eq!(no_right.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_the_node_cannot_work_with_is_named() {
    let cluster = Postgres::shared();
    let empty = cluster.create_database().await;
    let report = doctor(on(empty.url())).await;
    report.assert_names(&[("ERR", "postgresql schema", "the database has none yet")]);
    let report = doctor(on(empty.url()).env("AUTO_MIGRATE", 1)).await;
    assert!(report.wrong("postgresql schema").is_empty(), "`run` makes it: {:#?}", report.found);

    migrate(&empty).await;
    for (statement, level, part) in [
        ("DELETE FROM ingest_node_schema_history WHERE version > 1", "ERR", "version 1 is older"),
        (
            "INSERT INTO ingest_node_schema_history SELECT 99, name, applied_on, checksum
             FROM ingest_node_schema_history WHERE version = 1",
            "ERR",
            "version 99 is newer",
        ),
    ] {
        empty.execute(statement).await;
        doctor(on(empty.url())).await.assert_names(&[(level, "postgresql schema", part)]);
    }
    let typed = cluster.create_database().await;
    migrate(&typed).await;
    typed.execute("ALTER TABLE device_state ALTER COLUMN last_seen_at TYPE bigint USING NULL").await;
    doctor(on(typed.url())).await.assert_names(&[("ERR", "postgresql schema", "device_state.last_seen_at is bigint")]);

    let admin = cluster.create_database().await;
    let latin = format!("{}_latin", admin.name());
    admin.execute(&format!("CREATE DATABASE {latin} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")).await;
    let report = doctor(on(&cluster.url(&latin))).await;
    admin.execute(&format!("DROP DATABASE {latin} WITH (FORCE)")).await;
    report.assert_names(&[("ERR", "postgresql schema", "encoding is LATIN1")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_said_how_fast_rows_grow_and_how_long_the_disk_lasts() {
    let database = Postgres::shared().create_database().await;
    migrate(&database).await;
    for days_ago in 0..3 {
        old_day(&database, days_ago, 300).await;
    }
    // The server is on this machine, and the role sees where.
    let found = doctor(on(database.url())).await.found("postgresql disk");
    let said = ["the database has ", "rows grow by ", " a day, they are kept for ever", " are free, which last for "];
    assert!(said.iter().all(|part| found.contains(part)), "{found}");
    let retention = on(database.url()).env("RAW_EVENTS_RETENTION_DAYS", 30).env("QUARANTINE_RETENTION_DAYS", 30);
    let report = doctor(retention).await;
    let found = report.found("postgresql disk");
    assert!(found.contains("30 days of them level off at ") && found.contains(" are free, which "), "{found}");
    assert_eq!(report.found("postgresql retention"), "rows are kept for 30 days, rejected messages for 30 days");

    let role = Role::stranger(&database, "curious").await;
    database.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}", role.name)).await;
    let found = doctor(on(&role.url)).await.found("postgresql disk");
    assert!(found.contains("free space is not known from here: 100 GiB last for "), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_log_in_is_told_in_the_servers_words() {
    let url = Postgres::shared().url("nowhere");
    let report = doctor(on(&url)).await;
    report.assert_names(&[("ERR", "postgresql", r#"database "nowhere" does not exist"#)]);
    assert_eq!(report.code, Some(69));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_transaction_mode_is_named_and_one_in_session_mode_is_not() {
    let world = World::new().await;
    let port = Postgres::shared().port();
    let pooler = PgBouncer::start(port, "transaction");
    let report = doctor(on(&pooler.url(world.database.name()))).await;
    report.assert_names(&[("ERR", "postgresql pooler", "")]);

    let pooler = PgBouncer::start(port, "session");
    let report = doctor(on(&pooler.url(world.database.name()))).await;
    assert!(report.wrong("postgresql pooler").is_empty(), "{:#?}", report.found);
    assert!(
        report.found.iter().any(|one| one.about == "postgresql rights" && one.level == "OK"),
        "{:#?}",
        report.found
    );
}
