//! What is known of a tenant's column types, and lines made to fit them.
//!
//! InfluxDB never coerces: the first value of a column fixes its type, and a line with a value of another type is refused
//! whole. JSON knows no such types: a device that reports 24.3 and then 24 means the same quantity. So the types are
//! learned from refusals, and a value that its column can't hold is left out instead of its whole point.

use std::borrow::Cow;
use std::collections::HashMap;

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

    /// The type of a field's value in line protocol.
    fn of(value: &str) -> Self {
        match value.as_bytes() {
            [b'"', ..] => FieldType::Other,
            [.., b'i'] => FieldType::Integer,
            // `true`, `t`, `F` and all the rest begin so, numbers never do.
            [b't' | b'T' | b'f' | b'F', ..] => FieldType::Boolean,
            [.., b'u'] => FieldType::Unsigned,
            _ => FieldType::Float,
        }
    }

    /// A value in the form that a column of this type takes; `None` where it takes it in no form.
    fn hold(self, value: &str) -> Option<Cow<'_, str>> {
        match (self, FieldType::of(value)) {
            (FieldType::Other, _) => None,
            (held, own) if held == own => Some(Cow::Borrowed(value)),
            (FieldType::Float, FieldType::Integer | FieldType::Unsigned) => {
                Some(Cow::Borrowed(&value[..value.len() - 1]))
            }
            (FieldType::Unsigned, FieldType::Integer) if !value.starts_with('-') => {
                Some(Cow::Owned(format!("{}u", &value[..value.len() - 1])))
            }
            _ => None,
        }
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

/// The columns of one database whose types are known from refusals: only those that ever met a value of another type.
#[derive(Clone, Debug, Default)]
pub struct FieldTypes {
    /// By table. There are two; each name is as lines begin with it.
    tables: Vec<(String, HashMap<String, FieldType>)>,
}

/// What became of a line that was made to fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fitted {
    /// It fits as it is.
    AsIs,
    /// It fits in this form.
    Changed {
        /// The line.
        line: String,
        /// Fields left out of it.
        skipped: u64,
    },
    /// No field of it fits.
    Nothing,
}

impl FieldTypes {
    /// Whether nothing is known: then every line is as good as it is.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Learns from the refusal of a line.
    pub fn learn(&mut self, line: &str, conflict: Conflict) {
        let table = &line[..end_of(line, 0, |byte| matches!(byte, b',' | b' '))];
        let index = self.tables.iter().position(|(name, _)| name == table).unwrap_or_else(|| {
            self.tables.push((table.to_owned(), HashMap::new()));
            self.tables.len() - 1
        });
        self.tables[index].1.insert(conflict.column, conflict.expected);
    }

    /// Makes a line fit what is known.
    pub fn fit(&self, line: &str) -> Fitted {
        let table = &line[..end_of(line, 0, |byte| matches!(byte, b',' | b' '))];
        let Some((_, columns)) = self.tables.iter().find(|(name, _)| name == table) else { return Fitted::AsIs };
        let mut edit = Edit { line, out: None, skipped: 0, fields: 0 };
        // Tags and fields are parted by the first blank that is not escaped, as fields and time are.
        let mut at = end_of(line, table.len(), |byte| byte == b' ') + 1;
        while at < line.len() {
            let start = at;
            let equals = end_of(line, at, |byte| byte == b'=');
            if equals == line.len() {
                return Fitted::AsIs; // no line protocol: the server will say so
            }
            let end = end_of_value(line, equals + 1);
            let name = unescaped(&line[start..equals]);
            match columns.get(&*name) {
                None => edit.keep(start, end),
                Some(held) => match held.hold(&line[equals + 1..end]) {
                    Some(value) => edit.write(start, equals, &value, end),
                    None => edit.skip(start),
                },
            }
            at = end + 1;
            if line.as_bytes().get(end) == Some(&b' ') {
                return edit.finish(end);
            }
        }
        edit.finish(line.len())
    }
}

/// A line that is copied only from its first change on.
struct Edit<'a> {
    line: &'a str,
    out: Option<String>,
    skipped: u64,
    fields: u64,
}

