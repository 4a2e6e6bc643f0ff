//! Refusals: events, counters, and what is only counted.

use std::collections::BTreeMap;

use ingest_core::flow::disposition::Verdict;
use ingest_core::message::quarantine_content::Content;
use ingest_core::message::rejection::Reason;
use ingest_core::validate::settings::Settings;
use ingest_kit::{Database, Postgres};
use ingest_node::testing::delivery::Lane;
use ingest_node::testing::message::{QuarantinePoints, RejectedPoint, SettingsChanged, Write};

use super::bench::{Bench, RECEIVED_US, config, event, migrated, origin, refusal};

async fn counters(database: &Database) -> BTreeMap<(String, String), i64> {
    let sql = "SELECT tenant_id, reason, sum(cnt)::bigint FROM quarantine_counters_minute GROUP BY 1, 2";
    database.query(sql, &[]).await.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect()
}

fn count(tenant: &str, reason: Reason, count: i64) -> ((String, String), i64) {
    ((tenant.to_owned(), reason.to_string()), count)
}

#[actix::test]
async fn a_redelivered_refusal_is_stored_and_counted_once() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    for attempt in 1..=3 {
        let slot = bench.write_refusal(1, attempt, refusal("acme", Reason::TokenInvalid));
        assert_eq!(bench.verdict(slot).await, Verdict::Rejected);
    }
    // The same twice in one batch, too.
    let mut chunk = Write::default();
    for attempt in 1..=2 {
        chunk.rejections.push((bench.delivery(Lane::TELEMETRY, 2, attempt).0, refusal("acme", Reason::TokenInvalid)));
    }
    bench.writer.do_send(chunk);
    bench.settled(5).await;
    assert_eq!(database.count("quarantine_events").await, 2);
    assert_eq!(counters(&database).await, BTreeMap::from([count("acme", Reason::TokenInvalid, 2)]));
    let rows =
        database.query("SELECT bucket_minute = '2026-02-09 09:15:00+00' FROM quarantine_counters_minute", &[]).await;
    assert!(rows.iter().all(|row| row.get(0)));
}

#[actix::test]
async fn an_event_holds_the_refused_message() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    bench.write_refusal(1, 1, refusal("acme", Reason::SiteMismatch));
    let mut unknown = refusal("acme", Reason::BadEnvelope);
    (unknown.tenant_id, unknown.device_id, unknown.site_id, unknown.msg_type) = (None, None, None, None);
    unknown.event_us = None;
    unknown.topic = "with\0nul".to_owned();
    unknown.content = Content::Raw(b"\xff\x00{".as_slice().into());
    bench.write_refusal(2, 1, unknown);
    bench.settled(2).await;
    let rows = database
        .query(
            "SELECT reason, detail, topic, tenant_id, site_id, device_id, msg_type, payload::text, raw, stream,
             event_ts = received_at FROM quarantine_events ORDER BY stream_seq",
            &[],
        )
        .await;
    let text = |row: usize, column: usize| rows[row].get::<_, Option<String>>(column).unwrap_or_default();
    let of = |row| [0, 1, 2, 3, 4, 5, 6, 7].map(|column| text(row, column));
    assert_eq!(
        of(0),
        [
            "SITE_MISMATCH_REGISTRY_VS_PAYLOAD",
            "why",
            "tenant/acme/device/d1/telemetry",
            "acme",
            "site-1",
            "d1",
            "telemetry",
            r#"{"metrics": {}}"#
        ]
    );
    assert_eq!(of(1), ["BAD_ENVELOPE", "why", "with\u{FFFD}nul", "", "", "", "", ""]);
    assert_eq!(rows[1].get::<_, &[u8]>(8), b"\xff\x00{");
    assert_eq!(rows[1].get::<_, Option<bool>>(10), None);
    assert_eq!(counters(&database).await.get(&("unknown".to_owned(), "BAD_ENVELOPE".to_owned())), Some(&1));
}

#[actix::test]
async fn a_refusal_whose_payload_jsonb_can_not_hold_is_kept_as_bytes() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let mut chunk = Write::default();
    for seq in 0..100 {
        let mut refusal = refusal("acme", Reason::TokenInvalid);
        if seq % 10 == 3 {
            refusal.content = Content::Json(r#"{"n":1e999999}"#.to_owned());
        }
        chunk.rejections.push((bench.delivery(Lane::TELEMETRY, seq, 1).0, refusal));
    }
    // Rows in the same batch are not affected.
    chunk.events.push((bench.delivery(Lane::TELEMETRY, 100, 1).0, event("{}")));
    bench.writer.do_send(chunk);
    bench.settled(101).await;
    assert_eq!((bench.verdicts.count(Verdict::Rejected), bench.verdicts.count(Verdict::Done)), (100, 1));
    assert_eq!(database.count("quarantine_events WHERE payload IS NULL AND raw = '{\"n\":1e999999}'").await, 10);
    assert_eq!(database.count("quarantine_events WHERE raw IS NULL").await, 90);
    assert_eq!(counters(&database).await, BTreeMap::from([count("acme", Reason::TokenInvalid, 100)]));
}

