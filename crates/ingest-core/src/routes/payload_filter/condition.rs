//! One condition on one value: comparisons, or equality as text or as a list.

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::scalar::{number, text};

#[derive(Clone, Debug)]
pub(super) enum Condition {
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
pub(super) enum Operator {
    Gt,
    Gte,
    Lt,
    Lte,
    Eq,
    Ne,
    Unknown,
}

impl Condition {
    pub(super) fn parse(json: &str) -> Self {
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

    pub(super) fn holds(&self, value: &str) -> bool {
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
