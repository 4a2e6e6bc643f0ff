//! Router and batchers together, against a stand-in for InfluxDB.

mod columns;
mod condition;
mod house;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest_kit::{InfluxStub, Value, wait_for};

use self::house::{Crash, DEADLINE, Find, House, database, line, lines, picky_server, quick};
use super::Config;
use super::files::tests::Watched;
use crate::message::Drain;
use crate::metrics::LineResult;
use crate::outbox::policy::WritePolicy;
use ingest_core::flow::disposition::Verdict;
use ingest_core::influx::line_protocol::Skipped;

#[actix_rt::test]
async fn lines_reach_their_tenants_databases_one_request_per_batch() {
    let stub = InfluxStub::builder().token("apiv3_test").start();
    let house = House::new(Config { batch_size: 100, flush_interval_ms: 60_000, ..quick(&stub.url()) });
    house.send("acme", lines(250));
    house.send("zeta", lines(100));
    house.wait_for(LineResult::Ok, 300).await;
    assert_eq!((stub.point_count(&database("acme")), stub.point_count(&database("zeta"))), (200, 100));
    assert_eq!(stub.counts().requests, 3);
    assert_eq!(house.metrics.influx.unconfirmed_lines.get(), 50, "half a batch waits for company");
    house.router.send(Drain).await.unwrap();
    assert_eq!(stub.point_count(&database("acme")), 250);
    assert_eq!((house.metrics.influx.unconfirmed_lines.get(), house.metrics.influx.buffered_lines.get()), (0, 0));
    assert_eq!(house.metrics.influx.batchers.get(), 2);
}

#[actix_rt::test]
async fn a_batch_waits_no_longer_than_the_interval() {
    let stub = InfluxStub::start();
    let house = House::new(Config { batch_size: 1_000, flush_interval_ms: 50, ..quick(&stub.url()) });
    for number in 0..5 {
        house.send("acme", [line(number, "v=1.5")]);
    }
    house.wait_for(LineResult::Ok, 5).await;
    assert_eq!(stub.counts().requests, 1);
}

#[actix_rt::test]
async fn full_batches_that_are_small_overlap_more_and_partial_ones_do_not() {
    let stub = InfluxStub::start();
    stub.hang(None);
    let house = House::new(Config { batch_size: 10, max_in_flight: 2, ..quick(&stub.url()) });
    house.send("fast", lines(400));
    let under_way = |tenant| house.tenant(tenant)["requests_in_flight"].as_u64().unwrap_or(0);
    wait_for("sixteen times as many", DEADLINE, async || under_way("fast") == 32).await;
    for number in 1..=5 {
        house.send("slow", [line(number, "v=1.5")]);
        wait_for("a request or a wait", DEADLINE, async || under_way("slow") == number.min(2)).await;
    }
    stub.release();
    house.wait_for(LineResult::Ok, 405).await;
    assert_eq!((stub.point_count(&database("fast")), stub.point_count(&database("slow"))), (400, 5));
}

#[actix_rt::test]
async fn a_delivery_ends_when_its_line_is_durable_and_not_before() {
    let stub = InfluxStub::start();
    let house = House::new(Config { write_policy: WritePolicy::Required, ..quick(&stub.url()) });
    stub.hang(None);
    house.send_required("acme", 0, lines(10));
    wait_for("the request", DEADLINE, async || stub.counts().requests == 1).await;
    assert_eq!(house.verdicts(), []);
    stub.release();
    house.wait_for_verdicts(Verdict::Done, 10).await;
    assert_eq!(stub.point_count(&database("acme")), 10);
}

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

#[actix_rt::test]
async fn only_so_many_deliveries_are_held_for_a_tenant_in_trouble() {
    let mut stub = InfluxStub::start();
    stub.stop().await;
    let config = Config { write_policy: WritePolicy::Required, batch_size: 10, hold_lines: 50, ..quick(&stub.url()) };
    let house = House::new(config);
    house.send_required("acme", 0, lines(200));
    house.wait_for_verdicts(Verdict::Retry, 150).await;
    house.send_required("acme", 1_000, lines(30));
    house.wait_for_verdicts(Verdict::Retry, 180).await;
    stub.start_again();
    house.wait_for_verdicts(Verdict::Done, 50).await;
    assert_eq!((house.count(LineResult::Returned), house.count(LineResult::Ok)), (180, 50));
}

