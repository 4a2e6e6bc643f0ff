//! The checks of the lanes beside telemetry: shadow reports and command acknowledgements.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::context::{Context, Judged};
use super::door;
use super::event::{CommandAck, ShadowReport};
use crate::message::device::{Device, DeviceKey, DeviceRef, Lookup};
use crate::message::envelope::Envelope;
use crate::message::payload;
use crate::message::rejection::{Reason, Rejection};
use crate::message::storable;
use crate::message::topic::{self, Topic};

/// The checks of the shadow lane. `admit` takes a token from the device's bucket of this lane.
///
/// # Errors
/// The first check that the message does not pass.
pub fn shadow<'l>(
    envelope: &Envelope,
    context: Context<'_>,
    lookup: impl FnOnce(DeviceRef<'_>) -> Option<&'l Lookup>,
    admit: impl FnOnce(&DeviceKey) -> bool,
) -> Judged<ShadowReport> {
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow)]
        reported: Option<&'a RawValue>,
        #[serde(borrow)]
        version: Option<&'a RawValue>,
    }
    let topic = door::topic(envelope, context, |topic| topic.is_shadow_report())?;
    door::size(envelope, context)?;
    let text = payload::text(&envelope.payload)?;
    let payload: Payload<'_> = read_side_payload(&text)?;
    let Some(reported) = payload.reported.map(RawValue::get).filter(|raw| raw.starts_with('{')) else {
        return Err(Rejection::new(Reason::InvalidPayload, "reported: not an object"));
    };
    let version = match payload.version.map(RawValue::get) {
        None | Some("null") => 0,
        Some(raw) => payload::integral(raw)
            .ok_or_else(|| Rejection::new(Reason::InvalidPayload, "version: not a 64-bit integer"))?,
    };
    let Some(device) = active_device(&topic, lookup, admit)? else { return Ok(None) };
    Ok(Some(ShadowReport { device, reported: reported.to_owned(), version }))
}

/// The checks of the command lane. `admit` takes a token from the device's bucket of this lane.
///
/// # Errors
/// The first check that the message does not pass.
pub fn command<'l>(
    envelope: &Envelope,
    context: Context<'_>,
    lookup: impl FnOnce(DeviceRef<'_>) -> Option<&'l Lookup>,
    admit: impl FnOnce(&DeviceKey) -> bool,
) -> Judged<CommandAck> {
    #[derive(Deserialize)]
    struct Payload<'a> {
        command_id: Option<serde_json::Value>,
        status: Option<serde_json::Value>,
        #[serde(borrow)]
        details: Option<&'a RawValue>,
    }
    let topic = door::topic(envelope, context, |topic| topic.is_command_ack())?;
    door::size(envelope, context)?;
    let text = payload::text(&envelope.payload)?;
    let payload: Payload<'_> = read_side_payload(&text)?;
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
    let Some(device) = active_device(&topic, lookup, admit)? else { return Ok(None) };
    let ack_details = format!(r#"{{"status":{},"details":{details}}}"#, serde_json::Value::String(status));
    Ok(Some(CommandAck { device, command_id, ack_details }))
}

/// A payload of the shadow or command lane: unlike rows these share a statement, so what jsonb can't hold stays out.
fn read_side_payload<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Rejection> {
    if !storable::is_storable(text) {
        return Err(Rejection::new(Reason::InvalidPayload, "payload: jsonb can't hold it"));
    }
    serde_json::from_str(text).map_err(|_| Rejection::new(Reason::InvalidPayload, "payload: not the expected object"))
}

/// These lanes ask for no proof: what binds a sender to its devices is the subject that the broker lets it publish to.
fn active_device<'l>(
    topic: &Topic<'_>,
    lookup: impl FnOnce(DeviceRef<'_>) -> Option<&'l Lookup>,
    admit: impl FnOnce(&DeviceKey) -> bool,
) -> Judged<Arc<Device>> {
    match lookup(DeviceRef { tenant_id: topic.tenant, device_id: topic.device }) {
        None => Ok(None),
        Some(Lookup::Found(device)) if !device.active => {
            Err(Rejection::from(Reason::DeviceRevoked).authenticated(true))
        }
        Some(Lookup::Found(device)) if !admit(&device.key) => {
            Err(Rejection::from(Reason::RateLimited).authenticated(true))
        }
        Some(Lookup::Found(device)) => Ok(Some(device.clone())),
        Some(Lookup::Unknown | Lookup::NoCapacity) => Err(Reason::UnregisteredDevice.into()),
        Some(Lookup::Invalid(why)) => Err(door::invalid(why)),
    }
}
