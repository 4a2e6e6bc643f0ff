//! Columns that hold other types than the values that come: a value that fits in another form takes that form, any other
//! is left out and counted, and its point is whole apart from it.

use std::collections::BTreeMap;

use ingest_kit::jetstream::Outgoing;
use ingest_kit::{Node, Value, wait_for};
use serde_json::{Map, json};

use super::expected::{Column, Expected};
use super::readings::{Readings, reading_of};
use crate::workload::database;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// What a column may have been made for, as its name begins; and what it takes.
const COLUMNS: [(&str, Column); 6] = [
    ("float", |value| match value {
        Value::Integer(integer) => Some(Value::Float(integer as f64)),
        Value::Float(_) => Some(value),
        _ => None,
    }),
    ("integer", |value| matches!(value, Value::Integer(_)).then_some(value)),
    ("unsigned", |value| match value {
        Value::Integer(integer) => u64::try_from(integer).ok().map(Value::Unsigned),
        _ => None,
    }),
    ("boolean", |value| matches!(value, Value::Boolean(_)).then_some(value)),
    ("text", |_| None),
    ("tag", |_| None),
];

/// What comes for each of the columns, as a metric's name ends.
fn values(number: u64) -> [(&'static str, serde_json::Value); 4] {
    [
        ("float", json!(number as f64 + 0.5)),
        ("integer", json!(number)),
        ("negative", json!(-1 - number as i64)),
        ("boolean", json!(number.is_multiple_of(2))),
    ]
}

fn columns() -> BTreeMap<String, Column> {
    let pairs =
        COLUMNS.iter().flat_map(|(name, column)| values(0).map(|(value, _)| (format!("{name}_{value}"), *column)));
    pairs.collect()
}

/// Every value for every column, with one beside them that always fits.
fn messages(load: &Readings, numbers: std::ops::Range<u64>) -> Vec<Outgoing> {
    let message = |number: u64| {
        let mut metrics = Map::from_iter([("fits".to_owned(), json!(1.5))]);
        for (column, _) in COLUMNS {
            metrics.extend(values(number).map(|(value, json)| (format!("{column}_{value}"), json)));
        }
        reading_of(&load.devices[number as usize % load.devices.len()], "telemetry", number, metrics.into())
    };
    numbers.map(message).collect()
}

/// Makes the columns before any value comes.
fn define(world: &World, database: &str) {
    for (column, _) in COLUMNS {
        for (value, _) in values(0) {
            let name = format!("{column}_{value}");
            let kind = match column {
                "float" => Value::Float(0.0),
                "integer" => Value::Integer(0),
                "unsigned" => Value::Unsigned(0),
                "boolean" => Value::Boolean(false),
                "text" => Value::Text(String::new()),
                _ => {
                    world.influx.define_tag(database, "telemetry", &name);
                    continue;
                }
            };
            world.influx.define_field(database, "telemetry", &name, &kind);
        }
    }
}

/// Fields that no column holds, over these messages.
fn left_out(messages: &[Outgoing]) -> u64 {
    // Of the four values: the float column takes three, the integer column two, the other two one, the rest none.
    messages.len() as u64 * (1 + 2 + 3 + 3 + 4 + 4)
}

async fn skipped(node: &Node) -> u64 {
    node.metrics().await.count("ingest_influx_fields_skipped_total", &[("reason", "type_conflict")])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_every_type_meet_columns_of_every_type_before_and_after_a_restart() {
    let world = World::new().await;
    let load = Readings::of(1, 0);
    load.seed(&world).await;
    define(&world, &database("tenant-0"));
    let all = messages(&load, 0..600);
    let (before, after) = all.split_at(300);
    for (sent, part) in [(300, before), (600, after)] {
        // Each node has to learn the types again.
        let node = start(world.node()).await;
        world.publish(part.to_vec()).await;
        world.wait_complete(sent, &Expected::with_columns(&all[..sent], &columns())).await;
        assert_eq!(skipped(&node).await, left_out(part), "fields that were left out");
        drain(node).await;
    }
    let whole =
        "raw_events WHERE payload -> 'metrics' ?& array['fits', 'tag_float', 'integer_float', 'boolean_integer']";
    assert_eq!(world.database.count(whole).await, 600, "rows with all that was sent");
    assert_eq!(world.database.count("quarantine_events").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_learn_the_types_at_once() {
    let world = World::new().await;
    let load = Readings::of(2, 0);
    load.seed(&world).await;
    define(&world, &database("tenant-0"));
    define(&world, &database("tenant-1"));
    let all = messages(&load, 0..800);
    let nodes = [start(world.node()).await, start(world.node()).await];
    world.publish(all.clone()).await;
    world.wait_complete(all.len(), &Expected::with_columns(&all, &columns())).await;
    let mut together = 0;
    for node in nodes {
        let skipped = skipped(&node).await;
        assert!(skipped > 0, "one of them did it all");
        together += skipped;
        drain(node).await;
    }
    assert_eq!(together, left_out(&all), "fields that were left out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integer_after_a_float_is_the_float_it_means() {
    let world = World::new().await;
    let load = Readings::of(1, 0);
    load.seed(&world).await;
    let send = |number: u64, value| reading_of(&load.devices[0], "telemetry", number, json!({ "temp_c": value }));
    let all: Vec<_> = [json!(24.3), json!(24), json!(-7), json!(24.0), json!(true)].into_iter().zip(0..).collect();
    let all: Vec<_> = all.into_iter().map(|(value, number)| send(number, value)).collect();
    let columns = BTreeMap::from([("temp_c".to_owned(), COLUMNS[0].1)]);
    let node = start(world.node()).await;
    world.publish(all[..1].to_vec()).await;
    Expected::of(&all[..1]).wait_in(&world.influx, DEADLINE).await;
    world.publish(all[1..].to_vec()).await;
    world.wait_complete(all.len(), &Expected::with_columns(&all, &columns)).await;
    assert_eq!(skipped(&node).await, 1, "the boolean");
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_type_comes_first_decides_for_both_replicas() {
    let world = World::new().await;
    let load = Readings::of(1, 0);
    load.seed(&world).await;
    let nodes = [start(world.node()).await, start(world.node()).await];
    let value = |number: u64| if number.is_multiple_of(2) { json!(number) } else { json!(number as f64 + 0.5) };
    let device = |number: u64| &load.devices[number as usize % load.devices.len()];
    let message = |number| reading_of(device(number / 2), "telemetry", number, json!({ "mixed": value(number) }));
    let all: Vec<_> = (0..600).map(message).collect();
    world.publish(all.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let first = wait_for_first(&world).await;
    let held = COLUMNS[usize::from(matches!(first, Value::Integer(_)))].1;
    world.wait_complete(all.len(), &Expected::with_columns(&all, &BTreeMap::from([("mixed".to_owned(), held)]))).await;
    for node in nodes {
        drain(node).await;
    }
}

/// The first value that the column took: its type is the column's.
async fn wait_for_first(world: &World) -> Value {
    let taken = || world.influx.taken(&database("tenant-0")).iter().find_map(|point| point.field("mixed").cloned());
    wait_for("a value", DEADLINE, async || taken().is_some()).await;
    taken().expect("a value")
}
