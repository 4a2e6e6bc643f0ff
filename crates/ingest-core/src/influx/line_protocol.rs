//! Points as InfluxDB line protocol.
//!
//! ```text
//! telemetry,device_id=dev-0001,site_id=lab-1 seq=120i,temp_c=24.3,rssi_dbm=-85i,uplink_ok=true 1795219200123000000
//! ```
//!
//! A line is written straight into the caller's buffer: [`begin`], any number of [`field`]s, [`end`]. It carries no
//! line feed; whoever joins lines puts one between them.
//!
//! # Names
//!
//! In tag values and field keys the backslash, comma, equals sign and blank are escaped with a backslash. What line
//! protocol can't carry at all, an ASCII control character (line feed, carriage return, tab, ...) or a backslash at
//! the end, makes the whole name percent-encoded: `%`, backslashes and control characters become `%` and two upper-case
//! hexadecimal digits. So that no two names ever become one, a name that already holds what that encoding writes
//! (`%25`, `%5C`, `%00` to `%1F`, `%7F`) is encoded as well: `a%0A` becomes `a%250A`, for `a%0A` is what a name with a
//! line feed becomes. Any other `%` stays (`100%`, `a%20b`).

use std::fmt::Write;

/// The kinds of messages that become points: each is a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Metrics.
    Telemetry,
    /// A sign of life.
    Heartbeat,
}

/// A field's value. The texts are written as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// The text of a JSON integer within i64.
    Integer(&'a str),
    /// The text of a JSON number (also an integer) that is finite as f64.
    Float(&'a str),
    /// True or false.
    Boolean(bool),
}

impl<'a> FieldValue<'a> {
    /// The value of a JSON number, from its text: an integer where it has neither fraction nor exponent, else a float.
    pub fn from_number(text: &'a str) -> Result<Self, Skipped> {
        let (mut has_point, mut has_exponent) = (false, false);
        for byte in text.bytes() {
            has_point |= byte == b'.';
            has_exponent |= matches!(byte, b'e' | b'E');
        }
        if has_point || has_exponent {
            // Without an exponent it takes 308 digits to leave f64.
            let finite = (!has_exponent && text.len() < 300) || text.parse::<f64>().is_ok_and(f64::is_finite);
            if finite { Ok(FieldValue::Float(text)) } else { Err(Skipped::NotFinite) }
        } else {
            // It takes 19 digits to leave i64.
            let fits = text.len() < 19 || text.parse::<i64>().is_ok();
            if fits { Ok(FieldValue::Integer(text)) } else { Err(Skipped::OutOfRange) }
        }
    }
}

/// Why a metric is in its row but not in its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skipped {
    /// It has a name that the point needs for itself.
    Reserved,
    /// The point has a field of that name already.
    Duplicate,
    /// A string.
    Text,
    /// A null.
    Null,
    /// An object or an array.
    Nested,
    /// A float beyond f64.
    NotFinite,
    /// An integer beyond i64.
    OutOfRange,
    /// The tenant's column holds values of another type, which this one can't be turned into.
    TypeConflict,
    /// The table, or the field's family, is full of columns, and has none for this one.
    ColumnsFull,
    /// The tenant has made as many columns as it may.
    FieldBudget,
}

impl Skipped {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Skipped; 10] = [
        Skipped::Reserved,
        Skipped::Duplicate,
        Skipped::Text,
        Skipped::Null,
        Skipped::Nested,
        Skipped::NotFinite,
        Skipped::OutOfRange,
        Skipped::TypeConflict,
        Skipped::ColumnsFull,
        Skipped::FieldBudget,
    ];

    /// The label value of `ingest_influx_fields_skipped_total{reason}`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Skipped::Reserved => "reserved",
            Skipped::Duplicate => "duplicate",
            Skipped::Text => "text",
            Skipped::Null => "null",
            Skipped::Nested => "nested",
            Skipped::NotFinite => "not_finite",
            Skipped::OutOfRange => "out_of_range",
            Skipped::TypeConflict => "type_conflict",
            Skipped::ColumnsFull => "columns_full",
            Skipped::FieldBudget => "field_budget",
        }
    }
}

/// Whether a metric's name is taken: by the time, the tags and the sequence number of every point, or by InfluxDB
/// itself (`__chunk_order`: it refuses the whole point).
pub fn is_reserved(key: &str) -> bool {
    matches!(key, "time" | "device_id" | "site_id" | "seq" | "__chunk_order")
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

/// Adds a field. Its key is not empty, not [reserved](is_reserved) and not in the line yet.
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
/// after 2262): there is no such point, and the caller cuts the line off.
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

/// What a byte of a name asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Care {
    /// Nothing.
    None = 0,
    /// A backslash before it.
    Escape = 1,
    /// A closer look at the name.
    Look = 2,
}

