//! Rows of `raw_events`.

use std::collections::BTreeSet;

use ingest_core::flow::disposition::Verdict;
use ingest_core::message::msg_type::MsgType;
use ingest_kit::Postgres;
use ingest_node::testing::delivery::Lane;
use ingest_node::testing::message::{Drain, Write};

use super::bench::{Bench, RECEIVED_US, config, event, migrated, origin};

/// jsonb holds numbers as `numeric`, which ends long before this one.
const TOO_LARGE: &str = r#"{"metrics":{"a":1e999999}}"#;

#[actix::test]
async fn a_row_holds_the_message_and_is_there_before_the_verdict() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let slot =
        bench.write_event(5, 1, event(r#"{"metrics":{"temp_c":21.5,"n":24.0,"big":123456789012345678901234567890}}"#));
    assert_eq!(bench.verdict(slot).await, Verdict::Done);
    let rows = database
        .query(
            "SELECT event_ts = to_timestamp(1770628522.045), extract(epoch FROM received_at)::text, topic, tenant_id, site_id,
             device_id, msg_type, seq, payload::text, accepted, stream, stream_seq, ingested_at > now() - interval '1 min'
             FROM raw_events",
            &[],
        )
        .await;
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, String>(1), "1770628523.045005");
    let text = |column: usize| row.get::<_, String>(column);
    assert_eq!([text(2), text(3), text(4)], ["tenant/acme/device/d1/telemetry", "acme", "site-1"]);
    assert_eq!([text(5), text(6)], ["d1", "telemetry"]);
    assert_eq!(row.get::<_, i64>(7), 7);
    assert_eq!(text(8), r#"{"metrics": {"n": 24.0, "big": 123456789012345678901234567890, "temp_c": 21.5}}"#);
    assert!(row.get::<_, bool>(9));
    assert_eq!((text(10).as_str(), row.get::<_, i64>(11)), ("TELEMETRY", 5));
    assert!(row.get::<_, bool>(12));
}

#[actix::test]
async fn a_redelivered_row_is_stored_once() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    for attempt in [1, 2, 2, 3] {
        let slot = bench.write_event(1, attempt, event("{}"));
        assert_eq!(bench.verdict(slot).await, Verdict::Done);
    }
    assert_eq!(database.count("raw_events").await, 1);
    let postgres = &bench.metrics.postgres;
    assert_eq!((postgres.rows.get(), postgres.duplicates_suppressed.get()), (1, 3));
}

#[actix::test]
async fn a_message_that_claims_to_be_new_and_is_not_is_stored_once_and_takes_nothing_with_it() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let slot = bench.write_event(1, 1, event("{}"));
    bench.verdict(slot).await;
    // As after a consumer was created again: the broker starts counting deliveries again.
    for seq in 1..=100 {
        bench.write_event(seq, 1, event("{}"));
    }
    bench.settled(101).await;
    assert_eq!(bench.verdicts.count(Verdict::Done), 101);
    assert_eq!(database.count("raw_events").await, 100);
    assert_eq!(bench.metrics.postgres.duplicates_suppressed.get(), 1);
}

#[actix::test]
async fn a_re_created_stream_whose_sequence_restarts_is_not_a_duplicate() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let (first, _) = bench.delivery(Lane::TELEMETRY, 1, 1);
    let (mut second, _) = bench.delivery(Lane::TELEMETRY, 1, 1);
    second.origin.received_us += 86_400_000_000;
    bench.writer.do_send(Write { events: vec![(first, event("{}")), (second, event("{}"))], ..Write::default() });
    bench.settled(2).await;
    assert_eq!(database.count("raw_events").await, 2);
}

#[actix::test]
async fn one_refused_row_does_not_take_its_batch_with_it() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let mut chunk = Write::default();
    for seq in 0..500 {
        let payload = if seq == 123 { TOO_LARGE } else { r#"{"metrics":{"a":1}}"# };
        // A redelivered row among them must be isolated as well.
        let attempt = if seq % 10 == 0 { 2 } else { 1 };
        chunk.events.push((bench.delivery(Lane::TELEMETRY, seq, attempt).0, event(payload)));
    }
    bench.writer.do_send(chunk);
    bench.settled(500).await;
    assert_eq!(bench.verdicts.of(123), Some(Verdict::Poison));
    assert_eq!((bench.verdicts.count(Verdict::Done), bench.verdicts.count(Verdict::Poison)), (499, 1));
    assert_eq!(database.count("raw_events").await, 499);
    let rows = database
        .query(
            "SELECT reason, tenant_id, payload, raw, stream_seq, detail, event_ts IS NOT NULL FROM quarantine_events",
            &[],
        )
        .await;
    assert_eq!(rows.len(), 1);
    assert_eq!([rows[0].get::<_, String>(0), rows[0].get(1)], ["ROW_REFUSED", "acme"]);
    assert_eq!(rows[0].get::<_, Option<&[u8]>>(3), Some(TOO_LARGE.as_bytes()));
    assert_eq!(rows[0].get::<_, i64>(4), 123);
    assert!(rows[0].get::<_, String>(5).contains("22003"), "{:?}", rows[0].get::<_, String>(5));
    assert_eq!(database.count("quarantine_counters_minute WHERE reason = 'ROW_REFUSED' AND cnt = 1").await, 1);
}

