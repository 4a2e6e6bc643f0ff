//! The body of a request as the payload of a message: passed on as written.

use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

/// Why a body is no payload. Holds no value of it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotAnObject {
    /// Its bytes are no text.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// Its text is no JSON.
    #[error("the body is not JSON: byte {0}")]
    NotJson(usize),
    /// It is another JSON value.
    #[error("the body is not a JSON object")]
    Other,
}

/// The text of the JSON object that a body holds, byte for byte, without the blanks around it.
///
/// # Errors
/// It holds none.
pub fn object(body: &[u8]) -> Result<&str, NotAnObject> {
    let text = std::str::from_utf8(body).map_err(|_| NotAnObject::NotUtf8)?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| NotAnObject::NotJson(error.column()))?;
    if raw.get().starts_with('{') { Ok(raw.get()) } else { Err(NotAnObject::Other) }
}

/// The text of an object with one more member at its end: it is the one that counts where the object has others of its name.
///
/// `object` is the text of a JSON object without blanks around it. `name` needs no escapes.
pub fn with_member(object: &str, name: &str, value: &str) -> String {
    let members = object.strip_suffix('}').unwrap_or(object);
    let is_first = is_empty(members);
    let value = Value::from(value).to_string();
    format!("{members}{}\"{name}\":{value}}}", if is_first { "" } else { "," })
}

/// Whether what precedes the closing brace holds no member.
fn is_empty(members: &str) -> bool {
    members.strip_prefix('{').is_some_and(|rest| rest.trim_matches([' ', '\t', '\n', '\r']).is_empty())
}
