//! Payload filters of message routes: conditions on a message's values.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

/// Conditions on values by their names; all must hold.
///
/// ```json
/// {"temp_c": {"$gt": 80, "$lte": 100}, "mode": "auto"}
/// ```
///
/// The value of a name is the metric of that name, else the payload's own member; where both are absent or null, the
/// condition does not hold.
///
/// - An object compares numbers: `$gt` `$gte` `$lt` `$lte` `$eq` `$ne`. Text that reads as a number counts as one,
///   `true` and `false` as 1 and 0; a value or a threshold that is no number does not hold. An unknown operator asks
///   for numbers only. `{}` asks only that there is a value.
/// - Anything else is compared as text, as the platform always wrote it: a number by its kind (`85` equals `85` and
///   `"85"`, not `85.0`), `true` as `True`, `false` as `False`. Lists and objects equal the same JSON.
#[derive(Clone, Debug, Default)]
pub struct PayloadFilter(Vec<(String, Condition)>);

/// A filter of another shape than an object.
#[derive(Debug, Error)]
#[error("the payload filter is not a JSON object")]
pub struct BadFilter(#[source] serde_json::Error);

#[derive(Clone, Debug)]
enum Condition {
    /// All of them hold. None: a value is enough.
    Compare(Vec<(Operator, f64)>),
    /// The value's text is this.
    Text(String),
    /// The value is this list.
    List(Value),
    /// Nothing holds.
    Never,
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    Gt,
    Gte,
    Lt,
    Lte,
    Eq,
    Ne,
    Unknown,
}

impl PayloadFilter {
    /// Reads a filter from its JSON text. `null` and `{}` match everything.
    ///
    /// # Errors
    /// [`BadFilter`] where the text is no JSON object.
    pub fn parse(json: &str) -> Result<Self, BadFilter> {
        let conditions: Option<HashMap<String, &RawValue>> = serde_json::from_str(json).map_err(BadFilter)?;
        let conditions = conditions.into_iter().flatten();
        Ok(Self(conditions.map(|(key, condition)| (key, Condition::parse(condition.get()))).collect()))
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a payload matches. `metric` and `member` give the JSON text of a metric (under its mapped name) and of
    /// a member of the payload itself.
    pub fn matches<'p>(
        &self,
        metric: impl Fn(&str) -> Option<&'p str>,
        member: impl Fn(&str) -> Option<&'p str>,
    ) -> bool {
        self.0.iter().all(|(key, condition)| {
            let value = metric(key).filter(is_present).or_else(|| member(key).filter(is_present));
            value.is_some_and(|value| condition.holds(value.trim()))
        })
    }
}

fn is_present(json: &&str) -> bool {
    json.trim() != "null"
}

impl Condition {
    fn parse(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'{') => {
                let Ok(thresholds) = serde_json::from_str::<HashMap<String, &RawValue>>(json) else {
                    return Condition::Never;
                };
                let compare = |(operator, threshold): (String, &RawValue)| {
                    number(threshold.get()).map(|threshold| (Operator::parse(&operator), threshold))
                };
                let comparisons: Option<Vec<_>> = thresholds.into_iter().map(compare).collect();
                comparisons.map_or(Condition::Never, Condition::Compare)
            }
            Some(b'[') => serde_json::from_str(json).map_or(Condition::Never, Condition::List),
            _ => text(json).map_or(Condition::Never, |text| Condition::Text(text.into_owned())),
        }
    }

    fn holds(&self, value: &str) -> bool {
        match self {
            Condition::Compare(comparisons) => comparisons
                .iter()
                .all(|(operator, threshold)| number(value).is_some_and(|value| operator.holds(value, *threshold))),
            Condition::Text(expected) => text(value).is_some_and(|text| text == *expected),
            Condition::List(expected) => {
                value.starts_with('[') && serde_json::from_str::<Value>(value).is_ok_and(|value| value == *expected)
            }
            Condition::Never => false,
        }
    }
}

impl Operator {
    fn parse(text: &str) -> Self {
        match text {
            "$gt" => Operator::Gt,
            "$gte" => Operator::Gte,
            "$lt" => Operator::Lt,
            "$lte" => Operator::Lte,
            "$eq" => Operator::Eq,
            "$ne" => Operator::Ne,
            _ => Operator::Unknown,
        }
    }

    fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Operator::Gt => value > threshold,
            Operator::Gte => value >= threshold,
            Operator::Lt => value < threshold,
            Operator::Lte => value <= threshold,
            Operator::Eq => value == threshold,
            Operator::Ne => value != threshold,
            Operator::Unknown => true,
        }
    }
}

/// A JSON value as a number.
fn number(json: &str) -> Option<f64> {
    match json.as_bytes().first()? {
        b't' => Some(1.0),
        b'f' => Some(0.0),
        b'"' => serde_json::from_str::<Cow<'_, str>>(json).ok()?.trim().parse().ok(),
        b'{' | b'[' | b'n' => None,
        _ => json.parse().ok(),
    }
}

/// A JSON scalar as text.
fn text(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b't' => Some("True".into()),
        b'f' => Some("False".into()),
        b'n' => Some("None".into()),
        b'"' => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
        b'{' | b'[' => None,
        _ if json == "-0" => Some("0".into()),
        _ if json.contains(['.', 'e', 'E']) => Some(float_text(json.parse().ok()?).into()),
        _ => Some(json.into()),
    }
}

