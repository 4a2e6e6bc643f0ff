//! What a case expects of one message.

use ingest_kit::influx::{Point, Value, parse_line};
use tokio_postgres::Client;

use super::exact::Exact;
use super::format::{Case, Expect};
use super::run::Settled;
use crate::world::World;

/// What became of a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// One row of `raw_events`.
    Stored(Row),
    /// One row of `quarantine_events`, and the tenant for whom it was counted, if it was.
    Quarantined { reason: String, detail: String, counted_for: Option<String> },
    /// Rejected and counted, not stored.
    Counted { reason: String, tenant_id: String },
    /// Neither stored nor rejected: applied, or lost.
    Nothing,
    /// Stored more than once, or both ways.
    Muddled(String),
}

/// A row of `raw_events`.
#[derive(Debug)]
pub(super) struct Row {
    tenant_id: String,
    device_id: String,
    site_id: Option<String>,
    msg_type: String,
    seq: Option<i64>,
    /// Microseconds since 1970, as are all times here.
    event_us: i64,
    received_us: i64,
    payload: String,
    metrics: Option<String>,
}

/// Looks up what is stored of a message.
pub(super) async fn stored_verdict(client: &Client, stream: &str, sequence: u64) -> Verdict {
    let sql = "SELECT tenant_id, device_id, site_id, msg_type, seq, (extract(epoch FROM event_ts) * 1000000)::bigint,
                      (extract(epoch FROM received_at) * 1000000)::bigint, payload::text, (payload -> 'metrics')::text
               FROM raw_events WHERE stream = $1 AND stream_seq = $2 AND accepted";
    let sequence = sequence as i64;
    let rows = client.query(sql, &[&stream, &sequence]).await.expect("the row");
    let sql = "SELECT reason, coalesce(detail, '') FROM quarantine_events
               WHERE stream = $1 AND stream_seq = $2 AND reason <> 'POINT_REFUSED'";
    let events = client.query(sql, &[&stream, &sequence]).await.expect("the event");
    match (&rows[..], &events[..]) {
        ([], []) => Verdict::Nothing,
        ([row], []) => Verdict::Stored(Row {
            tenant_id: row.get(0),
            device_id: row.get(1),
            site_id: row.get(2),
            msg_type: row.get(3),
            seq: row.get(4),
            event_us: row.get(5),
            received_us: row.get(6),
            payload: row.get(7),
            metrics: row.get(8),
        }),
        ([], [event]) => Verdict::Quarantined { reason: event.get(0), detail: event.get(1), counted_for: None },
        _ => Verdict::Muddled(format!("{} rows and {} events", rows.len(), events.len())),
    }
}

/// Compares a message with its expectation; with alternatives, one of them must hold.
pub(super) async fn differences(world: &World, client: &Client, case: &Case, settled: &Settled<'_>) -> Vec<String> {
    let mut of_all = Vec::new();
    for expect in settled.expect.alternatives() {
        let mut found = of_alternative(world, client, expect, settled).await;
        if found.is_empty()
            && let (Some(shadow), Some(topic)) = (&expect.shadow_after, case.topic())
        {
            found = super::after::columns_of(client, "device_state", &topic.tenant_id, &topic.device_id, shadow).await;
        }
        if found.is_empty() {
            return found;
        }
        of_all.push(found);
    }
    match of_all.len() {
        1 => of_all.remove(0),
        number => of_all.iter().enumerate().fold(Vec::new(), |mut all, (at, found)| {
            all.push(format!("alternative {} of {number}: {}", at + 1, found.join("; ")));
            all
        }),
    }
}

async fn of_alternative(world: &World, client: &Client, expect: &Expect, settled: &Settled<'_>) -> Vec<String> {
    let Some(outcome) = &expect.outcome else { return Vec::new() };
    match (outcome.as_str(), &settled.verdict) {
        ("stored", Verdict::Stored(row)) => of_row(world, client, expect, settled, row).await,
        ("quarantined", Verdict::Quarantined { reason, detail, counted_for }) => {
            let mut differences = of_rejection(expect, reason, counted_for.as_deref());
            if expect.stored_event == Some(false) {
                differences.push("the event was stored".to_owned());
            }
            if let Some(part) = expect.detail_contains.as_ref().filter(|part| !detail.contains(*part)) {
                differences.push(format!("detail {detail:?} does not contain {part:?}"));
            }
            differences
        }
        ("quarantined", Verdict::Counted { reason, tenant_id }) => {
            let mut differences = of_rejection(expect, reason, Some(tenant_id));
            if expect.stored_event != Some(false) && reason != "RATE_LIMITED" {
                differences.push(format!("{reason} was counted but not stored"));
            }
            differences
        }
        ("applied", Verdict::Nothing) => Vec::new(),
        ("settled", Verdict::Stored(_) | Verdict::Quarantined { .. } | Verdict::Counted { .. }) => Vec::new(),
        (_, Verdict::Muddled(how)) => vec![format!("expected {outcome}, got {how}")],
        (_, verdict) => vec![format!("expected {outcome}, got {verdict:?}")],
    }
}

