//! Batchers come, go, crash and drain.

use std::time::{Duration, Instant};

use ingest_kit::{InfluxStub, wait_for};

use super::harness::{Crash, DEADLINE, Find, Harness, database, line, lines, quick};
use crate::message::Drain;
use crate::metrics::LineResult;
use crate::outbox::policy::WritePolicy;
use crate::sink::influx::Config;
use crate::sink::influx::config::with;
use ingest_core::flow::disposition::Verdict;

#[actix_rt::test]
async fn a_batcher_that_dies_is_made_again_and_no_other_notices() {
    let stub = InfluxStub::start();
    let harness = Harness::new(with(quick(&stub.url()), |config| config.write_policy = WritePolicy::Required));
    stub.hang(Some(&database("acme")));
    harness.send_required("acme", 0, lines(10));
    wait_for("the request", DEADLINE, async || stub.counts().requests == 1).await;
    let batcher = harness.router.send(Find("acme")).await.unwrap().unwrap();
    batcher.do_send(Crash);
    harness.wait_for_verdicts(Verdict::Lost, 10).await;
    stub.release();
    harness.send_required("zeta", 100, lines(10));
    harness.wait_for_verdicts(Verdict::Done, 10).await;
    // It rests for a moment; deliveries that come too early go back to the broker.
    let mut slot = 1_000;
    wait_for("the next batcher", DEADLINE, async || {
        slot += 1;
        harness.send_required("acme", slot, [line(slot, "v=1.5")]);
        harness.verdicts().iter().filter(|verdict| **verdict == Verdict::Done).count() > 10
    })
    .await;
    wait_for("nothing to be held", DEADLINE, async || harness.metrics.influx.buffered_lines.get() == 0).await;
    assert_eq!(harness.metrics.influx.unconfirmed_lines.get(), 0);
    let text = harness.metrics.open_metrics().unwrap();
    assert!(text.contains("ingest_actor_restarts_total{actor=\"batcher\"} 1"), "{text}");
}

#[actix_rt::test]
async fn an_idle_batcher_ends_and_comes_back_with_the_next_line() {
    let stub = InfluxStub::start();
    let harness = Harness::new(with(quick(&stub.url()), |config| config.batch.idle_secs = 0));
    harness.send("acme", lines(3));
    harness.wait_for(LineResult::Ok, 3).await;
    wait_for("its end", DEADLINE, async || harness.metrics.influx.batchers.get() == 0).await;
    assert_eq!(harness.tenant("acme"), serde_json::Value::Null);
    harness.send("acme", [line(9, "v=1.5")]);
    harness.wait_for(LineResult::Ok, 4).await;
    assert_eq!(stub.point_count(&database("acme")), 4);
}

#[actix_rt::test]
async fn a_drain_writes_all_it_can_and_gives_the_rest_up() {
    let mut stub = InfluxStub::start();
    let harness = Harness::new(with(quick(&stub.url()), |config| config.write_policy = WritePolicy::Required));
    stub.stop().await;
    harness.send_required("acme", 0, lines(10));
    wait_for("an open breaker", DEADLINE, async || harness.tenant("acme")["breaker"] == "open").await;
    let begun = Instant::now();
    harness.router.send(Drain).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(Config::default().drain_secs), "it waited in vain");
    harness.wait_for_verdicts(Verdict::Retry, 10).await;
}

#[actix_rt::test]
async fn a_drain_does_not_wait_for_ever_for_an_answer() {
    let stub = InfluxStub::start();
    let harness = Harness::new(with(quick(&stub.url()), |config| config.drain_secs = 1));
    stub.hang(Some(&database("stuck")));
    harness.send("stuck", lines(10));
    harness.send("acme", lines(10));
    harness.router.send(Drain).await.unwrap();
    assert_eq!(stub.point_count(&database("acme")), 10);
    assert_eq!(harness.tenant("stuck")["requests_in_flight"], 1);
}

#[actix_rt::test]
async fn the_supervisor_sees_whether_there_is_work_and_that_it_gets_on() {
    let stub = InfluxStub::start();
    let harness = Harness::new(with(quick(&stub.url()), |config| config.target.request_timeout_secs = 1));
    stub.hang(None);
    harness.send("acme", lines(3));
    wait_for("work", DEADLINE, async || harness.heartbeat.read().1).await;
    let (progress, _) = harness.heartbeat.read();
    wait_for("an attempt to end", DEADLINE, async || harness.heartbeat.read().0 > progress + 1).await;
    stub.release();
    wait_for("an end of the work", DEADLINE, async || !harness.heartbeat.read().1).await;
}
