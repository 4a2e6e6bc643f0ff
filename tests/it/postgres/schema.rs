//! Migrations, the schema check and the change notifications.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use ingest_core::validate::settings::Settings;
use ingest_kit::{Database, Postgres};
use ingest_node::testing::postgres::schema::{MigrateError, SchemaError, check_schema, migrate};
use tokio_postgres::AsyncMessage;

use super::bench::{config, migrate as migrate_database, migrated};
use crate::world::{DEADLINE, open};

async fn client(database: &Database) -> tokio_postgres::Client {
    open(&config(database)).await
}

#[actix::test]
async fn replicas_that_migrate_at_once_apply_every_migration_once() {
    let database = Postgres::shared().create_database().await;
    let mut clients = [client(&database).await, client(&database).await, client(&database).await];
    let [a, b, c] = &mut clients;
    let reports = tokio::join!(migrate(a), migrate(b), migrate(c));
    let applied = [reports.0.unwrap(), reports.1.unwrap(), reports.2.unwrap()].map(|report| report.applied.len());
    assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "{applied:?}");
    check_schema(&clients[0]).await.unwrap();
}

#[actix::test]
async fn a_schema_that_is_missing_older_much_newer_or_different_is_refused() {
    let database = Postgres::shared().create_database().await;
    let client = client(&database).await;
    assert!(matches!(check_schema(&client).await, Err(SchemaError::Absent)));

    let version = migrate_database(&database).await.version;
    check_schema(&client).await.unwrap();

    let history = "ingest_node_schema_history";
    client.batch_execute(&format!("UPDATE {history} SET checksum = '1' WHERE version = 1")).await.unwrap();
    assert!(matches!(check_schema(&client).await, Err(SchemaError::Divergent { version: 1 })));

    client.batch_execute(&format!("DELETE FROM {history} WHERE version = {version}")).await.unwrap();
    assert!(matches!(check_schema(&client).await, Err(SchemaError::Older { found, .. }) if found == version - 1));

    client.batch_execute(&format!("INSERT INTO {history} VALUES (99999, 'later', 'now', '1')")).await.unwrap();
    assert!(matches!(check_schema(&client).await, Err(SchemaError::Newer { found: 99999, .. })));
}

#[actix::test]
async fn a_schema_that_is_one_version_newer_is_worked_with_and_two_are_not() {
    let database = migrated(Postgres::shared()).await;
    let mut client = client(&database).await;
    let version = migrate_database(&database).await.version;
    let later = async |version: i64| {
        let insert = format!("INSERT INTO ingest_node_schema_history VALUES ({version}, 'later', 'now', '1')");
        database.execute(&insert).await;
    };
    later(version + 1).await;
    check_schema(&client).await.unwrap();
    // A node that migrates at its start, and was taken back.
    let report = migrate(&mut client).await.unwrap();
    assert_eq!((report.applied.len(), report.version), (0, version + 1));
    later(version + 2).await;
    assert!(matches!(check_schema(&client).await, Err(SchemaError::Newer { .. })));
    assert!(matches!(migrate(&mut client).await, Err(MigrateError::Unfit(SchemaError::Newer { .. }))));
}

#[actix::test]
async fn missing_settings_are_seeded_and_present_ones_stay() {
    let database = Postgres::shared().create_database().await;
    database
        .execute(
            "CREATE TABLE app_settings (key text PRIMARY KEY, value text NOT NULL, updated_at timestamptz DEFAULT now());
             INSERT INTO app_settings VALUES ('RATE_LIMIT_RPS', '10')",
        )
        .await;
    migrate_database(&database).await;
    let found: BTreeSet<(String, String)> =
        database.query("SELECT key, value FROM app_settings", &[]).await.iter().map(|r| (r.get(0), r.get(1))).collect();
    let expected = Settings::seed().map(|(key, value)| match key {
        "RATE_LIMIT_RPS" => (key.to_owned(), "10".to_owned()),
        _ => (key.to_owned(), value.to_owned()),
    });
    assert_eq!(found, BTreeSet::from(expected));
}