const CARE: [Care; 256] = {
    let mut care = [Care::None; 256];
    let mut control = 0;
    while control < 0x20 {
        care[control] = Care::Look;
        control += 1;
    }
    care[0x7F] = Care::Look;
    care[b'%' as usize] = Care::Look;
    care[b'\\' as usize] = Care::Escape;
    care[b',' as usize] = Care::Escape;
    care[b'=' as usize] = Care::Escape;
    care[b' ' as usize] = Care::Escape;
    care
};

/// Writes a tag value or a field key by the rule of the module.
fn push_name(out: &mut String, name: &str) {
    let care = name.bytes().fold(0, |care, b| care | CARE[usize::from(b)] as u8);
    if care == Care::None as u8 {
        out.push_str(name);
    } else if needs_encoding(name.as_bytes()) {
        push_encoded(out, name);
    } else {
        push_escaped(out, name);
    }
}

/// Whether line protocol can't carry a name, or the name holds what the percent-encoding writes.
fn needs_encoding(name: &[u8]) -> bool {
    let is_written =
        |window: &[u8]| matches!(window, [b'%', b'0' | b'1', b'0'..=b'9' | b'A'..=b'F'] | b"%25" | b"%5C" | b"%7F");
    name.last() == Some(&b'\\') || name.iter().any(u8::is_ascii_control) || name.windows(3).any(is_written)
}

/// A column's name as it stands in a line, for one that line protocol can carry.
pub fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    push_escaped(&mut out, name);
    out
}

fn push_escaped(out: &mut String, name: &str) {
    for c in name.chars() {
        if matches!(c, '\\' | ',' | '=' | ' ') {
            out.push('\\');
        }
        out.push(c);
    }
}

