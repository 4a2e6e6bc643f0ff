//! The key of reprocessing is the node's alone.

use ingest_kit::{Database, Postgres, seed};
use ingest_node::testing::postgres::config::Config;
use ingest_node::testing::registry;
use ingest_node::testing::runtime::secret::Secret;

use super::bench::{migrate, migrated};
use super::roles::Role;
use crate::world::open;

async fn refusal_of(database: &Database, sql: &str) -> Option<String> {
    let error = database.connect().await.batch_execute(sql).await.err()?;
    Some(error.code().unwrap().code().to_owned())
}

#[actix::test]
async fn what_the_platform_grants_on_all_tables_does_not_reach_the_key() {
    let database = Postgres::shared().create_database().await;
    seed::platform_schema(&database).await;
    // Worse than the platform: rights on whatever will ever be made.
    database
        .execute(
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO pulse_app, PUBLIC;
             ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO pulse_app, PUBLIC;",
        )
        .await;
    migrate(&database).await;
    database.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO pulse_app").await;

    let key = registry::replay_key(&database.connect().await).await.unwrap();
    assert!(key.is_some(), "the node reads it");
    let as_app = |sql: &str| format!("SET ROLE pulse_app; {sql}");
    let read = as_app("SELECT secret FROM ingest_node.secrets");
    assert_eq!(refusal_of(&database, &read).await.as_deref(), Some("42501"));
    // Where a node of the version before looks there is nothing, and nobody can put anything.
    assert_eq!(database.count("ingest_node_secrets").await, 0);
    let forge = as_app("INSERT INTO ingest_node_secrets (name, secret) VALUES ('replay', '\\x00')");
    assert_eq!(refusal_of(&database, &forge).await.as_deref(), Some("55000"));
}

#[actix::test]
async fn a_key_that_lay_in_reach_is_replaced() {
    let database = migrated(Postgres::shared()).await;
    // As version 6 left it.
    database
        .execute(
            "DROP SCHEMA ingest_node CASCADE; DROP VIEW ingest_node_secrets;
             CREATE TABLE ingest_node_secrets (name text PRIMARY KEY, secret bytea NOT NULL);
             INSERT INTO ingest_node_secrets VALUES ('replay', sha256('old'));
             GRANT SELECT ON ingest_node_secrets TO PUBLIC;
             DELETE FROM ingest_node_schema_history WHERE version > 6",
        )
        .await;
    let applied = migrate(&database).await.applied;
    assert!(applied.first().is_some_and(|migration| migration.starts_with("V7__")), "{applied:?}");
    let fresh = "ingest_node.secrets WHERE name = 'replay' AND length(secret) = 32 AND secret <> sha256('old')";
    assert_eq!(database.count(fresh).await, 1);
}

#[actix::test]
async fn a_schema_that_somebody_made_first_is_not_trusted() {
    let database = Postgres::shared().create_database().await;
    let stranger = Role::stranger(&database, "squatter").await;
    let owner = Role::of_the_owner(&database, "owner").await;
    database
        .execute(&format!(
            "CREATE SCHEMA ingest_node AUTHORIZATION {};
             GRANT CREATE ON DATABASE {} TO {}",
            stranger.name,
            database.name(),
            owner.name
        ))
        .await;
    let mut client = open(&Config { url: Secret::new(&owner.url), ..Config::default() }).await;
    let error = ingest_node::testing::postgres::schema::migrate(&mut client).await.unwrap_err();
    let error = ingest_node::testing::runtime::error_chain(&error);
    assert!(error.contains("belongs to another role"), "{error}");
}

#[actix::test]
async fn a_role_that_may_not_read_the_key_trusts_no_replay_and_works_otherwise() {
    let database = migrated(Postgres::shared()).await;
    let role = Role::stranger(&database, "keyless").await;
    let client = open(&Config { url: Secret::new(&role.url), ..Config::default() }).await;
    assert!(registry::replay_key(&client).await.unwrap().is_none());
}
