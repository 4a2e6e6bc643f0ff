//! Shadow reports, command acknowledgements, and what goes on to the other components.

use std::sync::{Arc, Mutex};

use actix::prelude::*;
use ingest_core::flow::disposition::Verdict;
use ingest_core::routes::route::{Matched, Route, Row, TenantRoutes};
use ingest_core::validate::event::{CommandAck, ShadowReport};
use ingest_kit::{Database, Postgres, wait_for};
use ingest_node::testing::delivery::{Lane, Settlement};
use ingest_node::testing::message::{Observe, Points, Publish, Write};
use ingest_node::testing::metrics::{Effect, FlushResult};
use ingest_node::testing::outbox::policy::WritePolicy;
use ingest_node::testing::sink::postgres::Downstream;

use super::bench::{Bench, SOON, config, device, event, migrated};

fn report(device_id: &str, reported: &str, version: i64) -> ShadowReport {
    ShadowReport { device: device(device_id), reported: reported.to_owned(), version }
}

async fn shadow(database: &Database, device_id: &str) -> (String, i64) {
    let sql = "SELECT reported_state::text, reported_version::bigint FROM device_state WHERE device_id = $1";
    let rows = database.query(sql, &[&device_id]).await;
    (rows[0].get(0), rows[0].get(1))
}

