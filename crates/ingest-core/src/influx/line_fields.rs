//! Fields of a line: a parser for line protocol as this node writes it, and edits that change or leave out fields.

use std::borrow::Cow;

/// One field as written in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its key, with its escapes.
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
    start: usize,
    end: usize,
}

impl Field<'_> {
    /// Its key without escapes: the name of its column.
    pub fn column(&self) -> Cow<'_, str> {
        unescaped(self.key)
    }
}

/// The table that a line is for, as the line begins.
pub fn table(line: &str) -> &str {
    &line[..end_of(line, 0, |byte| matches!(byte, b',' | b' '))]
}

/// Walks the fields of a line in their order. Text that is not line protocol has no (further) fields.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    line: &'a str,
    at: usize,
    is_whole: bool,
}

/// The part of a line that begins with its first field.
pub fn fields(line: &str) -> Option<&str> {
    // Tags and fields are separated by the first blank that is not escaped, as fields and time are.
    let at = line.find(' ')?;
    let is_escaped = at > 0 && line.as_bytes()[at - 1] == b'\\';
    let at = if is_escaped { end_of(line, 0, |byte| byte == b' ') } else { at };
    line.get(at + 1..)
}

/// What follows a number or a boolean that the text begins with, and a comma; `None` where the fields end there.
pub fn after_number(text: &str) -> Option<&str> {
    let end = text.bytes().position(|byte| matches!(byte, b',' | b' ' | b'"'))?;
    text[end..].strip_prefix(',')
}

impl<'a> Fields<'a> {
    /// The first of the fields that a text begins with.
    pub fn at_start_of(fields: &'a str) -> Option<Field<'a>> {
        Self { line: fields, at: 0, is_whole: false }.next()
    }

    /// The fields of a line.
    pub fn of(line: &'a str) -> Self {
        let at = fields(line).map_or(line.len(), |fields| line.len() - fields.len());
        Self { line, at, is_whole: false }
    }

    /// Whether the walk has come to the end of the fields; only then is the line valid as far as its fields.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let (line, start) = (self.line, self.at);
        if self.is_whole || start >= line.len() {
            return None;
        }
        let equals = end_of(line, start, |byte| byte == b'=');
        if equals == line.len() {
            self.at = equals;
            return None;
        }
        let end = end_of_value(line, equals + 1);
        self.at = end + 1;
        self.is_whole = line.as_bytes().get(end) != Some(&b',');
        Some(Field { key: &line[start..equals], value: &line[equals + 1..end], start, end })
    }
}

/// A line that is copied only from its first change on.
#[derive(Debug)]
pub struct Edit<'a> {
    line: &'a str,
    out: Option<String>,
    fields: usize,
    /// The end of the fields that were visited.
    end: usize,
}

impl<'a> Edit<'a> {
    /// Nothing of the line is changed yet.
    pub fn of(line: &'a str) -> Self {
        Self { line, out: None, fields: 0, end: line.len() }
    }

    /// The field is unchanged.
    pub fn copy_field(&mut self, field: &Field<'_>) {
        self.separate();
        if let Some(out) = &mut self.out {
            out.push_str(&self.line[field.start..field.end]);
        }
        self.count(field);
    }

    /// The field gets this value.
    pub fn write(&mut self, field: &Field<'_>, value: &str) {
        if field.value == value {
            return self.copy_field(field);
        }
        self.copy(field.start);
        self.separate();
        if let Some(out) = &mut self.out {
            out.push_str(field.key);
            out.push('=');
            out.push_str(value);
        }
        self.count(field);
    }

    /// The field is left out.
    pub fn skip(&mut self, field: &Field<'_>) {
        self.copy(field.start);
        self.end = field.end;
    }

    /// Whether something was changed.
    pub fn is_changed(&self) -> bool {
        self.out.is_some()
    }

    /// The changed line; `None` where no field is left in it.
    pub fn finish(self) -> Option<String> {
        let mut line = self.out.filter(|_| self.fields > 0)?;
        line.push_str(&self.line[self.end..]);
        Some(line)
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

    fn count(&mut self, field: &Field<'_>) {
        self.fields += 1;
        self.end = field.end;
    }
}

/// The same point with just these fields of it.
pub fn with_only(line: &str, is_wanted: impl Fn(&Field<'_>) -> bool) -> Option<String> {
    let mut edit = Edit::of(line);
    for field in Fields::of(line) {
        if is_wanted(&field) {
            edit.copy_field(&field);
        } else {
            edit.skip(&field);
        }
    }
    if edit.is_changed() { edit.finish() } else { Some(line.to_owned()) }
}

/// The index of the first byte from `at` on that matches and is not escaped; else the line's length.
fn end_of(line: &str, at: usize, matches: impl Fn(u8) -> bool) -> usize {
    let bytes = line.as_bytes();
    let mut at = at;
    while at < bytes.len() && !matches(bytes[at]) {
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
    use super::*;

    #[test]
    fn separators_that_are_escaped_separate_nothing() {
        let line = r#"t,d=a\ b\,c\=d v\ w\,x\=y\\z=1i,q="a, b=\" c",v=2i 9"#;
        let fields: Vec<_> = Fields::of(line).map(|field| (field.column().into_owned(), field.value)).collect();
        assert_eq!(
            fields,
            [(r"v w,x=y\z".to_owned(), "1i"), ("q".to_owned(), r#""a, b=\" c""#), ("v".to_owned(), "2i")]
        );
        assert_eq!(table(line), "t");
    }

    #[test]
    fn text_that_is_not_line_protocol_has_no_whole_fields() {
        for line in ["", " ", ",", "t", "t ", "t v", "t\\", "t v\\", "t ,", "t v=1i,"] {
            let mut fields = Fields::of(line);
            fields.by_ref().for_each(drop);
            assert!(!fields.is_whole(), "{line}");
        }
    }

    #[test]
    fn a_point_with_some_of_its_fields_is_the_same_point() {
        let line = "t,d=1 seq=1i,a=2.5,b=true 9";
        assert_eq!(with_only(line, |field| field.key != "a").as_deref(), Some("t,d=1 seq=1i,b=true 9"));
        assert_eq!(with_only(line, |field| field.key == "b").as_deref(), Some("t,d=1 b=true 9"));
        assert_eq!(with_only(line, |_| true).as_deref(), Some(line));
        assert_eq!(with_only(line, |_| false), None);
    }
}
