//! Start-up: errors, exit codes, and what the node creates.

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::AckPolicy;
use async_nats::jetstream::stream::StorageType;
use futures_util::future::join_all;
use ingest_kit::jetstream::consumer_info;
use ingest_kit::{Finished, InfluxStub, Nats, Postgres, free_port, wait_for_value};

use crate::consumer::wait_ready_shows;
use crate::world::{DEADLINE, LANES, World, drain, migrate, node};

/// Exactly one readable line: no stack trace, no debug print of a structure.
fn assert_one_sentence(finished: &Finished) {
    let printed = finished.stderr.trim();
    assert!(!printed.is_empty(), "no error was printed: {finished:?}");
    assert_eq!(printed.lines().count(), 1, "more than one line:\n{printed}");
    for noise in ["panicked", "Error {", "RUST_BACKTRACE", "Some("] {
        assert!(!printed.contains(noise), "{printed}");
    }
}

#[tokio::test]
async fn a_bad_setting_exits_with_64_and_one_line() {
    for (name, value) in [
        ("BATCH_SIZE", "many"),
        ("PG_POOL_MAX", "-1"),
        ("REQUIRE_TOKEN", "perhaps"),
        ("INFLUXDB_WRITE_POLICY", "sometimes"),
        ("HTTP_BIND", "nowhere"),
        ("LOG_FORMAT", "poetry"),
    ] {
        let run = node().env("DATABASE_URL", "postgres://ingest@127.0.0.1:1/x").env(name, value);
        let finished = run.run_to_end(DEADLINE).await;
        assert_eq!(finished.code, Some(64), "{name}={value}: {finished:?}");
        assert_one_sentence(&finished);
        assert!(finished.stderr.contains(name), "which setting? {}", finished.stderr);
    }
}