fn push_encoded(out: &mut String, name: &str) {
    for c in name.chars() {
        match c {
            '%' | '\\' | '\0'..='\x1F' | '\x7F' => {
                let _ = write!(out, "%{:02X}", u32::from(c));
            }
            ',' | '=' | ' ' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use influxdb_line_protocol::{ParsedLine, parse_lines};

    use super::*;
    use crate::cases;
    use crate::message::timestamp;

    fn parse(line: &str) -> ParsedLine<'_> {
        let mut lines = parse_lines(line);
        let parsed = lines.next().unwrap().unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(lines.next().is_none(), "{line}");
        parsed
    }

    fn heartbeat(device_id: &str, site_id: &str) -> String {
        let mut line = String::new();
        begin(&mut line, Kind::Heartbeat, Tags::new(device_id, site_id), 7);
        assert!(end(&mut line, 1));
        line
    }

    /// The metrics of a case that reach its point.
    fn fields(metrics: &cases::Members) -> Vec<(&str, FieldValue<'_>)> {
        let value = |text| match text {
            "true" => Ok(FieldValue::Boolean(true)),
            "false" => Ok(FieldValue::Boolean(false)),
            "null" => Err(Skipped::Null),
            text if text.starts_with('"') => Err(Skipped::Text),
            text if text.starts_with(['[', '{']) => Err(Skipped::Nested),
            text => FieldValue::from_number(text),
        };
        let metrics = metrics.iter().filter(|(key, _)| !is_reserved(key));
        metrics.filter_map(|(key, text)| Some((key, value(text).ok()?))).collect()
    }

    #[test]
    fn the_public_cases_hold() {
        let mut checked = 0;
        for case in ["line_protocol", "tags", "fields", "numbers", "strings"].into_iter().flat_map(cases::read) {
            let Some(payload) = case.payload_members() else { continue };
            for expect in case.alternatives() {
                let Some(expected) = expect["point"].as_str() else { continue };
                let text = |key: &str| expect[key].as_str().unwrap();
                let is_telemetry = text("msg_type") == "telemetry";
                let kind = if is_telemetry { Kind::Telemetry } else { Kind::Heartbeat };
                let mut line = String::new();
                let tags = Tags::new(text("device_id"), text("site_id"));
                begin(&mut line, kind, tags, expect["seq"].as_i64().unwrap());
                let metrics =
                    payload.get("metrics").filter(|_| is_telemetry).map(|metrics| cases::members(metrics.get()));
                for (key, value) in metrics.iter().flat_map(fields) {
                    field(&mut line, key, value);
                }
                assert!(end(&mut line, timestamp::from_text(text("event_ts")).unwrap()));
                let (line, expected) = (parse(&line), parse(expected));
                assert_eq!(line.to_string(), expected.to_string(), "{}", case.id());
                assert_eq!(line.field_set, expected.field_set, "{}", case.id());
                checked += 1;
            }
        }
        assert!(checked > 20, "only {checked} cases were found");
    }

    #[test]
    fn a_line_is_written_as_the_contract_shows_it() {
        let mut line = String::new();
        begin(&mut line, Kind::Telemetry, Tags::new("dev-0001", "lab-1"), 120);
        field(&mut line, "battery_pct", FieldValue::Float("87.5"));
        field(&mut line, "rssi_dbm", FieldValue::Integer("-85"));
        field(&mut line, "uplink_ok", FieldValue::Boolean(true));
        field(&mut line, "door", FieldValue::Boolean(false));
        assert!(end(&mut line, 1_795_219_200_123_000));
        assert_eq!(
            line,
            "telemetry,device_id=dev-0001,site_id=lab-1 seq=120i,battery_pct=87.5,rssi_dbm=-85i,uplink_ok=true,door=false \
             1795219200123000000"
        );
    }

    #[test]
    fn names_are_escaped_or_encoded_as_a_whole() {
        for (name, written) in [
            ("plain", "plain"),
            ("größe-温度-😀", "größe-温度-😀"),
            ("t\"q'x#y", "t\"q'x#y"),
            ("a b,c=d\\e", "a\\ b\\,c\\=d\\\\e"),
            ("\\\\x", "\\\\\\\\x"),
            ("100%", "100%"),
            ("a%20b", "a%20b"),
            ("%2", "%2"),
            ("%0a%7f%5c", "%0a%7f%5c"),
            ("two\nlines", "two%0Alines"),
            ("a b\r\\=\t", "a\\ b%0D%5C\\=%09"),
            ("end\\", "end%5C"),
            ("\0\x1F\x7F", "%00%1F%7F"),
            ("50%\n", "50%25%0A"),
            ("two%0Alines", "two%250Alines"),
            ("a%25b\\c", "a%2525b%5Cc"),
            ("%7F", "%257F"),
            ("%5C", "%255C"),
        ] {
            let mut out = String::new();
            push_name(&mut out, name);
            assert_eq!(out, written, "{name:?}");
        }
    }

    #[test]
    fn what_needs_no_encoding_comes_back_as_it_was() {
        for name in
            ["a b", "a,b", "a=b", "a\\b", "a\\\\b", "\\ b", "\\,", "a\"b", " ", ",", "=", "é\u{85}\u{a0}", "%41"]
        {
            let line = heartbeat(name, "s");
            let parsed = parse(&line);
            assert_eq!(parsed.tag_value("device_id").unwrap().as_str(), name);
            assert_eq!(parsed.tag_value("site_id").unwrap().as_str(), "s");
            assert_eq!(parsed.timestamp, Some(1_000));
        }
    }

    #[test]
    fn numbers_keep_their_kind_and_their_text() {
        for (text, expected) in [
            ("24", Ok(FieldValue::Integer("24"))),
            ("-0", Ok(FieldValue::Integer("-0"))),
            ("24.0", Ok(FieldValue::Float("24.0"))),
            ("2.4e1", Ok(FieldValue::Float("2.4e1"))),
            ("5E-324", Ok(FieldValue::Float("5E-324"))),
            ("1e-400", Ok(FieldValue::Float("1e-400"))),
            ("9223372036854775807", Ok(FieldValue::Integer("9223372036854775807"))),
            ("-9223372036854775808", Ok(FieldValue::Integer("-9223372036854775808"))),
            ("9223372036854775808", Err(Skipped::OutOfRange)),
            ("-9223372036854775809", Err(Skipped::OutOfRange)),
            ("1e400", Err(Skipped::NotFinite)),
            ("-1e400", Err(Skipped::NotFinite)),
            ("1.7976931348623159e308", Err(Skipped::NotFinite)),
        ] {
            assert_eq!(FieldValue::from_number(text), expected, "{text}");
        }
        let digits = "9".repeat(400);
        assert_eq!(FieldValue::from_number(&digits), Err(Skipped::OutOfRange));
        assert_eq!(FieldValue::from_number(&format!("{digits}.5")), Err(Skipped::NotFinite));
        assert!(FieldValue::from_number(&format!("0.{digits}")).is_ok());
    }

    #[test]
    fn a_time_beyond_i64_nanoseconds_makes_no_point() {
        let mut line = String::from("x");
        assert!(!end(&mut line, i64::MAX / 1000 + 1) && !end(&mut line, i64::MIN / 1000 - 1));
        assert_eq!(line, "x");
        assert!(end(&mut line, i64::MAX / 1000));
        assert_eq!(line, "x 9223372036854775000");
    }

    #[test]
    fn every_reason_has_a_label_of_its_own() {
        let labels: std::collections::HashSet<_> = Skipped::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(labels.len(), Skipped::ALL.len());
    }
}
