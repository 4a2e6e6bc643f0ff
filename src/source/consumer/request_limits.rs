//! The bounds on pull requests: from the window and the client, under the consumer's own limits.

use crate::nats::fitness::Terms;
use ingest_core::flow::pull::Limits;

/// Bytes of open requests over all lanes: the broker disconnects a client that is 64 MiB behind.
const OPEN_BYTES: usize = 16 * 1024 * 1024;
/// Bytes set aside for a message's subject, reply subject and headers.
const OVERHEAD_BYTES: usize = 64 * 1024;

/// The limits of one of so many lanes, for a window of this many messages and a server with this `max_payload`.
pub(super) fn request_limits(lanes: usize, window: usize, max_payload: usize, terms: Option<&Terms>) -> Limits {
    // Half a window each: one is being filled while the next waits.
    let messages = window.div_ceil(2);
    let most = terms.and_then(|terms| terms.max_batch);
    Limits {
        messages: most.map_or(messages, |most| messages.min(most)).max(1),
        open_bytes: OPEN_BYTES / lanes.max(1),
        message_bytes: max_payload + OVERHEAD_BYTES,
        request_bytes: terms.and_then(|terms| terms.max_bytes),
        requests: if terms.is_some_and(|terms| terms.one_request) { 1 } else { 2 },
    }
}
