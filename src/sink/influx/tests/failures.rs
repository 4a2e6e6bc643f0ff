//! What InfluxDB refuses or does not answer.

use ingest_kit::{InfluxStub, wait_for};

use super::harness::{DEADLINE, Harness, database, line, lines, quick};
use crate::metrics::LineResult;
use crate::outbox::policy::WritePolicy;
use crate::sink::influx::config::with;
use ingest_core::flow::disposition::Verdict;

#[actix_rt::test]
async fn a_bad_line_is_refused_alone() {
    let stub = InfluxStub::start();
    let harness = Harness::new(quick(&stub.url()));
    let bad = line(2, "v=1,v=2");
    harness.send("acme", [line(1, "v=1.5"), bad.clone(), line(3, "v=1.5")]);
    harness.wait_for(LineResult::Ok, 2).await;
    harness.wait_for(LineResult::Refused, 1).await;
    wait_for("the refusal", DEADLINE, async || !harness.refused().is_empty()).await;
    let refused = harness.refused();
    assert_eq!((refused.len(), &refused[0].0), (1, &bad));
    assert!(refused[0].1.contains("multiple instances of 'v'"), "{refused:?}");
    assert_eq!(stub.point_count(&database("acme")), 2);
}

#[actix_rt::test]
async fn too_large_a_request_is_cut_in_halves_until_it_fits() {
    let stub = InfluxStub::start();
    let harness = Harness::new(quick(&stub.url()));
    let long = |number: u64| {
        let tags: String = (0..6).map(|tag| format!(",t{tag}={}", "x".repeat(1_000_000))).collect();
        format!("telemetry,device_id=d{number}{tags} seq=1i {number}")
    };
    // Two of them are more than the server takes.
    harness.send("acme", [long(1), long(2), line(3, "v=1.5")]);
    harness.wait_for(LineResult::Ok, 3).await;
    assert_eq!(stub.point_count(&database("acme")), 3);
    // Eleven are more than the server takes in one.
    let far_too_long = long(4).replacen(" seq", &format!(",u={}", "x".repeat(6_000_000)), 1) + "0";
    harness.send("acme", [far_too_long, line(5, "v=1.5")]);
    harness.wait_for(LineResult::Refused, 1).await;
    harness.wait_for(LineResult::Ok, 4).await;
}

#[actix_rt::test]
async fn a_tenant_without_a_database_keeps_its_lines_and_delays_no_other() {
    let stub = InfluxStub::builder().database_limit(1).start();
    let harness = Harness::new(quick(&stub.url()));
    harness.send("acme", lines(3));
    harness.wait_for(LineResult::Ok, 3).await;
    harness.send("zeta", lines(3));
    wait_for("the reason", DEADLINE, async || harness.last_error("zeta").contains("no room for another database"))
        .await;
    assert_eq!(harness.tenant("zeta")["breaker"], "open");
    harness.send("acme", [line(7, "v=1.5")]);
    harness.wait_for(LineResult::Ok, 4).await;
    assert_eq!(harness.tenant("zeta")["held_lines"], 3);
    assert_eq!(harness.refused(), []);
}

#[actix_rt::test]
async fn a_wrong_token_keeps_the_lines_until_it_is_the_right_one() {
    let wrong = InfluxStub::builder().token("apiv3_other").start();
    let port = wrong.address().rsplit_once(':').unwrap().1.parse().unwrap();
    let harness = Harness::new(quick(&wrong.url()));
    // Many lines: the server turns the request away before it has read them.
    harness.send("acme", lines(20_000));
    wait_for("the reason", DEADLINE, async || harness.last_error("acme").contains("INFLUXDB_TOKEN")).await;
    assert_eq!(harness.metrics.influx.breakers_open.get(), 1);
    let mut wrong = wrong;
    wrong.stop().await;
    let right = InfluxStub::builder().port(port).token("apiv3_test").start();
    harness.wait_for(LineResult::Ok, 20_000).await;
    assert_eq!((right.point_count(&database("acme")), harness.metrics.influx.breakers_open.get()), (20_000, 0));
}

#[actix_rt::test]
async fn an_outage_is_outlived_and_deliveries_wait_for_its_end() {
    let mut stub = InfluxStub::start();
    stub.stop().await;
    let harness = Harness::new(with(quick(&stub.url()), |config| {
        config.write_policy = WritePolicy::Required;
        config.batch.batch_size = 10;
    }));
    harness.send_required("acme", 0, lines(100));
    wait_for("an open breaker", DEADLINE, async || harness.tenant("acme")["breaker"] == "open").await;
    assert_eq!(harness.verdicts(), []);
    stub.start_again();
    harness.wait_for_verdicts(Verdict::Done, 100).await;
    assert_eq!(stub.point_count(&database("acme")), 100);
    assert_eq!(harness.tenant("acme")["breaker"], "closed");
}

#[actix_rt::test]
async fn failures_that_pass_are_tried_again_with_the_whole_batch() {
    let stub = InfluxStub::start();
    let harness = Harness::new(quick(&stub.url()));
    stub.fail_next(5, 503);
    harness.send("acme", lines(20));
    harness.wait_for(LineResult::Ok, 20).await;
    assert_eq!((stub.point_count(&database("acme")), stub.counts().requests), (20, 6));
    assert_eq!(harness.tenant("acme")["requests_failed"], 5);
}

#[actix_rt::test]
async fn a_database_that_hangs_delays_no_other() {
    let stub = InfluxStub::start();
    let harness = Harness::new(with(quick(&stub.url()), |config| {
        config.batch.batch_size = 10;
        config.batch.max_in_flight = 1;
        config.batch.threads = 1;
    }));
    stub.hang(Some(&database("stuck")));
    harness.send("stuck", lines(200));
    for tenant in 0..20 {
        harness.send(&format!("t{tenant}"), lines(50));
    }
    harness.wait_for(LineResult::Ok, 1_000).await;
    assert_eq!(harness.tenant("stuck")["requests_in_flight"], 16, "as many as one tenant may have");
    stub.release();
    harness.wait_for(LineResult::Ok, 1_200).await;
}

#[actix_rt::test]
async fn a_request_without_an_answer_ends_in_time() {
    let stub = InfluxStub::start();
    let harness = Harness::new(with(quick(&stub.url()), |config| config.target.request_timeout_secs = 1));
    stub.hang(None);
    harness.send("acme", lines(3));
    wait_for("the reason", DEADLINE, async || harness.last_error("acme").contains("no answer within 1 s")).await;
    stub.release();
    harness.wait_for(LineResult::Ok, 3).await;
    assert_eq!(stub.point_count(&database("acme")), 3);
}
