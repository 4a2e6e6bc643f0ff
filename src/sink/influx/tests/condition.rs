//! What is said of a server that does not do its work, and when; and what follows for deliveries.

use std::time::{Duration, Instant};

use ingest_kit::{InfluxStub, wait_for};

use super::harness::{DEADLINE, Harness, database, line, lines, quick};
use crate::metrics::LineResult;
use crate::outbox::policy::WritePolicy;
use crate::sink::influx::config::with;
use ingest_core::flow::disposition::Verdict;

fn note(harness: &Harness) -> String {
    harness.readiness.messages().join("; ")
}

#[actix_rt::test]
async fn a_server_that_hangs_is_one_note_after_five_seconds_and_none_when_it_works_again() {
    let stub = InfluxStub::start();
    let harness = Harness::new(quick(&stub.url()));
    harness.send("acme", lines(1));
    harness.wait_for(LineResult::Ok, 1).await;
    stub.hang(None);
    for tenant in ["acme", "zeta"] {
        harness.send(tenant, lines(3));
    }
    wait_for("the note", DEADLINE, async || note(&harness).starts_with("influx: 2 tenants' databases")).await;
    assert!(note(&harness).contains("it does not answer"), "{}", note(&harness));
    assert!(harness.last_error("acme").contains("has not answered for 5 s"), "{}", harness.last_error("acme"));
    stub.release();
    harness.wait_for(LineResult::Ok, 7).await;
    wait_for("no note", DEADLINE, async || note(&harness).is_empty()).await;
}

#[actix_rt::test]
async fn failures_are_a_note_as_soon_as_they_last() {
    let stub = InfluxStub::start();
    // One failure, and a long wait after it.
    let harness = Harness::new(with(quick(&stub.url()), |config| config.retry.breaker_failures = 100));
    stub.fail_next_for(1, 503, 8);
    harness.send("acme", lines(3));
    wait_for("the note", DEADLINE, async || note(&harness).contains("status 503")).await;
    harness.wait_for(LineResult::Ok, 3).await;
    wait_for("no note", DEADLINE, async || note(&harness).is_empty()).await;
}

#[actix_rt::test]
async fn what_is_not_the_apis_own_success_confirms_nothing_and_is_said() {
    for (status, body) in [
        (200, "<html>Please sign in</html>"),
        (200, r#"{"error":"partial write of line protocol occurred"}"#),
        (202, ""),
    ] {
        let stub = InfluxStub::start();
        let harness = Harness::new(quick(&stub.url()));
        stub.answer_next(3, status, body);
        harness.send("acme", lines(5));
        wait_for("the note", DEADLINE, async || note(&harness).contains("it is not InfluxDB that answers")).await;
        assert_eq!(harness.count(LineResult::Ok), 0);
        harness.wait_for(LineResult::Ok, 5).await;
        assert_eq!(stub.point_count(&database("acme")), 5);
        wait_for("no note", DEADLINE, async || note(&harness).is_empty()).await;
    }
}

#[actix_rt::test]
async fn a_slow_flush_of_the_servers_log_is_no_trouble_and_hands_back_no_delivery() {
    let stub = InfluxStub::start();
    stub.set_flush_interval(Duration::from_secs(7));
    let required = with(quick(&stub.url()), |config| {
        config.write_policy = WritePolicy::Required;
        config.batch.batch_size = 10;
        config.buffer.hold_lines = 20;
    });
    let harness = Harness::new(required);
    let begun = Instant::now();
    for (tenant, first) in [("acme", 0), ("zeta", 1_000)] {
        harness.send_required(tenant, first, lines(400));
    }
    harness.wait_for_verdicts(Verdict::Done, 800).await;
    assert_eq!(harness.count(LineResult::Returned), 0);
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
}

#[actix_rt::test]
async fn a_tenant_whose_database_hangs_while_others_are_served_gives_deliveries_back() {
    let stub = InfluxStub::start();
    let required = with(quick(&stub.url()), |config| {
        config.write_policy = WritePolicy::Required;
        config.batch.batch_size = 10;
        config.buffer.hold_lines = 20;
    });
    let harness = Harness::new(required);
    stub.hang(Some(&database("stuck")));
    // More than it may have under way: some 130 batches.
    harness.send_required("stuck", 0, lines(3_000));
    let mut number = 10_000;
    wait_for("what is too much to come back", DEADLINE, async || {
        number += 1;
        harness.send_required("acme", number, [line(number, "v=1.5")]);
        harness.count(LineResult::Returned) > 0
    })
    .await;
    assert_eq!(harness.tenant("acme")["lines"]["returned"], 0);
    stub.release();
    let kept = harness.tenant("stuck")["held_lines"].as_u64().unwrap();
    assert!(kept > 0, "a few are held");
    wait_for("the rest", DEADLINE, async || harness.tenant("stuck")["held_lines"] == 0).await;
}

#[actix_rt::test]
async fn waiting_as_the_server_has_asked_for_is_getting_on() {
    let stub = InfluxStub::start();
    let harness = Harness::new(quick(&stub.url()));
    stub.fail_next_for(1, 503, 6);
    harness.send("acme", lines(3));
    wait_for("the wait", DEADLINE, async || harness.last_error("acme").contains("503")).await;
    let (mut last, mut steps) = (harness.heartbeat.read().0, 0);
    wait_for("progress while nothing is sent", DEADLINE, async || {
        let (progress, is_busy) = harness.heartbeat.read();
        steps += u32::from(progress != last && is_busy);
        last = progress;
        steps >= 3
    })
    .await;
    assert_eq!(stub.counts().requests, 1);
    harness.wait_for(LineResult::Ok, 3).await;
}
