//! What the quarantine keeps of a refused content: bounded in bytes, without provision tokens, and as bytes wherever
//! jsonb can't hold it.

use bytes::Bytes;

use crate::message::digest::sha256_hex;
use crate::message::redact;
use crate::message::storable;

/// The refused content, in the form that the quarantine can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A payload that jsonb can hold.
    Json(String),
    /// Bytes that jsonb can't hold.
    Raw(Bytes),
}

/// How much is kept of what is too large; what is not larger is kept whole, whatever the limit of payloads.
pub const CUT_BYTES: usize = 8 * 1024;
/// How much is kept of what can't be looked into: the mark of its format. No encoding of the token's key is so short that
/// a part of the token could be among them.
const MARK_BYTES: usize = 8;

/// A content, and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What is kept.
    pub content: Content,
    /// What is not, for people.
    pub note: Option<String>,
}

/// Of a payload's text. What is larger than `max_payload_bytes` (and [`CUT_BYTES`]) is cut.
pub fn text(text: &str, max_payload_bytes: usize) -> Kept {
    if is_too_large(text.len(), max_payload_bytes) || !storable::is_storable(text) {
        return bytes(text.as_bytes(), max_payload_bytes);
    }
    let kept = redact::scrub(text);
    let note = note_of_masks(text.as_bytes(), kept.as_bytes());
    Kept { content: Content::Json(kept.into_owned()), note }
}

/// Of bytes that need not be text. What is larger than `max_payload_bytes` (and [`CUT_BYTES`]) is cut.
pub fn bytes(all: &[u8], max_payload_bytes: usize) -> Kept {
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
    Kept { content, note }
}

/// Of what was valid and is refused later in life, a row or a point: without tokens at any depth, whole.
pub fn raw(all: &[u8]) -> Content {
    bytes(all, all.len()).content
}

/// Of bytes that nobody has looked into, or could.
pub fn unread(all: &[u8]) -> Kept {
    let part = &all[..all.len().min(MARK_BYTES)];
    let note =
        format!("not readable: kept the first {} of {} bytes, sha256 {}", part.len(), all.len(), sha256_hex(all));
    Kept { content: Content::Raw(Bytes::copy_from_slice(part)), note: Some(note) }
}

fn is_too_large(bytes: usize, max_payload_bytes: usize) -> bool {
    bytes > max_payload_bytes.max(CUT_BYTES)
}

fn note_of_masks(before: &[u8], after: &[u8]) -> Option<String> {
    redact::has_masked_encoding(before, after).then(|| "an encoded part that may hold a token is masked".to_owned())
}
