//! What a case expects of tables, points and jobs after all its messages.

use ingest_kit::influx::Point;
use serde_json::{Map, Value};
use tokio_postgres::Client;

use super::format::Case;
use super::message::Verdict;
use super::run::Run;
use crate::world::World;

/// All messages of the `ROUTES` stream; none where there is no such stream.
pub(super) async fn route_jobs(world: &World) -> Vec<Value> {
    let Ok(stream) = world.jetstream.get_stream("ROUTES").await else { return Vec::new() };
    let state = stream.cached_info().state.clone();
    let mut jobs = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await.expect("a job");
        assert!(message.headers.get("Nats-Msg-Id").is_some(), "a route job without Nats-Msg-Id");
        jobs.push(serde_json::from_slice(&message.payload).expect("a job is JSON"));
    }
    jobs
}

/// Compares what is there in the end with what the case expects.
pub(super) async fn differences(world: &World, client: &Client, run: &Run<'_>, jobs: &[Value]) -> Vec<String> {
    let expect = &run.case.expect;
    let mut differences = Vec::new();
    let topic = run.case.topic();
    if let Some(topic) = &topic {
        let (tenant, device) = (topic.tenant_id.as_str(), topic.device_id.as_str());
        for (key, columns) in expect.sensors.iter().flatten() {
            let mut columns = columns.clone();
            columns.insert("metric_key".to_owned(), key.as_str().into());
            differences.extend(columns_of(client, "device_sensors", tenant, device, &columns).await);
        }
        if let Some(expected) = expect.sensor_count {
            let count = matching(client, "device_sensors", &keys(tenant, device)).await.len() as u64;
            if count != expected {
                differences.push(format!("{count} sensors, expected {expected}"));
            }
        }
        if let Some(columns) = &expect.location {
            differences.extend(columns_of(client, "device_registry", tenant, device, columns).await);
        }
        if let Some(shadow) = &expect.shadow {
            let mut columns = shadow.clone();
            columns.remove("any");
            let device =
                columns.remove("device_id").and_then(|id| id.as_str().map(str::to_owned)).expect("a device_id");
            differences.extend(columns_of(client, "device_state", tenant, &device, &columns).await);
        }
        if let Some(command) = &expect.command {
            let mut key = Map::new();
            key.insert("tenant_id".to_owned(), tenant.into());
            key.insert("command_id".to_owned(), command["command_id"].clone());
            differences.extend(compare(client, "device_commands", &key, command).await);
        }
        if let Some(expected) = &expect.route_jobs {
            let of_topic = |job: &&Value| job["topic"] == topic.text;
            differences.extend(compare_jobs(expected, jobs.iter().filter(of_topic).collect()));
        }
        let points = world.influx.points(&format!("telemetry_{tenant}"));
        let carries = |id: &String| {
            let of_device = |point: &Point| point.tags.get("device_id") == Some(id);
            points.iter().any(of_device)
        };
        differences
            .extend(expect.no_point_of.iter().filter(|id| carries(id)).map(|id| format!("there is a point of {id:?}")));
    }
    for row in &expect.registered {
        if matching(client, "device_registry", row).await.len() != 1 {
            differences.push(format!("not registered: {row:?}"));
        }
    }
    for row in &expect.not_registered {
        if !matching(client, "device_registry", row).await.is_empty() {
            differences.push(format!("registered: {row:?}"));
        }
    }
    for (what, (least, most)) in &expect.counts {
        let is = |verdict: &Verdict| match verdict {
            Verdict::Stored(_) => what == "stored",
            Verdict::Quarantined { reason, .. } | Verdict::Counted { reason, .. } => {
                what == "quarantined" || what == reason
            }
            Verdict::Nothing => what == "applied",
            Verdict::Muddled(_) => false,
        };
        let count = run.messages.iter().filter(|settled| is(&settled.verdict)).count();
        if !(*least..=*most).contains(&count) {
            differences.push(format!("{count} messages are {what}, expected {least} to {most}"));
        }
    }
    differences
}

