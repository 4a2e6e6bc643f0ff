//! InfluxDB 3 by its v2 API: all or nothing, 400 for everything, and no line is named.

use std::collections::BTreeMap;

use ingest_kit::{Value, wait_for};
use serde_json::json;

use super::expected::{Column, Expected};
use super::readings::{Readings, reading_of};
use crate::workload::database;
use crate::world::{DEADLINE, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn type_conflicts_that_name_no_table_cost_a_few_requests_and_no_point() {
    let world = World::new().await;
    let load = Readings::of(1, 0);
    load.seed(&world).await;
    world.influx.define_field(&database("tenant-0"), "telemetry", "x", &Value::Float(0.0));
    let value = |number: u64| if number.is_multiple_of(2) { json!(number as f64 + 0.5) } else { json!(number) };
    let message = |number| reading_of(&load.devices[0], "telemetry", number, json!({"x": value(number), "y": number}));
    let all: Vec<_> = (0..4_000).map(message).collect();
    let node = start(world.node().env("INFLUXDB_API", "v2").env("INFLUX_BATCH_SIZE", 400)).await;
    world.publish(all.clone()).await;
    let float: Column = |value| match value {
        Value::Integer(integer) => Some(Value::Float(integer as f64)),
        value => Some(value),
    };
    world.wait_complete(all.len(), &Expected::with_columns(&all, &BTreeMap::from([("x".to_owned(), float)]))).await;
    let counts = world.influx.counts();
    assert!(counts.lines_written <= 4_000, "nothing was written twice: {counts:?}");
    let flushes = node.metrics().await;
    let (ok, failed) = ("ok", "failed");
    let of = |result| flushes.count("ingest_influx_flushes_total", &[("result", result)]);
    assert!(of(failed) <= of(ok) + 16, "{} in vain, {} not", of(failed), of(ok));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_table_costs_only_the_columns_that_are_not_there() {
    let world = World::new().await;
    let load = Readings::of(1, 0);
    load.seed(&world).await;
    world.influx.define_field(&database("tenant-0"), "telemetry", "there", &Value::Integer(0));
    world.influx.set_column_limit(4);
    let message =
        |number: u64| reading_of(&load.devices[0], "telemetry", number, json!({"new": 1.5, "there": number, "seq": 1}));
    let all: Vec<_> = (0..300).map(message).collect();
    let node = start(world.node().env("INFLUXDB_API", "v2")).await;
    world.publish(all.clone()).await;
    wait_for("the points", DEADLINE, async || world.influx.total_points() == all.len()).await;
    let points = world.influx.points(&database("tenant-0"));
    assert!(points.iter().all(|point| point.field("there").is_some() && point.field("new").is_none()));
    assert_eq!(world.database.count("quarantine_events").await, 0);
    drain(node).await;
}
