//! The checks of the command lane.

use serde_json::Value;

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
    let topic = common::topic(envelope, context, |topic| topic.is_command_ack())?;
    common::size(envelope, context)?;
    let text = payload::of(envelope)?;
    let members = common::members(&text)?;
    let member = |name| members.get(name).map(|raw| raw.get());
    let value = |name| member(name).and_then(|raw| serde_json::from_str(raw).ok());
    let command_id = match value("command_id") {
        Some(Value::String(id)) if !id.is_empty() && topic::within(&id, topic::MAX_ID_CHARS) => id,
        _ => return Err(Rejection::new(Reason::InvalidPayload, "command_id: not a text of 1 to 255 characters")),
    };
    let status = match value("status") {
        None | Some(Value::Null) => "ok".to_owned(),
        Some(Value::String(status)) => status,
        Some(_) => return Err(Rejection::new(Reason::InvalidPayload, "status: not a text")),
    };
    let details = match member("details") {
        None | Some("null") => "null",
        Some(raw) if raw.starts_with('{') => raw,
        Some(_) => return Err(Rejection::new(Reason::InvalidPayload, "details: not an object")),
    };
    let Some(device) = common::active_device(&topic, lookup, admit)? else { return Ok(None) };
    let ack_details = format!(r#"{{"status":{},"details":{details}}}"#, Value::String(status));
    Ok(Some(CommandAck { device, command_id, ack_details }))
}
