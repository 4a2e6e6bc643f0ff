//! What a server does to everybody's rows is held and goes on by itself: no row is lost, doubled or taken for bad.

use std::ops::Range;
use std::time::Duration;

use ingest_core::flow::disposition::Verdict;
use ingest_core::message::rejection::Reason;
use ingest_kit::{Database, Postgres, wait_for};
use ingest_node::testing::delivery::Lane;
use ingest_node::testing::message::Write;
use ingest_node::testing::metrics::FlushResult;
use ingest_node::testing::postgres::config::Config;

use super::bench::{Bench, SOON, config, event, migrated, refusal};

/// Every tenth message is a refusal.
fn write(bench: &Bench, seqs: Range<u64>) {
    let mut chunk = Write::default();
    for seq in seqs {
        let delivery = bench.delivery(Lane::TELEMETRY, seq, 1).0;
        match seq % 10 {
            0 => chunk.rejections.push((delivery, refusal("acme", Reason::TokenInvalid))),
            _ => chunk.events.push((delivery, event("{}"))),
        }
    }
    bench.writer.do_send(chunk);
}

async fn fails_again(bench: &Bench) {
    let failures = || bench.metrics.postgres.flushes.of(FlushResult::Failed).get();
    let before = failures();
    wait_for("two more failed attempts", SOON, async || failures() >= before + 2).await;
}

/// A hundred messages meet the fault and wait; after `undo` everything is there once.
async fn is_held(database: &Database, fault: &str, undo: &str) {
    let settings = Config { transaction_timeout_secs: 1, ..config(database) };
    let bench = Bench::with(settings, Default::default());
    write(&bench, 0..100);
    bench.settled(100).await;
    // A lock lives as long as its session.
    let session = database.connect().await;
    session.batch_execute(fault).await.unwrap();
    write(&bench, 100..200);
    fails_again(&bench).await;
    assert_eq!(bench.verdicts.len(), 100, "settled under: {fault}");
    let why = bench.readiness.ready().unwrap_err().join("; ");
    assert!(why.contains("postgres: "), "not said: {why}");

    session.batch_execute(undo).await.unwrap();
    bench.settled(200).await;
    assert_eq!((bench.verdicts.count(Verdict::Done), bench.verdicts.count(Verdict::Rejected)), (180, 20), "{fault}");
    assert_eq!(database.count("raw_events").await, 180, "{fault}");
    assert_eq!(database.count("quarantine_events WHERE reason = 'TOKEN_INVALID'").await, 20, "{fault}");
    assert_eq!(database.count("quarantine_events").await, 20, "{fault}");
    assert_eq!(database.count("quarantine_counters_minute WHERE cnt = 20").await, 1, "{fault}");
}

#[actix::test]
async fn a_lock_on_a_partition_is_held_and_goes_on_when_it_is_gone() {
    let database = migrated(Postgres::shared()).await;
    is_held(&database, "BEGIN; LOCK TABLE raw_events_20260209 IN ACCESS EXCLUSIVE MODE", "COMMIT").await;
}

#[actix::test]
async fn a_lock_on_the_quarantine_or_its_counters_is_held_and_goes_on_when_it_is_gone() {
    for table in ["quarantine_events", "quarantine_counters_minute"] {
        let database = migrated(Postgres::shared()).await;
        is_held(&database, &format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"), "COMMIT").await;
    }
}

#[actix::test]
async fn a_full_disk_is_held_and_goes_on_when_there_is_room() {
    let database = migrated(Postgres::shared()).await;
    let fault = "CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER disk_full BEFORE INSERT ON raw_events FOR EACH ROW EXECUTE FUNCTION disk_full()";
    // To drop a trigger of a partitioned table takes locks from the partitions up, against the order of inserts.
    let undo = "CREATE OR REPLACE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$";
    is_held(&database, fault, undo).await;
}

#[actix::test]
async fn a_database_that_only_reads_is_held_and_goes_on_when_it_writes() {
    let database = migrated(Postgres::shared()).await;
    let cut = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = '{}' AND application_name = 'ingest-node'",
        database.name()
    );
    let alter = format!("ALTER DATABASE {}", database.name());
    let fault = format!("{alter} SET default_transaction_read_only = on; {cut}");
    let undo = format!("{alter} RESET default_transaction_read_only; {cut}");
    is_held(&database, &fault, &undo).await;
}

#[actix::test]
async fn a_column_that_is_added_under_way_disturbs_nothing() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    for step in 0..10 {
        write(&bench, step * 100..step * 100 + 100);
        database.execute(&format!("ALTER TABLE raw_events ADD COLUMN extra_{step} text DEFAULT 'x'")).await;
        database.execute(&format!("ALTER TABLE quarantine_events ADD COLUMN extra_{step} int")).await;
    }
    bench.settled(1_000).await;
    assert_eq!((bench.verdicts.count(Verdict::Done), bench.verdicts.count(Verdict::Rejected)), (900, 100));
    assert_eq!(database.count("raw_events").await, 900);
    assert_eq!(database.count("quarantine_events").await, 100);
}

#[actix::test]
async fn half_a_day_in_somebodys_own_partition_leaves_room_for_the_other_half() {
    let database = migrated(Postgres::shared()).await;
    // Messages are received at 09:15:23.
    database
        .execute(
            "CREATE TABLE morning PARTITION OF raw_events
                 FOR VALUES FROM ('2026-02-09 06:00+00') TO ('2026-02-09 09:00+00');
             CREATE TABLE noon PARTITION OF raw_events
                 FOR VALUES FROM ('2026-02-09 12:00+00') TO ('2026-02-09 18:00+00')",
        )
        .await;
    let bench = Bench::new(&database);
    let slot = bench.write_event(1, 1, event("{}"));
    assert_eq!(bench.verdict(slot).await, Verdict::Done);
    let parts = "pg_inherits WHERE inhparent = 'raw_events'::regclass AND inhrelid::regclass::text LIKE '%20260209%'";
    assert_eq!(database.count(parts).await, 3);
    // Another node finds the day complete, and what is dropped is made again.
    let other = Bench::new(&database);
    let slot = other.write_event(2, 1, event("{}"));
    assert_eq!(other.verdict(slot).await, Verdict::Done);
    assert_eq!(database.count("raw_events").await, 2);
    database.execute("DROP TABLE raw_events_20260209_2").await;
    let slot = other.write_event(3, 1, event("{}"));
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), other.verdict(slot)).await, Ok(Verdict::Done));
    assert_eq!(database.count(parts).await, 3);
}
