//! Points: one line of line protocol per message, the same at the first delivery and when rebuilt from its row.

use serde::{Deserialize, Serialize};

use super::line_protocol::{self, FieldValue, Kind, Skipped, Tags};
use crate::message::metric::Metric;
use crate::message::metric_keys::MetricKeyMap;
use crate::message::msg_type::MsgType;

/// Database layout: how tenants share databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Each has a database of its own.
    #[default]
    PerTenant,
    /// All share one; the tag `tenant_id` distinguishes their points.
    Shared,
}

impl Layout {
    /// The tag that a tenant's points need.
    pub fn tenant_tag(self, tenant_id: &str) -> Option<&str> {
        match self {
            Layout::PerTenant => None,
            Layout::Shared => Some(tenant_id),
        }
    }
}

/// Counts of what points could not hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct SkipCounts {
    /// Fields, by the index of their reason in [`Skipped::ALL`].
    pub fields: [u64; Skipped::ALL.len()],
    /// Whole points: their time is outside i64 nanoseconds.
    pub points: u64,
}

impl SkipCounts {
    fn field(&mut self, reason: Skipped) {
        self.fields[reason as usize] += 1;
    }
}

/// The values of a point.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Only telemetry and heartbeats become points.
    pub msg_type: &'a MsgType,
    /// The tags.
    pub tags: Tags<'a>,
    /// The first field.
    pub seq: i64,
    /// The point's time, Unix microseconds.
    pub event_us: i64,
    /// The further fields, of telemetry only.
    pub metrics: &'a [Metric<'a>],
    /// Their mapped names, where there are any.
    pub keys: Option<&'a MetricKeyMap>,
}

/// The line, without its line feed; `None` where the type makes no point or the time is outside i64 nanoseconds (the
/// latter is counted).
pub fn line(source: Source<'_>, skipped: &mut SkipCounts) -> Option<String> {
    let kind = match source.msg_type {
        MsgType::Telemetry => Kind::Telemetry,
        MsgType::Heartbeat => Kind::Heartbeat,
        MsgType::Other(_) => return None,
    };
    let mut line = String::with_capacity(192);
    line_protocol::begin(&mut line, kind, source.tags, source.seq);
    if kind == Kind::Telemetry {
        fields(&mut line, source, skipped);
    }
    if !line_protocol::end(&mut line, source.event_us) {
        skipped.points += 1;
        return None;
    }
    Some(line)
}

/// Equal names make one field: at the place of the first, with the value of the last, as jsonb decides too.
fn fields(line: &mut String, source: Source<'_>, skipped: &mut SkipCounts) {
    let Source { metrics, keys, .. } = source;
    let is_reserved =
        |name: &str| line_protocol::is_reserved(name) || (source.tags.tenant_id.is_some() && name == "tenant_id");
    for (at, metric) in metrics.iter().enumerate() {
        let name = metric.mapped(keys);
        if metrics[..at].iter().any(|earlier| earlier.mapped(keys) == name) {
            skipped.field(Skipped::Duplicate);
            continue;
        }
        if is_reserved(name) {
            skipped.field(Skipped::Reserved);
            continue;
        }
        let last = metrics[at + 1..].iter().rfind(|later| later.mapped(keys) == name).unwrap_or(metric);
        match field_value(last) {
            Ok(value) => line_protocol::field(line, name, value),
            Err(reason) => skipped.field(reason),
        }
    }
}

/// The value of a metric as a field of a point.
fn field_value<'a>(metric: &Metric<'a>) -> Result<FieldValue<'a>, Skipped> {
    match metric.raw.as_bytes().first() {
        Some(b't') => Ok(FieldValue::Boolean(true)),
        Some(b'f') => Ok(FieldValue::Boolean(false)),
        Some(b'"') => Err(Skipped::Text),
        Some(b'{' | b'[') => Err(Skipped::Nested),
        Some(b'-' | b'0'..=b'9') => FieldValue::from_number(metric.raw),
        _ => Err(Skipped::Null),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn a_point_holds_numbers_and_booleans_only() {
        let of = |raw| field_value(&Metric { key: Cow::Borrowed("m"), raw });
        assert_eq!(of("1"), Ok(FieldValue::Integer("1")));
        assert_eq!(of("1.0"), Ok(FieldValue::Float("1.0")));
        assert_eq!(of("true"), Ok(FieldValue::Boolean(true)));
        assert_eq!(of("null"), Err(Skipped::Null));
        assert_eq!(of("\"1\""), Err(Skipped::Text));
        assert_eq!(of("[1]"), Err(Skipped::Nested));
        assert_eq!(of("9223372036854775808"), Err(Skipped::OutOfRange));
        assert_eq!(of("1e400"), Err(Skipped::NotFinite));
    }
}
