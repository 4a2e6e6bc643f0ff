//! Bounds on what a request of the provisioning API may hold. Whatever passes is a name that topics, rows and points can carry.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::message::storable;
use crate::message::topic::{self, MAX_ID_CHARS};

/// Longest site and firmware version, in characters.
const MAX_TEXT_CHARS: usize = 255;
/// Most bytes of a device's metadata as JSON.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;

/// Which field is wrong, and what is wrong with it. Without its value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FieldError {
    /// It is empty.
    #[error("{0}: must not be empty")]
    Empty(&'static str),
    /// It is too long.
    #[error("{0}: must have at most {1} characters")]
    TooLong(&'static str, usize),
    /// It holds a character that a level of a topic can't have.
    #[error("{0}: must not hold `/`, `+`, `#` or control characters")]
    NotOneLevel(&'static str),
    /// It holds a control character.
    #[error("{0}: must not hold control characters")]
    Control(&'static str),
    /// The metadata are too large.
    #[error("metadata: must have at most {MAX_METADATA_BYTES} bytes")]
    MetadataTooLarge,
    /// PostgreSQL's jsonb can't hold the metadata.
    #[error("metadata: holds what jsonb can't (U+0000, or numbers with too many digits)")]
    MetadataNotStorable,
}

/// Checks the id of a tenant or device: one level of a topic.
///
/// # Errors
/// What is wrong with it.
pub fn check_id(field: &'static str, id: &str) -> Result<(), FieldError> {
    if id.contains(['/', '+', '#']) || id.contains(char::is_control) {
        return Err(FieldError::NotOneLevel(field));
    }
    check_length(field, id, MAX_ID_CHARS)
}

/// Checks a site or a version: any text of one line.
///
/// # Errors
/// What is wrong with it.
pub fn check_text(field: &'static str, text: &str) -> Result<(), FieldError> {
    if text.contains(char::is_control) {
        return Err(FieldError::Control(field));
    }
    check_length(field, text, MAX_TEXT_CHARS)
}

/// A device's metadata as the text that is stored.
///
/// # Errors
/// What is wrong with them.
pub fn metadata(members: &Map<String, Value>) -> Result<String, FieldError> {
    let text = serde_json::to_string(members).map_err(|_| FieldError::MetadataNotStorable)?;
    match text.len() {
        long if long > MAX_METADATA_BYTES => Err(FieldError::MetadataTooLarge),
        _ if !storable::is_storable(&text) => Err(FieldError::MetadataNotStorable),
        _ => Ok(text),
    }
}

fn check_length(field: &'static str, text: &str, most: usize) -> Result<(), FieldError> {
    match text.is_empty() {
        true => Err(FieldError::Empty(field)),
        false if !topic::within(text, most) => Err(FieldError::TooLong(field, most)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_one_level_of_a_topic() {
        for good in ["acme", "dev-0001", "müller & söhne", "a.b c", &"é".repeat(255)] {
            assert_eq!(check_id("tenant_id", good), Ok(()), "{good}");
        }
        assert_eq!(check_id("tenant_id", ""), Err(FieldError::Empty("tenant_id")));
        assert_eq!(check_id("device_id", &"é".repeat(256)), Err(FieldError::TooLong("device_id", 255)));
        for bad in ["a/b", "a+", "#", "a\0b", "a\nb", "\u{7f}"] {
            assert_eq!(check_id("device_id", bad), Err(FieldError::NotOneLevel("device_id")), "{bad:?}");
        }
    }

    #[test]
    fn a_site_may_hold_slashes_but_no_second_line() {
        assert_eq!(check_text("site_id", "hall 3/4 +#"), Ok(()));
        assert_eq!(check_text("site_id", "a\u{0}"), Err(FieldError::Control("site_id")));
        assert_eq!(check_text("site_id", ""), Err(FieldError::Empty("site_id")));
        assert_eq!(check_text("fw_version", &"x".repeat(256)), Err(FieldError::TooLong("fw_version", 255)));
    }

    #[test]
    fn metadata_are_small_and_storable() {
        let check = |value: Value| metadata(value.as_object().unwrap());
        assert_eq!(check(json!({"a": [1, {"b": null}]})), Ok(r#"{"a":[1,{"b":null}]}"#.to_owned()));
        let padded = |bytes: usize| json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())});
        assert_eq!(check(padded(MAX_METADATA_BYTES)).map(|text| text.len()), Ok(MAX_METADATA_BYTES));
        assert_eq!(check(padded(MAX_METADATA_BYTES + 1)), Err(FieldError::MetadataTooLarge));
        assert_eq!(check(json!({"a": "\u{0}"})), Err(FieldError::MetadataNotStorable));
        assert_eq!(check(json!({"\u{0}": 1})), Err(FieldError::MetadataNotStorable));
    }
}
