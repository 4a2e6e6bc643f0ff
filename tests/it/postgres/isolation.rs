//! Rows that a trigger, a constraint or somebody's key refuses: found, quarantined, and nobody waits for them.

use ingest_core::flow::disposition::Verdict;
use ingest_kit::{Database, Postgres, wait_for};
use ingest_node::testing::delivery::Lane;
use ingest_node::testing::message::{Drain, Write};
use ingest_node::testing::postgres::config::Config;

use super::bench::{Bench, SOON, config, event, migrated};

/// The sequence number that the tests' triggers, checks and keys have something against.
const POISON: i64 = 13;

/// The tests' trigger function with nothing against anybody.
const FORGIVING: &str = "FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$";

/// A trigger on `raw_events` that raises this SQLSTATE for the poison.
pub(super) async fn raise(database: &Database, code: &str) {
    database
        .execute(&format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NEW.seq = {POISON} THEN RAISE EXCEPTION 'no %', NEW.seq USING ERRCODE = '{code}'; END IF;
                 RETURN NEW;
             END $$;
             CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON raw_events FOR EACH ROW EXECUTE FUNCTION refuse()"
        ))
        .await;
}

/// `count` events with these stream sequences, the 5th of which is the poison.
fn chunk(bench: &Bench, from: u64, count: u64) -> Write {
    let events = (0..count).map(|number| {
        let mut event = event("{}");
        event.seq = if number == 5 { POISON } else { 1_000 + number as i64 };
        (bench.delivery(Lane::TELEMETRY, from + number, 1).0, event)
    });
    Write { events: events.collect(), ..Write::default() }
}

async fn refused(database: &Database) -> u64 {
    database.count("quarantine_events WHERE reason = 'ROW_REFUSED' AND stream_seq % 100 = 5").await
}

#[actix::test]
async fn whatever_a_trigger_raises_for_one_row_that_row_is_refused_alone() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let codes =
        ["P0001", "P0004", "22023", "23514", "23505", "23P01", "23502", "54000", "42883", "21000", "ABC12", "XX000"];
    for (round, code) in codes.into_iter().enumerate() {
        raise(&database, code).await;
        bench.writer.do_send(chunk(&bench, 100 * round as u64, 30));
        bench.settled(30 * (round + 1)).await;
        assert_eq!(bench.verdicts.count(Verdict::Poison), round + 1, "{code}");
        assert_eq!(database.count("raw_events").await, 29 * (round as u64 + 1), "{code}");
        assert_eq!(refused(&database).await, round as u64 + 1, "{code}");
    }
    let rows = database.query("SELECT DISTINCT detail, payload::text FROM quarantine_events ORDER BY 1", &[]).await;
    assert!(rows.iter().all(|row| row.get::<_, &str>(1) == "{}"), "jsonb holds it well");
    assert!(rows[0].get::<_, &str>(0).starts_with("no 13 ("), "{:?}", rows[0].get::<_, &str>(0));
}

#[actix::test]
async fn a_single_poison_message_on_a_quiet_node_is_refused_at_once() {
    for (before, code) in [(false, "P0001"), (true, "P0001"), (false, "23514"), (true, "22023")] {
        let database = migrated(Postgres::shared()).await;
        raise(&database, code).await;
        let bench = Bench::new(&database);
        if before {
            let slot = bench.write_event(1, 1, event("{}"));
            assert_eq!(bench.verdict(slot).await, Verdict::Done);
        }
        let mut poison = event("{}");
        poison.seq = POISON;
        let slot = bench.write_event(2, 1, poison);
        assert_eq!(bench.verdict(slot).await, Verdict::Poison, "{code}");
        assert_eq!(database.count("raw_events").await, u64::from(before));
    }
}

