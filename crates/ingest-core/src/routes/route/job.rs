//! The part of a route's jobs that is the same for all routes: the message as JSON.

use bytestring::ByteString;
use serde_json::Value;

/// What stands between the topic and the payload of a job.
pub(super) const PAYLOAD: &str = r#","payload":"#;

/// A message as its jobs carry it: what is the same for all routes.
#[derive(Clone, Debug)]
pub struct JobMessage {
    pub(super) topic: String,
    pub(super) payload: ByteString,
    pub(super) tail: String,
}

impl JobMessage {
    /// Prepares a message's topic and tenant; the payload is JSON already and is shared.
    pub fn new(tenant_id: &str, topic: &str, payload: ByteString) -> Self {
        let tail = format!(r#","tenant_id":{}}}"#, json_text(tenant_id));
        Self { topic: json_text(topic), payload, tail }
    }
}

/// Text as a JSON string.
pub(super) fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}
