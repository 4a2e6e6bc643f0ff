//! The room of the derived state: derived state writers on a real PostgreSQL with events made by hand, and in the end a whole node.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use ingest_core::message::device::{Device, DeviceKey, Subscription};
use ingest_core::message::metric_keys::MetricKeyMap;
use ingest_core::message::msg_type::MsgType;
use ingest_core::validate::event::Event;
use ingest_kit::{Database, Postgres, seed, wait_for};
use ingest_node::testing::message::{Drain, Observe};
use ingest_node::testing::metrics::{Metrics, Outcome};
use ingest_node::testing::postgres::{self, schema};
use ingest_node::testing::runtime::actor_guard::{ActorExit, Heartbeat};
use ingest_node::testing::runtime::secret::Secret;
use ingest_node::testing::runtime::spawn::SpawnContext;
use ingest_node::testing::sink::state::{Config, DerivedStateWriter, Parts};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::workload::Workload;
use crate::world::{LANES, World, drain, open, pool_of, start};

/// 2026-02-09T09:15:20Z.
const T0: i64 = 1_770_628_520_000_000;
const SECOND: i64 = 1_000_000;
/// Longer than anything takes that works.
const SOON: Duration = Duration::from_secs(20);

/// A running derived state writer. It flushes only when it is told to, unless a test says otherwise.
struct Bench {
    state_writer: Addr<DerivedStateWriter>,
    metrics: Arc<Metrics>,
    heartbeat: Arc<Heartbeat>,
    /// Keeps the actor guard's end.
    _exits: UnboundedReceiver<ActorExit>,
}

impl Bench {
    fn new(database: &Database) -> Self {
        Self::with(database, Config { flush_interval_secs: 3_600, ..Config::default() })
    }

    fn with(database: &Database, config: Config) -> Self {
        let heartbeat = Arc::new(Heartbeat::default());
        let (spawn, died) = SpawnContext::detached("state-writer", heartbeat.clone());
        let metrics = spawn.metrics.clone();
        let parts = Parts { spawn, config, pool: pool_of(&postgres_config(database)) };
        Self { state_writer: DerivedStateWriter::new(parts).start(), metrics, heartbeat, _exits: died }
    }

    fn observe(&self, events: impl IntoIterator<Item = Event>) {
        let events = events.into_iter().map(|event| (event.event_us + SECOND, event)).collect();
        self.state_writer.do_send(Observe { events });
    }

    /// Flushes everything: what a drain does too.
    async fn flush(&self) {
        self.state_writer.send(Drain).await.unwrap();
    }

    fn updates(&self) -> (u64, u64) {
        let updates = &self.metrics.state.updates;
        (updates.of(Outcome::Ok).get(), updates.of(Outcome::Failed).get())
    }
}

fn postgres_config(database: &Database) -> postgres::Config {
    postgres::Config { url: Secret::new(database.url()), transaction_timeout_secs: 10, ..Default::default() }
}

/// A database with the node's schema and devices of tenant `acme`.
async fn database(cluster: &Postgres, devices: &[&str]) -> Database {
    let database = cluster.create_database().await;
    let mut client = open(&postgres_config(&database)).await;
    schema::migrate(&mut client).await.unwrap_or_else(|e| panic!("{}", ingest_node::testing::runtime::error_chain(&e)));
    let devices: Vec<_> = devices.iter().map(|id| seed::Device::active("acme", id, "tok")).collect();
    seed::devices(&database, &devices).await;
    database
}

fn device(id: &str, sensor_limit: u32) -> Arc<Device> {
    Arc::new(Device {
        key: DeviceKey::new("acme", id),
        site_id: "site-1".into(),
        active: true,
        subscription: Subscription::Passes,
        token_hash: None,
        certificates: Vec::new(),
        metric_keys: MetricKeyMap::default(),
        location_is_auto: true,
        sensor_limit,
    })
}

fn event(id: &str, seconds: i64, metrics: &str) -> Event {
    let names: Vec<&str> =
        metrics.split(['{', ',']).filter_map(|part| part.split_once(':')).map(|(name, _)| name).collect();
    Event {
        device: device(id, 20),
        topic: format!("tenant/acme/device/{id}/telemetry").into(),
        msg_type: MsgType::Telemetry,
        seq: 1,
        event_us: T0 + seconds * SECOND,
        payload: format!(r#"{{"metrics":{metrics}}}"#).into(),
        line: None,
        location: None,
        // The same for the same names.
        metrics_signature: names.join(",").bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte)),
        routes: None,
    }
}

