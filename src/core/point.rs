//! The point of a message: one line of line protocol, the same at the first delivery and when rebuilt from its row.

use super::event::MsgType;
use super::line_protocol::{self, Kind, Skipped};
use super::metric::Metric;
use super::metric_keys::MetricKeyMap;

/// What points could not hold.
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

/// What a point is made of.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Only telemetry and heartbeats become points.
    pub msg_type: &'a MsgType,
    /// Tag `device_id`.
    pub device_id: &'a str,
    /// Tag `site_id`.
    pub site_id: &'a str,
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
    line_protocol::begin(&mut line, kind, source.device_id, source.site_id, source.seq);
    if kind == Kind::Telemetry {
        fields(&mut line, source.metrics, source.keys, skipped);
    }
    if !line_protocol::end(&mut line, source.event_us) {
        skipped.points += 1;
        return None;
    }
    Some(line)
}

/// Equal names make one field: at the place of the first, with the value of the last, as jsonb decides too.
fn fields(line: &mut String, metrics: &[Metric<'_>], keys: Option<&MetricKeyMap>, skipped: &mut SkipCounts) {
    for (at, metric) in metrics.iter().enumerate() {
        let name = metric.mapped(keys);
        if metrics[..at].iter().any(|earlier| earlier.mapped(keys) == name) {
            skipped.field(Skipped::Duplicate);
            continue;
        }
        if line_protocol::is_reserved(name) {
            skipped.field(Skipped::Reserved);
            continue;
        }
        let last = metrics[at + 1..].iter().rfind(|later| later.mapped(keys) == name).unwrap_or(metric);
        match last.field_value() {
            Ok(value) => line_protocol::field(line, name, value),
            Err(reason) => skipped.field(reason),
        }
    }
}
