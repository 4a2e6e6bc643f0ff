//! Bodies and parameters of requests, read within bounds of size and time; every error names its field.

use std::time::Duration;

use actix_web::web;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::error::ProvisionError;

/// Most bytes of a body: the largest metadata, and names beside them.
const MOST_BYTES: usize = 32 * 1024;
/// Longest time that a body may take.
const BOUND: Duration = Duration::from_secs(2);
/// Longest name of an unknown field that is repeated, in characters.
const LONGEST_NAME: usize = 64;

/// The members of a request's object that were not taken yet.
#[derive(Debug)]
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// The object that a request's body holds.
    pub(super) async fn read(body: web::Payload) -> Result<Self, ProvisionError> {
        let Ok(read) = timeout(BOUND, body.to_bytes_limited(MOST_BYTES)).await else {
            return Err(ProvisionError::Slow);
        };
        let bytes = read
            .map_err(|_| ProvisionError::TooLarge(MOST_BYTES))?
            .map_err(|_| ProvisionError::Malformed("the body is not complete".to_owned()))?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            _ => Err(ProvisionError::Malformed("the body must be a JSON object".to_owned())),
        }
    }

    /// Takes a text that has to be there.
    pub(super) fn text(&mut self, field: &str) -> Result<String, ProvisionError> {
        match self.0.remove(field) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(ProvisionError::Malformed(format!("{field}: must be text"))),
            None => Err(ProvisionError::Malformed(format!("{field}: is missing"))),
        }
    }

    /// Takes a text that may be absent or null.
    pub(super) fn optional_text(&mut self, field: &str) -> Result<Option<String>, ProvisionError> {
        match self.0.get(field) {
            None | Some(Value::Null) => {
                self.0.remove(field);
                Ok(None)
            }
            Some(_) => self.text(field).map(Some),
        }
    }

    /// Takes an object that may be absent or null.
    pub(super) fn optional_object(&mut self, field: &str) -> Result<Option<Map<String, Value>>, ProvisionError> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(_) => Err(ProvisionError::Malformed(format!("{field}: must be an object"))),
        }
    }

    /// Everything has been taken.
    pub(super) fn end(self) -> Result<(), ProvisionError> {
        self.0.keys().next().map_or(Ok(()), |field| Err(unknown(field)))
    }
}

/// A field or parameter that there is not.
pub(super) fn unknown(field: &str) -> ProvisionError {
    let name: String = field.chars().take(LONGEST_NAME).collect();
    ProvisionError::Malformed(format!("{name}: is not known here"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(value: Value) -> Members {
        Members(value.as_object().unwrap().clone())
    }

    #[test]
    fn every_error_names_its_field() {
        let mut body = members(json!({"a": 1, "b": null, "c": "x", "d": [], "e": null, "f": "y", "g": {}}));
        let refused = |result: Result<String, ProvisionError>| result.unwrap_err().to_string();
        assert_eq!(refused(body.text("a")), "a: must be text");
        assert_eq!(refused(body.text("b")), "b: must be text");
        assert_eq!(refused(body.text("z")), "z: is missing");
        assert_eq!(body.text("c").unwrap(), "x");
        assert_eq!(body.optional_object("d").unwrap_err().to_string(), "d: must be an object");
        assert_eq!(body.optional_text("e").unwrap(), None);
        assert_eq!(body.optional_text("f").unwrap().as_deref(), Some("y"));
        assert_eq!(body.end().unwrap_err().to_string(), "g: is not known here");
        assert!(members(json!({})).end().is_ok());
        let long = unknown(&"é".repeat(1_000)).to_string();
        assert_eq!(long.chars().count(), LONGEST_NAME + ": is not known here".len());
    }
}
