//! Metrics of a payload: name, JSON value as written, the limits on both, and the spelling for jsonb.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::message::envelope::Text;
use crate::message::metric_keys::{MAX_KEY_CHARS, MetricKeyMap};
use crate::message::rejection::{Reason, Rejection};

/// Most metrics of one message.
pub const MAX_METRICS: usize = 50;

/// A metric as written in the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric<'a> {
    /// Its name as sent.
    pub key: Cow<'a, str>,
    /// Its value's JSON text as sent.
    pub raw: &'a str,
}

/// The members of a metrics object, in order, equal keys included; `None` where the text is no object.
pub fn read(object: &str) -> Option<Vec<Metric<'_>>> {
    struct Reader;
    impl<'de> Visitor<'de> for Reader {
        type Value = Vec<Metric<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut metrics = Vec::with_capacity(8);
            while let Some(Text(key)) = map.next_key()? {
                metrics.push(Metric { key, raw: map.next_value::<&RawValue>()?.get() });
            }
            Ok(metrics)
        }
    }
    serde_json::Deserializer::from_str(object).deserialize_map(Reader).ok()
}

/// Check 11: the number of metrics and their names.
///
/// # Errors
/// `TOO_MANY_METRICS`, `METRIC_KEY_TOO_LONG` or `METRIC_KEY_INVALID`.
pub fn check(metrics: &[Metric<'_>]) -> Result<(), Rejection> {
    if metrics.len() > MAX_METRICS
        && metrics.iter().map(|metric| &metric.key).collect::<HashSet<_>>().len() > MAX_METRICS
    {
        return Err(Rejection::new(Reason::TooManyMetrics, "metrics: more than 50"));
    }
    for Metric { key, .. } in metrics {
        if key.len() > MAX_KEY_CHARS && key.chars().count() > MAX_KEY_CHARS {
            return Err(Rejection::new(Reason::MetricKeyTooLong, "metrics: a key of more than 128 characters"));
        }
        if key.is_empty() {
            return Err(Rejection::new(Reason::MetricKeyInvalid, "metrics: an empty key"));
        }
        if key.chars().any(char::is_control) {
            return Err(Rejection::new(Reason::MetricKeyInvalid, "metrics: a key with a control character"));
        }
    }
    Ok(())
}

impl<'a> Metric<'a> {
    /// Its name after the mapping.
    pub fn mapped<'b>(&'b self, keys: Option<&'b MetricKeyMap>) -> &'b str {
        keys.and_then(|keys| keys.get(&self.key)).unwrap_or(&self.key)
    }

    /// The spelling under which jsonb returns a float as a float, where the one sent would lose its kind: jsonb holds
    /// numbers as decimals whose scale is the mantissa's digits after the point less the exponent, so `2.4e1` would
    /// come back as `24`, `2.40e1` comes back as `24.0`.
    pub fn spelling_for_jsonb(&self) -> Option<String> {
        /// A number with more zeros is beyond f64: no point can hold it, and zeros would only enlarge the row.
        const MAX_ZEROS: i64 = 400;
        if !matches!(self.raw.as_bytes().first(), Some(b'-' | b'0'..=b'9')) {
            return None;
        }
        let exponent_at = self.raw.find(['e', 'E'])?;
        let (mantissa, exponent) = self.raw.split_at(exponent_at);
        if mantissa.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.')) {
            return Some("0.0".to_owned()); // at any exponent, also where no other number would be within f64
        }
        let digits = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i64);
        let zeros = exponent[1..].parse::<i64>().ok()?.checked_sub(digits)?.checked_add(1)?;
        if !(1..=MAX_ZEROS).contains(&zeros) {
            return None;
        }
        let point = if digits == 0 { "." } else { "" };
        Some(format!("{mantissa}{point}{:0<1$}{exponent}", "", zeros as usize))
    }
}

/// The metrics as a JSON object under their mapped names.
pub fn object_text(metrics: &[Metric<'_>], keys: &MetricKeyMap) -> String {
    let mut text = String::from("{");
    for metric in metrics {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(metric.mapped(Some(keys))).to_string());
        text.push(':');
        match metric.spelling_for_jsonb() {
            Some(spelling) => text.push_str(&spelling),
            None => text.push_str(metric.raw),
        }
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(raw: &str) -> Metric<'_> {
        Metric { key: Cow::Borrowed("k"), raw }
    }

    #[test]
    fn a_float_keeps_its_kind_in_jsonb() {
        for (raw, spelling) in [
            ("2.4e1", Some("2.40e1")),
            ("1e21", Some("1.0000000000000000000000e21")),
            ("0e0", Some("0.0")),
            ("-0.00E+996", Some("0.0")),
            ("0e-20000", Some("0.0")),
            ("-1.5E+1", Some("-1.50E+1")),
            ("1.25e1", None),
            ("1e-7", None),
            ("24.0", None),
            ("1e200000", None),
            ("\"2e1\"", None),
        ] {
            assert_eq!(metric(raw).spelling_for_jsonb().as_deref(), spelling, "{raw}");
        }
    }

    #[test]
    fn names_are_1_to_128_characters_without_controls() {
        let named = |key: &str| check(&[Metric { key: Cow::Owned(key.to_owned()), raw: "1" }]).map_err(|r| r.reason);
        assert_eq!(named(&"é".repeat(128)), Ok(()));
        assert_eq!(named(&"k".repeat(129)), Err(Reason::MetricKeyTooLong));
        for key in ["", "a\tb", "a\u{7f}"] {
            assert_eq!(named(key), Err(Reason::MetricKeyInvalid), "{key:?}");
        }
    }
}
