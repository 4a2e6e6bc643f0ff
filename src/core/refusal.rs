//! From a rejection to what the quarantine keeps of the message: everything but the provision token.

use bytes::Bytes;

use super::envelope::Envelope;
use super::event::{Content, Refusal};
use super::payload::{self, Report};
use super::redact;
use super::rejection::Rejection;
use super::storable;
use super::topic::Topic;

/// The refusal of a message whose envelope could not be opened: its bytes are all there is.
pub fn of_bytes(body: &[u8], rejection: Rejection) -> Refusal {
    Refusal {
        rejection,
        topic: String::new(),
        tenant_id: None,
        site_id: None,
        device_id: None,
        msg_type: None,
        event_us: None,
        content: Content::Raw(Bytes::copy_from_slice(&redact::opaque(body))),
    }
}

/// The refusal of an opened message. Reads the message again: refusals are rare, and their path may be plain.
pub fn of_envelope(envelope: &Envelope, rejection: Rejection) -> Refusal {
    let topic = Topic::parse(&envelope.topic);
    let text = payload::text(&envelope.payload).unwrap_or_else(|_| (*envelope.payload).into());
    let report = Report::read(&text).ok();
    let content = if storable::is_storable(&text) {
        Content::Json(redact::scrub(&text).into_owned())
    } else {
        Content::Raw(Bytes::copy_from_slice(&redact::opaque(text.as_bytes())))
    };
    Refusal {
        rejection,
        // A topic with NUL is no topic, and PostgreSQL's text can't hold it.
        topic: envelope.topic.replace('\0', "\u{fffd}"),
        tenant_id: topic.as_ref().map(|topic| topic.tenant.to_owned()),
        site_id: report.as_ref().and_then(|report| report.site.as_deref().map(str::to_owned)),
        device_id: topic.as_ref().map(|topic| topic.device.to_owned()),
        msg_type: topic.as_ref().map(|topic| match topic.rest {
            Some(rest) => format!("{}/{rest}", topic.msg_type),
            None => topic.msg_type.to_owned(),
        }),
        event_us: report.and_then(|report| report.event_us),
        content,
    }
}
