//! The checks of the shadow lane.

use super::common;
use super::context::{Context, Validated};
use super::event::ShadowReport;
use crate::message::device::{DeviceKey, DeviceRef, Lookup};
use crate::message::envelope::Envelope;
use crate::message::payload;
use crate::message::rejection::{Reason, Rejection};

/// The checks of the shadow lane. `admit` takes a token from the device's bucket of this lane.
///
/// # Errors
/// The first check that the message does not pass.
pub fn shadow<'l>(
    envelope: &Envelope,
    context: Context<'_>,
    lookup: impl FnOnce(DeviceRef<'_>) -> Option<&'l Lookup>,
    admit: impl FnOnce(&DeviceKey) -> bool,
) -> Validated<ShadowReport> {
    let topic = common::topic(envelope, context, |topic| topic.is_shadow_report())?;
    common::size(envelope, context)?;
    let text = payload::of(envelope)?;
    let members = common::members(&text)?;
    let member = |name| members.get(name).map(|raw| raw.get());
    let Some(reported) = member("reported").filter(|raw| raw.starts_with('{')) else {
        return Err(Rejection::new(Reason::InvalidPayload, "reported: not an object"));
    };
    let version = match member("version") {
        None | Some("null") => 0,
        Some(raw) => payload::integral(raw)
            .ok_or_else(|| Rejection::new(Reason::InvalidPayload, "version: not a 64-bit integer"))?,
    };
    let Some(device) = common::active_device(&topic, lookup, admit)? else { return Ok(None) };
    Ok(Some(ShadowReport { device, reported: reported.to_owned(), version }))
}
