//! Checks that lanes share: topic, subject, size, the payload and the device of the lanes beside telemetry.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::context::{Context, Validated};
use crate::message::device::{Device, DeviceKey, DeviceRef, Lookup};
use crate::message::envelope::Envelope;
use crate::message::names::subject_token;
use crate::message::rejection::{Reason, Rejection};
use crate::message::storable;
use crate::message::topic::Topic;

/// Check 2: the topic, which must also be one of the lane's, and the subject against it.
pub(super) fn topic<'a>(
    envelope: &'a Envelope,
    context: Context<'_>,
    is_of_lane: impl FnOnce(&Topic<'_>) -> bool,
) -> Result<Topic<'a>, Rejection> {
    let malformed = "topic: not tenant/{tenant}/device/{device}/{type}, or too long";
    let topic = Topic::parse(&envelope.topic).ok_or(Rejection::new(Reason::BadTopicFormat, malformed))?;
    if !is_of_lane(&topic) {
        return Err(Rejection::new(Reason::BadTopicFormat, "topic: none of this lane's"));
    }
    match context.subject {
        Some(subject) => check_subject(subject, &topic).map(|()| topic),
        None => Ok(topic),
    }
}

/// The broker's permissions bind a publisher to subjects; this binds the subject to the tenant, and to the device where
/// it names one: `telemetry.{tenant}` or `telemetry.{tenant}.{device}`. Further tokens are ignored.
fn check_subject(subject: &str, topic: &Topic<'_>) -> Result<(), Rejection> {
    let Some(after_tenant) = after_token(after_lane(subject), &subject_token(topic.tenant)) else {
        return Err(Rejection::new(Reason::SubjectMismatch, "subject: not of the topic's tenant"));
    };
    if !after_tenant.is_empty() && after_token(Some(after_tenant), &subject_token(topic.device)).is_none() {
        return Err(Rejection::new(Reason::SubjectMismatch, "subject: not of the topic's device"));
    }
    Ok(())
}

/// What follows the first token, from its dot on.
fn after_lane(subject: &str) -> Option<&str> {
    subject.bytes().position(|byte| byte == b'.').map(|dot| &subject[dot..])
}

/// What follows this token, where the text begins with a dot and the token, and ends there or continues with a dot.
fn after_token<'a>(text: Option<&'a str>, token: &str) -> Option<&'a str> {
    let rest = text?.strip_prefix('.')?.strip_prefix(token)?;
    (rest.is_empty() || rest.starts_with('.')).then_some(rest)
}

/// Check 3: the bytes of the payload as received.
pub(super) fn size(envelope: &Envelope, context: Context<'_>) -> Result<(), Rejection> {
    let bytes = envelope.payload_bytes();
    if bytes > context.settings.max_payload_bytes {
        return Err(Rejection::new(Reason::PayloadTooLarge, format!("payload: {bytes} bytes")));
    }
    Ok(())
}

/// The rejection of an invalid device: PostgreSQL can't look it up, or its row can't be read.
pub(super) fn invalid_device(why: &str) -> Rejection {
    Rejection::new(Reason::UnregisteredDevice, format!("registry: {why}"))
}

/// The members of a payload of the shadow or command lane, of equal names the last: unlike rows these share a statement, so
/// payloads that jsonb can't hold are rejected here.
pub(super) fn members(text: &str) -> Result<HashMap<String, &RawValue>, Rejection> {
    if !storable::is_storable(text) {
        return Err(Rejection::new(Reason::InvalidPayload, "payload: jsonb can't hold it"));
    }
    serde_json::from_str(text).map_err(|_| Rejection::new(Reason::InvalidPayload, "payload: not the expected object"))
}

/// The active device of a topic. These lanes require no authentication: the broker's permissions bind a sender to the
/// subjects of its devices.
pub(super) fn active_device<'l>(
    topic: &Topic<'_>,
    lookup: impl FnOnce(DeviceRef<'_>) -> Option<&'l Lookup>,
    admit: impl FnOnce(&DeviceKey) -> bool,
) -> Validated<Arc<Device>> {
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
        Some(Lookup::Invalid(why)) => Err(invalid_device(why)),
    }
}
