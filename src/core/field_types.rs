//! What is known of a tenant's column types, and lines made to fit them.
//!
//! InfluxDB never coerces: the first value of a column fixes its type, and a line with a value of another type is refused
//! whole. JSON knows no such types: a device that reports 24.3 and then 24 means the same quantity. So the types are
//! learned from refusals, and a value that its column can't hold is left out instead of its whole point.

use std::borrow::Cow;
use std::collections::HashMap;

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
    /// Text, a tag or the timestamp: nothing that a metric's value could be.
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
    /// The table, where the server names it: with InfluxDB 3 it is that of the refused line.
    pub table: Option<String>,
    /// The column's name, not escaped.
    pub column: String,
    /// The type it has.
    pub expected: FieldType,
}

impl Conflict {
    /// Reads the server's words; `None` where they are about something else.
    pub fn parse(message: &str) -> Option<Self> {
        Self::parse_v3(message).or_else(|| Self::parse_v2(message))
    }

    /// InfluxDB 3: `invalid column type for column 'v', expected iox::column_type::field::float, got
    /// iox::column_type::field::integer`, alone or after other words. A tag's value is no field's.
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
    /// type float dropped=1`, after other words.
    fn parse_v2(message: &str) -> Option<Self> {
        let (_, rest) = message.split_once("field type conflict: input field \"")?;
        let (rest, expected) = rest.rsplit_once(", already exists as type ")?;
        let (rest, _got) = rest.rsplit_once("\" is type ")?;
        let (column, table) = rest.rsplit_once("\" on measurement \"")?;
        let expected = FieldType::parse(expected.split_whitespace().next()?);
        Some(Self { table: Some(table.to_owned()), column: column.to_owned(), expected })
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
        /// Columns of the fields left out of it.
        skipped: Vec<String>,
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
        self.learn_of(table, conflict);
    }

    /// Learns about a column of a table.
    pub fn learn_of(&mut self, table: &str, conflict: Conflict) {
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
        let mut edit = Edit { line, out: None, skipped: Vec::new(), fields: 0 };
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
                    None => edit.skip(start, &name),
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
    skipped: Vec<String>,
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
    fn skip(&mut self, start: usize, column: &str) {
        self.copy(start);
        self.skipped.push(column.to_owned());
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
mod tests;