#[actix_rt::test]
async fn no_delivery_is_held_for_ever() {
    let mut stub = InfluxStub::start();
    stub.stop().await;
    let house = House::new(Config { write_policy: WritePolicy::Required, hold_secs: 1, ..quick(&stub.url()) });
    let sent = Instant::now();
    house.send_required("acme", 0, lines(5));
    house.wait_for_verdicts(Verdict::Retry, 5).await;
    assert!(sent.elapsed() >= Duration::from_secs(1));
}

#[actix_rt::test]
async fn a_full_buffer_leaves_further_lines_owed() {
    let stub = InfluxStub::start();
    stub.hang(None);
    let house = House::new(Config { buffer_lines: 100, batch_size: 10, ..quick(&stub.url()) });
    house.send("acme", lines(130));
    house.wait_for(LineResult::Deferred, 30).await;
    stub.release();
    house.wait_for(LineResult::Ok, 100).await;
    assert_eq!(house.metrics.influx.unconfirmed_lines.get(), 0, "what is deferred is the replay's to count");

    let house = House::new(Config { buffer_total_bytes: 1, ..quick(&stub.url()) });
    stub.hang(None);
    house.send("acme", lines(10));
    house.send("zeta", lines(10));
    house.wait_for(LineResult::Deferred, 10).await;
    stub.release();
    house.wait_for(LineResult::Ok, 10).await;
}

#[actix_rt::test]
async fn replayed_lines_leave_room_for_live_ones() {
    let stub = InfluxStub::start();
    stub.hang(None);
    let house = House::new(Config { buffer_lines: 100, batch_size: 10, ..quick(&stub.url()) });
    house.replay("acme", lines(100));
    house.wait_for(LineResult::Deferred, 20).await;
    house.replay("acme", lines(5));
    house.wait_for(LineResult::Deferred, 25).await;
    house.send("acme", lines(20));
    stub.release();
    house.wait_for(LineResult::Ok, 100).await;
    assert_eq!(house.count(LineResult::Deferred), 25, "a live line was turned away");
}

#[actix_rt::test]
async fn a_tenant_that_falls_behind_leaves_room_for_the_next_one() {
    let stub = InfluxStub::start();
    stub.hang(Some("telemetry_acme"));
    let house = House::new(Config { buffer_total_bytes: 20_000, ..quick(&stub.url()) });
    for _ in 0..50 {
        house.send("acme", lines(10));
    }
    wait_for("all to be taken in or turned away", DEADLINE, async || {
        let influx = &house.metrics.influx;
        influx.buffered_lines.get() as u64 + influx.lines.of(LineResult::Deferred).get() == 500
    })
    .await;
    let held = house.metrics.influx.buffered_lines.get();
    assert!((50..=150).contains(&held), "{held}: about half of the room");
    house.send("zeta", lines(10));
    house.wait_for(LineResult::Ok, 10).await;
    stub.release();
    house.wait_for(LineResult::Ok, 10 + held as u64).await;
}

#[actix_rt::test]
async fn an_integer_goes_as_a_float_where_the_column_is_one() {
    let stub = InfluxStub::start();
    let house = House::new(quick(&stub.url()));
    house.send("acme", [line(1, "temp=24.5,n=3i")]);
    house.wait_for(LineResult::Ok, 1).await;
    // The first one is refused and repaired, together with what its batch holds besides.
    house.send("acme", [line(2, "temp=24i,n=4i"), line(3, "temp=25.5"), line(4, "temp=26i,n=5i")]);
    house.wait_for(LineResult::Ok, 4).await;
    let requests = stub.counts().requests;
    // From then on the column is known.
    house.send("acme", [line(5, "temp=27i")]);
    house.wait_for(LineResult::Ok, 5).await;
    assert_eq!((stub.counts().requests, stub.counts().lines_refused), (requests + 1, 2));
    let mut temps: Vec<_> = stub.points(&database("acme")).iter().map(|point| point.field("temp").cloned()).collect();
    temps.sort_by_key(|temp| format!("{temp:?}"));
    assert_eq!(temps, [24.0, 24.5, 25.5, 26.0, 27.0].map(|temp| Some(Value::Float(temp))));
    assert_eq!((house.refused(), house.metrics.influx.unconfirmed_lines.get()), (Vec::new(), 0));
}

