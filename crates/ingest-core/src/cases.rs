//! Public test cases of `tests/cases`, for the tests of the rules.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// One case: what is published, and the expected results.
pub(crate) struct Case(Value);

/// All cases of a kind (`tests/cases/{kind}.jsonl`).
pub(crate) fn read(kind: &str) -> Vec<Case> {
    let path = format!("{}/../../tests/cases/{kind}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().map(|line| Case(serde_json::from_str(line).unwrap())).collect()
}

impl Case {
    /// Its name.
    pub(crate) fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }

    /// A member of the case.
    pub(crate) fn get(&self, key: &str) -> &Value {
        &self.0[key]
    }

    /// The envelope of its only message; `None` where it has several or none that is JSON.
    pub(crate) fn envelope(&self) -> Option<Value> {
        serde_json::from_str(self.0["data"].as_str()?).ok()
    }

    /// The payload of its only message.
    pub(crate) fn payload(&self) -> Value {
        self.envelope().unwrap()["payload"].take()
    }

    /// The members of its payload, as text.
    pub(crate) fn payload_members(&self) -> Option<BTreeMap<String, Box<RawValue>>> {
        let envelope: BTreeMap<String, Box<RawValue>> = serde_json::from_str(self.0["data"].as_str()?).ok()?;
        serde_json::from_str(envelope.get("payload")?.get()).ok()
    }

    /// Its expected results: one, or several of which one must hold.
    pub(crate) fn alternatives(&self) -> Vec<Value> {
        match self.0["expect"]["any_of"].as_array() {
            Some(alternatives) => alternatives.clone(),
            None => vec![self.0["expect"].clone()],
        }
    }
}

/// The members of an object in their order, their values as text.
pub(crate) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// The text of a value.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Key and value's text.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.get()))
    }
}

/// The members of an object, from its text.
pub(crate) fn members(object: &str) -> Members {
    serde_json::from_str(object).unwrap()
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
