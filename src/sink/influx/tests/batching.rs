//! Batches: when they are sent, and when their lines are confirmed.

use ingest_kit::{InfluxStub, Value, wait_for};

use super::harness::{DEADLINE, Harness, database, line, lines, quick};
use crate::message::Drain;
use crate::metrics::LineResult;
use crate::outbox::policy::WritePolicy;
use crate::sink::influx::config::with;
use ingest_core::flow::disposition::Verdict;

#[actix_rt::test]
async fn lines_reach_their_tenants_databases_one_request_per_batch() {
    let stub = InfluxStub::builder().token("apiv3_test").start();
    let harness = Harness::new(with(quick(&stub.url()), |config| {
        config.batch.batch_size = 100;
        config.batch.flush_interval_ms = 60_000;
    }));
    harness.send("acme", lines(250));
    harness.send("zeta", lines(100));
    harness.wait_for(LineResult::Ok, 300).await;
    assert_eq!((stub.point_count(&database("acme")), stub.point_count(&database("zeta"))), (200, 100));
    assert_eq!(stub.counts().requests, 3);
    assert_eq!(harness.metrics.influx.unconfirmed_lines.get(), 50, "half a batch waits for company");
    harness.router.send(Drain).await.unwrap();
    assert_eq!(stub.point_count(&database("acme")), 250);
    assert_eq!((harness.metrics.influx.unconfirmed_lines.get(), harness.metrics.influx.buffered_lines.get()), (0, 0));
    assert_eq!(harness.metrics.influx.batchers.get(), 2);
}

#[actix_rt::test]
async fn a_batch_waits_no_longer_than_the_interval() {
    let stub = InfluxStub::start();
    let harness = Harness::new(with(quick(&stub.url()), |config| {
        config.batch.batch_size = 1_000;
        config.batch.flush_interval_ms = 50;
    }));
    for number in 0..5 {
        harness.send("acme", [line(number, "v=1.5")]);
    }
    harness.wait_for(LineResult::Ok, 5).await;
    assert_eq!(stub.counts().requests, 1);
}

#[actix_rt::test]
async fn full_batches_that_are_small_overlap_more_and_partial_ones_do_not() {
    let stub = InfluxStub::start();
    stub.hang(None);
    let harness = Harness::new(with(quick(&stub.url()), |config| {
        config.batch.batch_size = 10;
        config.batch.max_in_flight = 2;
    }));
    harness.send("fast", lines(400));
    let under_way = |tenant| harness.tenant(tenant)["requests_in_flight"].as_u64().unwrap_or(0);
    wait_for("sixteen times as many", DEADLINE, async || under_way("fast") == 32).await;
    for number in 1..=5 {
        harness.send("slow", [line(number, "v=1.5")]);
        wait_for("a request or a wait", DEADLINE, async || under_way("slow") == number.min(2)).await;
    }
    stub.release();
    harness.wait_for(LineResult::Ok, 405).await;
    assert_eq!((stub.point_count(&database("fast")), stub.point_count(&database("slow"))), (400, 5));
}

#[actix_rt::test]
async fn a_delivery_ends_when_its_line_is_durable_and_not_before() {
    let stub = InfluxStub::start();
    let harness = Harness::new(with(quick(&stub.url()), |config| config.write_policy = WritePolicy::Required));
    stub.hang(None);
    harness.send_required("acme", 0, lines(10));
    wait_for("the request", DEADLINE, async || stub.counts().requests == 1).await;
    assert_eq!(harness.verdicts(), []);
    stub.release();
    harness.wait_for_verdicts(Verdict::Done, 10).await;
    assert_eq!(stub.point_count(&database("acme")), 10);
}

#[actix_rt::test]
async fn an_integer_goes_as_a_float_where_the_column_is_one() {
    let stub = InfluxStub::start();
    let harness = Harness::new(quick(&stub.url()));
    harness.send("acme", [line(1, "temp=24.5,n=3i")]);
    harness.wait_for(LineResult::Ok, 1).await;
    // The first one is refused and repaired, together with what its batch holds besides.
    harness.send("acme", [line(2, "temp=24i,n=4i"), line(3, "temp=25.5"), line(4, "temp=26i,n=5i")]);
    harness.wait_for(LineResult::Ok, 4).await;
    let requests = stub.counts().requests;
    // From then on the column is known.
    harness.send("acme", [line(5, "temp=27i")]);
    harness.wait_for(LineResult::Ok, 5).await;
    assert_eq!((stub.counts().requests, stub.counts().lines_refused), (requests + 1, 2));
    let mut temps: Vec<_> = stub.points(&database("acme")).iter().map(|point| point.field("temp").cloned()).collect();
    temps.sort_by_key(|temp| format!("{temp:?}"));
    assert_eq!(temps, [24.0, 24.5, 25.5, 26.0, 27.0].map(|temp| Some(Value::Float(temp))));
    assert_eq!((harness.refused(), harness.metrics.influx.unconfirmed_lines.get()), (Vec::new(), 0));
}
