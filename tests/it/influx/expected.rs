//! Which points messages ask for: the contract's rules in a few lines of their own, none of them the node's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ingest_kit::jetstream::Outgoing;
use ingest_kit::{InfluxStub, Point, Value, wait_for};
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::workload::database;

/// Names that a metric can't have in a point.
const RESERVED: [&str; 5] = ["time", "device_id", "site_id", "seq", "__chunk_order"];

/// What a column makes of a value: `None` = it can't hold it.
pub(super) type Column = fn(Value) -> Option<Value>;

/// Points by database, each as a text that says all that counts: table, tags, fields by name with their types, time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected(BTreeMap<String, BTreeSet<String>>);

impl Expected {
    /// What good messages ask for where every column has the type of its values.
    pub(crate) fn of<'a>(messages: impl IntoIterator<Item = &'a Outgoing>) -> Self {
        Self::with_columns(messages, &BTreeMap::new())
    }

    /// The same where some columns have types of their own.
    pub(crate) fn with_columns<'a>(
        messages: impl IntoIterator<Item = &'a Outgoing>,
        columns: &BTreeMap<String, Column>,
    ) -> Self {
        Self::gathered(messages, |tenant, point| {
            point.fields = std::mem::take(&mut point.fields)
                .into_iter()
                .filter_map(|(name, value)| match columns.get(&name) {
                    Some(column) => column(value).map(|value| (name, value)),
                    None => Some((name, value)),
                })
                .collect();
            database(tenant)
        })
    }

    /// The same where all tenants share this database.
    pub(crate) fn shared<'a>(messages: impl IntoIterator<Item = &'a Outgoing>, database: &str) -> Self {
        Self::gathered(messages, |tenant, point| {
            point.tags.insert("tenant_id".to_owned(), carried(tenant));
            database.to_owned()
        })
    }

    /// `place` says where a tenant's point goes, and changes it as it must be there.
    fn gathered<'a>(
        messages: impl IntoIterator<Item = &'a Outgoing>,
        place: impl Fn(&str, &mut Point) -> String,
    ) -> Self {
        let mut points: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for message in messages {
            let envelope = std::str::from_utf8(&message.payload).expect("UTF-8");
            let Some((tenant, mut point)) = point(envelope) else { continue };
            let database = place(&tenant, &mut point);
            let is_new = points.entry(database).or_default().insert(text(&point));
            assert!(is_new, "a message that asks for the very point of another: {envelope}");
        }
        Self(points)
    }

    /// Waits until as many points are there, and fails where they are not just these.
    pub(crate) async fn wait_in(&self, influx: &InfluxStub, deadline: Duration) {
        let since = Instant::now();
        let are_there = || self.0.iter().all(|(database, points)| influx.point_count(database) >= points.len());
        wait_for("the points", 2 * deadline, async || are_there() || since.elapsed() > deadline).await;
        self.assert_in(influx);
    }

    /// Fails where the points of the databases are not just these, and says which ones are missing and which too many.
    pub(crate) fn assert_in(&self, influx: &InfluxStub) {
        let mut differences = Vec::new();
        for (database, expected) in &self.0 {
            let stored: Vec<String> = influx.points(database).iter().map(text).collect();
            let distinct: BTreeSet<String> = stored.iter().cloned().collect();
            let missing: Vec<_> = expected.difference(&distinct).collect();
            let surplus: Vec<_> = distinct.difference(expected).collect();
            if !missing.is_empty() || !surplus.is_empty() || stored.len() != distinct.len() {
                differences.push(format!(
                    "{database}: {} of {} are missing, {} are too many, {} are double",
                    missing.len(),
                    expected.len(),
                    surplus.len(),
                    stored.len() - distinct.len()
                ));
                differences.extend(missing.iter().take(3).map(|point| format!("  missing: {point}")));
                differences.extend(surplus.iter().take(3).map(|point| format!("  surplus: {point}")));
            }
        }
        let unasked =
            influx.databases().into_iter().filter(|name| !self.0.contains_key(name) && influx.point_count(name) > 0);
        differences.extend(unasked.map(|name| format!("{name}: nobody asked for its points")));
        assert!(differences.is_empty(), "points that are not as expected\n{}", differences.join("\n"));
    }
}

