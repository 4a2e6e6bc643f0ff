//! A payload that has been read: every field in the form in which the rules use it.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::Deserializer;

use super::members::{Members, Reader};
use super::scalar::{coordinate, integral, invalid, is_integer, string};
use crate::message::metric::{self, Metric};
use crate::message::redact::TOKEN_KEY;
use crate::message::rejection::{Reason, Rejection};
use crate::message::storable;
use crate::message::timestamp;
use crate::message::topic;

/// The payload's `tenant_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantClaim<'a> {
    /// Nothing: absent, null or empty.
    None,
    /// This tenant.
    Is(Cow<'a, str>),
    /// A value that is not a string.
    NoText,
}

/// A payload that has been read.
#[derive(Debug)]
pub struct Report<'a> {
    pub(super) text: &'a str,
    pub(super) token_at: Token,
    pub(super) metrics_at: MetricsAt,
    /// The tenant that it names.
    pub tenant: TenantClaim<'a>,
    /// The site that it names; `None` where that is missing.
    pub site: Option<Cow<'a, str>>,
    /// The sequence number; 0 when absent.
    pub seq: i64,
    /// The sender's time, Unix microseconds; `None` where it is absent or unreadable.
    pub event_us: Option<i64>,
    /// The provision token as text; `None` where it is missing.
    pub token: Option<Cow<'a, str>>,
    /// The metrics in the payload's order, equal keys included.
    pub metrics: Vec<Metric<'a>>,
    /// Latitude and longitude in degrees, where both are there and in range.
    pub location: Option<(f64, f64)>,
}

/// Place of the metrics in the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MetricsAt {
    /// An object.
    Object(Range<usize>),
    /// The literal `null`.
    Null(Range<usize>),
    /// There are none; alone: nothing else either, but for the provision token.
    Nowhere { is_alone: bool },
}

/// Place of the provision token in the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Token {
    #[default]
    Nowhere,
    /// The whole member, without a comma.
    At(Range<usize>),
    /// In several places or under an escaped name.
    Scattered,
}

impl<'a> Report<'a> {
    /// Reads an object's text.
    ///
    /// # Errors
    /// `INVALID_PAYLOAD` with the field, or `UNSUPPORTED_ENVELOPE_VERSION`.
    pub fn read(text: &'a str) -> Result<Report<'a>, Rejection> {
        if storable::holds_unstorable_escape(text) {
            return Err(invalid("payload: a string holds \\u0000 or a lone surrogate"));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let members = json
            .deserialize_map(Reader)
            .and_then(|members| json.end().map(|()| members))
            .map_err(|_| invalid("payload: not a JSON object"))?;
        if let Some(reason) = storable::unstorable_reason(text, storable::MAX_ADDED_TO_ROW) {
            return Err(invalid(reason));
        }
        members.report(text)
    }
}

impl<'a> Members<'a> {
    fn report(self, text: &'a str) -> Result<Report<'a>, Rejection> {
        let site = match self.site.map(|raw| (raw, raw.as_bytes()[0])) {
            None | Some((_, b'n')) => None,
            Some((raw, b'"')) => string(raw).filter(|site| !site.is_empty()),
            Some((raw, b'-' | b'0'..=b'9')) if is_integer(raw) => Some(Cow::Borrowed(raw)),
            Some(_) => return Err(invalid("site_id: neither text nor an integer")),
        };
        if site.as_deref().is_some_and(|site| !topic::within(site, topic::MAX_ID_CHARS)) {
            return Err(invalid("site_id: more than 255 characters"));
        }
        let seq = match self.seq {
            None | Some("null") => 0,
            Some(raw) => integral(raw).ok_or_else(|| invalid("seq: not a 64-bit integer"))?,
        };
        let (metrics, metrics_at) = match self.metrics {
            None => (Vec::new(), MetricsAt::Nowhere { is_alone: self.others == 0 }),
            Some(raw @ "null") => (Vec::new(), MetricsAt::Null(offset_in(text, raw))),
            Some(raw) if raw.starts_with('{') => {
                let metrics = metric::read(raw).ok_or_else(|| invalid("metrics: can't be read"))?;
                (metrics, MetricsAt::Object(offset_in(text, raw)))
            }
            Some(_) => return Err(invalid("metrics: not an object")),
        };
        let is_version_1 = match self.version {
            None | Some("null" | "1") => true,
            Some(raw) => string(raw).is_some_and(|version| version == "1"),
        };
        if !is_version_1 {
            return Err(Rejection::new(Reason::UnsupportedEnvelopeVersion, "version: only 1 is known"));
        }
        let tenant = match self.tenant.map(|raw| (raw, raw.as_bytes()[0])) {
            None | Some((_, b'n')) => TenantClaim::None,
            Some((raw, b'"')) => match string(raw) {
                Some(tenant) if tenant.is_empty() => TenantClaim::None,
                Some(tenant) => TenantClaim::Is(tenant),
                None => TenantClaim::NoText,
            },
            Some(_) => TenantClaim::NoText,
        };
        let event_us = self.ts.and_then(|raw| match raw.as_bytes()[0] {
            b'"' => timestamp::from_text(&string(raw)?),
            b'-' | b'0'..=b'9' => timestamp::from_number(raw),
            _ => None,
        });
        let token = self.token.and_then(|raw| match raw.as_bytes()[0] {
            b'"' => string(raw).filter(|token| !token.is_empty()),
            b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
            _ => None,
        });
        let token_at = match self.token {
            None => Token::Nowhere,
            Some(raw) if self.tokens == 1 && !self.token_name_escaped => member_range(text, raw, TOKEN_KEY),
            Some(_) => Token::Scattered,
        };
        let latitude = coordinate(self.lat, 90.0).or_else(|| coordinate(self.latitude, 90.0));
        let longitude = coordinate(self.lng, 180.0).or_else(|| coordinate(self.longitude, 180.0));
        let location = latitude.zip(longitude);
        Ok(Report { text, token_at, metrics_at, tenant, site, seq, event_us, token, metrics, location })
    }
}

/// The range of `part`, a slice of `text`.
pub(super) fn offset_in(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

/// The range of the member `"name" : value`, found backwards from its value.
fn member_range(text: &str, value: &str, name: &str) -> Token {
    let value = offset_in(text, value);
    let before = text[..value.start].trim_end().strip_suffix(':').map(str::trim_end);
    let start = before
        .and_then(|text| text.strip_suffix('"'))
        .and_then(|text| text.strip_suffix(name))
        .and_then(|text| text.strip_suffix('"'))
        .map(str::len);
    start.map_or(Token::Scattered, |start| Token::At(start..value.end))
}