impl Edit<'_> {
    /// The field from `start` to `end` stays as it is.
    fn keep(&mut self, start: usize, end: usize) {
        self.separate();
        if let Some(out) = &mut self.out {
            out.push_str(&self.line[start..end]);
        }
        self.fields += 1;
    }

    /// The field from `start` to `end`, whose key ends at `equals`, gets this value.
    fn write(&mut self, start: usize, equals: usize, value: &str, end: usize) {
        if self.line[equals + 1..end] == *value {
            return self.keep(start, end);
        }
        self.copy(start);
        self.separate();
        if let Some(out) = &mut self.out {
            out.push_str(&self.line[start..=equals]);
            out.push_str(value);
        }
        self.fields += 1;
    }

    /// The field that starts there is left out.
    fn skip(&mut self, start: usize) {
        self.copy(start);
        self.skipped += 1;
    }

    /// Starts the copy with everything before the field that starts there.
    fn copy(&mut self, start: usize) {
        if self.out.is_none() {
            let mut out = String::with_capacity(self.line.len() + 1);
            // The separator before a field is written with the field.
            out.push_str(&self.line[..start - usize::from(self.fields > 0)]);
            self.out = Some(out);
        }
    }

    fn separate(&mut self) {
        if let Some(out) = self.out.as_mut().filter(|_| self.fields > 0) {
            out.push(',');
        }
    }

    /// The fields end there; what follows is the time.
    fn finish(self, end: usize) -> Fitted {
        match self.out {
            None => Fitted::AsIs,
            Some(_) if self.fields == 0 => Fitted::Nothing,
            Some(mut line) => {
                line.push_str(&self.line[end..]);
                Fitted::Changed { line, skipped: self.skipped }
            }
        }
    }
}