#[actix::test]
async fn a_refused_row_that_comes_again_is_counted_once_and_terminated_again() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    for attempt in 1..=3 {
        let slot = bench.write_event(9, attempt, event(TOO_LARGE));
        assert_eq!(bench.verdict(slot).await, Verdict::Poison);
    }
    assert_eq!(database.count("quarantine_events").await, 1);
    assert_eq!(database.count("quarantine_counters_minute WHERE cnt = 1").await, 1);
}

#[actix::test]
async fn thousands_of_refused_rows_are_each_quarantined_and_the_others_stored() {
    let database = migrated(Postgres::shared()).await;
    let settings =
        ingest_node::testing::postgres::config::Config { quarantine_cap_per_minute: 10_000, ..config(&database) };
    let bench = Bench::with(settings, Default::default());
    let mut chunk = Write::default();
    for seq in 0..6_000 {
        let mut event = event(r#"{"a":1}"#);
        match seq % 4 {
            0 => event.payload = TOO_LARGE.into(),
            1 => event.msg_type = MsgType::Other("nul\0".into()),
            _ => {}
        }
        chunk.events.push((bench.delivery(Lane::TELEMETRY, seq, 1).0, event));
    }
    bench.writer.do_send(chunk);
    bench.settled(6_000).await;
    assert_eq!((bench.verdicts.count(Verdict::Done), bench.verdicts.count(Verdict::Poison)), (3_000, 3_000));
    assert_eq!(database.count("raw_events").await, 3_000);
    assert_eq!(database.count("quarantine_events").await, 3_000);
}

#[actix::test]
async fn rows_the_server_refuses_without_naming_them_are_found_by_halves() {
    let database = migrated(Postgres::shared()).await;
    // Refused when rows leave the staging table, where no line number helps.
    database.execute("ALTER TABLE raw_events ADD CONSTRAINT no_thirteen CHECK (seq <> 13)").await;
    let bench = Bench::new(&database);
    let mut chunk = Write::default();
    for seq in 0..300 {
        let mut event = event("{}");
        event.seq = if seq % 100 == 50 { 13 } else { 1 };
        chunk.events.push((bench.delivery(Lane::TELEMETRY, seq, 2).0, event));
    }
    bench.writer.do_send(chunk);
    bench.settled(300).await;
    assert_eq!((bench.verdicts.count(Verdict::Done), bench.verdicts.count(Verdict::Poison)), (297, 3));
    assert_eq!(database.count("raw_events").await, 297);
}

#[actix::test]
async fn a_partition_is_made_when_a_row_needs_it_and_made_again_when_it_was_dropped() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let slot = bench.write_event(1, 1, event("{}"));
    assert_eq!(bench.verdict(slot).await, Verdict::Done);
    assert_eq!(database.count("raw_events_20260209").await, 1);
    // Made ahead: today and three more days.
    let ahead = "pg_inherits WHERE inhparent = 'raw_events'::regclass";
    ingest_kit::wait_for("partitions made ahead", super::bench::SOON, async || database.count(ahead).await == 5).await;

    database.execute("DROP TABLE raw_events_20260209").await;
    let slot = bench.write_event(2, 1, event("{}"));
    assert_eq!(bench.verdict(slot).await, Verdict::Done);
    let slot = bench.write_event(3, 2, event("{}"));
    assert_eq!(bench.verdict(slot).await, Verdict::Done);
    assert_eq!(database.count("raw_events_20260209").await, 2);
}

#[actix::test]
async fn a_detached_partition_is_left_alone_and_a_foreign_one_is_used() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "CREATE TABLE raw_events_20260209 (LIKE raw_events);
             CREATE TABLE march PARTITION OF raw_events FOR VALUES FROM ('2026-03-01 00:00+00') TO ('2026-04-01 00:00+00')",
        )
        .await;
    let bench = Bench::new(&database);
    let (february, _) = bench.delivery(Lane::TELEMETRY, 1, 1);
    let (mut march, _) = bench.delivery(Lane::TELEMETRY, 2, 1);
    march.origin.received_us = RECEIVED_US + 28 * 86_400_000_000;
    bench.writer.do_send(Write { events: vec![(february, event("{}")), (march, event("{}"))], ..Write::default() });
    bench.settled(2).await;
    assert_eq!(database.count("raw_events_20260209").await, 0);
    assert_eq!(database.count("raw_events_20260209_2").await, 1);
    assert_eq!(database.count("march").await, 1);
}

