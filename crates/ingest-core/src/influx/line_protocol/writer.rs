//! The writer of one line, into the buffer of the caller.

use std::fmt::Write;

use super::name::push_name;
use super::value::FieldValue;

/// The kinds of messages that become points; each has a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Metrics.
    Telemetry,
    /// Heartbeats.
    Heartbeat,
}

/// The tags of a point. None may be empty.
#[derive(Clone, Copy, Debug)]
pub struct Tags<'a> {
    /// Tag `device_id`.
    pub device_id: &'a str,
    /// Tag `site_id`.
    pub site_id: &'a str,
    /// Tag `tenant_id`, where tenants share a database.
    pub tenant_id: Option<&'a str>,
}

impl<'a> Tags<'a> {
    /// Those of a point in its tenant's own database.
    pub fn new(device_id: &'a str, site_id: &'a str) -> Self {
        Self { device_id, site_id, tenant_id: None }
    }
}

/// Begins a line: table, tags in the order of their names, and `seq` as its first field.
pub fn begin(out: &mut String, kind: Kind, tags: Tags<'_>, seq: i64) {
    out.push_str(match kind {
        Kind::Telemetry => "telemetry,device_id=",
        Kind::Heartbeat => "heartbeat,device_id=",
    });
    push_name(out, tags.device_id);
    out.push_str(",site_id=");
    push_name(out, tags.site_id);
    if let Some(tenant_id) = tags.tenant_id {
        out.push_str(",tenant_id=");
        push_name(out, tenant_id);
    }
    out.push_str(" seq=");
    push_integer(out, seq);
    out.push('i');
}

/// Adds a field. Its key is not empty, not [reserved](super::is_reserved) and not in the line yet.
pub fn field(out: &mut String, key: &str, value: FieldValue<'_>) {
    out.push(',');
    push_name(out, key);
    out.push('=');
    match value {
        FieldValue::Integer(text) => {
            out.push_str(text);
            out.push('i');
        }
        FieldValue::Float(text) => out.push_str(text),
        FieldValue::Boolean(true) => out.push_str("true"),
        FieldValue::Boolean(false) => out.push_str("false"),
    }
}

/// Ends a line with its time in nanoseconds. `false`, with nothing written, where that is outside i64 (before 1677 or
/// after 2262): there is no such point, and the caller truncates the line.
#[must_use]
pub fn end(out: &mut String, event_us: i64) -> bool {
    let Some(event_ns) = event_us.checked_mul(1000) else { return false };
    out.push(' ');
    push_integer(out, event_ns);
    true
}

fn push_integer(out: &mut String, integer: i64) {
    // Writing to a String never fails.
    let _ = write!(out, "{integer}");
}