#[actix::test]
async fn what_is_not_stored_is_counted() {
    let database = migrated(Postgres::shared()).await;
    let settings =
        ingest_node::testing::postgres::config::Config { quarantine_cap_per_minute: 10, ..config(&database) };
    let bench = Bench::with(settings, Default::default());
    let mut chunk = Write::default();
    for seq in 0..50 {
        chunk.rejections.push((bench.delivery(Lane::TELEMETRY, seq, 1).0, refusal("flood", Reason::TokenInvalid)));
        chunk.rejections.push((bench.delivery(Lane::TELEMETRY, 100 + seq, 1).0, refusal("fast", Reason::RateLimited)));
    }
    bench.writer.do_send(chunk);
    bench.settled(100).await;
    bench.writer.do_send(SettingsChanged(Settings { store_rejects: false, ..Settings::default() }.into()));
    bench.write_refusal(200, 1, refusal("other", Reason::TokenInvalid));
    bench.write_refusal(201, 1, refusal("other", Reason::ProcessingFailed));
    bench.settled(102).await;
    assert_eq!(bench.verdicts.count(Verdict::Poison), 1, "what can never succeed is terminated");
    let expected = [
        count("flood", Reason::TokenInvalid, 50),
        count("fast", Reason::RateLimited, 50),
        count("other", Reason::TokenInvalid, 1),
        count("other", Reason::ProcessingFailed, 1),
    ];
    assert_eq!(counters(&database).await, BTreeMap::from(expected));
    assert_eq!(database.count("quarantine_events WHERE tenant_id = 'flood'").await, 10);
    assert_eq!(database.count("quarantine_events WHERE tenant_id = 'fast'").await, 0);
    assert_eq!(database.count("quarantine_events WHERE tenant_id = 'other'").await, 1);
    assert_eq!(bench.metrics.postgres.quarantine_capped.get(), 40);
}

#[actix::test]
async fn a_flood_for_one_reason_leaves_the_others_their_place() {
    let database = migrated(Postgres::shared()).await;
    let settings =
        ingest_node::testing::postgres::config::Config { quarantine_cap_per_minute: 10, ..config(&database) };
    let bench = Bench::with(settings, Default::default());
    let mut chunk = Write::default();
    for seq in 0..50 {
        chunk.rejections.push((bench.delivery(Lane::TELEMETRY, seq, 1).0, refusal("flood", Reason::DeviceRevoked)));
    }
    for seq in 50..55 {
        chunk.rejections.push((bench.delivery(Lane::TELEMETRY, seq, 1).0, refusal("flood", Reason::TokenInvalid)));
    }
    bench.writer.do_send(chunk);
    bench.settled(55).await;
    let of = |reason: &str| format!("quarantine_events WHERE reason = '{reason}'");
    assert_eq!(database.count(&of("DEVICE_REVOKED")).await, 10);
    assert_eq!(database.count(&of("TOKEN_INVALID")).await, 5);
    let expected = [count("flood", Reason::DeviceRevoked, 50), count("flood", Reason::TokenInvalid, 5)];
    assert_eq!(counters(&database).await, BTreeMap::from(expected));
}

