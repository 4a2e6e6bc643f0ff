//! From a rejection to what the quarantine keeps of the message: bounded, and everything but the provision token.

use crate::message::envelope::Envelope;
use crate::message::kept::{self, Kept};
use crate::message::payload::{self, Report};
use crate::message::redact;
use crate::message::rejection::{Reason, Rejection};
use crate::message::topic::{self, Topic};
use crate::validate::event::Refusal;

/// The refusal of a message whose envelope could not be opened: its bytes are all there is. Of more than
/// `max_payload_bytes` (and 8 KiB) only the beginning is kept.
pub fn of_bytes(body: &[u8], rejection: Rejection, max_payload_bytes: usize) -> Refusal {
    of_nobody(rejection, kept::bytes(body, max_payload_bytes))
}

/// The refusal of a message that can't even be looked at: its mark and its hash.
pub fn of_unreadable(body: &[u8], reason: Reason) -> Refusal {
    of_nobody(Rejection::from(reason), kept::unread(body))
}

/// The refusal of an opened message. Reads the message again: refusals are rare, and their path may be plain. Of more
/// than `max_payload_bytes` (and 8 KiB) only the beginning is kept.
pub fn of_envelope(envelope: &Envelope, rejection: Rejection, max_payload_bytes: usize) -> Refusal {
    let text = payload::text(&envelope.payload).unwrap_or_else(|_| (*envelope.payload).into());
    let report = Report::read(&text).ok();
    let topic_text = bounded_topic(&envelope.topic);
    let topic = Topic::parse(&envelope.topic).and_then(|_| Topic::parse(&topic_text));
    let mut refusal = of_nobody(rejection, kept::text(&text, max_payload_bytes));
    refusal.tenant_id = topic.as_ref().map(|topic| topic.tenant.to_owned());
    refusal.device_id = topic.as_ref().map(|topic| topic.device.to_owned());
    refusal.msg_type = topic.as_ref().map(|topic| match topic.rest {
        Some(rest) => format!("{}/{rest}", topic.msg_type),
        None => topic.msg_type.to_owned(),
    });
    refusal.site_id =
        report.as_ref().and_then(|report| report.site.as_deref()).map(|site| redact::opaque_text(site).into_owned());
    refusal.event_us = report.and_then(|report| report.event_us);
    refusal.topic = topic_text;
    refusal
}

fn of_nobody(mut rejection: Rejection, Kept { content, note }: Kept) -> Refusal {
    if let Some(note) = note {
        let separator = if rejection.detail.is_empty() { "" } else { "; " };
        rejection.detail = format!("{}{separator}{note}", rejection.detail).into();
    }
    Refusal {
        rejection,
        topic: String::new(),
        tenant_id: None,
        site_id: None,
        device_id: None,
        msg_type: None,
        of_stranger: false,
        event_us: None,
        content,
    }
}

/// A topic as the quarantine keeps it: cut where it is too long to be one, without a token, and without U+0000, which
/// PostgreSQL's text can't hold.
fn bounded_topic(text: &str) -> String {
    let is_cut = text.len() > topic::MAX_BYTES;
    let cut = &text[..text.floor_char_boundary(topic::MAX_BYTES)];
    let mut kept = redact::opaque_text(cut).replace('\0', "\u{fffd}");
    if is_cut {
        kept.push('…');
    }
    kept
}