fn metrics(range: std::ops::Range<usize>) -> String {
    let members: Vec<_> = range.map(|number| format!(r#""m{number:02}":{number}"#)).collect();
    format!("{{{}}}", members.join(","))
}

/// `metric=value@seconds` of a device's sensors, in the order of their names.
async fn sensors(database: &Database, id: &str) -> Vec<String> {
    let sql =
        "SELECT metric_key, last_value::text, last_value_text, (extract(epoch FROM last_seen_at) * 1000000)::bigint
        FROM device_sensors WHERE tenant_id = 'acme' AND device_id = $1 ORDER BY metric_key COLLATE \"C\"";
    let rows = database.query(sql, &[&id]).await;
    let told = |row: &tokio_postgres::Row| {
        let (key, number, text): (String, Option<String>, Option<String>) = (row.get(0), row.get(1), row.get(2));
        assert!(number.is_none() || text.is_none(), "{key} has two values");
        let value = number.or(text.map(|text| format!("'{text}'"))).unwrap_or_default();
        let seconds = row.get::<_, Option<i64>>(3).map(|us| (us - T0) / SECOND);
        format!("{key}={value}@{}", seconds.map_or("never".to_owned(), |seconds| seconds.to_string()))
    };
    rows.iter().map(told).collect()
}

/// A session that hears what nodes are told of changed devices.
async fn listen(database: &Database) -> (tokio_postgres::Client, UnboundedReceiver<String>) {
    let (client, mut connection) = tokio_postgres::connect(database.url(), tokio_postgres::NoTls).await.unwrap();
    let (tell, told) = unbounded_channel();
    actix_rt::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let tokio_postgres::AsyncMessage::Notification(note) = message {
                let _ = tell.send(note.payload().to_owned());
            }
        }
    });
    client.batch_execute("LISTEN ingest_invalidate").await.unwrap();
    (client, told)
}

async fn position(database: &Database, id: &str) -> (Option<f64>, Option<f64>) {
    let sql = "SELECT latitude, longitude FROM device_registry WHERE tenant_id = 'acme' AND device_id = $1";
    let rows = database.query(sql, &[&id]).await;
    (rows[0].get(0), rows[0].get(1))
}

