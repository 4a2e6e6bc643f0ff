//! The checks of one message against what the registry answers.

use super::chunk_metrics::ChunkCounts;
use super::inquiry::Inquiry;
use ingest_core::message::device::{DeviceKey, DeviceRef};
use ingest_core::message::envelope::Envelope;
use ingest_core::routes::route::Matched;
use ingest_core::validate::event::{CommandAck, Event, ShadowReport};
use ingest_core::validate::{self, Checks};

/// A valid message.
pub(super) enum Valid {
    /// It becomes a row.
    Event(Event),
    /// A shadow report.
    Shadow(ShadowReport),
    /// A command's acknowledgement.
    Ack(CommandAck),
}

/// Runs the checks of a message.
pub(super) fn check(
    checks: Checks,
    envelope: &Envelope,
    context: validate::Context<'_>,
    inquiry: &Inquiry<'_>,
    admit: impl FnOnce(&DeviceKey) -> bool,
    counts: &mut ChunkCounts,
) -> validate::Validated<Valid> {
    let ChunkCounts { lookups, fields, .. } = counts;
    let claims_a_site = checks == Checks::Telemetry;
    let lookup = |device: DeviceRef<'_>| inquiry.lookup(device, claims_a_site, lookups);
    Ok(match checks {
        Checks::Telemetry => validate::telemetry(envelope, context, lookup, admit, fields)?.map(|mut event| {
            if let Some(answer) = inquiry.answer() {
                event.routes = Matched::of(&answer.routes, &event.topic, &event.payload);
            }
            Valid::Event(event)
        }),
        Checks::Shadow => validate::shadow(envelope, context, lookup, admit)?.map(Valid::Shadow),
        Checks::Command => validate::command(envelope, context, lookup, admit)?.map(Valid::Ack),
    })
}
