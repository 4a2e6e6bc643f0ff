//! The checks of the command lane.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::common;
use super::context::{Context, Validated};
use super::event::CommandAck;
use crate::message::device::{DeviceKey, DeviceRef, Lookup};
use crate::message::envelope::Envelope;
use crate::message::payload;
use crate::message::rejection::{Reason, Rejection};
use crate::message::topic;

/// The checks of the command lane. `admit` takes a token from the device's bucket of this lane.
///
/// # Errors
/// The first check that the message does not pass.
pub fn command<'l>(
    envelope: &Envelope,
    context: Context<'_>,
    lookup: impl FnOnce(DeviceRef<'_>) -> Option<&'l Lookup>,
    admit: impl FnOnce(&DeviceKey) -> bool,
) -> Validated<CommandAck> {
    #[derive(Deserialize)]
    struct Payload<'a> {
        command_id: Option<serde_json::Value>,
        status: Option<serde_json::Value>,
        #[serde(borrow)]
        details: Option<&'a RawValue>,
    }
    let topic = common::topic(envelope, context, |topic| topic.is_command_ack())?;
    common::size(envelope, context)?;
    let text = payload::of(envelope)?;
    let payload: Payload<'_> = common::read_payload(&text)?;
    let command_id = match payload.command_id {
        Some(serde_json::Value::String(id)) if !id.is_empty() && topic::within(&id, topic::MAX_ID_CHARS) => id,
        _ => return Err(Rejection::new(Reason::InvalidPayload, "command_id: not a text of 1 to 255 characters")),
    };
    let status = match payload.status {
        None | Some(serde_json::Value::Null) => "ok".to_owned(),
        Some(serde_json::Value::String(status)) => status,
        Some(_) => return Err(Rejection::new(Reason::InvalidPayload, "status: not a text")),
    };
    let details = match payload.details.map(RawValue::get) {
        None | Some("null") => "null",
        Some(raw) if raw.starts_with('{') => raw,
        Some(_) => return Err(Rejection::new(Reason::InvalidPayload, "details: not an object")),
    };
    let Some(device) = common::active_device(&topic, lookup, admit)? else { return Ok(None) };
    let ack_details = format!(r#"{{"status":{},"details":{details}}}"#, serde_json::Value::String(status));
    Ok(Some(CommandAck { device, command_id, ack_details }))
}