/// What `ingest_invalidate` says about these statements.
async fn notifications(database: &Database, statements: &[&str]) -> Vec<String> {
    let connection: tokio_postgres::Config = database.url().parse().unwrap();
    let (client, mut driver) = connection.connect(tokio_postgres::NoTls).await.unwrap();
    let (heard, mut hearing) = tokio::sync::mpsc::unbounded_channel();
    actix::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(|cx| driver.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message {
                heard.send(notification.payload().to_owned()).unwrap();
            }
        }
    });
    client.batch_execute("LISTEN ingest_invalidate").await.unwrap();
    for statement in statements {
        client.batch_execute(statement).await.unwrap();
    }
    client.batch_execute("NOTIFY ingest_invalidate, 'end'").await.unwrap();
    let mut said = Vec::new();
    loop {
        let next = tokio::time::timeout(DEADLINE, hearing.recv()).await;
        match next.unwrap().unwrap().as_str() {
            "end" => return said,
            payload => said.push(payload.replace(" : ", ":").replace(", ", ",")),
        }
    }
}

#[actix::test]
async fn a_change_of_what_nodes_read_is_notified_and_of_the_rest_is_not() {
    let database = migrated(Postgres::shared()).await;
    let insert = "INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('t', 'd', 's')";
    let device = r#"{"t":"device_registry","tenant":"t","device":"d"}"#;
    assert_eq!(notifications(&database, &[insert]).await, [device]);
    assert_eq!(notifications(&database, &["UPDATE device_registry SET status = 'REVOKED'"]).await, [device]);
    let unread = [
        "UPDATE device_registry SET latitude = 1, longitude = 2",
        "UPDATE device_registry SET status = 'REVOKED'",
        "UPDATE device_registry SET status = 'ACTIVE' WHERE device_id = 'x'",
        "SET ingest_node.quiet = 'on'; UPDATE device_registry SET status = 'ACTIVE'; RESET ingest_node.quiet",
    ];
    assert_eq!(notifications(&database, &unread).await, [""; 0]);

    let subscription = "INSERT INTO subscriptions (subscription_id, tenant_id) VALUES ('s', 't')";
    let tenant = r#"{"t":"subscriptions","tenant":"t"}"#;
    assert_eq!(notifications(&database, &[subscription]).await, [tenant]);
    assert_eq!(notifications(&database, &["UPDATE subscriptions SET active_device_count = 5"]).await, [""; 0]);
    assert_eq!(notifications(&database, &["UPDATE subscriptions SET status = 'EXPIRED'"]).await, [tenant]);

    let others = [
        "INSERT INTO device_certificates (tenant_id, device_id) VALUES ('t', 'd')",
        "INSERT INTO device_modules (tenant_id, device_id, slot_key) VALUES ('t', 'd', 'a')",
        "INSERT INTO message_routes (tenant_id) VALUES ('t')",
        "UPDATE app_settings SET value = 'DEV' WHERE key = 'MODE'",
        "TRUNCATE device_modules",
        "DELETE FROM device_registry",
    ];
    let expected = [
        r#"{"t":"device_certificates","tenant":"t","device":"d"}"#,
        r#"{"t":"device_modules","tenant":"t","device":"d"}"#,
        r#"{"t":"message_routes","tenant":"t"}"#,
        r#"{"t":"app_settings"}"#,
        r#"{"t":"device_modules"}"#,
        device,
    ];
    assert_eq!(notifications(&database, &others).await, expected);
}

#[actix::test]
async fn a_change_of_thousands_of_rows_is_notified_in_few_words() {
    let database = migrated(Postgres::shared()).await;
    let insert = |tenants: u32| {
        format!(
            "INSERT INTO device_registry (tenant_id, device_id, site_id)
             SELECT 't' || i % {tenants}, 'd-{tenants}-' || i, 's' FROM generate_series(1, 5000) i"
        )
    };
    let tenant = r#"{"t":"device_registry","tenant":"t0"}"#;
    assert_eq!(notifications(&database, &[&insert(1)]).await, [tenant]);
    assert_eq!(notifications(&database, &[&insert(100)]).await.len(), 100);
    assert_eq!(notifications(&database, &[&insert(101)]).await, [r#"{"t":"device_registry"}"#]);
    // An id that no notification can hold must not fail the writer's statement.
    let long = "INSERT INTO message_routes (tenant_id) VALUES (repeat('x', 9000))";
    assert_eq!(notifications(&database, &[long]).await, [r#"{"t":"message_routes"}"#]);
}