/// The index of the first byte from `at` on that is meant and not escaped; else the line's length.
fn end_of(line: &str, at: usize, is_meant: impl Fn(u8) -> bool) -> usize {
    let bytes = line.as_bytes();
    let mut at = at;
    while at < bytes.len() && !is_meant(bytes[at]) {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

/// The end of the value that starts there: a comma or a blank, outside of quotation marks.
fn end_of_value(line: &str, at: usize) -> usize {
    let at = match line.as_bytes().get(at) {
        Some(b'"') => end_of(line, at + 1, |byte| byte == b'"'),
        _ => at,
    };
    end_of(line, at, |byte| matches!(byte, b',' | b' '))
}

/// A field's key without its escapes.
fn unescaped(key: &str) -> Cow<'_, str> {
    if !key.contains('\\') {
        return Cow::Borrowed(key);
    }
    let mut out = String::with_capacity(key.len());
    let mut chars = key.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = chars.next_if(|next| c == '\\' && matches!(next, ',' | '=' | ' ' | '\\'));
        out.push(escaped.unwrap_or(c));
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use influxdb_line_protocol::{FieldValue as Parsed, parse_lines};
    use proptest::prelude::*;

    use super::*;
    use crate::core::line_protocol::{self, FieldValue, Kind, Tags};

    fn learned(line: &str, columns: &[(&str, FieldType)]) -> FieldTypes {
        let mut types = FieldTypes::default();
        for &(column, expected) in columns {
            types.learn(line, Conflict { column: column.to_owned(), expected });
        }
        types
    }

    fn fit(line: &str, columns: &[(&str, FieldType)]) -> Fitted {
        learned(line, columns).fit(line)
    }

    fn changed(line: &str, skipped: u64) -> Fitted {
        Fitted::Changed { line: line.to_owned(), skipped }
    }

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

    #[test]
    fn an_integer_goes_without_its_mark_into_a_float_column() {
        let float = [("v", FieldType::Float)];
        assert_eq!(fit("t,d=1 seq=1i,v=24i,w=3i 9", &float), changed("t,d=1 seq=1i,v=24,w=3i 9", 0));
        assert_eq!(fit("t,d=1 v=-24i 9", &float), changed("t,d=1 v=-24 9", 0));
        assert_eq!(fit("t,d=1 v=24.5 9", &float), Fitted::AsIs);
        assert_eq!(fit("t,d=1 vv=24i 9", &float), Fitted::AsIs);
    }

    #[test]
    fn a_value_that_its_column_cannot_hold_is_left_out() {
        for (expected, value) in [
            (FieldType::Integer, "1.5"),
            (FieldType::Integer, "true"),
            (FieldType::Boolean, "1i"),
            (FieldType::Float, "false"),
            (FieldType::Unsigned, "-1i"),
            (FieldType::Other, "1i"),
        ] {
            let columns = [("v", expected)];
            assert_eq!(fit(&format!("t,d=1 seq=1i,v={value},w=3i 9"), &columns), changed("t,d=1 seq=1i,w=3i 9", 1));
            assert_eq!(fit(&format!("t,d=1 v={value},w=3i 9"), &columns), changed("t,d=1 w=3i 9", 1));
            assert_eq!(fit(&format!("t,d=1 seq=1i,v={value} 9"), &columns), changed("t,d=1 seq=1i 9", 1));
            assert_eq!(fit(&format!("t,d=1 v={value} 9"), &columns), Fitted::Nothing);
        }
    }

    #[test]
    fn an_unsigned_column_takes_what_is_not_negative() {
        assert_eq!(fit("t v=7i", &[("v", FieldType::Unsigned)]), changed("t v=7u", 0));
        assert_eq!(fit("t v=7u", &[("v", FieldType::Float)]), changed("t v=7", 0));
    }

    #[test]
    fn a_table_knows_nothing_of_the_other() {
        let types = learned("heartbeat,d=1 seq=1i 9", &[("seq", FieldType::Float)]);
        assert!(!types.is_empty());
        assert_eq!(types.fit("telemetry,d=1 seq=1i 9"), Fitted::AsIs);
        assert_eq!(types.fit("heartbeat,d=1 seq=1i 9"), changed("heartbeat,d=1 seq=1 9", 0));
    }

    #[test]
    fn names_are_compared_without_their_escapes() {
        let line = r#"t,d=a\ b\,c\=d v\ w\,x\=y\\z=1i,q="a, b=\" c",v=2i 9"#;
        let name = r"v w,x=y\z";
        assert_eq!(
            fit(line, &[(name, FieldType::Float)]),
            changed(r#"t,d=a\ b\,c\=d v\ w\,x\=y\\z=1,q="a, b=\" c",v=2i 9"#, 0)
        );
        assert_eq!(fit(line, &[("q", FieldType::Float)]), changed(r"t,d=a\ b\,c\=d v\ w\,x\=y\\z=1i,v=2i 9", 1));
    }

    #[test]
    fn no_text_makes_it_panic() {
        for line in ["", " ", ",", "t", "t ", "t v", "t v=", "t v=1i,", "t =,= ", "t\\", "t v\\", "t v=\"", "t, ,v,=="]
        {
            let columns = [("v", FieldType::Float), ("", FieldType::Boolean)];
            fit(line, &columns);
        }
    }

    /// A field's key and value as line protocol writes them.
    fn field() -> impl Strategy<Value = (String, String)> {
        let value = prop_oneof![
            any::<i64>().prop_map(|value| format!("{value}i")),
            any::<i32>().prop_map(|value| format!("{}", f64::from(value) / 8.0)),
            any::<bool>().prop_map(|value| value.to_string()),
        ];
        ("[a-c ,=\\\\é]{1,4}", value)
    }

    fn line_of(fields: &[(String, String)]) -> String {
        let mut line = String::new();
        line_protocol::begin(&mut line, Kind::Telemetry, Tags::new("d 1", "s,=1"), 7);
        for (key, value) in fields {
            let value = match value.as_str() {
                "true" => FieldValue::Boolean(true),
                "false" => FieldValue::Boolean(false),
                text => text.strip_suffix('i').map_or(FieldValue::Float(text), FieldValue::Integer),
            };
            line_protocol::field(&mut line, key, value);
        }
        assert!(line_protocol::end(&mut line, 1_000));
        line
    }

    /// The fields of a line as the format's owner reads them.
    fn parsed(line: &str) -> (String, Vec<(String, Parsed<'_>)>) {
        let line = parse_lines(line).next().unwrap().unwrap();
        let head = format!("{:?} {:?}", line.series.to_string(), line.timestamp);
        (head, line.field_set.into_iter().map(|(key, value)| (key.to_string(), value)).collect())
    }

    proptest! {
        #[test]
        fn a_fitted_line_holds_just_what_the_columns_hold(
            fields in prop::collection::vec(field(), 0..6),
            columns in prop::collection::vec(("[a-c ,=\\\\é]{1,4}", 0..5_usize), 0..6),
        ) {
            const TYPES: [FieldType; 5] =
                [FieldType::Float, FieldType::Integer, FieldType::Unsigned, FieldType::Boolean, FieldType::Other];
            let line = line_of(&fields);
            let (head, before) = parsed(&line);
            let keys: Vec<String> = before.iter().map(|(key, _)| key.clone()).collect();
            // Half of the columns are those of the line.
            let own = keys.iter().zip(&columns).map(|(key, (_, kind))| (key.as_str(), TYPES[*kind]));
            let columns: HashMap<&str, FieldType> =
                columns.iter().map(|(key, kind)| (key.as_str(), TYPES[*kind])).chain(own).collect();
            let types = learned(&line, &columns.iter().map(|(key, kind)| (*key, *kind)).collect::<Vec<_>>());
            let mut expected = Vec::new();
            for (key, value) in before {
                let value = match (columns.get(key.as_str()), value) {
                    (None, value) => value,
                    (Some(FieldType::Float), Parsed::I64(value)) => Parsed::F64(value as f64),
                    (Some(FieldType::Float), value @ Parsed::F64(_)) => value,
                    (Some(FieldType::Integer), value @ Parsed::I64(_)) => value,
                    (Some(FieldType::Unsigned), Parsed::I64(value)) if value >= 0 => Parsed::U64(value as u64),
                    (Some(FieldType::Boolean), value @ Parsed::Boolean(_)) => value,
                    _ => continue,
                };
                expected.push((key, value));
            }
            match types.fit(&line) {
                Fitted::AsIs => prop_assert_eq!(parsed(&line), (head, expected)),
                Fitted::Changed { line, .. } => prop_assert_eq!(parsed(&line), (head, expected)),
                Fitted::Nothing => prop_assert!(expected.is_empty()),
            }
        }
    }
}
