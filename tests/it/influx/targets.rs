//! What else speaks line protocol, as real servers: VictoriaMetrics behind the v2 API, and InfluxDB 1 as a second parser.

use std::collections::BTreeMap;

use ingest_core::influx::field_types::{Conflict, FieldType};
use ingest_core::influx::line_protocol::{self, FieldValue, Kind, Tags};
use ingest_kit::{Influx1, VictoriaMetrics, wait_for};
use serde_json::{Value, json};

use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Table and field, tenant, device and site.
type Labels = [String; 4];

/// What VictoriaMetrics must hold of a load: every number and boolean, by its milliseconds.
fn expected(load: &Workload) -> BTreeMap<Labels, BTreeMap<i64, f64>> {
    let mut all: BTreeMap<Labels, BTreeMap<i64, f64>> = BTreeMap::new();
    for message in &load.messages {
        let envelope: Value = serde_json::from_slice(&message.payload).expect("JSON");
        let payload = &envelope["payload"];
        let text = |key: &str| payload[key].as_str().expect("text").to_owned();
        let (tenant, device, site) = (text("tenant_id"), text("device_id"), text("site_id"));
        let time =
            time::OffsetDateTime::parse(&text("ts"), &time::format_description::well_known::Rfc3339).expect("ISO");
        let ms = i64::try_from(time.unix_timestamp_nanos() / 1_000_000).expect("a time of today");
        let metrics = payload["metrics"].as_object().expect("metrics");
        let seq = [("seq".to_owned(), payload["seq"].clone())];
        for (name, value) in metrics.clone().into_iter().chain(seq) {
            let value = value.as_f64().or(value.as_bool().map(f64::from)).expect("a number or a boolean");
            let labels = [format!("telemetry_{name}"), tenant.clone(), device.clone(), site.clone()];
            all.entry(labels).or_default().insert(ms, value);
        }
    }
    all
}

async fn stored(victoria: &VictoriaMetrics) -> BTreeMap<Labels, BTreeMap<i64, f64>> {
    let mut all: BTreeMap<Labels, BTreeMap<i64, f64>> = BTreeMap::new();
    for series in victoria.series().await {
        let label = |name: &str| series.labels.get(name).cloned().unwrap_or_default();
        let labels = [label("__name__"), label("tenant_id"), label("device_id"), label("site_id")];
        all.entry(labels).or_default().extend(series.timestamps.iter().copied().zip(series.values.iter().copied()));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victoria_metrics_has_every_value_also_after_an_outage() {
    let mut victoria = VictoriaMetrics::start();
    let world = World::new().await;
    let load = Workload::good(2_000);
    load.seed(&world).await;
    let node = world
        .node()
        .env("INFLUXDB_API", "v2")
        .env("INFLUXDB_URL", victoria.url())
        .env("INFLUXDB_ORG", "an org")
        .env("INFLUXDB_DATABASE_LAYOUT", "shared");
    let node = start(node).await;
    let (first, rest) = load.messages.split_at(1_000);
    world.publish(first.to_vec()).await;
    wait_for("some points", DEADLINE, async || !stored(&victoria).await.is_empty()).await;
    victoria.stop();
    world.publish(rest.to_vec()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    victoria.start_again();

    let expected = expected(&load);
    let count = |all: &BTreeMap<Labels, BTreeMap<i64, f64>>| all.values().map(BTreeMap::len).sum::<usize>();
    wait_for("all values", 3 * DEADLINE, async || count(&stored(&victoria).await) >= count(&expected)).await;
    assert!(stored(&victoria).await == expected, "the values are not those that were sent");
    wait_for("all lines to be confirmed", DEADLINE, async || {
        node.metrics().await.count("ingest_influx_unconfirmed_lines", &[]) == 0
    })
    .await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn influxdb_1_reads_our_lines_as_they_were_meant() {
    let influx = Influx1::start();
    influx.create_database("lines").await;
    // Without backslashes: InfluxDB 1 keeps the one that escapes another, InfluxDB 2 and 3 do not.
    let names = ["a", "a b", "a,b", "a=b", "a\"b", "é 名 🌡", "100%", "line\nfeed", "tab\tbed", "#", "'", "a, =b"];
    let numbers = [0, 1, -1, i64::MAX, i64::MIN];
    let floats = ["0.5", "-1e-7", "2.5e21", "24.0"];
    let (mut body, mut expected) = (String::new(), Vec::new());
    for (at, name) in names.iter().enumerate() {
        let (integer, float) = (numbers[at % numbers.len()].to_string(), floats[at % floats.len()]);
        line_protocol::begin(&mut body, Kind::Telemetry, Tags::new(name, "s 1"), at as i64);
        line_protocol::field(&mut body, &format!("f{name}"), FieldValue::Float(float));
        line_protocol::field(&mut body, "i", FieldValue::Integer(&integer));
        line_protocol::field(&mut body, "b", FieldValue::Boolean(at % 2 == 0));
        assert!(line_protocol::end(&mut body, at as i64));
        body.push('\n');
        // A line feed or a tab makes the whole name percent-encoded; nothing else here does.
        let carried = name.replace('\n', "%0A").replace('\t', "%09");
        let number: f64 = float.parse().expect("a number");
        let field = (format!("f{name}").replace('\n', "%0A").replace('\t', "%09"), json!(number));
        expected.push((at as i64 * 1_000, carried, field, integer, at % 2 == 0));
    }
    let written = influx.write("lines", &body).await;
    assert_eq!((written.status, written.body.as_str()), (204, ""));

    let (columns, rows) = influx.select_all("lines", "telemetry").await;
    assert_eq!(rows.len(), expected.len());
    for (row, (time, device, (field, value), integer, boolean)) in rows.iter().zip(&expected) {
        let of =
            |name: &str| &row[columns.iter().position(|column| column == name).unwrap_or_else(|| panic!("{name}"))];
        assert_eq!((of("time"), of("device_id"), of("site_id")), (&json!(time), &json!(device), &json!("s 1")));
        assert_eq!(of(field).as_f64(), value.as_f64(), "{field}");
        assert_eq!((of("i").to_string(), of("b")), (integer.clone(), &json!(boolean)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_conflict_is_understood_in_the_words_of_influxdb_1_and_2() {
    let influx = Influx1::start();
    influx.create_database("types").await;
    for (first, second, expected) in [
        ("1.5", "24i", FieldType::Float),
        ("1i", "1.5", FieldType::Integer),
        ("true", "1i", FieldType::Boolean),
        ("\"text\"", "true", FieldType::Other),
    ] {
        let name = format!("v {}", expected as u8);
        let line = |value: &str, time: u8| format!("telemetry,device_id=d v\\ {}={value} {time}", expected as u8);
        assert_eq!(influx.write("types", &line(first, 1)).await.status, 204);
        let answer = influx.write("types", &line(second, 2)).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        let error: Value = serde_json::from_str(&answer.body).expect("JSON");
        let conflict = Conflict::parse(error["error"].as_str().expect("an error"));
        assert_eq!(conflict, Some(Conflict { table: Some("telemetry".to_owned()), column: name, expected }));
    }
}