fn of_rejection(expect: &Expect, reason: &str, counted_for: Option<&str>) -> Vec<String> {
    let mut differences = Vec::new();
    if expect.reason.as_ref().is_some_and(|expected| !expected.has(reason)) {
        differences.push(format!("reason {reason}, expected {:?}", expect.reason));
    }
    match counted_for {
        None => differences.push(format!("{reason} was not counted")),
        Some(tenant) if expect.tenant_id.as_deref().is_some_and(|expected| expected != tenant) => {
            differences.push(format!("counted for {tenant:?}, expected {:?}", expect.tenant_id));
        }
        Some(_) => {}
    }
    differences
}

async fn of_row(world: &World, client: &Client, expect: &Expect, settled: &Settled<'_>, row: &Row) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, expected: Option<&str>, is: &str| {
        if expected.is_some_and(|expected| expected != is) {
            differences.push(format!("{what} {is:?}, expected {:?}", expected.unwrap_or_default()));
        }
    };
    compare("tenant_id", expect.tenant_id.as_deref(), &row.tenant_id);
    compare("device_id", expect.device_id.as_deref(), &row.device_id);
    compare("site_id", expect.site_id.as_deref(), row.site_id.as_deref().unwrap_or("NULL"));
    compare("msg_type", expect.msg_type.as_deref(), &row.msg_type);
    if expect.seq.is_some_and(|seq| row.seq != Some(seq)) {
        differences.push(format!("seq {:?}, expected {:?}", row.seq, expect.seq));
    }

    let broker_us = (settled.broker_ns / 1_000) as i64;
    if row.received_us != broker_us {
        differences.push(format!("received_at {}, the broker's time is {broker_us}", row.received_us));
    }
    if let Some(text) = &expect.event_ts {
        let expected_us = if text == "broker" { broker_us } else { microseconds(client, text).await };
        if row.event_us.abs_diff(expected_us) > expect.ts_tolerance_ns / 1_000 {
            differences.push(format!("event_ts {} us, expected {expected_us} us ({text})", row.event_us));
        }
    }

    if let Some(expected) = &expect.payload_metrics {
        // As JSON text where a double would not hold the numbers.
        let text = serde_json::from_str::<String>(expected.get()).unwrap_or_else(|_| expected.get().to_owned());
        let is = row.metrics.as_deref().filter(|metrics| *metrics != "null").unwrap_or("{}");
        if Exact::parse(&text).expect("JSON") != Exact::parse(is).expect("JSON") {
            differences.push(format!("metrics {is}, expected {text}"));
        }
    }
    for (key, expected) in expect.payload_has.iter().flatten() {
        let payload = Exact::parse(&row.payload).expect("JSON");
        let Exact::Object(members) = &payload else { panic!("a payload that is no object: {payload:?}") };
        if members.get(key) != Exact::parse(expected.get()).ok().as_ref() {
            differences.push(format!("payload.{key} {:?}, expected {expected}", members.get(key)));
        }
    }

    if let Some(expected) = &expect.point {
        differences.extend(of_point(world, expected.as_deref(), expect, settled, row));
    }
    match &expect.point_refused {
        None if settled.point_refused => differences.push("the point was refused".to_owned()),
        Some(serde_json::Value::Bool(true)) if !settled.point_refused => {
            differences.push("the point was not refused".to_owned());
        }
        _ => {}
    }
    differences
}

async fn microseconds(client: &Client, timestamp: &str) -> i64 {
    let sql = "SELECT (extract(epoch FROM $1::text::timestamptz) * 1000000)::bigint";
    client.query_one(sql, &[&timestamp]).await.expect("a timestamp").get(0)
}

fn of_point(world: &World, expected: Option<&str>, expect: &Expect, settled: &Settled<'_>, row: &Row) -> Vec<String> {
    let points = world.influx.taken(&format!("telemetry_{}", row.tenant_id));
    let of_device = |point: &&Point| point.tags.get("device_id") == Some(&row.device_id);
    let Some(line) = expected else {
        // Every point carries its message's `seq`.
        let of_message = |point: &Point| point.field("seq") == expect.seq.map(Value::Integer).as_ref();
        let found = points.iter().filter(of_device).find(|point| of_message(point));
        return found.map(|point| format!("there is a point: {point:?}")).into_iter().collect();
    };
    let (line, tolerance) = match line.strip_suffix("<broker>") {
        Some(line) => (format!("{line}{}", settled.broker_ns), 1_000),
        None => (line.to_owned(), expect.ts_tolerance_ns),
    };
    let expected = parse_line(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
    let same_series = |point: &&Point| {
        point.table == expected.table
            && point.tags == expected.tags
            && point.time_ns.abs_diff(expected.time_ns) <= tolerance
    };
    // Messages of one device and time make one point, by several lines.
    if points.iter().filter(same_series).any(|point| are_equal(&point.fields, &expected.fields)) {
        return Vec::new();
    }
    match points.iter().find(same_series) {
        Some(point) => vec![format!("fields {:?}, expected {:?}", point.fields, expected.fields)],
        None => {
            let others: Vec<&Point> = points.iter().filter(of_device).collect();
            vec![format!("no point {line}; the device has {others:?}")]
        }
    }
}

/// Same fields in the same order; an integer metric (never `seq`) may have come as a float of the same value.
fn are_equal(is: &[(String, Value)], expected: &[(String, Value)]) -> bool {
    is.len() == expected.len()
        && is.iter().zip(expected).all(|((name, is), (expected_name, expected))| {
            name == expected_name
                && match (is, expected) {
                    (Value::Float(is), Value::Integer(expected)) if name != "seq" => *is == *expected as f64,
                    (is, expected) => is == expected,
                }
        })
}
