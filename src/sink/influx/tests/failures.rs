//! What InfluxDB refuses or does not answer.

use ingest_kit::{InfluxStub, wait_for};

use super::house::{DEADLINE, House, database, line, lines, quick};
use crate::metrics::LineResult;
use crate::outbox::policy::WritePolicy;
use crate::sink::influx::Config;
use ingest_core::flow::disposition::Verdict;

#[actix_rt::test]
async fn a_bad_line_is_refused_alone() {
    let stub = InfluxStub::start();
    let house = House::new(quick(&stub.url()));
    let bad = line(2, "v=1,v=2");
    house.send("acme", [line(1, "v=1.5"), bad.clone(), line(3, "v=1.5")]);
    house.wait_for(LineResult::Ok, 2).await;
    house.wait_for(LineResult::Refused, 1).await;
    wait_for("the refusal", DEADLINE, async || !house.refused().is_empty()).await;
    let refused = house.refused();
    assert_eq!((refused.len(), &refused[0].0), (1, &bad));
    assert!(refused[0].1.contains("multiple instances of 'v'"), "{refused:?}");
    assert_eq!(stub.point_count(&database("acme")), 2);
}

#[actix_rt::test]
async fn too_large_a_request_is_cut_in_halves_until_it_fits() {
    let stub = InfluxStub::start();
    let house = House::new(quick(&stub.url()));
    let long = |number: u64| {
        let tags: String = (0..6).map(|tag| format!(",t{tag}={}", "x".repeat(1_000_000))).collect();
        format!("telemetry,device_id=d{number}{tags} seq=1i {number}")
    };
    // Two of them are more than the server takes.
    house.send("acme", [long(1), long(2), line(3, "v=1.5")]);
    house.wait_for(LineResult::Ok, 3).await;
    assert_eq!(stub.point_count(&database("acme")), 3);
    // Eleven are more than the server takes in one.
    let far_too_long = long(4).replacen(" seq", &format!(",u={}", "x".repeat(6_000_000)), 1) + "0";
    house.send("acme", [far_too_long, line(5, "v=1.5")]);
    house.wait_for(LineResult::Refused, 1).await;
    house.wait_for(LineResult::Ok, 4).await;
}

#[actix_rt::test]
async fn a_tenant_without_a_database_keeps_its_lines_and_delays_no_other() {
    let stub = InfluxStub::builder().database_limit(1).start();
    let house = House::new(quick(&stub.url()));
    house.send("acme", lines(3));
    house.wait_for(LineResult::Ok, 3).await;
    house.send("zeta", lines(3));
    wait_for("the reason", DEADLINE, async || house.last_error("zeta").contains("no room for another database")).await;
    assert_eq!(house.tenant("zeta")["breaker"], "open");
    house.send("acme", [line(7, "v=1.5")]);
    house.wait_for(LineResult::Ok, 4).await;
    assert_eq!(house.tenant("zeta")["held_lines"], 3);
    assert_eq!(house.refused(), []);
}

#[actix_rt::test]
async fn a_wrong_token_keeps_the_lines_until_it_is_the_right_one() {
    let wrong = InfluxStub::builder().token("apiv3_other").start();
    let port = wrong.address().rsplit_once(':').unwrap().1.parse().unwrap();
    let house = House::new(quick(&wrong.url()));
    // Many lines: the server turns the request away before it has read them.
    house.send("acme", lines(20_000));
    wait_for("the reason", DEADLINE, async || house.last_error("acme").contains("INFLUXDB_TOKEN")).await;
    assert_eq!(house.metrics.influx.breakers_open.get(), 1);
    let mut wrong = wrong;
    wrong.stop().await;
    let right = InfluxStub::builder().port(port).token("apiv3_test").start();
    house.wait_for(LineResult::Ok, 20_000).await;
    assert_eq!((right.point_count(&database("acme")), house.metrics.influx.breakers_open.get()), (20_000, 0));
}

#[actix_rt::test]
async fn an_outage_is_outlived_and_deliveries_wait_for_its_end() {
    let mut stub = InfluxStub::start();
    stub.stop().await;
    let house = House::new(Config { write_policy: WritePolicy::Required, batch_size: 10, ..quick(&stub.url()) });
    house.send_required("acme", 0, lines(100));
    wait_for("an open breaker", DEADLINE, async || house.tenant("acme")["breaker"] == "open").await;
    assert_eq!(house.verdicts(), []);
    stub.start_again();
    house.wait_for_verdicts(Verdict::Done, 100).await;
    assert_eq!(stub.point_count(&database("acme")), 100);
    assert_eq!(house.tenant("acme")["breaker"], "closed");
}

#[actix_rt::test]
async fn failures_that_pass_are_tried_again_with_the_whole_batch() {
    let stub = InfluxStub::start();
    let house = House::new(quick(&stub.url()));
    stub.fail_next(5, 503);
    house.send("acme", lines(20));
    house.wait_for(LineResult::Ok, 20).await;
    assert_eq!((stub.point_count(&database("acme")), stub.counts().requests), (20, 6));
    assert_eq!(house.tenant("acme")["requests_failed"], 5);
}

#[actix_rt::test]
async fn a_database_that_hangs_delays_no_other() {
    let stub = InfluxStub::start();
    let house = House::new(Config { batch_size: 10, max_in_flight: 1, threads: 1, ..quick(&stub.url()) });
    stub.hang(Some(&database("stuck")));
    house.send("stuck", lines(200));
    for tenant in 0..20 {
        house.send(&format!("t{tenant}"), lines(50));
    }
    house.wait_for(LineResult::Ok, 1_000).await;
    assert_eq!(house.tenant("stuck")["requests_in_flight"], 16, "as many as one tenant may have");
    stub.release();
    house.wait_for(LineResult::Ok, 1_200).await;
}

#[actix_rt::test]
async fn a_request_without_an_answer_ends_in_time() {
    let stub = InfluxStub::start();
    let house = House::new(Config { request_timeout_secs: 1, ..quick(&stub.url()) });
    stub.hang(None);
    house.send("acme", lines(3));
    wait_for("the reason", DEADLINE, async || house.last_error("acme").contains("no answer within 1 s")).await;
    stub.release();
    house.wait_for(LineResult::Ok, 3).await;
    assert_eq!(stub.point_count(&database("acme")), 3);
}
