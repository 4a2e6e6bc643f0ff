//! Panic isolation: a message on which a rule panics is quarantined; its chunk and its validator continue.
//!
//! The rules are pure, so a panic leaves no inconsistent state. A restart would not help, because the message would be
//! redelivered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::failpoint;
use crate::delivery::Opening;
use ingest_core::message::envelope::Envelope;
use ingest_core::message::mqtt_subject;
use ingest_core::message::rejection::{Reason, Rejection};
use ingest_core::validate::event::QuarantineRecord;
use ingest_core::validate::{Validated, quarantine_record};

/// Why a message of an MQTT client has no topic.
const NO_TOPIC: &str = "subject: nats-server makes it of no topic, or of one with a level that is a wildcard of NATS";

/// Opens a message as its lane says.
///
/// # Errors
/// As [`Envelope::open`], `BAD_TOPIC_FORMAT` where the subject should say the topic and does not, and `PROCESSING_FAILED` where
/// that panics.
pub(crate) fn open(opening: Opening, subject: &str, body: &Bytes) -> Result<Envelope, Rejection> {
    let opened = catch_unwind(|| {
        failpoint::pass("open");
        match opening {
            Opening::Envelope => Envelope::open(body),
            Opening::MqttPayload => {
                let topic = mqtt_subject::topic(subject).ok_or(Rejection::new(Reason::BadTopicFormat, NO_TOPIC))?;
                Ok(Envelope::of_payload(topic, body))
            }
        }
    });
    opened.unwrap_or_else(|_| Err(panicked()))
}

/// Runs the checks of a message.
///
/// # Errors
/// The checks' rejection, and `PROCESSING_FAILED` where one panics.
pub(crate) fn validate_catching_panics<T>(checks: impl FnOnce() -> Validated<T>) -> Validated<T> {
    let validated = catch_unwind(AssertUnwindSafe(|| {
        failpoint::pass("check");
        checks()
    }));
    validated.unwrap_or_else(|_| Err(panicked()))
}

/// The quarantine record that `make` returns or, where it panics, one with the message's mark and hash only.
pub(crate) fn record_catching_panics(
    body: &Bytes,
    rejection: Rejection,
    make: impl FnOnce(Rejection) -> QuarantineRecord,
) -> QuarantineRecord {
    let reason = rejection.reason;
    let record = catch_unwind(AssertUnwindSafe(|| {
        failpoint::pass("record");
        make(rejection)
    }));
    record.unwrap_or_else(|_| quarantine_record::of_unreadable(body, reason))
}

/// The result of `rule`, or the default where it panics.
pub(crate) fn or_default<T: Default>(rule: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(rule)).unwrap_or_default()
}

fn panicked() -> Rejection {
    Rejection::new(Reason::ProcessingFailed, "validation crashed on it")
}
