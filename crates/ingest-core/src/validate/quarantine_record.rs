//! Quarantine records: from a rejection to what the quarantine keeps of the message, bounded and without provision tokens.

use crate::message::envelope::Envelope;
use crate::message::payload::{self, Report};
use crate::message::quarantine_content::{self as content, Retained};
use crate::message::redact;
use crate::message::rejection::{Reason, Rejection};
use crate::message::topic::{self, Topic};
use crate::validate::event::QuarantineRecord;

/// The record of a message whose envelope could not be opened, from its bytes. Of more than `max_payload_bytes` (and 8 KiB)
/// only the beginning is retained.
pub fn of_bytes(body: &[u8], rejection: Rejection, max_payload_bytes: usize) -> QuarantineRecord {
    unattributed(rejection, content::bytes(body, max_payload_bytes))
}

/// The record of a message that can't be inspected: its first bytes and its hash.
pub fn of_unreadable(body: &[u8], reason: Reason) -> QuarantineRecord {
    unattributed(Rejection::from(reason), content::unread(body))
}

/// The record of an opened message. Parses the message again, as rejections are rare. Of more than `max_payload_bytes` (and
/// 8 KiB) only the beginning is retained.
pub fn of_envelope(envelope: &Envelope, rejection: Rejection, max_payload_bytes: usize) -> QuarantineRecord {
    let text = payload::of(envelope).unwrap_or_else(|_| (*envelope.payload).into());
    let report = Report::read(&text).ok();
    let topic_text = bounded_topic(&envelope.topic);
    let topic = Topic::parse(&envelope.topic).and_then(|_| Topic::parse(&topic_text));
    let retained = match &envelope.not_json {
        Some(body) => content::bytes(body, max_payload_bytes),
        None => content::text(&text, max_payload_bytes),
    };
    let mut record = unattributed(rejection, retained);
    record.tenant_id = topic.as_ref().map(|topic| topic.tenant.to_owned());
    record.device_id = topic.as_ref().map(|topic| topic.device.to_owned());
    record.msg_type = topic.as_ref().map(|topic| match topic.rest {
        Some(rest) => format!("{}/{rest}", topic.msg_type),
        None => topic.msg_type.to_owned(),
    });
    record.site_id =
        report.as_ref().and_then(|report| report.site.as_deref()).map(|site| redact::opaque_text(site).into_owned());
    record.event_us = report.and_then(|report| report.event_us);
    record.topic = topic_text;
    record
}

fn unattributed(mut rejection: Rejection, Retained { content, note }: Retained) -> QuarantineRecord {
    if let Some(note) = note {
        let separator = if rejection.detail.is_empty() { "" } else { "; " };
        rejection.detail = format!("{}{separator}{note}", rejection.detail).into();
    }
    QuarantineRecord {
        rejection,
        topic: String::new(),
        tenant_id: None,
        site_id: None,
        device_id: None,
        msg_type: None,
        of_unknown_tenant: false,
        event_us: None,
        content,
    }
}

/// A topic as the quarantine keeps it: truncated where it is too long, without a token, and without U+0000, which
/// PostgreSQL's text can't hold.
fn bounded_topic(text: &str) -> String {
    let is_truncated = text.len() > topic::MAX_BYTES;
    let bounded = &text[..text.floor_char_boundary(topic::MAX_BYTES)];
    let mut kept = redact::opaque_text(bounded).replace('\0', "\u{fffd}");
    if is_truncated {
        kept.push('…');
    }
    kept
}
