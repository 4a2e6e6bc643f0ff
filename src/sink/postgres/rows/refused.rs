//! What PostgreSQL refuses for good, as a rejection.

use crate::delivery::Delivery;
use crate::sink::postgres::quarantine::PendingQuarantine;
use crate::sink::postgres::quarantine_policy::QuarantinePolicy;
use ingest_core::message::device::DeviceKey;
use ingest_core::message::quarantine_content;
use ingest_core::message::quarantine_content::Content;
use ingest_core::message::rejection::{Reason, Rejection};
use ingest_core::validate::event::QuarantineRecord;

/// A refused item of a lane that has no rows in `raw_events`. `kind` is what its topic ends with.
pub(super) fn side_update(key: &DeviceKey, kind: &str, body: &str, why: String) -> QuarantineRecord {
    QuarantineRecord {
        rejection: Rejection::new(Reason::RowRefused, why),
        topic: format!("tenant/{}/device/{}/{kind}", key.tenant_id, key.device_id),
        tenant_id: Some(key.tenant_id.to_string()),
        site_id: None,
        device_id: Some(key.device_id.to_string()),
        msg_type: Some(kind.to_owned()),
        of_unknown_tenant: false,
        event_us: None,
        content: content(body.as_bytes()),
    }
}

/// JSON as such where jsonb can hold it: a row may be refused for its device or its time.
pub(super) fn content(json: &[u8]) -> Content {
    match std::str::from_utf8(json) {
        Ok(text) => quarantine_content::text(text, text.len()).content,
        Err(_) => quarantine_content::raw(json),
    }
}

/// The rejection of a delivery, with the policy's decision.
pub(super) fn rejection(delivery: Delivery, record: QuarantineRecord, policy: &QuarantinePolicy) -> PendingQuarantine {
    // The mirror is a row of the table that has just refused it.
    let (keep, _) = policy.decide(&delivery.origin, &record, false);
    PendingQuarantine::message(delivery, record, keep)
}