#[actix_rt::test]
async fn a_value_that_its_column_cannot_hold_costs_its_point_nothing_else() {
    let stub = InfluxStub::start();
    stub.define_field(&database("acme"), "telemetry", "a", &Value::Integer(0));
    stub.define_field(&database("acme"), "telemetry", "b", &Value::Boolean(false));
    stub.define_field(&database("acme"), "telemetry", "seq", &Value::Boolean(false));
    let house = House::new(quick(&stub.url()));
    house.send("acme", [line(1, "a=1.5,b=2i,c=3i"), line(2, "a=1.5")]);
    house.wait_for(LineResult::Ok, 1).await;
    house.wait_for(LineResult::Refused, 1).await;
    let points = stub.points(&database("acme"));
    assert_eq!(points.len(), 1);
    assert_eq!(points[0].fields, [("c".to_owned(), Value::Integer(3))]);
    let skipped = house.metrics.influx.fields_skipped.of(Skipped::TypeConflict).get();
    assert_eq!(skipped, 4);
}

#[actix_rt::test]
async fn a_batcher_that_dies_is_made_anew_and_no_other_notices() {
    let stub = InfluxStub::start();
    let house = House::new(Config { write_policy: WritePolicy::Required, ..quick(&stub.url()) });
    stub.hang(Some(&database("acme")));
    house.send_required("acme", 0, lines(10));
    wait_for("the request", DEADLINE, async || stub.counts().requests == 1).await;
    let batcher = house.router.send(Find("acme")).await.unwrap().unwrap();
    batcher.do_send(Crash);
    house.wait_for_verdicts(Verdict::Lost, 10).await;
    stub.release();
    house.send_required("zeta", 100, lines(10));
    house.wait_for_verdicts(Verdict::Done, 10).await;
    // It rests for a moment; deliveries that come too early go back to the broker.
    let mut slot = 1_000;
    wait_for("the next batcher", DEADLINE, async || {
        slot += 1;
        house.send_required("acme", slot, [line(slot, "v=1.5")]);
        house.verdicts().iter().filter(|verdict| **verdict == Verdict::Done).count() > 10
    })
    .await;
    wait_for("nothing to be held", DEADLINE, async || house.metrics.influx.buffered_lines.get() == 0).await;
    assert_eq!(house.metrics.influx.unconfirmed_lines.get(), 0);
    let text = house.metrics.open_metrics().unwrap();
    assert!(text.contains("ingest_actor_restarts_total{actor=\"batcher\"} 1"), "{text}");
}

#[actix_rt::test]
async fn an_idle_batcher_ends_and_comes_back_with_the_next_line() {
    let stub = InfluxStub::start();
    let house = House::new(Config { idle_secs: 0, ..quick(&stub.url()) });
    house.send("acme", lines(3));
    house.wait_for(LineResult::Ok, 3).await;
    wait_for("its end", DEADLINE, async || house.metrics.influx.batchers.get() == 0).await;
    assert_eq!(house.tenant("acme"), serde_json::Value::Null);
    house.send("acme", [line(9, "v=1.5")]);
    house.wait_for(LineResult::Ok, 4).await;
    assert_eq!(stub.point_count(&database("acme")), 4);
}

#[actix_rt::test]
async fn a_drain_writes_all_it_can_and_gives_the_rest_up() {
    let mut stub = InfluxStub::start();
    let house = House::new(Config { write_policy: WritePolicy::Required, ..quick(&stub.url()) });
    stub.stop().await;
    house.send_required("acme", 0, lines(10));
    wait_for("an open breaker", DEADLINE, async || house.tenant("acme")["breaker"] == "open").await;
    let begun = Instant::now();
    house.router.send(Drain).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(Config::default().drain_secs), "it waited in vain");
    house.wait_for_verdicts(Verdict::Retry, 10).await;
}