/// The shortest text of a float, with an exponent from 1e16 on and below 1e-4: `85.0`, `1e+16`, `1e-05`.
fn float_text(float: f64) -> String {
    if float.is_infinite() {
        return if float > 0.0 { "inf".into() } else { "-inf".into() };
    }
    // Debug chooses the exponent as wanted, but writes it as `1e16` and `1e-5`.
    let text = format!("{float:?}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{mantissa}e-{exponent:0>2}"),
            None => format!("{mantissa}e+{exponent:0>2}"),
        },
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    fn matches(filter: &str, metrics: &str, payload: &str) -> bool {
        let (metrics, payload) = (cases::members(metrics), cases::members(payload));
        PayloadFilter::parse(filter).unwrap().matches(|key| metrics.get(key), |key| payload.get(key))
    }

    #[test]
    fn the_public_cases_hold() {
        let mut checked = 0;
        for case in cases::read("payload_filter") {
            let filter = case.get("routes")[0]["payload_filter"].to_string();
            let payload = case.payload_members().unwrap();
            let metrics = cases::members(payload["metrics"].get());
            let found = PayloadFilter::parse(&filter)
                .unwrap()
                .matches(|key| metrics.get(key), |key| payload.get(key).map(|value| value.get()));
            let expected = !case.alternatives()[0]["route_jobs"].as_array().unwrap().is_empty();
            assert_eq!(found, expected, "{}", case.id());
            checked += 1;
        }
        assert!(checked > 10, "only {checked} cases were found");
    }

    #[test]
    fn a_metric_comes_before_the_member_of_the_same_name() {
        assert!(matches(r#"{"t":5}"#, r#"{"t":5}"#, r#"{"t":6}"#));
        assert!(!matches(r#"{"t":6}"#, r#"{"t":5}"#, r#"{"t":6}"#));
        assert!(matches(r#"{"t":6}"#, r#"{"t":null}"#, r#"{"t":6}"#));
        assert!(matches(r#"{"t":6}"#, "{}", r#"{"t":6}"#));
    }

    #[test]
    fn what_is_absent_or_null_never_matches() {
        for filter in [r#"{"t":null}"#, r#"{"t":"None"}"#, r#"{"t":{}}"#, r#"{"t":{"$ne":1}}"#] {
            assert!(!matches(filter, "{}", "{}"), "{filter}");
            assert!(!matches(filter, r#"{"t":null}"#, r#"{"t":null}"#), "{filter}");
        }
    }

    #[test]
    fn an_empty_filter_matches_everything() {
        assert!(matches("{}", "{}", "{}") && matches("null", "{}", "{}") && matches(" null ", "{}", "{}"));
    }

    #[test]
    fn conditions_hold_or_not() {
        for (condition, value, expected) in [
            (r#"{"$gt":80}"#, "85", true),
            (r#"{"$gt":85}"#, "85", false),
            (r#"{"$gte":85,"$lte":85}"#, "85.0", true),
            (r#"{"$gte":85,"$lte":84}"#, "85", false),
            (r#"{"$eq":"8.5e1"}"#, "85", true),
            (r#"{"$ne":85}"#, "85", false),
            (r#"{"$lt":86}"#, r#"" 85 ""#, true),
            (r#"{"$gt":0}"#, "true", true),
            (r#"{"$eq":false}"#, "0", true),
            (r#"{"$gt":"abc"}"#, "85", false),
            (r#"{"$gt":1}"#, r#""abc""#, false),
            (r#"{"$gt":1}"#, "[5]", false),
            (r#"{"$regex":"x"}"#, "85", false),
            (r#"{"$regex":1}"#, "85", true),
            (r#"{"$regex":1}"#, r#""x""#, false),
            (r#"{"$gt":null}"#, "85", false),
            ("{}", r#""x""#, true),
            ("85", "85", true),
            ("85", r#""85""#, true),
            (r#""85""#, "85", true),
            ("85", "85.0", false),
            ("85.0", "85.00", true),
            ("85.0", "8.5e1", true),
            ("0", "-0", true),
            ("0.0", "-0.0", false),
            ("true", "true", true),
            ("true", r#""True""#, true),
            ("true", r#""true""#, false),
            ("true", "1", false),
            ("false", "false", true),
            (r#""1e+16""#, "10000000000000000.0", true),
            (r#""1e-05""#, "0.00001", true),
            (r#""0.0001""#, "1e-4", true),
            (r#""1.5e+300""#, "1.5e300", true),
            (r#""gr\u00fcn""#, r#""grün""#, true),
            ("98765432109876543210", "98765432109876543210", true),
            ("98765432109876543210", "98765432109876543211", false),
            ("[1,2]", "[1, 2]", true),
            ("[1,2]", "[2,1]", false),
            (r#""[1, 2]""#, "[1,2]", false),
        ] {
            let found = matches(&format!(r#"{{"t":{condition}}}"#), &format!(r#"{{"t":{value}}}"#), "{}");
            assert_eq!(found, expected, "{condition} on {value}");
        }
    }

    #[test]
    fn all_conditions_must_hold() {
        assert!(matches(r#"{"a":1,"b":{"$gt":1}}"#, r#"{"a":1,"b":2}"#, "{}"));
        assert!(!matches(r#"{"a":1,"b":{"$gt":2}}"#, r#"{"a":1,"b":2}"#, "{}"));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "5", "\"x\"", "{", "true"] {
            assert!(PayloadFilter::parse(text).is_err(), "{text}");
        }
    }
}
