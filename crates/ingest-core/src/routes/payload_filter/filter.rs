//! A filter: conditions by the names of the values.

use std::collections::HashMap;

use serde_json::value::RawValue;
use thiserror::Error;

use super::condition::Condition;

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
///   `true` and `false` as 1 and 0; a value or a threshold that is no number does not hold. An unknown operator
///   requires numbers only. `{}` requires only that there is a value.
/// - Anything else is compared as text, as the platform always wrote it: a number by its kind (`85` equals `85` and
///   `"85"`, not `85.0`), `true` as `True`, `false` as `False`. Lists and objects equal the same JSON.
#[derive(Clone, Debug, Default)]
pub struct PayloadFilter(Vec<(String, Condition)>);

/// A filter that is not a JSON object.
#[derive(Debug, Error)]
#[error("the payload filter is not a JSON object")]
pub struct BadFilter(#[source] serde_json::Error);

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

    /// Whether it has no condition.
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
