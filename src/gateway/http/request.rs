//! What a request says beside its body: whom it is from, and under which key.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use bytestring::ByteString;
use percent_encoding::percent_decode_str;

use super::connections::Peer;
use super::failure::Failure;
use crate::metrics::RequestFault;
use ingest_core::http::is_idempotency_key;
use ingest_core::message::envelope::Envelope;
use ingest_core::message::rejection::Reason;
use ingest_core::message::topic::Topic;

/// The header that holds a device's token.
const TOKEN: &str = "X-Provision-Token";
/// The header that makes a request that comes twice one message.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The names in a path of a single message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PathNames<'a> {
    /// The tenant.
    pub tenant: Cow<'a, str>,
    /// The device.
    pub device: Cow<'a, str>,
    /// The message type.
    pub msg_type: Cow<'a, str>,
}

impl<'a> PathNames<'a> {
    /// Of `/ingest/v1/tenant/{tenant}/device/{device}/{type}`, each percent-decoded once.
    ///
    /// # Errors
    /// Another path, or names that are no text.
    pub(super) fn of(path: &'a str) -> Result<Self, Failure> {
        let mut levels = path.split('/').skip(4);
        let (tenant, device, msg_type) = (levels.next(), levels.nth(1), levels.next());
        Ok(Self { tenant: decoded(tenant)?, device: decoded(device)?, msg_type: decoded(msg_type)? })
    }
}

/// A level of a path, percent-decoded.
///
/// # Errors
/// It is no text.
pub(super) fn decoded(level: Option<&str>) -> Result<Cow<'_, str>, Failure> {
    let malformed = || Failure::check(Reason::BadTopicFormat, "path: a name is not UTF-8");
    percent_decode_str(level.unwrap_or_default()).decode_utf8().map_err(|_| malformed())
}

/// The provision token of a request; `None` where there is none, or an empty one.
///
/// # Errors
/// It is no text, so it is no token.
pub(super) fn token(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    match headers.get(TOKEN).map(|value| std::str::from_utf8(value.as_bytes())) {
        Some(Err(_)) => Err(Failure::check(Reason::TokenInvalid, "the provision token is wrong")),
        Some(Ok(token)) => Ok(Some(token).filter(|token| !token.is_empty())),
        None => Ok(None),
    }
}

/// The idempotency key of a request, where it has one.
///
/// # Errors
/// It is none.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| is_idempotency_key(key));
    let invalid = || {
        Failure::request(
            RequestFault::InvalidIdempotencyKey,
            format!("{IDEMPOTENCY_KEY}: not 1 to 128 printable ASCII characters"),
        )
    };
    key.map(Some).ok_or_else(invalid)
}

/// The common name of the certificate that the client has proven to hold; empty where there is none.
pub(super) fn common_name(request: &HttpRequest) -> ByteString {
    request.conn_data::<Peer>().map_or_else(ByteString::new, |peer| peer.common_name().into())
}

/// The envelope of a message: its topic names this very tenant, device and type.
///
/// # Errors
/// The names are none: empty, too long, or with a slash.
pub(super) fn envelope(
    (tenant, device): (&str, &str),
    msg_type: &str,
    payload: impl Into<ByteString>,
    username: ByteString,
) -> Result<Envelope, Failure> {
    let topic = format!("tenant/{tenant}/device/{device}/{msg_type}");
    let names_them = Topic::parse(&topic).is_some_and(|topic| topic.tenant == tenant && topic.device == device);
    match names_them {
        true => Ok(Envelope { topic: topic.into(), payload: payload.into(), username, not_json: None }),
        false => Err(Failure::check(Reason::BadTopicFormat, "tenant or device: empty, too long, or with a slash")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_once_and_only_those_that_a_topic_can_hold_make_an_envelope() {
        let names = |path| PathNames::of(path).map(|names| names.tenant.into_owned());
        assert_eq!(names("/ingest/v1/tenant/a%2Fb%2525/device/d/telemetry").unwrap(), "a/b%25");
        assert!(names("/ingest/v1/tenant/%ff/device/d/telemetry").is_err());
        let path = PathNames::of("/ingest/v1/tenant/%C3%A9/device/a+b%20c/heartbeat").unwrap();
        assert_eq!((&*path.tenant, &*path.device, &*path.msg_type), ("é", "a+b c", "heartbeat"));

        let envelope = |tenant: &str, device: &str| {
            envelope((tenant, device), "telemetry", "{}", ByteString::new()).map(|envelope| envelope.topic.to_string())
        };
        assert_eq!(envelope("a", "+#.*>").unwrap(), "tenant/a/device/+#.*>/telemetry");
        for (tenant, device) in [
            ("a/device/d/telemetry", "x"),
            ("a", "d/telemetry"),
            ("", "d"),
            ("a", ""),
            ("a\0", "d"),
            (&"x".repeat(256), "d"),
        ] {
            assert_eq!(
                envelope(tenant, device).unwrap_err().reason,
                crate::metrics::FailureReason::Check(Reason::BadTopicFormat)
            );
        }
    }
}