/// Tokens of the cases' devices that are stored anywhere or went out with a route job.
pub(super) async fn leaked_tokens(world: &World, cases: &[&Case], jobs: &[Value]) -> Vec<String> {
    let mut tokens: Vec<&str> =
        cases.iter().flat_map(|case| &case.registry).filter_map(|device| device.token.as_deref()).collect();
    tokens.sort_unstable();
    tokens.dedup();
    // Shorter ones may stand in any number or name.
    tokens.retain(|token| token.len() >= 8);
    let mut leaks = Vec::new();
    for token in tokens {
        let places = world.database.occurrences_of(token).await;
        leaks.extend(places.iter().map(|(table, rows)| format!("the token {token:?} is in {rows} rows of {table}")));
        let in_jobs = jobs.iter().filter(|job| job.to_string().contains(token)).count();
        if in_jobs > 0 {
            leaks.push(format!("the token {token:?} is in {in_jobs} route jobs"));
        }
    }
    leaks
}

fn compare_jobs(expected: &[Value], mut jobs: Vec<&Value>) -> Vec<String> {
    let mut differences = Vec::new();
    for one in expected {
        match jobs.iter().position(|job| holds(job, one)) {
            Some(at) => drop(jobs.swap_remove(at)),
            None => differences.push(format!("no route job like {one}")),
        }
    }
    differences.extend(jobs.iter().map(|job| format!("unexpected route job {job}")));
    differences
}

/// Whether a value has everything that another one has: objects may have more members.
fn holds(is: &Value, expected: &Value) -> bool {
    match (is, expected) {
        (Value::Object(is), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| is.get(key).is_some_and(|is| holds(is, value)))
        }
        _ => is == expected,
    }
}

fn keys(tenant: &str, device: &str) -> Map<String, Value> {
    let mut keys = Map::new();
    keys.insert("tenant_id".to_owned(), tenant.into());
    keys.insert("device_id".to_owned(), device.into());
    keys
}

/// Compares columns of a device's row.
pub(super) async fn columns_of(
    client: &Client,
    table: &str,
    tenant: &str,
    device: &str,
    columns: &Map<String, Value>,
) -> Vec<String> {
    let mut key = keys(tenant, device);
    // A device has many sensors.
    if let Some(metric) = columns.get("metric_key") {
        key.insert("metric_key".to_owned(), metric.clone());
    }
    compare(client, table, &key, columns).await
}

async fn compare(client: &Client, table: &str, key: &Map<String, Value>, columns: &Map<String, Value>) -> Vec<String> {
    let rows = matching(client, table, key).await;
    let [row] = &rows[..] else { return vec![format!("{} rows of {table} for {key:?}", rows.len())] };
    let mut differences = Vec::new();
    for (column, expected) in columns {
        if !is_equal(&row[column], expected) {
            differences.push(format!("{table}.{column} {}, expected {expected}", row[column]));
        }
    }
    differences
}

/// The rows of a table that have these values (texts), as JSON with times as in `2026-02-09T09:15:30.000000Z`.
async fn matching(client: &Client, table: &str, values: &Map<String, Value>) -> Vec<Value> {
    client.batch_execute("SET timezone = 'UTC'").await.expect("a time zone");
    let rows = client.query(&format!("SELECT to_jsonb(t)::text FROM {table} t"), &[]).await.expect("the rows");
    let rows = rows.iter().map(|row| serde_json::from_str::<Value>(row.get(0)).expect("JSON"));
    rows.filter(|row| values.iter().all(|(column, value)| row[column] == *value)).collect()
}

/// Numbers by value, times by the instant, everything else as it is.
fn is_equal(is: &Value, expected: &Value) -> bool {
    match (is, expected) {
        // By default serde_json's parser may miss a float by its last bit.
        (Value::Number(is), Value::Number(expected)) => {
            let (is, expected) = (is.as_f64().unwrap_or(f64::NAN), expected.as_f64().unwrap_or(f64::NAN));
            (is - expected).abs() <= f64::EPSILON * expected.abs()
        }
        (Value::String(is), Value::String(expected)) => {
            is == expected || instant(is).is_some_and(|at| Some(at) == instant(expected))
        }
        _ => is == expected,
    }
}

fn instant(text: &str) -> Option<time::OffsetDateTime> {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
}
