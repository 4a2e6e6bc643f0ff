//! How the derived state is written: the newest wins, whoever else writes and whatever fails.

use std::time::Duration;

use ingest_core::message::msg_type::MsgType;
use ingest_core::validate::event::Event;
use ingest_kit::{Postgres, wait_for};
use ingest_node::testing::sink::state::Config;

use super::bench::{Bench, SECOND, SOON, T0, database, event, listen, metrics, position, sensors};
use crate::workload::Workload;
use crate::world::{LANES, World, drain, start};

#[actix::test]
async fn a_time_far_ahead_freezes_neither_sensors_nor_position() {
    let database = database(Postgres::shared(), &["d1"]).await;
    let bench = Bench::new(&database);
    let at = |event: Event, latitude: f64| Event { location: Some((latitude, 2.0)), ..event };
    // 9999-12-31, received at T0.
    let ahead = Event { event_us: 253_402_214_400_000_000, ..at(event("d1", 0, r#"{"a":9999,"b":9999}"#), 9.0) };
    bench.observe_at([(T0, ahead)]);
    bench.flush().await;
    assert_eq!(sensors(&database, "d1").await, ["a=9999@0", "b=9999@0"]);
    bench.observe([at(event("d1", 1, r#"{"a":1}"#), 1.0)]);
    bench.flush().await;
    assert_eq!(sensors(&database, "d1").await, ["a=1@1", "b=9999@0"]);
    assert_eq!(position(&database, "d1").await, (Some(1.0), Some(2.0)));
}

#[actix::test]
async fn what_an_earlier_node_froze_thaws_with_the_next_message() {
    let database = database(Postgres::shared(), &["d1"]).await;
    let bench = Bench::new(&database);
    let at = |seconds, latitude: f64| Event { location: Some((latitude, 2.0)), ..event("d1", seconds, r#"{"a":1}"#) };
    bench.observe([at(0, 1.0)]);
    bench.flush().await;
    database
        .execute(
            "UPDATE device_sensors SET last_value = 9, last_seen_at = '9999-12-31';
             UPDATE device_registry SET latitude = 9, located_at = '9999-12-31';
             UPDATE device_state SET last_seen_at = 'infinity', last_heartbeat_at = '9999-12-31'",
        )
        .await;
    bench.observe([at(1, 3.0)]);
    bench.flush().await;
    assert_eq!(sensors(&database, "d1").await, ["a=1@1"]);
    assert_eq!(position(&database, "d1").await, (Some(3.0), Some(2.0)));
    // No heartbeat has come since: there is no better time.
    assert_eq!(database.count("device_state WHERE last_seen_at < now() AND last_heartbeat_at > now()").await, 1);
}

#[actix::test]
async fn replicas_that_write_the_same_rows_do_not_lock_each_other_out() {
    let ids: Vec<String> = (0..300).map(|number| format!("d{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let cluster = Postgres::start();
    let database = database(&cluster, &ids).await;
    // By their clocks: a drain has little time.
    let config = Config { flush_interval_secs: 1, share_percent: 100, ..Config::default() };
    let replicas: Vec<Bench> = (0..4).map(|_| Bench::with(&database, config.clone())).collect();
    for round in 0..5 {
        for (number, replica) in replicas.iter().enumerate() {
            let mut shuffled = ids.clone();
            shuffled.rotate_left(number * 70);
            let seconds = round * 10 + number as i64;
            let place = Some((seconds as f64, 1.0));
            replica.observe(shuffled.iter().map(|id| Event { location: place, ..event(id, seconds, &metrics(0..5)) }));
        }
        let written = (300 * (round as u64 + 1), 0);
        wait_for("every replica's flush", 3 * SOON, async || replicas.iter().all(|one| one.updates() == written)).await;
    }
    assert_eq!(sensors(&database, "d299").await, (0..5).map(|m| format!("m0{m}={m}@43")).collect::<Vec<_>>());
    assert_eq!(position(&database, "d299").await, (Some(43.0), Some(1.0)));
    let log = std::fs::read_to_string(cluster.log()).unwrap();
    assert!(!log.contains("deadlock"), "{log}");
}

#[actix::test]
async fn a_position_follows_the_newest_message_and_a_manual_one_stays() {
    let database = database(Postgres::shared(), &["auto", "manual", "null"]).await;
    database
        .execute(
            "UPDATE device_registry SET location_source = 'manual', latitude = 9, longitude = 9 WHERE device_id = 'manual';
             UPDATE device_registry SET location_source = NULL WHERE device_id = 'null';",
        )
        .await;
    let (listener, mut told) = listen(&database).await;
    let (one, other) = (Bench::new(&database), Bench::new(&database));
    let at =
        |id: &str, seconds: i64, latitude: f64| Event { location: Some((latitude, 2.0)), ..event(id, seconds, "{}") };
    // The registry's cache may still believe that the device is on auto.
    one.observe([at("auto", 30, 3.0), at("auto", 20, 2.0), at("manual", 30, 3.0), at("null", 30, 3.0)]);
    one.flush().await;
    other.observe([at("auto", 25, 2.5)]);
    other.flush().await;
    assert_eq!(position(&database, "auto").await, (Some(3.0), Some(2.0)));
    assert_eq!(position(&database, "null").await, (Some(3.0), Some(2.0)));
    assert_eq!(position(&database, "manual").await, (Some(9.0), Some(9.0)));
    listener.batch_execute("NOTIFY ingest_invalidate, 'end'").await.unwrap();
    assert_eq!(told.recv().await.as_deref(), Some("end"), "no node needs to be told");
}

#[actix::test]
async fn the_last_seen_times_are_the_brokers_and_never_go_back() {
    let database = database(Postgres::shared(), &["d1"]).await;
    let bench = Bench::new(&database);
    let heartbeat = |seconds| Event { msg_type: MsgType::Heartbeat, ..event("d1", seconds, "{}") };
    let state = async || {
        let sql = "SELECT site_id, extract(epoch FROM last_seen_at)::float8, extract(epoch FROM last_heartbeat_at)::float8,
            extract(epoch FROM last_telemetry_at)::float8 FROM device_state WHERE tenant_id = 'acme' AND device_id = 'd1'";
        let rows = database.query(sql, &[]).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].get::<_, String>(0), "site-1");
        // Each message came a second after its event.
        [1, 2, 3].map(|column| rows[0].get::<_, Option<f64>>(column).map(|at| at.round() as i64 - T0 / SECOND - 1))
    };
    bench.observe([heartbeat(10)]);
    bench.flush().await;
    assert_eq!(state().await, [Some(10), Some(10), None]);
    bench.observe([event("d1", 5, "{}"), heartbeat(8)]);
    bench.flush().await;
    assert_eq!(state().await, [Some(10), Some(10), Some(5)]);
    bench.observe([event("d1", 20, "{}"), heartbeat(15)]);
    bench.flush().await;
    assert_eq!(state().await, [Some(20), Some(15), Some(20)]);
}

#[actix::test]
async fn a_device_that_is_gone_meanwhile_leaves_no_trace() {
    let database = database(Postgres::shared(), &["d1"]).await;
    let bench = Bench::new(&database);
    bench.observe([event("gone", 0, r#"{"a":1}"#), event("d1", 0, r#"{"a":1}"#)]);
    bench.flush().await;
    assert_eq!((database.count("device_sensors").await, database.count("device_state").await), (1, 1));
    assert_eq!(bench.updates(), (2, 0));
}

#[actix::test]
async fn what_postgresql_can_not_hold_costs_nothing_else() {
    let database = database(Postgres::shared(), &["d1", "d2"]).await;
    // As in a table of an earlier system.
    database.execute("ALTER TABLE device_sensors ALTER metric_key TYPE varchar(100)").await;
    let bench = Bench::new(&database);
    let long = "k".repeat(101);
    bench.observe([
        event("d1", 0, &format!(r#"{{"a":1,"{long}":1,"b":2}}"#)),
        event("d2", 0, r#"{"a":1,"huge":1e999999}"#),
    ]);
    bench.flush().await;
    assert_eq!(sensors(&database, "d1").await, ["a=1@0", "b=2@0"]);
    assert_eq!(sensors(&database, "d2").await, ["a=1@0", "huge=@never"]);
    assert_eq!(database.count("device_state").await, 2);
    assert_eq!(bench.updates(), (2, 2));
}

#[actix::test]
async fn an_outage_is_held_coalesced_and_made_up_for() {
    let mut cluster = Postgres::start();
    let database = database(&cluster, &["d1", "d2"]).await;
    let config = Config { flush_interval_secs: 1, ..Config::default() };
    let bench = Bench::with(&database, config);
    cluster.stop();
    for second in 0..500 {
        bench.observe([event("d1", second, &format!(r#"{{"a":{second}}}"#)), event("d2", 0, r#"{"b":1}"#)]);
    }
    wait_for("attempts in vain", SOON, async || bench.heartbeat.read().0 >= 2).await;
    bench.observe([event("d1", 250, r#"{"a":250,"c":250}"#)]);
    cluster.start_again();
    wait_for("the flush", SOON, async || bench.updates() == (1_001, 0)).await;
    assert_eq!(sensors(&database, "d1").await, ["a=499@499", "c=250@250"]);
    assert_eq!(sensors(&database, "d2").await, ["b=1@0"]);
}

#[actix::test]
async fn a_drain_does_not_wait_for_a_database_that_is_away() {
    let mut cluster = Postgres::start();
    let database = database(&cluster, &["d1"]).await;
    let bench = Bench::new(&database);
    cluster.stop();
    bench.observe([event("d1", 0, r#"{"a":1}"#)]);
    // The database is not back before the end: a drain that waited for it would not end.
    tokio::time::timeout(SOON, bench.flush()).await.expect("an end of the drain");
    assert_eq!(bench.updates(), (0, 1));
    bench.flush().await;
}

#[actix::test]
async fn ten_thousand_messages_of_a_device_are_one_update() {
    let database = database(Postgres::shared(), &["d1"]).await;
    let bench = Bench::new(&database);
    for chunk in 0..10 {
        bench.observe((0..1_000).map(|number| event("d1", chunk * 1_000 + number, r#"{"a":1}"#)));
    }
    bench.flush().await;
    assert_eq!(sensors(&database, "d1").await, ["a=1@9999"]);
    assert_eq!(bench.updates(), (10_000, 0));
    let client = database.connect().await;
    client.batch_execute("SELECT pg_stat_force_next_flush()").await.unwrap();
    // Made without a value, then given one.
    let written = "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = 'device_sensors'";
    wait_for("the statistics", SOON, async || database.query(written, &[]).await[0].get::<_, i64>(0) >= 2).await;
    assert_eq!(database.query(written, &[]).await[0].get::<_, i64>(0), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_state_writer_costs_no_row_and_the_next_messages_make_up_for_it() {
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let load = Workload::good(2_000);
    load.seed(&world).await;
    let (first, second) = load.messages.split_at(1_000);
    world.publish(first.to_vec()).await;

    let mut node = start(world.node().env("INGEST_FAILPOINTS", "state-writer=panic@1")).await;
    let restarts = [("actor", "state-writer")];
    wait_for("the panic", SOON, async || node.metrics().await.count("ingest_actor_restarts_total", &restarts) == 1)
        .await;
    world.publish(second.to_vec()).await;
    world.wait_settled(LANES[0], Duration::from_secs(60)).await;
    assert_eq!(world.database.count("raw_events").await, 2_000);
    node.wait_ready(SOON).await;
    drain(node).await;
    // A drain flushes what was heard: every device's last message is its state.
    let newest = "device_sensors s JOIN (
            SELECT tenant_id, device_id, max(event_ts) AS event_ts FROM raw_events GROUP BY tenant_id, device_id
        ) r USING (tenant_id, device_id)
        WHERE s.last_seen_at = r.event_ts";
    let metrics = world.database.count("device_sensors").await;
    assert!(metrics >= 50, "only {metrics} sensors");
    assert_eq!(world.database.count(newest).await, metrics);
    assert_eq!(world.database.count("device_state WHERE last_telemetry_at IS NOT NULL").await, 50);
}
