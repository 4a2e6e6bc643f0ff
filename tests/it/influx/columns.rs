//! Tables and families that are full of columns, and what one tenant may make of them: the point keeps what there is, the
//! row keeps everything.

use std::collections::BTreeSet;

use ingest_kit::jetstream::Outgoing;
use ingest_kit::{Node, Value, wait_for};
use serde_json::{Map, json};

use super::expected::Expected;
use super::readings::{Readings, reading_of};
use crate::workload::database;
use crate::world::{DEADLINE, LANES, World, drain, start};

const SAID: &str = "influxdb has no room for another column of a table";

async fn skipped(node: &Node, reason: &str) -> u64 {
    node.metrics().await.count("ingest_influx_fields_skipped_total", &[("reason", reason)])
}

/// What points hold of messages whose other metrics have no columns.
fn expected_with_only(messages: &[Outgoing], shared: Option<&str>, kept: &[&str]) -> Expected {
    let without = |message: &Outgoing| {
        let mut envelope: serde_json::Value = serde_json::from_slice(&message.payload).expect("JSON");
        let metrics = envelope["payload"]["metrics"].as_object_mut().expect("metrics");
        metrics.retain(|name, _| kept.contains(&name.as_str()));
        Outgoing { payload: envelope.to_string().into(), ..message.clone() }
    };
    let messages: Vec<_> = messages.iter().map(without).collect();
    match shared {
        Some(database) => Expected::shared(&messages, database),
        None => Expected::of(&messages),
    }
}

/// Messages of a tenant's device with a metric that is always the same, and others of which each has a name of its own.
fn inventive(load: &Readings, tenant: usize, numbers: std::ops::Range<u64>, names: u64) -> Vec<Outgoing> {
    let message = |number: u64| {
        let mut metrics = Map::from_iter([("temp_c".to_owned(), json!(number as f64 + 0.5))]);
        metrics.extend((0..names).map(|name| (format!("made_up_{number}_{name}"), json!(number))));
        reading_of(&load.devices[tenant], "telemetry", number, metrics.into())
    };
    numbers.map(message).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_fills_the_shared_table_costs_no_point_of_its_own_or_others_but_the_columns_that_are_not_there() {
    let world = World::new().await;
    let load = Readings::of(2, 0);
    load.seed(&world).await;
    // What a tenant may make is not bounded here, so that only the table is.
    let node = world
        .node()
        .env("INFLUXDB_DATABASE_LAYOUT", "shared")
        .env("INFLUXDB_DATABASE", "all")
        .env("INFLUX_MAX_FIELDS_PER_TENANT", 0);
    let tags = ["tenant_id", "device_id", "site_id"];
    tags.iter().for_each(|tag| world.influx.define_tag("all", "telemetry", tag));
    world.influx.define_field("all", "telemetry", "seq", &Value::Integer(0));
    world.influx.define_field("all", "telemetry", "temp_c", &Value::Float(0.0));
    world.influx.set_column_limit(5);
    let evil = inventive(&load, 0, 0..200, 20);
    // The other tenant's device gets a new firmware.
    let good = |number: u64| json!({"temp_c": number as f64 + 0.25, "humidity": number});
    let good: Vec<_> = (0..200).map(|number| reading_of(&load.devices[1], "telemetry", number, good(number))).collect();
    let all = [evil, good].concat();
    for (part, sent) in [(&all[..300], 300), (&all[300..], 400)] {
        let node = start(node.clone()).await;
        world.publish(part.to_vec()).await;
        world.wait_complete(sent, &expected_with_only(&all[..sent], Some("all"), &["temp_c"])).await;
        assert!(skipped(&node, "columns_full").await > 0);
        let tenants = if sent == 300 { 2 } else { 1 };
        assert_eq!(node.wait_logged(SAID, tenants).await, tenants, "once for each tenant:\n{}", node.log());
        let refusals = node.metrics().await.count("ingest_influx_limit_refusals_total", &[("limit", "columns")]);
        assert!(refusals > 0);
        drain(node).await;
    }
    assert_eq!(world.database.count("quarantine_events").await, 0);
    let whole = "raw_events WHERE payload -> 'metrics' ? 'humidity' OR payload -> 'metrics' ? 'made_up_7_7'";
    assert_eq!(world.database.count(whole).await, 201, "rows with all that was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_family_of_fields_takes_no_other_field_with_it() {
    let world = World::new().await;
    let load = Readings::of(1, 0);
    load.seed(&world).await;
    world.influx.define_field(&database("tenant-0"), "telemetry", "plc::there", &Value::Integer(0));
    world.influx.set_family_limit(1);
    let message = |number: u64| {
        let metrics = json!({"plc::there": number, "plc::new": number, "temp_c": number as f64 + 0.5});
        reading_of(&load.devices[0], "telemetry", number, metrics)
    };
    let all: Vec<_> = (0..300).map(message).collect();
    let node = start(world.node()).await;
    world.publish(all.clone()).await;
    world.wait_complete(all.len(), &expected_with_only(&all, None, &["plc::there", "temp_c"])).await;
    assert_eq!(skipped(&node, "columns_full").await, 300);
    assert_eq!(node.wait_logged(SAID, 1).await, 1, "{}", node.log());
    assert_eq!(world.database.count("quarantine_events").await, 0);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_makes_no_more_columns_than_it_may_and_a_restart_gives_it_no_others() {
    let world = World::new().await;
    let load = Readings::of(2, 0);
    load.seed(&world).await;
    let node = world.node().env("INFLUX_MAX_FIELDS_PER_TENANT", 10);
    let made = || {
        let columns = world.influx.columns(&database("tenant-0"), "telemetry").into_iter();
        columns.filter(|name| name.starts_with("made_up") || name == "temp_c").collect::<BTreeSet<_>>()
    };
    let all = inventive(&load, 0, 0..200, 3);
    let first = start(node.clone()).await;
    world.publish(all[..100].to_vec()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    wait_for("the points", DEADLINE, async || world.influx.point_count(&database("tenant-0")) == 100).await;
    let columns = made();
    assert_eq!(columns.len(), 10, "{columns:?}");
    assert_eq!(skipped(&first, "field_budget").await, 300 - 9);
    drain(first).await;

    let second = start(node).await;
    world.publish(all[100..].to_vec()).await;
    world.publish([reading_of(&load.devices[1], "telemetry", 1, json!({"temp_c": 1.5, "humidity": 2}))]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    wait_for("all points", DEADLINE, async || world.influx.total_points() == 201).await;
    assert_eq!(made(), columns, "what there was before the restart");
    let points = world.influx.points(&database("tenant-0"));
    assert!(points.iter().all(|point| point.field("temp_c").is_some() && point.field("seq").is_some()));
    assert!(world.influx.points(&database("tenant-1"))[0].field("humidity").is_some());
    assert_eq!(world.database.count("quarantine_events").await, 0);
    drain(second).await;
}
