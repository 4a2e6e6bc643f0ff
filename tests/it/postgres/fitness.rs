//! Databases and tables that can't hold what the node writes are refused before anything is changed; all others are not.

use ingest_kit::{Database, Postgres};
use ingest_node::testing::postgres::schema::{MigrateError, SchemaError, check_schema, migrate, warnings};

use super::bench::{config, migrated};
use crate::world::{DEADLINE, node, open};

async fn client(database: &Database) -> tokio_postgres::Client {
    open(&config(database)).await
}

/// The columns that stand in the way, one sentence each.
async fn unfit(database: &Database) -> Vec<String> {
    match migrate(&mut client(database).await).await {
        Err(MigrateError::Unfit(SchemaError::Columns(columns))) => columns,
        other => panic!("{other:?}"),
    }
}

/// `raw_events` of an earlier system, with one column's type replaced.
fn legacy(column: &str, of_type: &str) -> String {
    let columns = [
        ("received_at", "timestamptz"),
        ("event_ts", "timestamptz"),
        ("seq", "bigint"),
        ("topic", "text"),
        ("tenant_id", "text"),
        ("msg_type", "text"),
        ("accepted", "boolean DEFAULT true"),
        ("payload", "jsonb"),
    ];
    let columns = columns.map(|(name, usual)| format!("{name} {}", if name == column { of_type } else { usual }));
    format!("CREATE TABLE raw_events (id bigserial PRIMARY KEY, {})", columns.join(", "))
}

#[actix::test]
async fn a_type_that_no_row_fits_is_refused_with_table_column_found_and_needed() {
    for (column, of_type, sentence) in [
        ("payload", "json", "raw_events.payload is json and must be jsonb"),
        ("payload", "text", "raw_events.payload is text and must be jsonb"),
        ("seq", "integer", "raw_events.seq is integer and must be bigint"),
        ("seq", "numeric", "raw_events.seq is numeric and must be bigint"),
        ("received_at", "timestamp", "raw_events.received_at is timestamp without time zone and must be timestamptz"),
        ("event_ts", "date", "raw_events.event_ts is date and must be timestamptz"),
        ("tenant_id", "uuid", "raw_events.tenant_id is uuid and must be text"),
        ("tenant_id", "bytea", "raw_events.tenant_id is bytea and must be text"),
        (
            "topic",
            "varchar(10)",
            "raw_events.topic is character varying(10) and must be text with room for 19 characters",
        ),
        ("msg_type", "char(4)", "raw_events.msg_type is character(4) and must be text with room for 9 characters"),
    ] {
        let database = Postgres::shared().create_database().await;
        database.execute(&legacy(column, of_type)).await;
        assert_eq!(unfit(&database).await, [sentence], "{column} {of_type}");
        assert_eq!(database.count("pg_tables WHERE schemaname = 'public'").await, 1, "nothing was made");
    }
}

#[actix::test]
async fn every_column_in_the_way_is_named_at_once() {
    let database = Postgres::shared().create_database().await;
    database
        .execute(
            "CREATE TYPE tenant AS ENUM ('acme');
             CREATE TABLE raw_events (seq int, payload json);
             CREATE TABLE quarantine_events (id bigserial, topic text, reason text, raw jsonb, tenant_id tenant);
             CREATE TABLE device_state (tenant_id text, device_id text, last_seen_at bigint, PRIMARY KEY (tenant_id, device_id));",
        )
        .await;
    assert_eq!(
        unfit(&database).await,
        [
            "device_state.last_seen_at is bigint and must be timestamptz",
            "quarantine_events.raw is jsonb and must be bytea",
            "quarantine_events.tenant_id is tenant and must be text",
            "raw_events.seq is integer and must be bigint",
            "raw_events.payload is json and must be jsonb",
        ]
    );
}