#[actix::test]
async fn sensors_are_found_with_what_their_names_say_and_their_last_values() {
    let database = database(Postgres::shared(), &["d1"]).await;
    let bench = Bench::new(&database);
    bench.observe([event("d1", 0, r#"{"temp_c":21.50,"on":true,"mode":"auto","none":null,"list":[1, 2],"n":-7e-1}"#)]);
    bench.flush().await;
    assert_eq!(
        sensors(&database, "d1").await,
        ["list='[1, 2]'@0", "mode='auto'@0", "n=-0.7@0", "none='None'@0", "on=1@0", "temp_c=21.50@0"]
    );
    let sql = "SELECT display_name, unit, source, status FROM device_sensors WHERE metric_key = 'temp_c'";
    let rows = database.query(sql, &[]).await;
    let text = |column: usize| rows[0].get::<_, String>(column);
    assert_eq!([text(0), text(1), text(2), text(3)], ["Temp C", "°C", "unmodeled", "active"]);
    assert_eq!(bench.updates(), (1, 0));
}

#[actix::test]
async fn the_newest_value_wins_within_a_flush_across_flushes_and_across_replicas() {
    let database = database(Postgres::shared(), &["d1"]).await;
    let (one, other) = (Bench::new(&database), Bench::new(&database));
    one.observe([event("d1", 30, r#"{"a":30}"#), event("d1", 20, r#"{"a":20,"b":20}"#)]);
    one.flush().await;
    assert_eq!(sensors(&database, "d1").await, ["a=30@30", "b=20@20"]);
    other.observe([event("d1", 10, r#"{"a":10,"b":10,"c":10}"#)]);
    other.flush().await;
    assert_eq!(sensors(&database, "d1").await, ["a=30@30", "b=20@20", "c=10@10"]);
    one.observe([event("d1", 25, r#"{"a":25,"b":25}"#)]);
    one.flush().await;
    assert_eq!(sensors(&database, "d1").await, ["a=30@30", "b=25@25", "c=10@10"]);
    other.observe([event("d1", 40, r#"{"a":"now text"}"#)]);
    other.flush().await;
    assert_eq!(sensors(&database, "d1").await, ["a='now text'@40", "b=25@25", "c=10@10"]);
}

#[actix::test]
async fn discovery_fills_what_room_is_left_and_known_sensors_go_on() {
    let database = database(Postgres::shared(), &["d1"]).await;
    // Somebody has described one already; it has no value yet.
    database
        .execute("INSERT INTO device_sensors (tenant_id, device_id, metric_key) VALUES ('acme', 'd1', 'm24')")
        .await;
    let bench = Bench::new(&database);
    bench.observe([event("d1", 0, &metrics(0..3))]);
    bench.flush().await;
    bench.observe([event("d1", 1, &metrics(0..25))]);
    bench.flush().await;
    let mut expected: Vec<_> = (0..19).map(|number| format!("m{number:02}={number}@1")).collect();
    expected.push("m24=24@1".to_owned());
    assert_eq!(sensors(&database, "d1").await, expected);

    bench.observe([event("d1", 2, &metrics(0..25))]);
    bench.flush().await;
    assert_eq!(sensors(&database, "d1").await.len(), 20);
    assert!(sensors(&database, "d1").await.iter().all(|sensor| sensor.ends_with("@2")));
    // A limit that somebody raises counts at once.
    bench.observe([Event { device: device("d1", 22), ..event("d1", 3, &metrics(0..25)) }]);
    bench.flush().await;
    assert_eq!(sensors(&database, "d1").await.len(), 22);
}

#[actix::test]
async fn sensors_fill_the_limit_in_the_order_in_which_they_were_first_heard() {
    let database = database(Postgres::shared(), &["d1", "d2"]).await;
    let bench = Bench::new(&database);
    let limited = |id: &str, seconds, metrics: &str| Event { device: device(id, 2), ..event(id, seconds, metrics) };
    bench.observe([limited("d1", 0, r#"{"a":0,"b":0}"#), limited("d1", 1, r#"{"c":1,"a":1}"#)]);
    // Whatever the order of arrival, and whatever time the device states.
    let late = (T0 + 9 * SECOND, limited("d2", 0, r#"{"c":1,"a":1}"#));
    let early = (T0 + 8 * SECOND, limited("d2", 5, r#"{"a":0,"b":0}"#));
    bench.state_writer.do_send(Observe { events: vec![late, early] });
    bench.flush().await;
    assert_eq!(sensors(&database, "d1").await, ["a=1@1", "b=0@0"]);
    assert_eq!(sensors(&database, "d2").await, ["a=0@5", "b=0@5"]);
    // A place that is taken stays taken, for other nodes too.
    let other = Bench::new(&database);
    other.observe([limited("d1", 2, r#"{"d":2,"b":2}"#)]);
    other.flush().await;
    assert_eq!(sensors(&database, "d1").await, ["a=1@1", "b=2@2"]);
}

#[actix::test]
async fn a_time_far_ahead_freezes_neither_sensors_nor_position() {
    let database = database(Postgres::shared(), &["d1"]).await;
    let bench = Bench::new(&database);
    let at = |event: Event, latitude: f64| Event { location: Some((latitude, 2.0)), ..event };
    // 9999-12-31, received at T0.
    let ahead = Event { event_us: 253_402_214_400_000_000, ..at(event("d1", 0, r#"{"a":9999,"b":9999}"#), 9.0) };
    bench.state_writer.do_send(Observe { events: vec![(T0, ahead)] });
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
async fn replicas_that_discover_at_once_keep_to_the_limit() {
    let database = database(Postgres::shared(), &["d1", "d2", "d3"]).await;
    let replicas: Vec<Bench> = (0..6).map(|_| Bench::new(&database)).collect();
    for (number, replica) in replicas.iter().enumerate() {
        // Each knows other metrics, and hears of the devices in another order.
        let metrics = metrics(number * 10..number * 10 + 10);
        let mut ids = ["d1", "d2", "d3"];
        ids.rotate_left(number % 3);
        replica.observe(ids.map(|id| event(id, number as i64, &metrics)));
    }
    futures_util::future::join_all(replicas.iter().map(Bench::flush)).await;
    for id in ["d1", "d2", "d3"] {
        assert_eq!(sensors(&database, id).await.len(), 20, "{id}");
    }
    assert!(replicas.iter().all(|replica| replica.updates() == (3, 0)));
}

#[actix::test]
async fn replicas_that_write_the_same_rows_do_not_lock_each_other_out() {
    let ids: Vec<String> = (0..300).map(|number| format!("d{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let cluster = Postgres::start();
    let database = database(&cluster, &ids).await;
    let replicas: Vec<Bench> = (0..4).map(|_| Bench::new(&database)).collect();
    for round in 0..5 {
        for (number, replica) in replicas.iter().enumerate() {
            let mut shuffled = ids.clone();
            shuffled.rotate_left(number * 70);
            let seconds = round * 10 + number as i64;
            let place = Some((seconds as f64, 1.0));
            replica.observe(shuffled.iter().map(|id| Event { location: place, ..event(id, seconds, &metrics(0..5)) }));
        }
        futures_util::future::join_all(replicas.iter().map(Bench::flush)).await;
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
async fn signs_of_life_are_the_brokers_times_and_never_go_back() {
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
    let began = std::time::Instant::now();
    bench.flush().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
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
    wait_for("the statistics", SOON, async || database.query(written, &[]).await[0].get::<_, i64>(0) > 0).await;
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
