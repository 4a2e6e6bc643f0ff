//! How much is held, and for whom.

use std::time::{Duration, Instant};

use ingest_kit::{InfluxStub, Value, wait_for};

use super::harness::{DEADLINE, Harness, database, line, lines, picky_server, quick};
use crate::metrics::LineResult;
use crate::outbox::policy::WritePolicy;
use crate::sink::influx::config::with;
use ingest_core::flow::disposition::Verdict;
use ingest_core::influx::line_protocol::Skipped;

#[actix_rt::test]
async fn only_so_many_deliveries_are_held_for_a_tenant_in_trouble() {
    let mut stub = InfluxStub::start();
    stub.stop().await;
    let config = with(quick(&stub.url()), |config| {
        config.write_policy = WritePolicy::Required;
        config.batch.batch_size = 10;
        config.buffer.hold_lines = 50;
    });
    let harness = Harness::new(config);
    harness.send_required("acme", 0, lines(200));
    harness.wait_for_verdicts(Verdict::Retry, 150).await;
    harness.send_required("acme", 1_000, lines(30));
    harness.wait_for_verdicts(Verdict::Retry, 180).await;
    stub.start_again();
    harness.wait_for_verdicts(Verdict::Done, 50).await;
    assert_eq!((harness.count(LineResult::Returned), harness.count(LineResult::Ok)), (180, 50));
}

#[actix_rt::test]
async fn no_delivery_is_held_for_ever() {
    let mut stub = InfluxStub::start();
    stub.stop().await;
    let harness = Harness::new(with(quick(&stub.url()), |config| {
        config.write_policy = WritePolicy::Required;
        config.buffer.hold_secs = 1;
    }));
    let sent = Instant::now();
    harness.send_required("acme", 0, lines(5));
    harness.wait_for_verdicts(Verdict::Retry, 5).await;
    assert!(sent.elapsed() >= Duration::from_secs(1));
}

#[actix_rt::test]
async fn a_full_buffer_leaves_further_lines_owed() {
    let stub = InfluxStub::start();
    stub.hang(None);
    let harness = Harness::new(with(quick(&stub.url()), |config| {
        config.buffer.buffer_lines = 100;
        config.batch.batch_size = 10;
    }));
    harness.send("acme", lines(130));
    harness.wait_for(LineResult::Deferred, 30).await;
    stub.release();
    harness.wait_for(LineResult::Ok, 100).await;
    assert_eq!(harness.metrics.influx.unconfirmed_lines.get(), 0, "what is deferred is the replay's to count");

    let harness = Harness::new(with(quick(&stub.url()), |config| config.buffer.buffer_total_bytes = 1));
    stub.hang(None);
    harness.send("acme", lines(10));
    harness.send("zeta", lines(10));
    harness.wait_for(LineResult::Deferred, 10).await;
    stub.release();
    harness.wait_for(LineResult::Ok, 10).await;
}

#[actix_rt::test]
async fn replayed_lines_leave_room_for_live_ones() {
    let stub = InfluxStub::start();
    stub.hang(None);
    let harness = Harness::new(with(quick(&stub.url()), |config| {
        config.buffer.buffer_lines = 100;
        config.batch.batch_size = 10;
    }));
    harness.replay("acme", lines(100));
    harness.wait_for(LineResult::Deferred, 20).await;
    harness.replay("acme", lines(5));
    harness.wait_for(LineResult::Deferred, 25).await;
    harness.send("acme", lines(20));
    stub.release();
    harness.wait_for(LineResult::Ok, 100).await;
    assert_eq!(harness.count(LineResult::Deferred), 25, "a live line was turned away");
}

#[actix_rt::test]
async fn a_tenant_that_falls_behind_leaves_room_for_the_next_one() {
    let stub = InfluxStub::start();
    stub.hang(Some("telemetry_acme"));
    let harness = Harness::new(with(quick(&stub.url()), |config| config.buffer.buffer_total_bytes = 20_000));
    for _ in 0..50 {
        harness.send("acme", lines(10));
    }
    wait_for("all to be taken in or turned away", DEADLINE, async || {
        let influx = &harness.metrics.influx;
        influx.buffered_lines.get() as u64 + influx.lines.of(LineResult::Deferred).get() == 500
    })
    .await;
    let held = harness.metrics.influx.buffered_lines.get();
    assert!((50..=150).contains(&held), "{held}: about half of the room");
    harness.send("zeta", lines(10));
    harness.wait_for(LineResult::Ok, 10).await;
    stub.release();
    harness.wait_for(LineResult::Ok, 10 + held as u64).await;
}

#[actix_rt::test]
async fn a_value_that_its_column_cannot_hold_costs_its_point_nothing_else() {
    let stub = InfluxStub::start();
    stub.define_field(&database("acme"), "telemetry", "a", &Value::Integer(0));
    stub.define_field(&database("acme"), "telemetry", "b", &Value::Boolean(false));
    stub.define_field(&database("acme"), "telemetry", "seq", &Value::Boolean(false));
    let harness = Harness::new(quick(&stub.url()));
    harness.send("acme", [line(1, "a=1.5,b=2i,c=3i"), line(2, "a=1.5")]);
    harness.wait_for(LineResult::Ok, 1).await;
    harness.wait_for(LineResult::Refused, 1).await;
    let points = stub.points(&database("acme"));
    assert_eq!(points.len(), 1);
    assert_eq!(points[0].fields, [("c".to_owned(), Value::Integer(3))]);
    let skipped = harness.metrics.influx.fields_skipped.of(Skipped::TypeConflict).get();
    assert_eq!(skipped, 4);
}

#[actix_rt::test]
async fn a_line_that_makes_the_server_fail_is_found_and_holds_up_nothing() {
    let (url, taken) = picky_server();
    let harness = Harness::new(with(quick(&url), |config| config.batch.batch_size = 8));
    harness.send("acme", (0..8).map(|number| line(number, if number == 5 { "bad=1" } else { "v=1" })));
    let mut sent = 0;
    wait_for("the bad line to be given up", DEADLINE, async || {
        sent += 1;
        harness.send("acme", [line(100 + sent, "v=1")]);
        harness.count(LineResult::Deferred) == 1
    })
    .await;
    harness.wait_for(LineResult::Ok, 7 + sent).await;
    assert!(*taken.lock() > 3);
    assert_eq!(harness.refused(), [], "a failure is no refusal");
}
