//! The forms in which senders write a field: text, integers, coordinates, and the payload itself.

use std::borrow::Cow;

use crate::message::envelope::{Envelope, Text};
use crate::message::rejection::{Reason, Rejection};

/// The text of an envelope's payload: the object as received, or the one that a string holds. Absent and null are `{}`.
///
/// # Errors
/// `INVALID_PAYLOAD` where it is neither, a string that can't be read, or no JSON.
pub fn of(envelope: &Envelope) -> Result<Cow<'_, str>, Rejection> {
    if envelope.not_json.is_some() {
        return Err(invalid("payload: not JSON"));
    }
    let raw = &*envelope.payload;
    match raw.as_bytes().first() {
        None | Some(b'n') => Ok(Cow::Borrowed("{}")),
        Some(b'{') => Ok(Cow::Borrowed(raw)),
        Some(b'"') => match serde_json::from_str::<String>(raw) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => Err(invalid("payload: the text can't be read")),
        },
        Some(_) => Err(invalid("payload: not an object")),
    }
}

/// A JSON string's value; `None` where the text is no string.
pub(super) fn string(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw).ok().map(|Text(text)| text)
}

pub(super) fn is_integer(raw: &str) -> bool {
    !raw.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// An integer in i64, or a float with an integral value in it.
pub(crate) fn integral(raw: &str) -> Option<i64> {
    if !matches!(raw.as_bytes()[0], b'-' | b'0'..=b'9') {
        return None;
    }
    if is_integer(raw) {
        return raw.parse().ok();
    }
    let value: f64 = raw.parse().ok()?;
    // 2^63 is the first float beyond i64; -2^63 is in it.
    (value.fract() == 0.0 && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value))
        .then_some(value as i64)
}

/// A number or numeric text within `±limit`.
pub(super) fn coordinate(raw: Option<&str>, limit: f64) -> Option<f64> {
    let raw = raw?;
    let value: f64 = match raw.as_bytes()[0] {
        b'"' => string(raw)?.trim().parse().ok()?,
        b'-' | b'0'..=b'9' => raw.parse().ok()?,
        _ => return None,
    };
    (value.abs() <= limit).then_some(value)
}

/// The rejection of a payload that has a field in no accepted form.
pub(super) fn invalid(detail: &'static str) -> Rejection {
    Rejection::new(Reason::InvalidPayload, detail)
}
