//! A line that is rebuilt from its row, through a real jsonb, is the same point as the one its message made.

use std::sync::Arc;

use bytes::Bytes;
use ingest_core::influx::point::Layout;
use ingest_core::influx::rebuild;
use ingest_core::message::device::{Device, DeviceKey, Lookup, Subscription};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::metric_keys::MetricKeyMap;
use ingest_core::validate;
use ingest_core::validate::event::Event;
use ingest_core::validate::settings::Settings;
use ingest_core::validate::{Context, Policy, ValidationCounts};
use ingest_kit::Postgres;
use ingest_kit::influx::parse_line;
use ingest_node::testing::postgres::raw_events;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::expected;

const MESSAGES: usize = 6_000;

/// JSON texts of numbers: of every spelling, and at every edge.
fn number() -> impl Strategy<Value = String> {
    let edges = [
        "0",
        "-0",
        "0.0",
        "-0.0",
        "-0e0",
        "0e5",
        "-0.00E-7",
        "24",
        "24.0",
        "2.4e1",
        "24e0",
        "240e-1",
        "1e21",
        "1E+21",
        "1.5e300",
        "1e308",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "1e309",
        "-1e400",
        "1e-7",
        "5e-324",
        "2e-324",
        "-2e-324",
        "1e-400",
        "2.2250738585072011e-308",
        "0.1",
        "0.30000000000000004",
        "1e5000",
        "1e-5000",
        "1e131000",
        "-1.5e-16000",
        "2.5e-324",
        "1e-299",
        "1e-301",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "-9223372036854775809",
        "9007199254740993",
        "9007199254740993.0",
        "123456789012345678901234567890",
        "1.00000000000000000000000000001",
        "100000000000000000000000000000000000000000.5",
    ];
    prop_oneof![
        2 => proptest::sample::select(edges.to_vec()).prop_map(str::to_owned),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        3 => any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| serde_json::Value::from(number).to_string()),
        3 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => number(),
        2 => proptest::sample::select(vec!["true", "false"]).prop_map(str::to_owned),
        1 => Just("null".to_owned()),
        1 => "\\PC{0,8}".prop_map(|text| json!(text).to_string()),
        1 => number().prop_map(|number| format!("{{\"a\":[{number}],\"b\":{number}}}")),
        1 => number().prop_map(|number| format!("[{number},\"x\"]")),
    ]
}

/// Names as JSON writes them: few, so that they meet; odd ones; reserved ones; and some with escapes that need not be.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-f]".prop_map(|name| json!(name).to_string()),
        3 => "[ab\\\\,= \"'%#]{1,5}".prop_map(|name| json!(name).to_string()),
        2 => "\\PC{1,8}".prop_map(|name| json!(name).to_string()),
        1 => "(a|%25|%5C|%0A|%7F|\\\\){1,3}".prop_map(|name| json!(name).to_string()),
        1 => proptest::sample::select(vec!["time", "device_id", "site_id", "seq", "tenant_id", "__chunk_order"])
            .prop_map(|name| json!(name).to_string()),
        1 => proptest::sample::select(vec!["\"\\u0061\"", "\"\\ud83d\\ude00\"", "\"\\/b\"", "\"\\u00e9\""])
            .prop_map(str::to_owned),
    ]
}

