//! Rebuild: the point of a row, the same as its message made at its first delivery.
//!
//! The row holds all that the point is made of: the tags' columns, the sequence number, the time to the microsecond,
//! and the metrics under their mapped names. jsonb may have put them in another order, and spells numbers its own way;
//! it preserves their values and whether they are integers (see
//! [`Metric::spelling_for_jsonb`](crate::message::metric::Metric::spelling_for_jsonb)). All that is lost is the sign of a zero:
//! `-0.0` comes back as `0.0`, which is the same number.

use std::borrow::Cow;

use crate::influx::line_protocol::Tags;
use crate::influx::point::{self, Layout, SkipCounts, Source};
use crate::message::metric::{self, Metric};
use crate::message::msg_type::MsgType;

/// The columns of `raw_events` that make a point.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Column `msg_type`.
    pub msg_type: &'a str,
    /// Column `tenant_id`.
    pub tenant_id: &'a str,
    /// Column `device_id`.
    pub device_id: &'a str,
    /// Column `site_id`.
    pub site_id: &'a str,
    /// Column `seq`.
    pub seq: i64,
    /// Column `event_ts`, Unix microseconds.
    pub event_us: i64,
    /// Member `metrics` of column `payload`, as jsonb writes it.
    pub metrics: Option<&'a str>,
}

/// The line, without its line feed; `None` where the row's message made no point, or where the row lacks a tag, as one of an
/// earlier system may. Skipped fields were counted at the first delivery.
pub fn line(row: Row<'_>, layout: Layout) -> Option<String> {
    let msg_type = match row.msg_type {
        "telemetry" => MsgType::Telemetry,
        "heartbeat" => MsgType::Heartbeat,
        _ => return None,
    };
    if row.device_id.is_empty() || row.site_id.is_empty() {
        return None;
    }
    let written = row.metrics.and_then(metric::read).unwrap_or_default();
    let short: Vec<Option<String>> = written.iter().map(|metric| short_float(metric.raw)).collect();
    let spelled = written.iter().zip(&short).map(|(metric, short)| Metric {
        key: Cow::Borrowed(&*metric.key),
        raw: short.as_deref().unwrap_or(metric.raw),
    });
    let metrics: Vec<Metric<'_>> = spelled.collect();
    let source = Source {
        msg_type: &msg_type,
        tags: Tags { device_id: row.device_id, site_id: row.site_id, tenant_id: layout.tenant_tag(row.tenant_id) },
        seq: row.seq,
        event_us: row.event_us,
        metrics: &metrics,
        keys: None,
    };
    point::line(source, &mut SkipCounts::default())
}

/// f64's own spelling of a float that jsonb has written out: `1e308` comes back with 308 zeros, and a line of fifty
/// such floats would be thirty times as long as its message was.
fn short_float(raw: &str) -> Option<String> {
    /// f64's own are not longer.
    const LONG: usize = 32;
    let is_float = raw.len() > LONG && matches!(raw.as_bytes()[0], b'-' | b'0'..=b'9') && raw.contains('.');
    let value = is_float.then(|| raw.parse::<f64>().ok()).flatten()?;
    value.is_finite().then(|| format!("{value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row<'_> = Row {
        msg_type: "telemetry",
        tenant_id: "acme",
        device_id: "dev-1",
        site_id: "lab 1",
        seq: 7,
        event_us: 1_795_219_200_123_456,
        metrics: Some(r#"{"a": 24.0, "b": 24, "ok": true, "seq": 5, "text": "x"}"#),
    };

    #[test]
    fn a_row_makes_the_point_of_its_message() {
        let fields = "seq=7i,a=24.0,b=24i,ok=true";
        let expected = format!(r"telemetry,device_id=dev-1,site_id=lab\ 1 {fields} 1795219200123456000");
        assert_eq!(line(ROW, Layout::PerTenant), Some(expected));
    }

    #[test]
    fn a_heartbeat_has_its_sequence_number_alone() {
        let row = Row { msg_type: "heartbeat", ..ROW };
        assert_eq!(
            line(row, Layout::PerTenant).unwrap(),
            r"heartbeat,device_id=dev-1,site_id=lab\ 1 seq=7i 1795219200123456000"
        );
    }

    #[test]
    fn where_tenants_share_a_database_a_tag_distinguishes_them() {
        let row = Row { metrics: Some(r#"{"tenant_id": 1}"#), ..ROW };
        let tags = r"device_id=dev-1,site_id=lab\ 1,tenant_id=acme";
        assert_eq!(line(row, Layout::Shared), Some(format!("telemetry,{tags} seq=7i 1795219200123456000")));
        assert!(line(row, Layout::PerTenant).unwrap().contains("seq=7i,tenant_id=1i "));
    }

    #[test]
    fn a_float_that_was_written_out_is_spelled_short_again() {
        let zeros = "0".repeat(300);
        let metrics =
            format!(r#"{{"a": 1{zeros}.0, "b": -0.{zeros}25, "c": 1{zeros}, "d": "0.{zeros}", "e": 0.{zeros}}}"#);
        let row = Row { metrics: Some(&metrics), ..ROW };
        let line = line(row, Layout::PerTenant).unwrap();
        assert!(line.contains(" seq=7i,a=1e300,b=-2.5e-301,e=0.0 1795"), "{line}");
    }

    #[test]
    fn rows_of_other_types_without_tags_and_times_beyond_the_format_make_no_point() {
        assert_eq!(line(Row { msg_type: "event", ..ROW }, Layout::PerTenant), None);
        assert_eq!(line(Row { device_id: "", ..ROW }, Layout::PerTenant), None);
        assert_eq!(line(Row { site_id: "", ..ROW }, Layout::PerTenant), None);
        assert_eq!(line(Row { event_us: i64::MAX, ..ROW }, Layout::PerTenant), None);
        assert!(line(Row { metrics: None, ..ROW }, Layout::PerTenant).unwrap().contains(" seq=7i 1795"));
    }
}
