//! Column types, type coercion of field values, and InfluxDB's messages about type conflicts.
//!
//! InfluxDB never coerces: the first value of a column fixes its type, and a line with a value of another type is rejected
//! as a whole. JSON has no such types: a device that reports 24.3 and then 24 means the same quantity.

use std::borrow::Cow;

/// A column's type, as InfluxDB's answers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `float`
    Float,
    /// `integer`
    Integer,
    /// `uinteger`; `unsigned` in InfluxDB 2
    Unsigned,
    /// `boolean`
    Boolean,
    /// Text, a tag or the timestamp: no type of a metric's value.
    Other,
}

impl FieldType {
    fn parse(name: &str) -> Self {
        match name {
            "float" => FieldType::Float,
            "integer" => FieldType::Integer,
            "uinteger" | "unsigned" => FieldType::Unsigned,
            "boolean" => FieldType::Boolean,
            _ => FieldType::Other,
        }
    }

    /// The type of a field's value in line protocol.
    fn of(value: &str) -> Self {
        match value.as_bytes() {
            [b'"', ..] => FieldType::Other,
            [.., b'i'] => FieldType::Integer,
            // `true`, `t`, `F` and all other spellings begin like this, numbers never do.
            [b't' | b'T' | b'f' | b'F', ..] => FieldType::Boolean,
            [.., b'u'] => FieldType::Unsigned,
            _ => FieldType::Float,
        }
    }

    /// Coerces a value to this type; `None` where that is impossible.
    pub fn coerce(self, value: &str) -> Option<Cow<'_, str>> {
        match (self, FieldType::of(value)) {
            (FieldType::Other, _) => None,
            (held, own) if held == own => Some(Cow::Borrowed(value)),
            (FieldType::Float, FieldType::Integer | FieldType::Unsigned) => {
                Some(Cow::Borrowed(&value[..value.len() - 1]))
            }
            (FieldType::Unsigned, FieldType::Integer) if !value.starts_with('-') => {
                Some(Cow::Owned(format!("{}u", &value[..value.len() - 1])))
            }
            // JSON's 24 that was written for a float column, before its table was created again; 24.0 is no integer.
            (FieldType::Integer, FieldType::Float) if value.parse::<i64>().is_ok() => {
                Some(Cow::Owned(format!("{value}i")))
            }
            _ => None,
        }
    }
}

/// Type conflict: the column of a rejected value, and the type that the column has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The table, where the server names it: with InfluxDB 3 it is that of the rejected line.
    pub table: Option<String>,
    /// The column's name, not escaped.
    pub column: String,
    /// The type it has.
    pub expected: FieldType,
}

impl Conflict {
    /// Parses the server's message; `None` where it is about something else.
    pub fn parse(message: &str) -> Option<Self> {
        Self::parse_v3(message).or_else(|| Self::parse_v2(message))
    }

    /// InfluxDB 3: `invalid column type for column 'v', expected iox::column_type::field::float, got
    /// iox::column_type::field::integer`, alone or after other text. A tag's value is no field's.
    fn parse_v3(message: &str) -> Option<Self> {
        let (_, rest) = message.split_once("invalid column type for column '")?;
        let (rest, got) = rest.rsplit_once(", got ")?;
        let (column, expected) = rest.rsplit_once("', expected iox::column_type::")?;
        if !got.starts_with("iox::column_type::field::") {
            return None;
        }
        let expected = expected.strip_prefix("field::").map_or(FieldType::Other, FieldType::parse);
        Some(Self { table: None, column: column.to_owned(), expected })
    }

    /// InfluxDB 1 and 2: `field type conflict: input field "v" on measurement "t" is type integer, already exists as
    /// type float dropped=1`, after other text.
    fn parse_v2(message: &str) -> Option<Self> {
        let (_, rest) = message.split_once("field type conflict: input field \"")?;
        let (rest, expected) = rest.rsplit_once(", already exists as type ")?;
        let (rest, _got) = rest.rsplit_once("\" is type ")?;
        let (column, table) = rest.rsplit_once("\" on measurement \"")?;
        let expected = FieldType::parse(expected.split_whitespace().next()?);
        Some(Self { table: Some(table.to_owned()), column: column.to_owned(), expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_messages_are_parsed() {
        let conflict = |message| Conflict::parse(message).map(|conflict| (conflict.column, conflict.expected));
        assert_eq!(
            conflict(
                "invalid column type for column 'it's', expected ', expected iox::column_type::field::boolean, got \
                 iox::column_type::field::float"
            ),
            Some(("it's', expected ".into(), FieldType::Boolean))
        );
        assert_eq!(
            conflict(
                "invalid column type for column 'zz', expected iox::column_type::tag, got \
                 iox::column_type::field::float"
            ),
            Some(("zz".into(), FieldType::Other))
        );
        assert_eq!(
            conflict(
                "invalid column type for column 'site_id', expected iox::column_type::field::float, got \
                 iox::column_type::tag"
            ),
            None
        );
        assert_eq!(
            conflict(
                "partial write: field type conflict: input field \"a\" is type b\" on measurement \"telemetry\" is type \
                 integer, already exists as type float dropped=1"
            ),
            Some(("a\" is type b".into(), FieldType::Float))
        );
        assert_eq!(conflict("No fields were provided"), None);
    }
}