/// A metrics object's text, equal names included.
fn metrics() -> impl Strategy<Value = String> {
    proptest::collection::vec((name(), value()), 0..10).prop_map(|members| {
        let members: Vec<String> = members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

/// A message's envelope: the payload as an object or as a text, sometimes with an earlier set of metrics that does not count.
fn envelope() -> impl Strategy<Value = String> {
    let kind = prop_oneof![9 => Just("telemetry"), 1 => Just("heartbeat")];
    (kind, metrics(), proptest::option::weighted(0.05, metrics()), any::<i64>(), proptest::bool::weighted(0.2))
        .prop_map(|(kind, metrics, earlier, seq, is_text)| {
            let earlier = earlier.map(|metrics| format!("\"metrics\":{metrics},")).unwrap_or_default();
            let ts = "2026-11-21T00:00:00.123456Z";
            let payload = format!(
                r#"{{{earlier}"site_id":"lab 1","ts":"{ts}","seq":{seq},"metrics":{metrics},"provision_token":"t"}}"#
            );
            let payload = if is_text { json!(payload).to_string() } else { payload };
            format!(r#"{{"topic":"tenant/acme/device/d1/{kind}","payload":{payload}}}"#)
        })
}

/// Names that come under others, some of them under those of other metrics.
const MAP: &str = r#"{"a":"b","c":"renamed, and long","d":"seq","%":"a"}"#;

fn device(map: &str) -> Lookup {
    Lookup::Found(Arc::new(Device {
        key: DeviceKey::new("acme", "d1"),
        site_id: "lab 1".to_owned(),
        active: true,
        subscription: Subscription::Passes,
        token_hash: None,
        certificates: Vec::new(),
        metric_keys: MetricKeyMap::from_maps([map].into_iter()),
        location_is_auto: true,
        sensor_limit: 20,
    }))
}

/// The event of a message that passes all checks.
fn validate(body: &str, device: &Lookup) -> Option<Event> {
    let settings = Settings { max_payload_bytes: 1_000_000, ..Settings::default() };
    let policy = Policy { require_token: false, cert_auth_enabled: false, points: Some(Layout::PerTenant) };
    let context = Context { settings: &settings, policy, subject: None, received_us: 0, trusted: false };
    let envelope = Envelope::open(&Bytes::copy_from_slice(body.as_bytes())).ok()?;
    validate::telemetry(&envelope, context, |_| Some(device), |_| true, &mut ValidationCounts::default()).ok()?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_rebuilt_from_its_row_is_the_same_point() {
    let devices = [device("{}"), device(MAP)];
    let (mut runner, strategy) = (TestRunner::default(), envelope());
    let mut validated: Vec<(String, Event)> = Vec::new();
    for number in 0..MESSAGES {
        let envelope = strategy.new_tree(&mut runner).expect("a message").current();
        if let Some(event) = validate(&envelope, &devices[number % 2]) {
            if number % 2 == 0 {
                // The oracle of all these tests is held against the node here.
                let (_, expected) = expected::point(&envelope).expect("a point");
                let line = event.line.as_deref().expect("a line");
                assert_eq!(point(line), expected::text(&expected), "the line of {envelope}: {line}");
            }
            validated.push((envelope, event));
        }
    }
    assert!(validated.len() > MESSAGES * 8 / 10, "only {} messages are good", validated.len());

    let database = Postgres::shared().create_database().await;
    let client = database.connect().await;
    client.batch_execute("CREATE TABLE rows (place bigint, payload jsonb)").await.expect("a table");
    let payloads: Vec<&str> = validated.iter().map(|(_, event)| &*event.payload).collect();
    let insert =
        "INSERT INTO rows SELECT place, payload::jsonb FROM unnest($1::text[]) WITH ORDINALITY AS r (payload, place)";
    client.execute(insert, &[&payloads]).await.unwrap_or_else(|e| panic!("jsonb refuses a row: {e:?}"));
    let select = format!("SELECT metrics.text FROM rows AS r {} ORDER BY place", raw_events::JOIN);
    let stored = client.query(&select, &[]).await.expect("the rows");
    assert_eq!(stored.len(), validated.len());

    for ((envelope, event), row) in validated.iter().zip(&stored) {
        let metrics: Option<&str> = row.get(0);
        let row = rebuild::Row {
            msg_type: event.msg_type.as_str(),
            tenant_id: "acme",
            device_id: "d1",
            site_id: "lab 1",
            seq: event.seq,
            event_us: event.event_us,
            metrics,
        };
        let rebuilt = rebuild::line(row, Layout::PerTenant).expect("a line");
        let line = event.line.as_deref().expect("a line");
        assert_eq!(point(&rebuilt), point(line), "the rebuilt line of {envelope}\nfirst   {line}\nrebuilt {rebuilt}");
    }
}

/// All that counts of a line, as the format's owner reads it.
fn point(line: &str) -> String {
    expected::text(&parse_line(line).unwrap_or_else(|e| panic!("{e}: {line}")))
}