#[actix::test]
async fn a_type_that_some_rows_fit_is_no_reason_to_refuse() {
    for (column, of_type) in [
        ("tenant_id", "varchar(10)"),
        ("tenant_id", "char(20)"),
        ("topic", "varchar(200)"),
        ("msg_type", "varchar"),
        ("tenant_id", "tenant"),
        ("tenant_id", "short"),
        ("payload", "document"),
    ] {
        let database = Postgres::shared().create_database().await;
        database
            .execute(
                "CREATE TYPE tenant AS ENUM ('acme'); CREATE DOMAIN short AS text CHECK (length(value) < 9);
                 CREATE DOMAIN document AS jsonb;
                 CREATE TABLE device_state (tenant_id text, device_id text, reported_version smallint,
                     last_seen_at timestamp, PRIMARY KEY (tenant_id, device_id));
                 CREATE TABLE quarantine_events (id serial, topic varchar(50), reason varchar(64), detail varchar(5),
                     payload json);
                 CREATE TABLE device_sensors (id serial, tenant_id varchar(40), device_id varchar(40),
                     metric_key varchar(100), last_value numeric(6, 2), unit varchar(10),
                     UNIQUE (tenant_id, device_id, metric_key));",
            )
            .await;
        database.execute(&legacy(column, of_type)).await;
        let mut client = client(&database).await;
        migrate(&mut client).await.unwrap_or_else(|error| {
            panic!("{column} {of_type}: {}", ingest_node::testing::runtime::error_chain(&error))
        });
        check_schema(&client).await.unwrap();
    }
}

#[actix::test]
async fn a_column_that_becomes_unfit_later_is_refused_at_the_next_start() {
    let database = migrated(Postgres::shared()).await;
    database.execute("ALTER TABLE raw_events ALTER seq TYPE integer").await;
    let error = check_schema(&client(&database).await).await.unwrap_err();
    assert!(matches!(&error, SchemaError::Columns(columns) if columns.len() == 1), "{error}");
    let run = node().arguments(&["run"]).env("DATABASE_URL", database.url());
    let finished = run.run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(64), "{finished:?}");
    assert!(finished.stderr.contains("raw_events.seq is integer and must be bigint"), "{finished:?}");
}

#[actix::test]
async fn a_column_that_demands_a_value_the_node_has_not_is_told() {
    let database = migrated(Postgres::shared()).await;
    assert_eq!(warnings(&client(&database).await).await.unwrap(), [""; 0]);
    database
        .execute(
            "ALTER TABLE raw_events ADD COLUMN region text NOT NULL, ADD COLUMN zone text NOT NULL DEFAULT 'a';
             ALTER TABLE device_sensors ADD COLUMN owner text NOT NULL",
        )
        .await;
    let told = warnings(&client(&database).await).await.unwrap();
    let columns: Vec<_> = told.iter().filter_map(|warning| warning.split(' ').next()).collect();
    assert_eq!(columns, ["device_sensors.owner", "raw_events.region"]);
    let finished = node().arguments(&["migrate"]).env("DATABASE_URL", database.url()).run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("warning: raw_events.region is NOT NULL"), "{finished:?}");
}

#[actix::test]
async fn a_database_that_is_not_utf_8_is_refused_with_64() {
    let cluster = Postgres::shared();
    let admin = Database::new("postgres", cluster.url("postgres"));
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("encoded_{}_{}", encoding.to_lowercase(), std::process::id());
        let create = format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        admin.execute(&create).await;
        let database = Database::new(&name, cluster.url(&name));
        for command in [&["migrate"], &["run"]] {
            let run = node().arguments(command).env("DATABASE_URL", database.url()).env("AUTO_MIGRATE", 1);
            let finished = run.run_to_end(DEADLINE).await;
            assert_eq!(finished.code, Some(64), "{finished:?}");
            assert!(finished.stderr.contains(encoding) && finished.stderr.contains("UTF8"), "{finished:?}");
        }
        assert_eq!(database.count("pg_tables WHERE schemaname = 'public'").await, 0);
    }
}