type Members = BTreeMap<String, Box<RawValue>>;

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> T {
    serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

/// The tenant and the point of a good message; `None` where it makes none.
pub(super) fn point(envelope: &str) -> Option<(String, Point)> {
    #[derive(Deserialize)]
    struct Envelope {
        topic: String,
        payload: Box<RawValue>,
    }
    let Envelope { topic, payload } = read(envelope);
    let payload = if payload.get().starts_with('"') { read::<String>(payload.get()) } else { payload.get().to_owned() };
    // Of equal names the last wins, here as in the metrics.
    let payload: Members = read(&payload);
    let (ts, site_id): (String, String) = (read(payload["ts"].get()), read(payload["site_id"].get()));
    let seq = payload.get("seq").map_or(0, |seq| read(seq.get()));
    let metrics: Members = payload.get("metrics").map_or_else(Members::new, |metrics| read(metrics.get()));
    let levels: Vec<&str> = topic.split('/').collect();
    let [_, tenant, _, device, kind @ ("telemetry" | "heartbeat"), ..] = levels[..] else { return None };
    let time = OffsetDateTime::parse(&ts, &Rfc3339).unwrap_or_else(|e| panic!("{e}: {ts}"));
    let mut fields = vec![("seq".to_owned(), Value::Integer(seq))];
    if kind == "telemetry" {
        let metrics = metrics.iter().filter(|(name, _)| !RESERVED.contains(&name.as_str()));
        fields.extend(metrics.filter_map(|(name, raw)| Some((carried(name), value(raw.get())?))));
    }
    let point = Point {
        table: kind.to_owned(),
        tags: [("device_id", device), ("site_id", &site_id)]
            .map(|(key, value)| (key.to_owned(), carried(value)))
            .into(),
        fields,
        time_ns: i64::try_from(time.unix_timestamp_nanos() / 1_000 * 1_000).ok()?,
    };
    Some((tenant.to_owned(), point))
}

/// A metric's value as a field; `None` where a point can't hold it.
fn value(json: &str) -> Option<Value> {
    match json {
        "true" => Some(Value::Boolean(true)),
        "false" => Some(Value::Boolean(false)),
        _ if !json.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => None,
        _ if json.contains(['.', 'e', 'E']) => {
            let float: f64 = json.parse().expect("a JSON number");
            float.is_finite().then_some(Value::Float(float))
        }
        _ => json.parse().ok().map(Value::Integer),
    }
}

/// A name as line protocol can carry it, before it is escaped.
fn carried(name: &str) -> String {
    let is_special = |c: char| c.is_ascii_control() || matches!(c, '%' | '\\');
    let code = |c: char| format!("%{:02X}", u32::from(c));
    // What the encoding writes would be taken for it.
    let has_code = (0..=0x7F_u8).map(char::from).filter(|c| is_special(*c)).any(|c| name.contains(&code(c)));
    if !has_code && !name.contains(|c: char| c.is_ascii_control()) && !name.ends_with('\\') {
        return name.to_owned();
    }
    name.chars().map(|c| if is_special(c) { code(c) } else { c.to_string() }).collect()
}

/// All that counts of a point, and nothing else: fields in the order of their names, values to the last bit, but for the
/// sign of a zero: it is lost where a point is rebuilt from its row.
pub(super) fn text(point: &Point) -> String {
    let value = |value: &Value| match value {
        Value::Float(zero) if *zero == 0.0 => Value::Float(0.0),
        other => other.clone(),
    };
    let fields: BTreeMap<&str, Value> = point.fields.iter().map(|(name, of)| (name.as_str(), value(of))).collect();
    assert_eq!(fields.len(), point.fields.len(), "two fields of one name: {point:?}");
    format!("{} {:?} {fields:?} {}", point.table, point.tags, point.time_ns)
}
