//! Sensors: found by their names, up to the device's limit, with their last values.

use ingest_core::validate::event::Event;
use ingest_kit::Postgres;

use super::bench::{Bench, SECOND, T0, database, device, event, metrics, sensors};

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
    bench.observe_at([late, early]);
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
