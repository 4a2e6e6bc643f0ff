//! PostgreSQL goes away, freezes, comes back.

use actix::Arbiter;
use ingest_core::flow::disposition::Verdict;
use ingest_core::message::rejection::Reason;
use ingest_kit::{Postgres, wait_for};
use ingest_node::testing::delivery::Lane;
use ingest_node::testing::message::Write;
use ingest_node::testing::metrics::FlushResult;
use ingest_node::testing::postgres::config::Config;
use ingest_node::testing::runtime::readiness::Condition;

use super::bench::{Bench, SOON, config, event, migrated, refusal};

fn chunk(bench: &Bench, seqs: std::ops::Range<u64>) -> Write {
    let mut chunk = Write::default();
    for seq in seqs {
        match seq % 10 {
            0 => chunk
                .rejections
                .push((bench.delivery(Lane::TELEMETRY, seq, 1).0, refusal("acme", Reason::TokenInvalid))),
            _ => chunk.events.push((bench.delivery(Lane::TELEMETRY, seq, 1).0, event("{}"))),
        }
    }
    chunk
}

async fn failures(bench: &Bench) -> u64 {
    bench.metrics.postgres.flushes.of(FlushResult::Failed).get()
}

#[actix::test]
async fn an_outage_holds_everything_and_loses_nothing() {
    let mut cluster = Postgres::start();
    let database = migrated(&cluster).await;
    let bench = Bench::new(&database);
    bench.writer.do_send(chunk(&bench, 0..1_000));
    bench.settled(1_000).await;

    cluster.stop();
    for step in 1..10 {
        bench.writer.do_send(chunk(&bench, step * 1_000..(step + 1) * 1_000));
    }
    wait_for("several failed attempts", SOON, async || failures(&bench).await >= 5).await;
    assert!(
        bench
            .readiness
            .ready()
            .unwrap_err()
            .iter()
            .any(|why| why.starts_with("postgres: ") && !why.ends_with("starting"))
    );
    assert_eq!(bench.verdicts.len(), 1_000, "nothing is settled while nothing is durable");

    cluster.start_again();
    let failed = failures(&bench).await;
    bench.settled(10_000).await;
    // One that was under way may fail still; what comes after it is stored.
    assert!(failures(&bench).await <= failed + 2, "{failed} failed attempts, then {}", failures(&bench).await);
    assert_eq!((bench.verdicts.count(Verdict::Done), bench.verdicts.count(Verdict::Rejected)), (9_000, 1_000));
    assert_eq!(database.count("raw_events").await, 9_000);
    assert_eq!(database.count("quarantine_events").await, 1_000);
    assert_eq!(database.count("quarantine_counters_minute WHERE cnt = 1000").await, 1);
    // The registry's part of it is not on this bench.
    let is_down = |why: &String| why.starts_with("postgres: ") && !why.ends_with("starting");
    assert!(!bench.readiness.ready().unwrap_err().iter().any(is_down));
}

#[actix::test]
async fn an_outage_that_outlives_the_actors_is_over_without_a_message() {
    let mut cluster = Postgres::start();
    let database = migrated(&cluster).await;
    cluster.stop();
    // The condition is down, as the generation before has left it.
    let bench = Bench::new(&database);
    assert!(!bench.readiness.holds(Condition::Postgres));
    cluster.start_again();
    wait_for("the outage to be over", SOON, async || bench.readiness.holds(Condition::Postgres)).await;
}

#[actix::test]
async fn a_frozen_server_becomes_a_fault_and_what_it_commits_late_is_not_stored_twice() {
    let cluster = Postgres::start();
    let database = migrated(&cluster).await;
    let bench = Bench::with(Config { transaction_timeout_secs: 1, ..config(&database) }, Default::default());
    bench.writer.do_send(chunk(&bench, 0..1_000));
    bench.settled(1_000).await;

    cluster.pause();
    for step in 1..6 {
        bench.writer.do_send(chunk(&bench, step * 1_000..(step + 1) * 1_000));
    }
    wait_for("timed out attempts", SOON, async || failures(&bench).await >= 4).await;
    assert_eq!(bench.verdicts.len(), 1_000);
    cluster.resume();
    bench.settled(6_000).await;
    assert_eq!(database.count("raw_events").await, 5_400);
    assert_eq!(database.count("quarantine_events").await, 600);
    assert_eq!(database.count("quarantine_counters_minute WHERE cnt = 600").await, 1);
}

#[actix::test]
async fn killed_connections_lose_nothing() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::with(
        Config { batch_size: 100, quarantine_cap_per_minute: 10_000, ..config(&database) },
        Default::default(),
    );
    for step in 0..30 {
        bench.writer.do_send(chunk(&bench, step * 1_000..(step + 1) * 1_000));
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'ingest-node'";
        database.query(kill, &[]).await;
    }
    bench.settled(30_000).await;
    assert_eq!(database.count("raw_events").await, 27_000);
    assert_eq!(database.count("quarantine_events").await, 3_000);
    assert_eq!(database.count("quarantine_counters_minute WHERE cnt = 3000").await, 1);
    assert!(failures(&bench).await > 0, "no connection was killed in use");
}

#[actix::test]
async fn a_table_that_is_set_up_wrong_costs_no_message() {
    let database = migrated(Postgres::shared()).await;
    database.execute("ALTER TABLE raw_events RENAME COLUMN topic TO topik").await;
    let bench = Bench::new(&database);
    bench.writer.do_send(chunk(&bench, 0..100));
    wait_for("several failed attempts", SOON, async || failures(&bench).await >= 3).await;
    assert_eq!(bench.verdicts.count(Verdict::Done), 0, "rejections have tables of their own");
    database.execute("ALTER TABLE raw_events RENAME COLUMN topik TO topic").await;
    bench.settled(100).await;
    assert_eq!(database.count("raw_events").await, 90);
    assert_eq!(database.count("quarantine_events").await, 10);
}

#[actix::test]
async fn a_writer_that_is_gone_leaves_its_deliveries_as_lost() {
    let mut cluster = Postgres::start();
    let database = migrated(&cluster).await;
    cluster.stop();
    let thread = Arbiter::new();
    let bench = Bench::on_thread(&thread.handle(), config(&database), Default::default());
    bench.writer.do_send(chunk(&bench, 0..100));
    wait_for("an attempt", SOON, async || failures(&bench).await >= 1).await;
    thread.stop();
    bench.settled(100).await;
    assert_eq!(bench.verdicts.count(Verdict::Lost), 100);
}