#[actix::test]
async fn a_deferred_constraint_refuses_its_row_and_not_the_commit() {
    let database = migrated(Postgres::shared()).await;
    raise(&database, "P0001").await;
    database
        .execute(
            "DROP TRIGGER refuse ON raw_events;
             CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON raw_events DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    let bench = Bench::new(&database);
    bench.writer.do_send(chunk(&bench, 0, 30));
    bench.settled(30).await;
    assert_eq!((bench.verdicts.count(Verdict::Done), refused(&database).await), (29, 1));
}

#[actix::test]
async fn what_can_not_be_taken_now_waits_behind_the_others_and_is_stored_when_it_can() {
    for code in ["53100", "40001", "0A000", "55P03"] {
        let database = migrated(Postgres::shared()).await;
        raise(&database, code).await;
        let bench = Bench::new(&database);
        bench.writer.do_send(chunk(&bench, 0, 30));
        bench.settled(29).await;
        // Fresh work goes on.
        let slot = bench.write_event(50, 1, event("{}"));
        assert_eq!(bench.verdict(slot).await, Verdict::Done, "{code}");
        let is_told =
            || bench.readiness.messages().iter().any(|note| note.starts_with("postgres: does not take 1 deliver"));
        wait_for("a message in /ready", SOON, async || is_told()).await;
        assert_eq!((bench.verdicts.count(Verdict::Poison), bench.verdicts.len()), (0, 30), "{code}");

        // To drop the trigger takes locks in another order than rows do.
        database.execute(&format!("CREATE OR REPLACE {FORGIVING}")).await;
        bench.settled(31).await;
        assert_eq!(bench.verdicts.count(Verdict::Done), 31);
        assert_eq!(database.count("raw_events").await, 31);
        wait_for("the message to go", SOON, async || !is_told()).await;
    }
}

#[actix::test]
async fn a_drain_does_not_wait_for_what_is_not_taken() {
    let database = migrated(Postgres::shared()).await;
    raise(&database, "40001").await;
    let bench = Bench::new(&database);
    bench.writer.do_send(chunk(&bench, 0, 30));
    bench.settled(29).await;
    let drained = bench.writer.send(Drain);
    tokio::time::timeout(SOON, drained).await.expect("a drain in time").unwrap();
    bench.settled(30).await;
    assert_eq!((bench.verdicts.count(Verdict::Done), bench.verdicts.count(Verdict::Lost)), (29, 1));
}

#[actix::test]
async fn many_poison_messages_at_once_keep_no_transaction_from_good_ones() {
    let database = migrated(Postgres::shared()).await;
    raise(&database, "40001").await;
    for pool_max in [1, 2, 10] {
        let settings = Config { pool_max, batch_size: 10, ..config(&database) };
        let bench = Bench::with(settings, Default::default());
        let first = 10_000 * pool_max as u64;
        for batch in 0..20 {
            bench.writer.do_send(chunk(&bench, first + 100 * batch, 30));
        }
        bench.settled(20 * 29).await;
        let slot = bench.write_event(first + 9_999, 1, event("{}"));
        assert_eq!(bench.verdict(slot).await, Verdict::Done, "{pool_max} connections");
        assert_eq!(bench.verdicts.len(), 20 * 29 + 1);
    }
}

#[actix::test]
async fn only_the_delivery_key_makes_a_duplicate() {
    // Somebody's own unique keys: of the table, and of a day's partition alone.
    let keys = [
        "CREATE UNIQUE INDEX theirs ON raw_events (device_id, seq, received_at)",
        "CREATE TABLE raw_events_20260209 PARTITION OF raw_events
             FOR VALUES FROM ('2026-02-09 00:00:00+00') TO ('2026-02-10 00:00:00+00');
         CREATE UNIQUE INDEX theirs ON raw_events_20260209 (device_id, seq)",
    ];
    for key in keys {
        for attempt in [1, 2] {
            let database = migrated(Postgres::shared()).await;
            database.execute(key).await;
            let bench = Bench::new(&database);
            let mut write = Write::default();
            for seq in 0..20 {
                let (mut delivery, _) = bench.delivery(Lane::TELEMETRY, seq, attempt);
                let mut event = event("{}");
                // The first and the second meet in their key, and differ in ours.
                event.seq = seq.max(1) as i64;
                delivery.origin.received_us = super::bench::RECEIVED_US;
                write.events.push((delivery, event));
            }
            bench.writer.do_send(write);
            bench.settled(20).await;
            assert_eq!((bench.verdicts.count(Verdict::Done), bench.verdicts.count(Verdict::Poison)), (19, 1));
            assert_eq!(database.count("raw_events").await, 19);
            assert_eq!(
                database.count("quarantine_events WHERE detail LIKE '%theirs%(23505)'").await
                    + database.count("quarantine_events WHERE detail LIKE '%raw_events_%(23505)'").await,
                1
            );
            assert_eq!(bench.metrics.postgres.duplicates_suppressed.get(), 0);
        }
    }
}
