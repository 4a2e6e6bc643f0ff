//! Batches: many messages in one request, each passed on as written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::message::envelope::Text;

/// Most messages of a batch.
pub const MAX_MESSAGES: usize = 100;

/// Why a body is no batch. Holds no value of it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BatchError {
    /// It is not UTF-8, not JSON, or has no list `messages`.
    #[error("the body is not an object with a list \"messages\"")]
    Malformed,
    /// The list is empty.
    #[error("the batch has no messages")]
    Empty,
    /// The list is too long.
    #[error("the batch has more than {MAX_MESSAGES} messages")]
    TooMany,
}

/// The messages of a batch: each one's JSON text, byte for byte.
///
/// # Errors
/// It is none, or not of 1 to 100 messages.
pub fn messages(body: &[u8]) -> Result<Vec<&str>, BatchError> {
    let text = std::str::from_utf8(body).map_err(|_| BatchError::Malformed)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let list = json.deserialize_map(Batch).map_err(|_| BatchError::Malformed)?;
    json.end().map_err(|_| BatchError::Malformed)?;
    let list = list.ok_or(BatchError::Malformed)?;
    match list.get().starts_with('[') {
        true => elements(list.get()),
        false => Err(BatchError::Malformed),
    }
}

/// The elements of a list; no more of them are kept than a batch may have.
fn elements(list: &str) -> Result<Vec<&str>, BatchError> {
    let mut json = serde_json::Deserializer::from_str(list);
    let (messages, is_whole) = json.deserialize_seq(Elements).map_err(|_| BatchError::Malformed)?;
    match messages.is_empty() {
        _ if !is_whole => Err(BatchError::TooMany),
        true => Err(BatchError::Empty),
        false => Ok(messages),
    }
}

/// Finds `messages`; the last of equal names counts.
struct Batch;

impl<'de> Visitor<'de> for Batch {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Text(name)) = members.next_key()? {
            if name == "messages" {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = (Vec<&'de str>, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < MAX_MESSAGES {
            match list.next_element::<&RawValue>()? {
                Some(element) => elements.push(element.get()),
                None => return Ok((elements, true)),
            }
        }
        let mut is_whole = true;
        while list.next_element::<IgnoredAny>()?.is_some() {
            is_whole = false;
        }
        Ok((elements, is_whole))
    }
}

/// What a message of a batch names itself; the rest of it is the checks' business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// `tenant_id`.
    pub tenant: Option<Cow<'a, str>>,
    /// `device_id`.
    pub device: Option<Cow<'a, str>>,
    /// `msg_type`.
    pub msg_type: Option<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// The names in the text of a message; those that are no texts are missing. `None` where it is no object.
    pub fn of(message: &'a str) -> Option<Self> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Names<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Names<'de>, A::Error> {
                let mut names = Names::default();
                while let Some(Text(name)) = members.next_key()? {
                    let place = match &*name {
                        "tenant_id" => &mut names.tenant,
                        "device_id" => &mut names.device,
                        "msg_type" => &mut names.msg_type,
                        _ => {
                            members.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *place = text(members.next_value::<&RawValue>()?).map_err(A::Error::custom)?;
                }
                Ok(names)
            }
        }

        serde_json::Deserializer::from_str(message).deserialize_map(Reader).ok()
    }
}

/// A string's value; `None` of anything else.
fn text(raw: &RawValue) -> Result<Option<Cow<'_, str>>, serde_json::Error> {
    if !raw.get().starts_with('"') {
        return Ok(None);
    }
    serde_json::from_str::<Text<'_>>(raw.get()).map(|Text(text)| Some(text))
}