#[actix::test]
async fn replicas_that_need_the_same_partition_at_once_all_get_it() {
    let database = migrated(Postgres::shared()).await;
    let benches: Vec<Bench> = (0..4).map(|_| Bench::new(&database)).collect();
    for (number, bench) in benches.iter().enumerate() {
        bench.write_event(number as u64, 1, event("{}"));
    }
    for bench in &benches {
        bench.settled(1).await;
        assert_eq!(bench.verdicts.count(Verdict::Done), 1);
        assert_eq!(bench.metrics.postgres.flushes.of(ingest_node::testing::metrics::FlushResult::Failed).get(), 0);
    }
    assert_eq!(database.count("raw_events").await, 4);
}

#[actix::test]
async fn a_batch_is_flushed_when_it_is_full_and_a_lone_row_after_the_interval() {
    let database = migrated(Postgres::shared()).await;
    let settings = ingest_node::testing::postgres::config::Config {
        batch_size: 50,
        flush_interval_ms: 60_000,
        ..config(&database)
    };
    let bench = Bench::with(settings, Default::default());
    for seq in 0..50 {
        bench.write_event(seq, 1, event("{}"));
    }
    bench.settled(50).await;
    // One more waits for company, until a drain says that none will come.
    let slot = bench.write_event(50, 1, event("{}"));
    assert_eq!(bench.verdicts.of(slot), None);
    bench.writer.send(Drain).await.unwrap();
    ingest_kit::wait_for("the last verdict", super::bench::SOON, async || bench.verdicts.of(slot).is_some()).await;
    assert_eq!(database.count("raw_events").await, 51);
}

#[actix::test]
async fn replicas_that_get_the_same_messages_at_once_store_each_once() {
    let database = migrated(Postgres::shared()).await;
    let settings = ingest_node::testing::postgres::config::Config { batch_size: 200, ..config(&database) };
    let benches: Vec<Bench> = (0..3).map(|_| Bench::with(settings.clone(), Default::default())).collect();
    let mut sent = BTreeSet::new();
    for chunk in 0..20_u64 {
        for (number, bench) in benches.iter().enumerate() {
            let mut write = Write::default();
            for step in 0..100_u64 {
                // Each replica gets them in another order, and only the first one for the first time.
                let seq = (chunk * 100 + step * (2 * number as u64 + 1) * 7) % 2_000;
                sent.insert(seq);
                write.events.push((bench.delivery(Lane::TELEMETRY, seq, 1 + number as u32).0, event("{}")));
            }
            bench.writer.do_send(write);
        }
    }
    for bench in &benches {
        bench.settled(2_000).await;
        assert_eq!(bench.verdicts.count(Verdict::Done), 2_000);
    }
    let stored = sent.len() as u64;
    assert_eq!(database.count("raw_events").await, stored);
    assert_eq!(database.count("(SELECT DISTINCT stream_seq FROM raw_events) d").await, stored);
    let suppressed: u64 = benches.iter().map(|bench| bench.metrics.postgres.duplicates_suppressed.get()).sum();
    assert_eq!(suppressed, 6_000 - stored);
}

#[actix::test]
async fn a_pool_of_one_connection_is_enough() {
    let database = migrated(Postgres::shared()).await;
    let settings = ingest_node::testing::postgres::config::Config { pool_max: 1, batch_size: 10, ..config(&database) };
    let bench = Bench::with(settings, Default::default());
    for seq in 0..100 {
        bench.write_event(seq, 1, event("{}"));
    }
    bench.settled(100).await;
    let connections = "pg_stat_activity WHERE datname = current_database() AND application_name = 'ingest-node'";
    assert_eq!(database.count(connections).await, 1);
}

#[actix::test]
async fn every_delivery_of_a_large_load_gets_one_row_and_one_verdict() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    for chunk in 0..200_u64 {
        let mut write = Write::default();
        for seq in chunk * 100..(chunk + 1) * 100 {
            let attempt = if seq % 50 == 0 { 2 } else { 1 };
            write.events.push((bench.delivery(Lane::TELEMETRY, seq, attempt).0, event(r#"{"metrics":{"a":1}}"#)));
        }
        bench.writer.do_send(write);
    }
    bench.settled(20_000).await;
    bench.writer.send(Drain).await.unwrap();
    assert_eq!(bench.verdicts.count(Verdict::Done), 20_000);
    assert_eq!(database.count("raw_events").await, 20_000);
    assert_eq!(database.count("(SELECT DISTINCT stream_seq FROM raw_events) d").await, 20_000);
    assert_eq!(bench.metrics.postgres.buffered.get(), 0);
    assert_eq!(origin(Lane::TELEMETRY, 0).received_us, RECEIVED_US);
}
