//! The payload of a telemetry-lane message: its fields, read by the table of accepted forms.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::message::envelope::Text;
use crate::message::metric::{self, Metric};
use crate::message::metric_keys::MetricKeyMap;
use crate::message::redact::{self, TOKEN_KEY};
use crate::message::rejection::{Reason, Rejection};
use crate::message::storable;
use crate::message::timestamp;
use crate::message::topic;

/// The payload's own text: the object as received, or the one that a string holds. Absent and null are `{}`.
///
/// # Errors
/// `INVALID_PAYLOAD` where it is neither, or a string that can't be read.
pub fn text(raw: &str) -> Result<Cow<'_, str>, Rejection> {
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

/// What the payload's `tenant_id` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantClaim<'a> {
    /// Nothing: absent, null or empty.
    None,
    /// This tenant.
    Is(Cow<'a, str>),
    /// Something that is no text.
    NoText,
}

/// A payload that has been read.
#[derive(Debug)]
pub struct Report<'a> {
    text: &'a str,
    token_at: Token,
    metrics_at: MetricsAt,
    /// Whose it says it is.
    pub tenant: TenantClaim<'a>,
    /// Which site it says it is from; `None` where that is missing.
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

/// Where the metrics stand in the text.
#[derive(Debug, PartialEq, Eq)]
enum MetricsAt {
    /// An object.
    Object(Range<usize>),
    /// The word `null`.
    Null(Range<usize>),
    /// There are none, and perhaps nothing else either but the provision token.
    Nowhere { is_alone: bool },
}

/// Where the provision token stands in the text.
#[derive(Debug, Default, PartialEq, Eq)]
enum Token {
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
        if let Some(misfit) = storable::misfit(text, storable::MAX_ADDED_TO_ROW) {
            return Err(invalid(misfit));
        }
        members.report(text)
    }

    /// The text that the row holds: without the provision token, metrics under their mapped names and an object in any
    /// case, and every number in a spelling whose kind survives jsonb (`2.4e1` would come back as the integer 24).
    pub fn row_text(&self, keys: Option<&MetricKeyMap>) -> String {
        let mut edits: Vec<(Range<usize>, Cow<'_, str>)> = Vec::new();
        match &self.token_at {
            Token::Nowhere | Token::Scattered => {}
            Token::At(member) => edits.push((with_one_comma(self.text, member), Cow::Borrowed(""))),
        }
        if let Some((range, object)) = self.metrics_to_add() {
            edits.push((range, Cow::Borrowed(object)));
        }
        match keys.filter(|keys| self.metrics.iter().any(|metric| keys.get(&metric.key).is_some())) {
            Some(keys) => {
                if let MetricsAt::Object(range) = &self.metrics_at {
                    edits.push((range.clone(), Cow::Owned(metric::object_text(&self.metrics, keys))));
                }
            }
            None => {
                for metric in &self.metrics {
                    if let Some(spelling) = metric.spelling_for_jsonb() {
                        edits.push((offset_in(self.text, metric.raw), Cow::Owned(spelling)));
                    }
                }
            }
        }
        let edited = apply(self.text, edits);
        match self.token_at {
            Token::Scattered => redact::without_token(&edited).into_owned(),
            _ => edited,
        }
    }
}

impl Report<'_> {
    /// The metrics that the row needs and the payload does not have, and where they go.
    fn metrics_to_add(&self) -> Option<(Range<usize>, &'static str)> {
        match &self.metrics_at {
            MetricsAt::Object(_) => None,
            MetricsAt::Null(range) => Some((range.clone(), "{}")),
            MetricsAt::Nowhere { is_alone } => {
                let inside = self.text.find('{')? + 1;
                Some((inside..inside, if *is_alone { r#""metrics":{}"# } else { r#""metrics":{},"# }))
            }
        }
    }
}

/// Members as found; the last of equal names wins, so nothing is judged before the end.
#[derive(Default)]
struct Members<'a> {
    tenant: Option<&'a str>,
    site: Option<&'a str>,
    seq: Option<&'a str>,
    ts: Option<&'a str>,
    version: Option<&'a str>,
    token: Option<&'a str>,
    tokens: u32,
    token_name_escaped: bool,
    /// Members beside the tokens.
    others: u32,
    metrics: Option<&'a str>,
    lat: Option<&'a str>,
    latitude: Option<&'a str>,
    lng: Option<&'a str>,
    longitude: Option<&'a str>,
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        while let Some(Text(name)) = map.next_key()? {
            members.others += u32::from(name != TOKEN_KEY);
            let member = match &*name {
                "ts" => &mut members.ts,
                "tenant_id" => &mut members.tenant,
                "site_id" => &mut members.site,
                "seq" => &mut members.seq,
                "version" => &mut members.version,
                "metrics" => &mut members.metrics,
                "lat" => &mut members.lat,
                "latitude" => &mut members.latitude,
                "lng" => &mut members.lng,
                "longitude" => &mut members.longitude,
                TOKEN_KEY => {
                    members.tokens += 1;
                    members.token_name_escaped |= matches!(name, Cow::Owned(_));
                    &mut members.token
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *member = Some(map.next_value::<&RawValue>()?.get());
        }
        Ok(members)
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

fn invalid(detail: &'static str) -> Rejection {
    Rejection::new(Reason::InvalidPayload, detail)
}

/// A JSON string's value; `None` where the text is no string.
fn string(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw).ok().map(|Text(text)| text)
}

fn is_integer(raw: &str) -> bool {
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
fn coordinate(raw: Option<&str>, limit: f64) -> Option<f64> {
    let raw = raw?;
    let value: f64 = match raw.as_bytes()[0] {
        b'"' => string(raw)?.trim().parse().ok()?,
        b'-' | b'0'..=b'9' => raw.parse().ok()?,
        _ => return None,
    };
    (value.abs() <= limit).then_some(value)
}

/// Where `part`, a slice of `text`, stands in it.
fn offset_in(text: &str, part: &str) -> Range<usize> {
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

/// Widens a member by the comma after it or, where it is the last one, by the comma before it.
fn with_one_comma(text: &str, member: &Range<usize>) -> Range<usize> {
    let after = text[member.end..].trim_start();
    if let Some(rest) = after.strip_prefix(',') {
        return member.start..text.len() - rest.trim_start().len();
    }
    let before = text[..member.start].trim_end();
    before.strip_suffix(',').map_or(member.clone(), |before| before.len()..member.end)
}

fn apply(text: &str, mut edits: Vec<(Range<usize>, Cow<'_, str>)>) -> String {
    edits.sort_unstable_by_key(|(range, _)| (range.start, range.end));
    let grown: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let cut: usize = edits.iter().map(|(range, _)| range.len()).sum();
    // To the byte: a text without spare room is shared without another allocation.
    let mut edited = String::with_capacity(text.len() + grown - cut);
    let mut at = 0;
    for (range, new) in edits {
        edited.push_str(&text[at..range.start]);
        edited.push_str(&new);
        at = range.end;
    }
    edited.push_str(&text[at..]);
    edited
}

#[cfg(test)]
mod tests;
