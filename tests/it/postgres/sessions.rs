//! What a role, a database or a server does to sessions changes nothing of what the node does in them.

use std::time::{Duration, Instant};

use ingest_core::flow::disposition::Verdict;
use ingest_core::message::rejection::Reason;
use ingest_kit::Postgres;
use ingest_node::testing::postgres::config::Config;
use ingest_node::testing::postgres::connector::{ConnectError, Connector};
use ingest_node::testing::postgres::schema;
use ingest_node::testing::runtime::secret::Secret;
use tokio_postgres::Client;

use super::bench::{Bench, config, event, migrated, refusal};
use super::roles::Role;
use crate::world::{self, pool_of};

async fn open(url: &str) -> Client {
    world::open(&Config { url: Secret::new(url), ..Config::default() }).await
}

async fn setting(client: &Client, name: &str) -> String {
    client.query_one("SELECT current_setting($1)", &[&name]).await.unwrap().get(0)
}

/// Settings of a role that would each break something.
const HOSTILE: [&str; 16] = [
    "row_security = on",
    "statement_timeout = '500ms'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
    "idle_session_timeout = '300ms'",
    "default_transaction_isolation = 'serializable'",
    "timezone = 'Asia/Kathmandu'",
    "datestyle = 'German, DMY'",
    "client_encoding = 'LATIN1'",
    "client_min_messages = 'debug5'",
    "bytea_output = 'escape'",
    "synchronous_commit = off",
    "standard_conforming_strings = off",
    "search_path = 'nowhere'",
    "tcp_keepalives_idle = 7200",
    "tcp_user_timeout = 0",
];

#[actix::test]
async fn a_session_is_the_same_whatever_its_role_is_set_to() {
    let database = migrated(Postgres::shared()).await;
    let role = Role::of_the_owner(&database, "hostile").await;
    for hostile in HOSTILE {
        database.execute(&format!("ALTER ROLE {} SET {hostile}", role.name)).await;
    }
    let own = open(&role.url).await;
    let pooled = pool_of(&Config { url: Secret::new(&role.url), ..config(&database) });
    let pooled = pooled.get().await.unwrap();
    for (name, expected) in [
        ("row_security", "off"),
        ("lock_timeout", "0"),
        ("idle_session_timeout", "0"),
        ("default_transaction_isolation", "read committed"),
        ("timezone", "UTC"),
        ("client_encoding", "UTF8"),
        ("synchronous_commit", "on"),
        ("standard_conforming_strings", "on"),
        ("search_path", "public, nowhere, pg_temp"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "30000"),
    ] {
        assert_eq!(setting(&own, name).await, expected, "{name}");
        assert_eq!(setting(&pooled, name).await, expected, "{name} of the pool");
    }
    assert_eq!(setting(&own, "statement_timeout").await, "30s");
    assert_eq!(setting(&pooled, "statement_timeout").await, "10s");
    assert_eq!(setting(&pooled, "idle_in_transaction_session_timeout").await, "20s");

    let bench = Bench::with(Config { url: Secret::new(&role.url), ..config(&database) }, Default::default());
    let stored = bench.write_event(1, 1, event(r#"{"grün":"\\'"}"#));
    let refused = bench.write_refusal(2, 1, refusal("acme", Reason::TokenInvalid));
    assert_eq!((bench.verdict(stored).await, bench.verdict(refused).await), (Verdict::Done, Verdict::Rejected));
    assert_eq!(database.count("raw_events WHERE payload ? 'grün'").await, 1);
}

#[actix::test]
async fn an_operators_read_only_default_stays() {
    let database = migrated(Postgres::shared()).await;
    let role = Role::of_the_owner(&database, "readonly").await;
    database.execute(&format!("ALTER ROLE {} SET default_transaction_read_only = on", role.name)).await;
    assert_eq!(setting(&open(&role.url).await, "transaction_read_only").await, "on");
}

#[actix::test]
async fn tables_of_the_same_names_ahead_in_the_search_path_are_passed_over() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "CREATE SCHEMA shadow; CREATE TABLE shadow.raw_events (x int); CREATE TABLE shadow.device_registry (x int);
             CREATE TABLE shadow.quarantine_events (x int)",
        )
        .await;
    let role = Role::of_the_owner(&database, "shadowed").await;
    database.execute(&format!("ALTER ROLE {} SET search_path = shadow, public", role.name)).await;
    let client = open(&role.url).await;
    schema::check_schema(&client).await.unwrap();
    let bench = Bench::with(Config { url: Secret::new(&role.url), ..config(&database) }, Default::default());
    let slot = bench.write_event(1, 1, event("{}"));
    assert_eq!(bench.verdict(slot).await, Verdict::Done);
    assert_eq!(database.count("public.raw_events").await, 1);
}

#[actix::test]
async fn an_installation_in_a_schema_of_its_own_is_found_again_without_its_search_path() {
    let database = Postgres::shared().create_database().await;
    database.execute("CREATE SCHEMA \"Fleet 2\"").await;
    let role = Role::of_the_owner(&database, "own_schema").await;
    database.execute(&format!("ALTER ROLE {} SET search_path = \"Fleet 2\", public", role.name)).await;
    schema::migrate(&mut open(&role.url).await).await.unwrap();
    assert_eq!(database.count("pg_tables WHERE tablename = 'raw_events' AND schemaname = 'Fleet 2'").await, 1);
    database.execute(&format!("ALTER ROLE {} RESET search_path", role.name)).await;
    schema::check_schema(&open(&role.url).await).await.unwrap();
    let bench = Bench::with(Config { url: Secret::new(&role.url), ..config(&database) }, Default::default());
    let slot = bench.write_event(1, 1, event("{}"));
    assert_eq!(bench.verdict(slot).await, Verdict::Done);
    assert_eq!(database.count("\"Fleet 2\".raw_events").await, 1);
}

#[actix::test]
async fn a_server_that_accepts_and_says_nothing_is_away_after_a_bound() {
    // The kernel accepts for it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://ingest@{}/x?connect_timeout=1", silent.local_addr().unwrap());
    let began = Instant::now();
    let config = Config { url: Secret::new(url), ..Config::default() };
    let result = Connector::new(&config).unwrap().open(Duration::from_secs(30)).await;
    assert!(matches!(result, Err(ConnectError::Silent(_))), "{result:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
