//! Lines of line protocol, read with the format owner's parser.

use std::collections::BTreeMap;

use influxdb_line_protocol::{Error, FieldValue, ParsedLine, parse_lines};

/// A field's value, with its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `1.5`
    Float(f64),
    /// `1i`
    Integer(i64),
    /// `1u`
    Unsigned(u64),
    /// `true`
    Boolean(bool),
    /// `"text"`
    Text(String),
}

impl Value {
    /// The server's name of the type.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Float(_) => Kind::Field("float"),
            Self::Integer(_) => Kind::Field("integer"),
            Self::Unsigned(_) => Kind::Field("uinteger"),
            Self::Boolean(_) => Kind::Field("boolean"),
            Self::Text(_) => Kind::Field("string"),
        }
    }
}

impl From<&FieldValue<'_>> for Value {
    fn from(value: &FieldValue<'_>) -> Self {
        match value {
            FieldValue::F64(v) => Self::Float(*v),
            FieldValue::I64(v) => Self::Integer(*v),
            FieldValue::U64(v) => Self::Unsigned(*v),
            FieldValue::Boolean(v) => Self::Boolean(*v),
            FieldValue::String(v) => Self::Text(v.to_string()),
        }
    }
}

/// A column's type, named as the server names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tag,
    Time,
    Field(&'static str),
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag => f.write_str("iox::column_type::tag"),
            Self::Time => f.write_str("iox::column_type::timestamp"),
            Self::Field(kind) => write!(f, "iox::column_type::field::{kind}"),
        }
    }
}

/// A stored or expected point.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The measurement.
    pub table: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its fields in the order of the line that brought them first.
    pub fields: Vec<(String, Value)>,
    /// Nanoseconds since 1970.
    pub time_ns: i64,
}

impl Point {
    /// A field's value.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

/// Reads one line with a timestamp in nanoseconds.
///
/// # Errors
/// The parser's message, or that there is not exactly one line with a timestamp.
pub fn parse_line(line: &str) -> Result<Point, String> {
    let mut lines = parse_lines(line);
    let parsed = lines.next().ok_or("no line")?.map_err(|e| e.to_string())?;
    if lines.next().is_some() {
        return Err("more than one line".to_owned());
    }
    Ok(Point {
        table: parsed.series.measurement.to_string(),
        tags: tags(&parsed).collect(),
        fields: parsed.field_set.iter().map(|(name, value)| (name.to_string(), value.into())).collect(),
        time_ns: parsed.timestamp.ok_or("no timestamp")?,
    })
}

/// The tags as written, also repeated ones.
pub(super) fn tags(line: &ParsedLine<'_>) -> impl Iterator<Item = (String, String)> {
    let tags = line.series.tag_set.iter().flatten();
    tags.map(|(key, value)| (key.to_string(), value.to_string()))
}

/// What the server answers about a line that its parser refuses. The released parser quotes differently, and knows two
/// errors better than the published crate; do not depend on these messages.
pub(super) fn message(error: &Error) -> String {
    match error {
        Error::TagSetMalformed | Error::GenericParsingError { .. } => {
            "Expected at least one space character, got end of input".to_owned()
        }
        other => other.to_string().replace('\'', "`"),
    }
}

/// The unit of timestamps without one of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    Auto,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl Precision {
    /// Reads the parameter.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "auto" => Self::Auto,
            "s" | "second" => Self::Second,
            "ms" | "millisecond" => Self::Millisecond,
            "us" | "u" | "microsecond" => Self::Microsecond,
            "ns" | "n" | "nanosecond" => Self::Nanosecond,
            _ => return None,
        })
    }

    /// Nanoseconds of a timestamp in this unit; `None` = out of range.
    pub(super) fn nanoseconds(self, timestamp: i64) -> Option<i64> {
        let factor = match self {
            Self::Second => 1_000_000_000,
            Self::Millisecond => 1_000_000,
            Self::Microsecond => 1_000,
            Self::Nanosecond => 1,
            // The server guesses by size, each line for itself.
            Self::Auto => match timestamp.unsigned_abs() {
                0..5_000_000_000 => 1_000_000_000,
                5_000_000_000..5_000_000_000_000 => 1_000_000,
                5_000_000_000_000..5_000_000_000_000_000 => 1_000,
                _ => 1,
            },
        };
        timestamp.checked_mul(factor)
    }
}
