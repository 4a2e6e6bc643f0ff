//! What is known of a tenant's column types, and lines made to fit them.
//!
//! InfluxDB never coerces: the first value of a column fixes its type, and a line with a value of another type is refused
//! whole. JSON knows no such types: a device that reports 24.3 and then 24 means the same quantity.

/// A column's type, as InfluxDB's answers name it (`iox::column_type::...`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `field::float`
    Float,
    /// `field::integer`
    Integer,
    /// `field::uinteger`
    Unsigned,
    /// `field::boolean`
    Boolean,
    /// Text, a tag or the timestamp: nothing that a metric's value could be.
    Other,
}

impl FieldType {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("iox::column_type::")? {
            "field::float" => FieldType::Float,
            "field::integer" => FieldType::Integer,
            "field::uinteger" => FieldType::Unsigned,
            "field::boolean" => FieldType::Boolean,
            _ => FieldType::Other,
        })
    }
}

/// A refused value: its column and the type that the column has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The column's name, not escaped.
    pub column: String,
    /// The type it has.
    pub expected: FieldType,
}

impl Conflict {
    /// Reads `invalid column type for column 'v', expected iox::column_type::field::float, got
    /// iox::column_type::field::integer`; `None` where the message is another or the value is a tag's.
    pub fn parse(message: &str) -> Option<Self> {
        let rest = message.strip_prefix("invalid column type for column '")?;
        let (rest, got) = rest.rsplit_once(", got ")?;
        let (column, expected) = rest.rsplit_once("', expected ")?;
        if !got.starts_with("iox::column_type::field::") {
            return None;
        }
        Some(Self { column: column.to_owned(), expected: FieldType::parse(expected)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_are_understood() {
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
        assert_eq!(conflict("No fields were provided"), None);
    }
}
