//! Quarantine content: what the quarantine (dead letter store) retains of a rejected message. Bounded in bytes, without
//! provision tokens, and as bytes wherever jsonb can't hold it.

use bytes::Bytes;

use crate::message::digest::sha256_hex;
use crate::message::redact;
use crate::message::storable;

/// Retained content, in the form that the quarantine can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A payload that jsonb can hold.
    Json(String),
    /// Bytes that jsonb can't hold.
    Raw(Bytes),
}

/// Most bytes that are retained of a content beyond the limit; a content up to this size is retained whole, whatever the
/// limit of payloads.
pub const CUT_BYTES: usize = 8 * 1024;
/// Bytes that are retained of a content that can't be inspected: the magic number of its format. No encoding of the token's
/// key is so short that a part of the token could be among them.
const MARK_BYTES: usize = 8;

/// Retained content, with a note on what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// What is retained.
    pub content: Content,
    /// What is not retained or masked, for people.
    pub note: Option<String>,
}

/// Retains a payload's text; truncated where it is larger than `max_payload_bytes` (and [`CUT_BYTES`]).
pub fn text(text: &str, max_payload_bytes: usize) -> Retained {
    if is_too_large(text.len(), max_payload_bytes) || !storable::is_storable(text) {
        return bytes(text.as_bytes(), max_payload_bytes);
    }
    let kept = redact::scrub(text);
    let note = note_of_masks(text.as_bytes(), kept.as_bytes());
    Retained { content: Content::Json(kept.into_owned()), note }
}

/// Retains bytes that need not be text; truncated where they are more than `max_payload_bytes` (and [`CUT_BYTES`]).
pub fn bytes(all: &[u8], max_payload_bytes: usize) -> Retained {
    let is_cut = is_too_large(all.len(), max_payload_bytes);
    let part = if is_cut { &all[..CUT_BYTES] } else { all };
    if redact::is_unreadable(part) {
        return unread(all);
    }
    let kept = redact::opaque(part);
    let note = match is_cut {
        true => Some(format!("kept the first {CUT_BYTES} of {} bytes", all.len())),
        false => note_of_masks(part, &kept),
    };
    // A mask may be longer than what it masks.
    let content = Content::Raw(Bytes::copy_from_slice(&kept[..kept.len().min(all.len().max(CUT_BYTES))]));
    Retained { content, note }
}

/// Retains what was valid and is rejected later by a store, a row or a point: whole, without tokens at any depth.
pub fn raw(all: &[u8]) -> Content {
    bytes(all, all.len()).content
}

/// Retains bytes that were not or can't be inspected: their first bytes and their hash.
pub fn unread(all: &[u8]) -> Retained {
    let part = &all[..all.len().min(MARK_BYTES)];
    let note =
        format!("not readable: kept the first {} of {} bytes, sha256 {}", part.len(), all.len(), sha256_hex(all));
    Retained { content: Content::Raw(Bytes::copy_from_slice(part)), note: Some(note) }
}

fn is_too_large(bytes: usize, max_payload_bytes: usize) -> bool {
    bytes > max_payload_bytes.max(CUT_BYTES)
}

fn note_of_masks(before: &[u8], after: &[u8]) -> Option<String> {
    redact::has_masked_encoding(before, after).then(|| "an encoded part that may hold a token is masked".to_owned())
}