#[tokio::test]
async fn an_unknown_key_in_the_file_exits_with_64_and_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, "no_such_key = 1\n").expect("the file");
    let run = node().arguments(&["--config", file.to_str().expect("UTF-8"), "run"]);
    let finished = run.run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(64), "{finished:?}");
    assert_one_sentence(&finished);
    assert!(finished.stderr.contains("no_such_key"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_password_never_shows() {
    let run = node()
        .arguments(&["check-config"])
        .env("DATABASE_URL", "postgres://ingest:hush-hush@127.0.0.1:1/x")
        .env("NATS_URL", "nats://user:hush-hush@127.0.0.1:1")
        .env("INFLUXDB_URL", "http://127.0.0.1:1")
        .env("INFLUXDB_TOKEN", "hush-hush");
    let finished = run.run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("127.0.0.1"), "{finished:?}");
    assert!(!format!("{finished:?}").contains("hush-hush"), "{finished:?}");
}

#[tokio::test]
async fn a_missing_server_exits_with_69_after_the_timeout() {
    let database = Postgres::shared().create_database().await;
    migrate(&database).await;
    let nats = Nats::start();
    let nowhere = free_port();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, "[nats]\nstart_wait_secs = 2\n[postgres]\nstart_wait_secs = 2\n").expect("the file");
    for (missing, nats_url, database_url) in [
        ("NATS", format!("nats://127.0.0.1:{nowhere}"), database.url().to_owned()),
        ("PostgreSQL", nats.url(), format!("postgres://ingest@127.0.0.1:{nowhere}/x")),
    ] {
        let run = node()
            .arguments(&["--config", file.to_str().expect("UTF-8"), "run"])
            .env("NATS_URL", nats_url)
            .env("DATABASE_URL", database_url);
        let start = Instant::now();
        let finished = run.run_to_end(DEADLINE).await;
        assert_eq!(finished.code, Some(69), "{missing} is missing: {finished:?}");
        assert!(start.elapsed() >= Duration::from_secs(1), "it gave up after {:?}", start.elapsed());
        assert!(finished.stderr.contains(missing), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_does_not_answer_counts_as_missing() {
    // The kernel accepts for it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("postgres://ingest@{}/x", silent.local_addr().expect("its address"));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, "[postgres]\nstart_wait_secs = 2\n").expect("the file");
    for command in ["run", "migrate"] {
        let run = node().arguments(&["--config", file.to_str().expect("UTF-8"), command]).env("DATABASE_URL", &url);
        let finished = run.run_to_end(DEADLINE).await;
        assert_eq!(finished.code, Some(69), "{command}: {finished:?}");
        let last = finished.stderr.lines().last().unwrap_or_default();
        assert!(last.contains("PostgreSQL did not answer within 2 s"), "{command}: {}", finished.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_gives_up_on_a_server_that_accepts_and_says_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its address");
    let database = Postgres::shared().create_database().await;
    migrate(&database).await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, "[postgres]\nstart_wait_secs = 2\n[nats]\nstart_wait_secs = 2\n").expect("the file");
    let config = ["--config", file.to_str().expect("UTF-8")];
    let give_up = async |arguments: &[&str], database_url: &str| {
        let node = node()
            .arguments(&[&config[..], arguments].concat())
            .env("DATABASE_URL", database_url)
            .env("NATS_URL", format!("nats://{address}"))
            .env("INFLUXDB_URL", "http://127.0.0.1:1");
        let finished = node.run_to_end(DEADLINE).await;
        assert_eq!(finished.code, Some(69), "{arguments:?}: {finished:?}");
        finished.stdout + &finished.stderr
    };
    // Side by side: each of them waits for a server more than it works.
    let silent_postgres = format!("postgres://ingest@{address}/x");
    let of_postgres: [&[&str]; 4] = [
        &["quarantine", "stats"],
        &["backfill", "--tenant", "acme", "--from", "2026-11-21"],
        &["simulate", "--messages", "1"],
        &["check-config", "--online"],
    ];
    let of_nats: [&[&str]; 2] = [&["run"], &["simulate", "--messages", "1"]];
    let (of_postgres, of_nats) = tokio::join!(
        join_all(of_postgres.map(async |arguments| (arguments, give_up(arguments, &silent_postgres).await))),
        join_all(of_nats.map(async |arguments| (arguments, give_up(arguments, database.url()).await))),
    );
    for (arguments, printed) in of_postgres {
        assert!(printed.to_lowercase().contains("postgresql"), "{arguments:?}: {printed}");
    }
    for (arguments, printed) in of_nats {
        assert!(printed.contains("NATS did not answer within 2 s"), "{arguments:?}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_waits_for_postgresql_as_run_does() {
    let mut cluster = Postgres::start();
    let database = cluster.create_database().await;
    cluster.stop();
    // Stands in for it until the first attempt has come, and failed.
    let address = database.url().split(['@', '/']).nth(3).expect("host:port").to_owned();
    let first = tokio::net::TcpListener::bind(address).await.expect("its port");
    let run = node().arguments(&["migrate"]).env("DATABASE_URL", database.url());
    let migrating = tokio::spawn(run.run_to_end(DEADLINE * 2));
    drop(first.accept().await.expect("an attempt"));
    drop(first);
    cluster.start_again();
    let finished = migrating.await.expect("the run");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(database.count("app_settings WHERE key = 'MODE'").await, 1);
}

#[tokio::test]
async fn a_missing_schema_is_an_error_unless_the_node_may_migrate() {
    let database = Postgres::shared().create_database().await;
    let (nats, influx) = (Nats::start(), InfluxStub::start());
    let run = || {
        node()
            .env("NATS_URL", nats.url())
            .env("DATABASE_URL", database.url())
            .env("INFLUXDB_URL", influx.url())
            .env("INFLUXDB_TOKEN", "x")
    };
    let finished = run().run_to_end(DEADLINE).await;
    assert!(finished.code.is_some_and(|code| code != 0), "{finished:?}");
    assert!(finished.stderr.contains("migrate"), "{}", finished.stderr);
    let mut migrating = run().env("AUTO_MIGRATE", 1).start();
    migrating.wait_ready(DEADLINE).await;
    assert_eq!(database.count("app_settings WHERE key = 'MODE' AND value = 'PROD'").await, 1);
    // A second run of the migrations changes nothing.
    migrate(&database).await;
}

#[tokio::test]
async fn a_node_creates_the_streams_and_consumers_that_are_missing() {
    let world = World::new().await;
    let node = world.start_node().await;
    for (stream, subjects) in
        [("TELEMETRY", "telemetry.>"), ("SHADOW", "shadow.>"), ("COMMANDS", "commands.>"), ("ROUTES", "routes.>")]
    {
        // The node does not wait for the stream of the route jobs.
        let find = async || world.jetstream.get_stream(stream).await.ok();
        let stream = wait_for_value(&format!("the stream {stream}"), DEADLINE, find).await;
        let config = &stream.cached_info().config;
        assert_eq!((config.subjects.as_slice(), config.storage), (&[subjects.to_owned()][..], StorageType::File));
    }
    for (stream, consumer) in LANES {
        let info = consumer_info(&world.jetstream, stream, consumer).await.expect("the consumer");
        assert_eq!(info.config.ack_policy, AckPolicy::Explicit);
        assert!(info.config.max_deliver <= 0, "an outage must not use up a delivery's attempts: {info:?}");
    }
    drain(node).await;
}

#[tokio::test]
async fn a_node_binds_to_existing_consumers_and_reports_differences() {
    let world = World::new().await;
    world.create_consumers(Duration::from_secs(5), 1_000).await;
    let node = world.start_node().await;
    let info = consumer_info(&world.jetstream, LANES[0].0, LANES[0].1).await.expect("the consumer");
    assert_eq!((info.config.ack_wait, info.config.max_ack_pending), (Duration::from_secs(5), 1_000));
    for difference in ["max_ack_pending", "ack_wait"] {
        wait_ready_shows(&node, 200, difference).await;
    }
    drain(node).await;
}