#[actix::test]
async fn refused_rows_and_points_are_stored_up_to_a_cap_per_device_and_counted_exactly() {
    let database = migrated(Postgres::shared()).await;
    let settings =
        ingest_node::testing::postgres::config::Config { quarantine_cap_per_minute: 10, ..config(&database) };
    let bench = Bench::with(settings, Default::default());
    let mut chunk = Write::default();
    let mut points = Vec::new();
    for seq in 0..30 {
        let mut event = event(r#"{"a":1e999999}"#);
        event.device = super::bench::device(if seq == 29 { "d2" } else { "d1" });
        chunk.events.push((bench.delivery(Lane::TELEMETRY, seq, 1).0, event));
        let (delivery, _) = bench.delivery(Lane::TELEMETRY, 100 + seq, 1);
        points.push(RejectedPoint {
            tenant_id: "acme".into(),
            origin: delivery.origin.clone(),
            line: format!("telemetry,device_id=d{},site_id=s seq={seq}i 1", if seq == 29 { 2 } else { 1 }),
            message: "no room".to_owned(),
            guard: Some(delivery.into_guard()),
            owed: Default::default(),
        });
    }
    bench.writer.do_send(chunk);
    bench.writer.do_send(QuarantinePoints { points });
    bench.settled(60).await;
    assert_eq!((bench.verdicts.count(Verdict::Poison), bench.verdicts.count(Verdict::Done)), (30, 30));
    let expected = [count("acme", Reason::RowRefused, 30), count("acme", Reason::PointRefused, 30)];
    assert_eq!(counters(&database).await, BTreeMap::from(expected));
    for reason in [Reason::RowRefused, Reason::PointRefused] {
        assert_eq!(database.count(&format!("quarantine_events WHERE reason = '{reason}'")).await, 11, "{reason}");
    }
}

#[actix::test]
async fn counters_stay_put_where_they_are_switched_off() {
    let database = migrated(Postgres::shared()).await;
    let settings = ingest_node::testing::postgres::config::Config { counters_enabled: false, ..config(&database) };
    let bench = Bench::with(settings, Default::default());
    let slot = bench.write_refusal(1, 1, refusal("acme", Reason::TokenInvalid));
    bench.verdict(slot).await;
    assert_eq!((database.count("quarantine_events").await, database.count("quarantine_counters_minute").await), (1, 0));
}

#[actix::test]
async fn rejects_are_mirrored_to_the_rows_where_that_is_wanted() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let rows = [("MODE", "DEV"), ("MIRROR_REJECTS_TO_RAW", "1")];
    let (settings, _) = Settings::default().apply(rows.into_iter());
    bench.writer.do_send(SettingsChanged(settings.into()));
    bench.write_refusal(1, 1, refusal("acme", Reason::TokenInvalid));
    bench.write_refusal(2, 1, refusal("acme", Reason::RateLimited));
    let (delivery, _) = bench.delivery(Lane::SHADOW, 3, 1);
    bench
        .writer
        .do_send(Write { rejections: vec![(delivery, refusal("acme", Reason::DeviceRevoked))], ..Write::default() });
    bench.settled(3).await;
    let rows = database.query("SELECT stream_seq, accepted, payload::text FROM raw_events", &[]).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].get::<_, i64>(0), rows[0].get::<_, bool>(1)), (1, false));
    assert_eq!(rows[0].get::<_, String>(2), r#"{"metrics": {}}"#);
}

#[actix::test]
async fn a_refused_point_is_quarantined_once_and_its_delivery_is_done() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let (delivery, slot) = bench.delivery(Lane::TELEMETRY, 1, 1);
    let mut guard = Some(delivery.into_guard());
    for _ in 0..2 {
        let point = RejectedPoint {
            tenant_id: "acme".into(),
            origin: origin(Lane::TELEMETRY, 1),
            line: "telemetry,device_id=d1 seq=1i 1".to_owned(),
            message: "column type conflict".to_owned(),
            guard: guard.take(),
            owed: Default::default(),
        };
        bench.writer.do_send(QuarantinePoints { points: vec![point] });
    }
    assert_eq!(bench.verdict(slot).await, Verdict::Done);
    bench.writer.send(ingest_node::testing::message::Drain).await.unwrap();
    assert_eq!(counters(&database).await, BTreeMap::from([count("acme", Reason::PointRefused, 1)]));
    let rows = database.query("SELECT raw, detail, payload::text FROM quarantine_events", &[]).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, &[u8]>(0), b"telemetry,device_id=d1 seq=1i 1");
    assert_eq!(rows[0].get::<_, String>(1), "column type conflict");
    assert_eq!(rows[0].get::<_, Option<String>>(2), None);
}

#[actix::test]
async fn writers_that_count_the_same_minutes_do_not_lock_each_other_out() {
    let database = migrated(Postgres::shared()).await;
    let settings = ingest_node::testing::postgres::config::Config { batch_size: 40, writers: 3, ..config(&database) };
    let benches: Vec<Bench> = (0..3).map(|_| Bench::with(settings.clone(), Default::default())).collect();
    let tenants = ["a", "b", "c", "d", "e", "f", "g"];
    for round in 0..60_u64 {
        for (number, bench) in benches.iter().enumerate() {
            let mut chunk = Write::default();
            for step in 0..20_u64 {
                // Each writer meets the tenants in another order.
                let tenant = tenants[((round + step * (number as u64 + 1)) % 7) as usize];
                let seq = number as u64 * 1_000_000 + round * 100 + step;
                let (mut delivery, _) = bench.delivery(Lane::TELEMETRY, seq, 1);
                delivery.origin.received_us = RECEIVED_US + (step as i64 % 3) * 60_000_000 + seq as i64;
                chunk.rejections.push((delivery, refusal(tenant, Reason::TokenInvalid)));
            }
            bench.writer.do_send(chunk);
        }
    }
    for bench in &benches {
        bench.settled(1_200).await;
        assert_eq!(bench.metrics.postgres.flushes.of(ingest_node::testing::metrics::FlushResult::Failed).get(), 0);
    }
    assert_eq!(counters(&database).await.values().sum::<i64>(), 3_600);
    assert_eq!(database.count("quarantine_events").await, 3_600);
}
