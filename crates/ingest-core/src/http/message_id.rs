//! Message ids: what makes a request that comes twice one message.

use crate::message::digest::sha256_hex;
use crate::message::names::percent_encoded;

/// Longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 128;
/// Longest name within an id; the stream keeps every id for its duplicate window.
const MAX_NAME_BYTES: usize = 128;

/// Whether a text may be an `Idempotency-Key`: 1 to 128 printable ASCII characters.
pub fn is_idempotency_key(key: &str) -> bool {
    (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The `Nats-Msg-Id` of a message that came with an idempotency key: `http:{tenant}:{device}:{key}`, of a batch
/// `http:{tenant}:{device}:{index}:{key}` after `batch-`. Two devices, two keys, or two messages of a batch never share one.
///
/// In tenant and device every byte that is not a visible ASCII character, every `:` and every `%` is `%` and two hexadecimal
/// digits; where that is longer than 128 bytes, it is `%%` and the name's SHA-256.
pub fn message_id(tenant: &str, device: &str, key: &str, index: Option<usize>) -> String {
    let (tenant, device) = (name(tenant), name(device));
    match index {
        None => format!("http:{tenant}:{device}:{key}"),
        Some(index) => format!("batch-http:{tenant}:{device}:{index}:{key}"),
    }
}

fn name(text: &str) -> String {
    let escaped = percent_encoded(text, |byte| byte.is_ascii_graphic() && !matches!(byte, b':' | b'%'));
    if escaped.len() > MAX_NAME_BYTES { format!("%%{}", sha256_hex(text.as_bytes())) } else { escaped.into_owned() }
}