#[actix_rt::test]
async fn a_drain_does_not_wait_for_ever_for_an_answer() {
    let stub = InfluxStub::start();
    let house = House::new(Config { drain_secs: 1, ..quick(&stub.url()) });
    stub.hang(Some(&database("stuck")));
    house.send("stuck", lines(10));
    house.send("acme", lines(10));
    house.router.send(Drain).await.unwrap();
    assert_eq!(stub.point_count(&database("acme")), 10);
    assert_eq!(house.tenant("stuck")["requests_in_flight"], 1);
}

#[actix_rt::test]
async fn the_supervisor_sees_whether_there_is_work_and_that_it_gets_on() {
    let stub = InfluxStub::start();
    let house = House::new(Config { request_timeout_secs: 1, ..quick(&stub.url()) });
    stub.hang(None);
    house.send("acme", lines(3));
    wait_for("work", DEADLINE, async || house.heartbeat.read().1).await;
    let (progress, _) = house.heartbeat.read();
    wait_for("an attempt to end", DEADLINE, async || house.heartbeat.read().0 > progress + 1).await;
    stub.release();
    wait_for("an end of the work", DEADLINE, async || !house.heartbeat.read().1).await;
}

#[actix_rt::test]
async fn without_a_server_points_go_to_a_file_per_tenant() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        url: None,
        data_dir: directory.path().to_path_buf(),
        write_policy: WritePolicy::Required,
        file_rotate_bytes: 500,
        batch_size: 10,
        flush_interval_ms: 10,
        ..Config::default()
    };
    let house = House::new(config);
    house.send_required("acme", 0, lines(25));
    house.send_required("müller", 100, lines(5));
    house.wait_for_verdicts(Verdict::Done, 30).await;
    house.router.send(Drain).await.unwrap();
    let read = |path: &str| std::fs::read_to_string(directory.path().join(path)).unwrap_or_default();
    let of = |from: u64, to: u64| lines(to).skip(from as usize).map(|line| line + "\n").collect::<String>();
    assert_eq!(read("telemetry_acme/0000000001.lp"), of(0, 10));
    assert_eq!(read("telemetry_acme/0000000002.lp"), of(10, 20));
    assert_eq!(read("telemetry_acme/current.lp"), of(20, 25));
    assert_eq!(read("telemetry-x-m_C3_BCller/current.lp"), of(0, 5));
}

#[actix_rt::test]
async fn a_line_is_confirmed_by_the_fsync_of_its_file_and_by_nothing_less() {
    for write_policy in [WritePolicy::BestEffort, WritePolicy::Required] {
        let (directory, disk) = (tempfile::tempdir().unwrap(), Arc::new(Watched::default()));
        let data_dir = directory.path().to_path_buf();
        let house = House::on_disk(Config { url: None, data_dir, write_policy, ..quick("") }, disk.clone());
        disk.fail_syncs(usize::MAX);
        match write_policy {
            WritePolicy::BestEffort => house.send("acme", lines(5)),
            WritePolicy::Required => house.send_required("acme", 0, lines(5)),
        }
        let mut attempts = 0;
        wait_for("several attempts", DEADLINE, async || {
            attempts += disk.take_calls().iter().filter(|call| **call == "fsync").count();
            attempts > 3
        })
        .await;
        assert_eq!((house.count(LineResult::Ok), house.verdicts()), (0, Vec::new()));
        disk.fail_syncs(0);
        house.wait_for(LineResult::Ok, 5).await;
        let text = std::fs::read_to_string(directory.path().join("telemetry_acme/current.lp")).unwrap();
        assert_eq!(text, lines(5).map(|line| line + "\n").collect::<String>());
    }
}

#[actix_rt::test]
async fn a_line_that_makes_the_server_fail_is_found_and_holds_up_nothing() {
    let (url, taken) = picky_server();
    let house = House::new(Config { batch_size: 8, ..quick(&url) });
    house.send("acme", (0..8).map(|number| line(number, if number == 5 { "bad=1" } else { "v=1" })));
    let mut sent = 0;
    wait_for("the bad line to be given up", DEADLINE, async || {
        sent += 1;
        house.send("acme", [line(100 + sent, "v=1")]);
        house.count(LineResult::Deferred) == 1
    })
    .await;
    house.wait_for(LineResult::Ok, 7 + sent).await;
    assert!(*taken.lock().unwrap() > 3);
    assert_eq!(house.refused(), [], "a failure is no refusal");
}
