//! `/openapi.json`: made of the handlers and of the types that they answer with.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use super::answer::{BatchAnswer, Rejected};
use super::{batch, device, ingest};

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
pub(super) struct Report {
    /// The document.
    #[schema(value_type = Object)]
    reported: Value,
    /// Its version: one that is lower than the stored one changes nothing.
    version: Option<i64>,
}

/// How a command ended.
#[derive(Serialize, ToSchema)]
pub(super) struct Ack {
    /// `ok` where it is missing.
    status: Option<String>,
    /// Whatever there is to say.
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ingest-node gateway",
        description = "Takes messages of devices. A 2xx means that the stream has the message.",
    ),
    paths(
        ingest::single,
        batch::batch,
        device::shadow::desired,
        device::shadow::report,
        device::commands::pending,
        device::commands::acknowledge,
    ),
    components(schemas(Rejected, BatchAnswer, BatchRefused))
)]
struct Document;

/// Answers the document.
pub(super) async fn show() -> HttpResponse {
    HttpResponse::Ok().json(Document::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_says_what_it_answers() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 6);
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.contains_key("503") && responses.contains_key("429"), "{method} {path}");
                assert!(!responses.contains_key("422"), "{method} {path}");
            }
        }
        let accepted = &document["components"]["schemas"]["Accepted"]["required"];
        assert_eq!(*accepted, serde_json::json!(["status", "device_id", "seq"]));
    }
}
