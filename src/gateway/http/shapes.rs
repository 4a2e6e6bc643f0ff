//! The shapes of requests, and of answers that have several: for the OpenAPI document alone. Requests are read by the
//! pipeline's own rules and passed on as they are written.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{BatchAnswer, Rejected};

/// A batch.
#[derive(Serialize, ToSchema)]
pub(super) struct Batch {
    /// The messages.
    #[schema(min_items = 1, max_items = 100)]
    messages: Vec<BatchMessage>,
}

/// A message of a batch. Members that are not listed are passed on, too.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchMessage {
    /// The device's tenant.
    tenant_id: String,
    /// The device.
    device_id: String,
    /// `telemetry` or `heartbeat`.
    msg_type: String,
    /// The device's token.
    provision_token: Option<String>,
    /// The site that the device is registered at.
    site_id: String,
    /// When it was measured: ISO 8601, or a number of seconds, milli-, micro- or nanoseconds.
    ts: Option<Value>,
    /// A sequence number.
    seq: Option<i64>,
    /// What was measured.
    metrics: Option<BTreeMap<String, Value>>,
}

/// A batch of which no message is accepted, or that is none.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its shape is of use")]
pub(super) enum BatchRefused {
    /// What became of each message.
    Messages(BatchAnswer),
    /// What is wrong with the request.
    Request(Rejected),
}

/// A report of a device's state.
#[derive(Serialize, ToSchema)]
pub(in crate::gateway::http) struct Report {
    /// The document.
    #[schema(value_type = Object)]
    reported: Value,
    /// Its version: one that is lower than the stored one changes nothing.
    version: Option<i64>,
}

/// How a command ended.
#[derive(Serialize, ToSchema)]
pub(in crate::gateway::http) struct Ack {
    /// `ok` where it is missing.
    status: Option<String>,
    /// Whatever there is to say.
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
}