#[actix::test]
async fn a_shadow_report_applies_when_its_version_is_not_lower() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let steps =
        [(5, r#"{"n": 1}"#, 5, 1), (4, r#"{"n": 2}"#, 5, 1), (5, r#"{"n": 3}"#, 5, 3), (9, r#"{"n": 4}"#, 9, 4)];
    for (step, (version, reported, expected_version, n)) in steps.into_iter().enumerate() {
        let (delivery, slot) = bench.delivery(Lane::SHADOW, step as u64, 1);
        bench.writer.do_send(Write { shadows: vec![(delivery, report("d1", reported, version))], ..Write::default() });
        assert_eq!(bench.verdict(slot).await, Verdict::Done);
        assert_eq!(shadow(&database, "d1").await, (format!(r#"{{"n": {n}}}"#), expected_version));
    }
    assert_eq!(bench.metrics.postgres.shadow_reports.of(Effect::Applied).get(), 3);
    assert_eq!(bench.metrics.postgres.shadow_reports.of(Effect::Unchanged).get(), 1);
    assert_eq!(database.count("raw_events").await, 0, "shadow messages make no row");
}

#[actix::test]
async fn of_several_reports_in_one_batch_the_highest_version_wins_and_of_equals_the_last() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let reports = [("a", "1", 3), ("b", "2", 1), ("a", "4", 7), ("b", "5", 1), ("a", "6", 2)];
    let shadows = reports
        .iter()
        .enumerate()
        .map(|(seq, (device, n, version))| {
            (bench.delivery(Lane::SHADOW, seq as u64, 1).0, report(device, &format!(r#"{{"n": {n}}}"#), *version))
        })
        .collect();
    bench.writer.do_send(Write { shadows, ..Write::default() });
    bench.settled(5).await;
    assert_eq!(shadow(&database, "a").await, (r#"{"n": 4}"#.to_owned(), 7));
    assert_eq!(shadow(&database, "b").await, (r#"{"n": 5}"#.to_owned(), 1));
}

#[actix::test]
async fn of_reports_of_one_version_the_brokers_latest_stays_in_whatever_order_they_arrive() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let write = |seq: u64, n: u64, version: i64| {
        // A message's broker time grows with its sequence number.
        let (delivery, slot) = bench.delivery(Lane::SHADOW, seq, 2);
        let report = report("d1", &format!(r#"{{"n": {n}}}"#), version);
        bench.writer.do_send(Write { shadows: vec![(delivery, report)], ..Write::default() });
        slot
    };
    // A replica that was paused delivers the older one again; versions beyond 32 bits are versions.
    let version = 5_000_000_000;
    for (seq, n, stays) in [(20, 20, 20), (10, 10, 20), (20, 20, 20), (30, 30, 30), (29, 29, 30)] {
        assert_eq!(bench.verdict(write(seq, n, version)).await, Verdict::Done);
        assert_eq!(shadow(&database, "d1").await, (format!(r#"{{"n": {stays}}}"#), version));
    }
    // A higher version wins whatever its time is.
    assert_eq!(bench.verdict(write(1, 1, version + 1)).await, Verdict::Done);
    assert_eq!(shadow(&database, "d1").await, (r#"{"n": 1}"#.to_owned(), version + 1));

    // In one batch, too.
    let shadows = [(50, 1), (60, 2), (55, 3)]
        .map(|(seq, n)| (bench.delivery(Lane::SHADOW, seq, 1).0, report("d2", &format!(r#"{{"n": {n}}}"#), 0)));
    let before = bench.verdicts.len();
    bench.writer.do_send(Write { shadows: shadows.into(), ..Write::default() });
    bench.settled(before + 3).await;
    assert_eq!(shadow(&database, "d2").await, (r#"{"n": 2}"#.to_owned(), 0));
}

#[actix::test]
async fn a_report_that_jsonb_can_not_hold_is_quarantined_alone() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let (good, good_slot) = bench.delivery(Lane::SHADOW, 1, 1);
    let (bad, bad_slot) = bench.delivery(Lane::SHADOW, 2, 1);
    let shadows = vec![(good, report("a", "{}", 1)), (bad, report("b", r#"{"n":1e999999}"#, 1))];
    bench.writer.do_send(Write { shadows, ..Write::default() });
    assert_eq!((bench.verdict(good_slot).await, bench.verdict(bad_slot).await), (Verdict::Done, Verdict::Poison));
    assert_eq!(database.count("device_state").await, 1);
    let event = "quarantine_events WHERE reason = 'ROW_REFUSED' AND stream = 'SHADOW' AND device_id = 'b'";
    assert_eq!(database.count(event).await, 1);
}

#[actix::test]
async fn an_acknowledgement_delivers_a_queued_command_of_its_device_once() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "INSERT INTO device_commands (tenant_id, command_id, device_id, status) VALUES
             ('acme', 'c1', 'd1', 'queued'), ('acme', 'c2', 'd2', 'queued'), ('acme', 'c3', 'd1', 'expired')",
        )
        .await;
    let bench = Bench::new(&database);
    let ack = |command: &str, n: u32| CommandAck {
        device: device("d1"),
        command_id: command.to_owned(),
        ack_details: format!(r#"{{"status":"ok","details":{{"n":{n}}}}}"#),
    };
    let acks = [ack("c1", 1), ack("c1", 2), ack("c2", 3), ack("c3", 4), ack("nobody", 5)];
    let acks = acks.into_iter().enumerate();
    let acks = acks.map(|(seq, ack)| (bench.delivery(Lane::COMMANDS, seq as u64, 1).0, ack)).collect();
    bench.writer.do_send(Write { acks, ..Write::default() });
    bench.settled(5).await;
    let (delivery, slot) = bench.delivery(Lane::COMMANDS, 9, 1);
    bench.writer.do_send(Write { acks: vec![(delivery, ack("c1", 6))], ..Write::default() });
    bench.verdict(slot).await;
    assert_eq!(bench.verdicts.count(Verdict::Done), 6);

    let sql = "SELECT command_id, status, ack_details::text, acked_at IS NOT NULL FROM device_commands ORDER BY 1";
    let rows = database.query(sql, &[]).await;
    let rows: Vec<(String, String, Option<String>, bool)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let details = r#"{"status": "ok", "details": {"n": 1}}"#.to_owned();
    assert_eq!(
        rows,
        [
            ("c1".into(), "delivered".into(), Some(details), true),
            ("c2".into(), "queued".into(), None, false),
            ("c3".into(), "expired".into(), None, false),
        ]
    );
    assert_eq!(bench.metrics.postgres.command_acks.of(Effect::Applied).get(), 1);
    assert_eq!(bench.metrics.postgres.command_acks.of(Effect::Unchanged).get(), 5);
}

#[actix::test]
async fn acknowledgements_of_the_same_commands_do_not_lock_each_other_out() {
    let database = migrated(Postgres::shared()).await;
    let commands = "INSERT INTO device_commands (tenant_id, command_id, device_id)
                    SELECT 'acme', 'c' || i, 'd1' FROM generate_series(0, 4999) i";
    database.execute(commands).await;
    let benches: Vec<Bench> = (0..3).map(|_| Bench::new(&database)).collect();
    for round in 0..25_u64 {
        for (number, bench) in benches.iter().enumerate() {
            let acks = (0..200_u64).map(|step| {
                // Each replica gets them in another order.
                let command = round * 200 + if number % 2 == 0 { step } else { 199 - step };
                let (delivery, _) = bench.delivery(Lane::COMMANDS, command, 1);
                let ack = CommandAck {
                    device: device("d1"),
                    command_id: format!("c{command}"),
                    ack_details: "{}".to_owned(),
                };
                (delivery, ack)
            });
            bench.writer.do_send(Write { acks: acks.collect(), ..Write::default() });
        }
    }
    for bench in &benches {
        bench.settled(5_000).await;
        assert_eq!(bench.metrics.postgres.flushes.of(FlushResult::Failed).get(), 0);
    }
    assert_eq!(database.count("device_commands WHERE status = 'delivered'").await, 5_000);
}

/// Stands in for every component behind the writer.
#[derive(Clone, Default)]
struct Components(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    points: Vec<Points>,
    jobs: Vec<Publish>,
    observed: Vec<(i64, u64)>,
}

impl Actor for Components {
    type Context = Context<Self>;
}

impl Handler<Points> for Components {
    type Result = ();
    fn handle(&mut self, points: Points, _: &mut Self::Context) {
        self.0.lock().unwrap().points.push(points);
    }
}

impl Handler<Publish> for Components {
    type Result = ();
    fn handle(&mut self, publish: Publish, _: &mut Self::Context) {
        self.0.lock().unwrap().jobs.push(publish);
    }
}

impl Handler<Observe> for Components {
    type Result = ();
    fn handle(&mut self, observe: Observe, _: &mut Self::Context) {
        let events = observe.events.iter().map(|one| (one.received_us, one.event.seq as u64));
        self.0.lock().unwrap().observed.extend(events);
    }
}

pub(super) fn catch_all() -> TenantRoutes {
    let row =
        Row { id: "1", topic_filter: "#", destination_type: "webhook", destination_config: None, payload_filter: None };
    [Route::from_row(row).unwrap()].into()
}

fn downstream(components: &Components, policy: WritePolicy) -> Downstream {
    let components = components.clone().start();
    Downstream {
        points: Some(components.clone().recipient()),
        policy,
        jobs: Some(components.clone().recipient()),
        observe: Some(components.recipient()),
    }
}

#[actix::test]
async fn committed_rows_go_on_and_deliveries_wait_for_the_legs_that_policy_demands() {
    for policy in [WritePolicy::BestEffort, WritePolicy::Required] {
        let database = migrated(Postgres::shared()).await;
        let components = Components::default();
        let bench = Bench::with(config(&database), downstream(&components, policy));
        let mut slots = Vec::new();
        let mut chunk = Write::default();
        for seq in 0..4_u64 {
            let (delivery, slot) = bench.delivery(Lane::TELEMETRY, seq, 1);
            let mut event = event("{}");
            event.seq = seq as i64;
            event.line = (seq & 1 == 1).then(|| format!("telemetry seq={seq}i {seq}"));
            if seq & 2 == 2 {
                event.routes = Matched::of(&catch_all(), &event.topic, &event.payload);
            }
            chunk.events.push((delivery, event));
            slots.push(slot);
        }
        bench.writer.do_send(chunk);
        wait_for("the last room to hear", SOON, async || components.0.lock().unwrap().observed.len() == 4).await;
        assert_eq!(bench.verdict(slots[0]).await, Verdict::Done);
        let required = policy == WritePolicy::Required;
        if !required {
            assert_eq!(bench.verdict(slots[1]).await, Verdict::Done);
        }
        let heard = std::mem::take(&mut *components.0.lock().unwrap());
        assert_eq!(heard.points.len(), 1, "one message per tenant");
        let lines: Vec<&str> = heard.points[0].points.iter().map(|point| point.line.as_str()).collect();
        assert_eq!(lines, ["telemetry seq=1i 1", "telemetry seq=3i 3"]);
        assert_eq!(heard.jobs.len(), 1);
        assert_eq!(heard.jobs[0].deliveries.iter().map(|jobs| jobs.origin.stream_seq).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(bench.verdicts.len(), if required { 1 } else { 2 });

        let mut settlement = Settlement::default();
        for points in heard.points {
            for point in points.points {
                assert_eq!(point.guard.is_some(), required);
                if let Some(guard) = point.guard {
                    settlement.add(guard, Verdict::Done);
                }
            }
        }
        settlement.send();
        bench.settled(2).await;
        assert_eq!(bench.verdicts.of(slots[3]), None, "its job is not acknowledged yet");
        let mut settlement = Settlement::default();
        for jobs in heard.jobs.into_iter().flat_map(|publish| publish.deliveries) {
            settlement.add(jobs.guard, Verdict::Done);
        }
        settlement.send();
        bench.settled(4).await;
        assert_eq!(bench.verdicts.count(Verdict::Done), 4);
    }
}
