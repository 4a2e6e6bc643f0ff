//! Panic isolation: a message that crashes a rule is quarantined, and neither its chunk nor its validator suffers.
//!
//! The rules are pure, so a panic in one leaves nothing half done: what they work on is dropped. No restart is needed, and
//! none would help, because the message would come back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::failpoint;
use ingest_core::message::envelope::Envelope;
use ingest_core::message::rejection::{Reason, Rejection};
use ingest_core::validate::event::QuarantineRecord;
use ingest_core::validate::{Validated, quarantine_record};

/// Opens an envelope.
///
/// # Errors
/// As [`Envelope::open`], and `PROCESSING_FAILED` where that panics.
pub(crate) fn open(body: &Bytes) -> Result<Envelope, Rejection> {
    let opened = catch_unwind(|| {
        failpoint::pass("open");
        Envelope::open(body)
    });
    opened.unwrap_or_else(|_| Err(crashed()))
}

/// Runs the checks.
///
/// # Errors
/// Theirs, and `PROCESSING_FAILED` where one panics.
pub(crate) fn judge<T>(checks: impl FnOnce() -> Validated<T>) -> Validated<T> {
    let judged = catch_unwind(AssertUnwindSafe(|| {
        failpoint::pass("judge");
        checks()
    }));
    judged.unwrap_or_else(|_| Err(crashed()))
}

/// What the quarantine keeps: as `keep` has it or, where that panics, the message's mark and hash.
pub(crate) fn refuse(
    body: &Bytes,
    rejection: Rejection,
    keep: impl FnOnce(Rejection) -> QuarantineRecord,
) -> QuarantineRecord {
    let reason = rejection.reason;
    let kept = catch_unwind(AssertUnwindSafe(|| {
        failpoint::pass("refuse");
        keep(rejection)
    }));
    kept.unwrap_or_else(|_| quarantine_record::of_unreadable(body, reason))
}

/// What `rule` returns; where it panics, the default.
pub(crate) fn or_default<T: Default>(rule: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(rule)).unwrap_or_default()
}

fn crashed() -> Rejection {
    Rejection::new(Reason::ProcessingFailed, "validation crashed on it")
}
